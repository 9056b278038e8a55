//! The OpenAPI document of what is served here for one release.

use serde_json::{Map, Value, json};

use super::PREFIX;
use super::asked::{ACTOR, RESERVED, has_body};
use crate::proxmox::description::{Description, Kind, Operation, Place, Schema};

/// The document of `description`, as JSON text.
pub(in crate::http::routes) fn openapi(description: &Description) -> Vec<u8> {
    let release = description.release();
    let paths: Map<String, Value> = description
        .places()
        .map(|place| (place.path().to_owned(), item(place)))
        .collect();
    let document = json!({
        "openapi": "3.1.0",
        "info": {"title": format!("Proxmox VE {release} through Proxbox"), "version": release},
        "servers": [{"url": format!("{PREFIX}{release}")}],
        "security": [{"api_key": []}],
        "components": {
            "securitySchemes": {"api_key": {"type": "apiKey", "in": "header", "name": crate::http::auth::KEY_HEADER}},
            "parameters": ours(),
        },
        "paths": paths,
    });
    document.to_string().into_bytes()
}

/// The parameters that are ours: which endpoint is meant, and who asks.
fn ours() -> Value {
    let select = |name: &str, schema: Value| json!({"name": name, "in": "query", "schema": schema});
    let text = || json!({"type": "string"});
    json!({
        "source": select("source", json!({"type": "string", "enum": ["database", "netbox"], "default": "database"})),
        "endpoint_id": select("endpoint_id", json!({"type": "integer"})),
        "target_name": select("target_name", text()),
        "target_domain": select("target_domain", text()),
        "target_ip_address": select("target_ip_address", text()),
        "actor": {"name": ACTOR, "in": "header", "required": true, "schema": text()},
    })
}

/// Where the document holds those that `operation` takes.
fn our_parameters(operation: &Operation) -> Vec<Value> {
    let names = RESERVED.iter().chain((!operation.is_read()).then_some(&"actor"));
    names
        .map(|name| json!({"$ref": format!("#/components/parameters/{name}")}))
        .collect()
}

fn item(place: &Place) -> Value {
    let operations = place
        .operations()
        .map(|operation| (operation.method.as_str().to_ascii_lowercase(), described(operation)));
    Value::Object(operations.collect())
}

fn described(operation: &Operation) -> Value {
    let mut body = Map::new();
    let mut required = Vec::new();
    let mut parameters = our_parameters(operation);
    for property in &operation.parameters.properties {
        let (name, schema) = (&*property.name, schema(&property.schema));
        let is_in_path = operation.is_in_path(name);
        if is_in_path || !has_body(operation) {
            let place = if is_in_path { "path" } else { "query" };
            let is_ours = !is_in_path && RESERVED.contains(&name);
            let name = if is_ours { format!("op_{name}") } else { name.to_owned() };
            parameters.push(json!({"name": name, "in": place, "required": property.is_required, "schema": schema}));
        } else {
            body.insert(name.to_owned(), schema);
            required.extend(property.is_required.then_some(name));
        }
    }
    let answer = json!({"description": "What Proxmox answers", "content": {"application/json": {"schema": schema(&operation.returns)}}});
    let mut described = json!({
        "operationId": operation.id(),
        "tags": [operation.path.split('/').nth(1).unwrap_or_default()],
        "parameters": parameters,
        "responses": {"200": answer},
    });
    if let (false, Some(described)) = (body.is_empty(), described.as_object_mut()) {
        let schema = json!({"type": "object", "properties": body, "required": required});
        described.insert(
            "requestBody".to_owned(),
            json!({"content": {"application/json": {"schema": schema}}}),
        );
    }
    described
}

fn schema(schema: &Schema) -> Value {
    let mut said = Map::new();
    let mut say = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            said.insert(key.to_owned(), value);
        }
    };
    let number = |bound: Option<f64>| bound.map(Value::from);
    say("type", schema.kind.word().map(Value::from));
    say("format", schema.format.as_deref().map(Value::from));
    say(
        "pattern",
        schema.pattern.as_ref().map(|pattern| pattern.source().into()),
    );
    say("enum", words(schema));
    say("minimum", number(schema.minimum));
    say("maximum", number(schema.maximum));
    say("minLength", schema.min_length.map(Value::from));
    say("maxLength", schema.max_length.map(Value::from));
    say("default", schema.default.clone());
    say("items", schema.items.as_ref().map(|items| self::schema(items)));
    say("oneOf", list(schema.one_of.iter().map(|one| self::schema(one))));
    let members: Map<_, _> = schema
        .properties
        .iter()
        .map(|property| (property.name.to_string(), self::schema(&property.schema)))
        .collect();
    say("properties", (!members.is_empty()).then_some(Value::Object(members)));
    let required = schema.properties.iter().filter(|property| property.is_required);
    say("required", list(required.map(|property| Value::from(&*property.name))));
    say(
        "x-pve-property-string",
        schema.keys.as_ref().map(|keys| self::schema(keys)),
    );
    Value::Object(said)
}

fn words(schema: &Schema) -> Option<Value> {
    list(schema.words.iter().map(|word| match schema.kind {
        Kind::Integer => word.parse::<i64>().map_or_else(|_| Value::from(&**word), Value::from),
        Kind::Any | Kind::Null | Kind::Boolean | Kind::Number | Kind::Text | Kind::List | Kind::Object => {
            Value::from(&**word)
        }
    }))
}

fn list(values: impl Iterator<Item = Value>) -> Option<Value> {
    let values: Vec<_> = values.collect();
    (!values.is_empty()).then_some(Value::Array(values))
}
