//! The reduced schema of NetBox's REST API, read into collections and columns.

use std::collections::{HashMap, HashSet};
use std::io;

use serde_json::{Map, Value};

use super::collections::{COLLECTIONS, Rules};
use super::datum::Datum;
use super::field::{Field, Kind};

/// NetBox 4.7.3 with the plugin netbox-proxbox 0.0.29.post6: the collections this service touches, one component per
/// row (`readOnly` and `writeOnly` tell what is answered and what is taken), `x-query` for the filters.
const DOCUMENT: &str = include_str!("../../../openapi/netbox/4.7.3.json");
/// The plugin netbox-bgp, in the same form.
const BGP: &str = include_str!("../../../openapi/netbox/bgp.json");
const COMPONENT: &str = "#/components/schemas/";

/// Position of a collection in [`Schema::collections`] and of its table in the world.
pub(super) type CollectionId = usize;
/// Position of a column in [`Collection::fields`] and of its value in a row.
pub(super) type FieldId = usize;

/// How NetBox shows an object: as a row of its own, or nested in another one.
#[derive(Debug, Default)]
pub(super) struct Shape {
    pub(super) members: Vec<Member>,
}

/// One key of an answered object.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: String,
    /// The column behind it; `None` for what is computed of nested objects.
    pub(super) field: Option<FieldId>,
    /// Value and label of each choice that is answered as an object; empty where the bare value is answered.
    pub(super) labels: Vec<(String, String)>,
    /// How a related object is shown; `None` for its number.
    pub(super) shape: Option<usize>,
}

/// Which lookups (`__ic`, `__gte`, …) a filter has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lookups {
    Text,
    Number,
    Choice,
    Plain,
}

/// One collection of rows.
#[derive(Debug)]
pub(super) struct Collection {
    pub(super) id: CollectionId,
    pub(super) rules: &'static Rules,
    pub(super) fields: Vec<Field>,
    names: HashMap<String, FieldId>,
    filters: HashMap<String, Lookups>,
    pub(super) shape: usize,
    pub(super) brief: Option<usize>,
}

impl Collection {
    pub(super) fn field_id(&self, name: &str) -> Option<FieldId> {
        self.names.get(name).copied()
    }

    pub(super) fn field(&self, name: &str) -> Option<&Field> {
        self.fields.get(self.field_id(name)?)
    }

    pub(super) fn lookups(&self, filter: &str) -> Option<Lookups> {
        self.filters.get(filter).copied()
    }
}

/// A relation, seen from the other side.
#[derive(Debug, Clone, Copy)]
pub(super) struct Inbound {
    pub(super) collection: CollectionId,
    pub(super) field: FieldId,
}

/// Everything the schema says.
#[derive(Debug, Default)]
pub(super) struct Schema {
    pub(super) collections: Vec<Collection>,
    pub(super) shapes: Vec<Shape>,
    /// By collection, the relations that point to it.
    pub(super) inbound: Vec<Vec<Inbound>>,
    paths: HashMap<&'static str, CollectionId>,
    models: HashMap<&'static str, CollectionId>,
}

impl Schema {
    /// Reads the embedded documents.
    ///
    /// # Errors
    ///
    /// Where the document and the table of collections do not fit together.
    pub(super) fn load() -> io::Result<Self> {
        let documents: [Value; 2] = [serde_json::from_str(DOCUMENT)?, serde_json::from_str(BGP)?];
        let all = |pointer: &str| -> Map<String, Value> {
            let objects = documents
                .iter()
                .filter_map(|document| document.pointer(pointer)?.as_object());
            objects
                .flatten()
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect()
        };
        let (paths, components) = (all("/paths"), all("/components/schemas"));
        let mut reader = Reader {
            components: &components,
            names: components.keys().map(String::as_str).collect(),
            rows: HashMap::new(),
        };
        for (id, rules) in COLLECTIONS.iter().enumerate() {
            let path = paths.get(&format!("/api/{}/", rules.path));
            let row = path.and_then(|path| path.get("x-row")).and_then(Value::as_str);
            let row = row.ok_or_else(|| io::Error::other(format!("the schema lacks {}", rules.path)))?;
            reader.rows.insert(row, id);
        }
        let mut schema = Self::default();
        for (id, rules) in COLLECTIONS.iter().enumerate() {
            let query = paths
                .get(&format!("/api/{}/", rules.path))
                .and_then(|path| path.pointer("/get/x-query"));
            schema.paths.insert(rules.path, id);
            schema.models.insert(rules.model, id);
            schema.collections.push(reader.collection(id, rules, query));
        }
        schema.shapes = reader.names.iter().map(|name| reader.shape(name, &schema)).collect();
        schema.inbound = inbound(&schema.collections);
        Ok(schema)
    }

    /// The collection at `path`, with or without `/api/` and the closing slash.
    pub(super) fn at(&self, path: &str) -> Option<&Collection> {
        let path = path.trim_matches('/');
        let id = self.paths.get(path.strip_prefix("api/").unwrap_or(path))?;
        self.collections.get(*id)
    }

    /// The collection of a content type.
    pub(super) fn of_model(&self, model: &str) -> Option<&Collection> {
        self.collections.get(*self.models.get(model)?)
    }

    pub(super) fn collection(&self, id: CollectionId) -> Option<&Collection> {
        self.collections.get(id)
    }
}

fn inbound(collections: &[Collection]) -> Vec<Vec<Inbound>> {
    let mut found: Vec<Vec<Inbound>> = collections.iter().map(|_| Vec::new()).collect();
    for collection in collections {
        for (field, column) in collection.fields.iter().enumerate() {
            let list = column.kind.target().and_then(|target| found.get_mut(target));
            if let Some(list) = list
                && !column.is_computed
            {
                list.push(Inbound {
                    collection: collection.id,
                    field,
                });
            }
        }
    }
    found
}

struct Reader<'a> {
    components: &'a Map<String, Value>,
    names: Vec<&'a str>,
    /// The collection whose rows a component describes.
    rows: HashMap<&'a str, CollectionId>,
}

impl<'a> Reader<'a> {
    fn properties(&self, component: &str) -> impl Iterator<Item = (&'a String, &'a Value)> + use<'a> {
        let properties = self
            .components
            .get(component)
            .and_then(|component| component.get("properties"));
        properties.and_then(Value::as_object).into_iter().flatten()
    }

    fn referred(property: &'a Value) -> Option<&'a str> {
        property.get("$ref")?.as_str()?.strip_prefix(COMPONENT)
    }

    fn position(&self, component: &str) -> Option<usize> {
        self.names.iter().position(|name| *name == component)
    }

    /// The collection that a component shows, in full or nested.
    fn shown_by(&self, component: &str) -> Option<CollectionId> {
        let bare = ["Brief", "RestrictedNested", "Nested"]
            .into_iter()
            .find_map(|prefix| component.strip_prefix(prefix));
        let bare = bare.unwrap_or(component);
        self.rows.get(bare.strip_suffix("WithStatus").unwrap_or(bare)).copied()
    }

    fn collection(&self, id: CollectionId, rules: &'static Rules, query: Option<&Value>) -> Collection {
        let row = self
            .rows
            .iter()
            .find(|(_, collection)| **collection == id)
            .map_or("", |(row, _)| row);
        let required: HashSet<&str> = self
            .components
            .get(row)
            .and_then(|component| component.get("required"))
            .and_then(Value::as_array)
            .map(|names| names.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        let fields: Vec<Field> = self
            .properties(row)
            .map(|(name, property)| {
                let component = Self::referred(property);
                let target = component.and_then(|component| self.shown_by(component));
                let mut field = Field::new(name, property, component.is_some(), target);
                field.is_required = required.contains(name.as_str());
                field
            })
            .collect();
        let names = fields
            .iter()
            .enumerate()
            .map(|(id, field)| (field.name.clone(), id))
            .collect();
        Collection {
            id,
            rules,
            fields,
            names,
            filters: filters(query),
            shape: self.position(row).unwrap_or_default(),
            brief: self.position(&format!("Brief{row}")),
        }
    }

    fn shape(&self, component: &str, schema: &Schema) -> Shape {
        let collection = self.shown_by(component);
        let columns = collection.and_then(|id| schema.collection(id));
        let members = self
            .properties(component)
            .filter(|(_, property)| property.get("writeOnly").is_none())
            .map(|(name, property)| Member {
                name: name.clone(),
                field: columns.and_then(|columns| columns.field_id(name)),
                labels: labels(property),
                shape: Self::referred(property).and_then(|component| self.position(component)),
            })
            .collect();
        Shape { members }
    }
}

fn labels(property: &Value) -> Vec<(String, String)> {
    let list = |name: &str| property.get(name).and_then(Value::as_array).into_iter().flatten();
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    list("enum").map(text).zip(list("x-labels").map(text)).collect()
}

fn filters(query: Option<&Value>) -> HashMap<String, Lookups> {
    let kinds = [
        ("text", Lookups::Text),
        ("number", Lookups::Number),
        ("choice", Lookups::Choice),
        ("plain", Lookups::Plain),
    ];
    let mut found = HashMap::new();
    for (kind, lookups) in kinds {
        let names = query.and_then(|query| query.get(kind)).and_then(Value::as_array);
        for name in names.into_iter().flatten().filter_map(Value::as_str) {
            found.insert(name.to_owned(), lookups);
        }
    }
    found
}

impl Kind {
    /// The collection that a relation points to.
    pub(super) const fn target(&self) -> Option<CollectionId> {
        match self {
            Self::One(target) | Self::Many(target) => *target,
            Self::Text(_)
            | Self::Int { .. }
            | Self::Real { .. }
            | Self::Flag
            | Self::Time
            | Self::Choice(_)
            | Self::Json => None,
        }
    }
}

/// The value of a column that nobody has set.
pub(super) fn unset(kind: &Kind, is_nullable: bool, property: &Value) -> Datum {
    if let Some(default) = property.get("default") {
        return kind.stored(default);
    }
    match kind {
        Kind::Many(_) => Datum::Ids(Box::default()),
        Kind::Text(_) | Kind::Choice(_) if !is_nullable => Datum::text(""),
        Kind::Flag if !is_nullable => Datum::Flag(false),
        Kind::Json if !is_nullable => {
            let is_object = property.get("type").and_then(Value::as_str) == Some("object");
            let empty = if is_object {
                Value::Object(Map::new())
            } else {
                Value::Array(Vec::new())
            };
            Datum::Json(Box::new(empty))
        }
        Kind::Text(_)
        | Kind::Choice(_)
        | Kind::Flag
        | Kind::Json
        | Kind::Int { .. }
        | Kind::Real { .. }
        | Kind::Time
        | Kind::One(_) => Datum::Null,
    }
}
