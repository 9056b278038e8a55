//! Filters of a read, and what its answer must fit.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;
use url::form_urlencoded::Serializer;

use super::transport::Class;

/// Filters by something that rows tell themselves, the field in which they tell it, and how it is compared.
const TOLD: &[(&str, &str, Form)] = &[
    ("id", "id", Form::Text),
    ("name", "name", Form::AnyCase),
    ("name__ie", "name", Form::AnyCase),
    ("slug", "slug", Form::Text),
    ("vid", "vid", Form::Text),
    ("asn", "asn", Form::Text),
    ("address", "address", Form::Host),
    ("prefix", "prefix", Form::Network),
    ("vmid", "vmid", Form::Text),
    ("task_id", "task_id", Form::Text),
    ("node", "node", Form::Text),
    ("cluster", "cluster", Form::Text),
    ("cluster_id", "cluster", Form::Text),
    ("device_id", "device", Form::Text),
    ("interface_id", "assigned_object_id", Form::Text),
    ("virtual_machine_id", "virtual_machine", Form::Text),
    ("virtual_disk_id", "virtual_disk", Form::Text),
    ("vm_interface_id", "vm_interface", Form::Text),
    ("vminterface_id", "assigned_object_id", Form::Text),
    ("guest_interface_id", "guest_interface", Form::Text),
    ("endpoint", "endpoint", Form::Text),
    ("proxmox_vm_id", "proxmox_vm_id", Form::Text),
    ("proxmox_cluster_name", "proxmox_cluster_name", Form::AnyCase),
    ("proxmox_endpoint_raw_id", "proxmox_endpoint_raw_id", Form::Text),
    ("assigned_object_type", "assigned_object_type", Form::Text),
    ("assigned_object_id", "assigned_object_id", Form::Text),
];

/// How the value of a filter is compared with what a row tells.
#[derive(Debug, Clone, Copy)]
enum Form {
    Text,
    AnyCase,
    /// An address; one without a mask fits whatever the row's mask is.
    Host,
    /// A network, of which any address may be given.
    Network,
}

impl Form {
    /// Whether they are the same, or cannot be told apart.
    fn fits(self, asked: &str, told: &str) -> bool {
        let is_same = asked == told;
        match self {
            Self::Text => is_same,
            Self::AnyCase => is_same || asked.to_lowercase() == told.to_lowercase(),
            Self::Host => {
                let (host, mask) = told.split_once('/').unwrap_or((told, ""));
                let (asked_host, asked_mask) = asked.split_once('/').unwrap_or((asked, mask));
                asked_mask == mask && asked_host.parse::<IpAddr>().ok() == host.parse().ok()
            }
            Self::Network => {
                let network = |text: &str| text.parse::<IpNet>().map(|network| network.trunc()).ok();
                network(asked) == network(told)
            }
        }
    }
}

/// The filters of a read, in the order they were given, with what the answer must fit.
///
/// Paging and ordering belong to the client; `limit`, `offset`, `start` and `ordering` must not be given here.
///
/// NetBox ignores filters it does not know and answers the whole collection. That is an error where the first row tells
/// so by itself; [`Query::expect`] makes it one where that is not enough.
#[derive(Debug, Clone, Default)]
pub struct Query {
    filters: Vec<(String, String)>,
    fields: Vec<String>,
    omit: Vec<String>,
    expected: Vec<Expected>,
    expected_chunk: Option<String>,
    is_quick: bool,
}

/// A field of every row of the answer, and the values it may have.
#[derive(Debug, Clone)]
pub(super) struct Expected {
    path: String,
    values: Vec<String>,
}

impl Query {
    /// No filter: the whole collection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a filter. A filter given twice means "either"; most plugin filters take one value only and keep the last.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl fmt::Display) -> Self {
        self.filters.push((name.to_owned(), value.to_string()));
        self
    }

    /// Adds one filter with several values: rows that fit any of them.
    #[must_use]
    pub fn with_any<V: fmt::Display>(self, name: &str, values: impl IntoIterator<Item = V>) -> Self {
        values.into_iter().fold(self, |query, value| query.with(name, value))
    }

    /// Asks for these fields only. `id` always comes along.
    #[must_use]
    pub fn fields(mut self, names: &[&str]) -> Self {
        self.fields.extend(names.iter().map(|name| (*name).to_owned()));
        self
    }

    /// Asks for rows without this field, such as `config_context`, which NetBox would render for every row.
    #[must_use]
    pub fn omit(mut self, name: &str) -> Self {
        self.omit.push(name.to_owned());
        self
    }

    /// The answer must come quickly, and is small.
    #[must_use]
    pub(super) fn quick(mut self) -> Self {
        self.is_quick = true;
        self
    }

    /// What kind of answer is awaited.
    pub(super) const fn class(&self) -> Class {
        if self.is_quick { Class::Probe } else { Class::Rows }
    }

    /// Every row of the answer must have `value` at `path` (`cluster.id`, `name`), else the read fails with
    /// [`Error::FilterIgnored`](super::Error::FilterIgnored). Given several times for one path: any of the values.
    ///
    /// An object at `path` is compared by its `id`, or by its `value` where it is a choice.
    #[must_use]
    pub fn expect(mut self, path: &str, value: impl fmt::Display) -> Self {
        let value = value.to_string();
        if let Some(known) = self.expected.iter_mut().find(|expected| expected.path == path) {
            known.values.push(value);
        } else {
            self.expected.push(Expected {
                path: path.to_owned(),
                values: vec![value],
            });
        }
        self
    }

    /// With [`Client::list_chunked`](super::Client::list_chunked): every row of a chunk's answer must have one of the
    /// chunk's values at `path`.
    #[must_use]
    pub fn expect_chunk(mut self, path: &str) -> Self {
        self.expected_chunk = Some(path.to_owned());
        self
    }

    /// This query narrowed to one chunk of values.
    pub(super) fn narrowed(&self, key: &str, values: &[String]) -> Self {
        let mut query = self.clone().with_any(key, values);
        if let Some(path) = query.expected_chunk.take() {
            query.expected.push(Expected {
                path,
                values: values.to_vec(),
            });
        }
        query
    }

    /// How many values the filter `name` has.
    pub(super) fn occurrences(&self, name: &str) -> usize {
        self.filters.iter().filter(|(known, _)| known == name).count()
    }

    /// Whether rows have to meet anything.
    pub(super) fn expects(&self) -> bool {
        !self.expected.is_empty()
    }

    /// The expectation that `row` does not meet: the field's path and what stands there.
    pub(super) fn unmet(&self, row: &Value) -> Option<(String, String)> {
        self.expected.iter().find_map(|expected| {
            let found = text_at(row, &expected.path);
            let fits = found.as_ref().is_some_and(|found| expected.values.contains(found));
            (!fits).then(|| (expected.path.clone(), found.unwrap_or_else(|| "nothing".to_owned())))
        })
    }

    /// The field of `row`, and what stands there, where that shows that a filter was ignored. A row tells only about the
    /// fields that it has.
    pub(super) fn ignored(&self, row: &Value) -> Option<(&'static str, String)> {
        TOLD.iter().find_map(|(name, field, form)| {
            let found = text_at(row, field)?;
            let mut asked = self.filters.iter().filter(|(known, _)| known == name).peekable();
            asked.peek()?;
            (!asked.any(|(_, value)| form.fits(value, &found))).then_some((*field, found))
        })
    }

    /// The query part of a URL with `paging` at its end; percent-encoded, empty when there is nothing to say.
    pub(super) fn encoded(&self, paging: &[(&str, String)]) -> String {
        let mut text = Serializer::new(String::new());
        for (name, value) in &self.filters {
            text.append_pair(name, value);
        }
        if !self.fields.is_empty() {
            let has_id = self.fields.iter().any(|field| field == "id");
            let fields = self.fields.join(",");
            text.append_pair("fields", &if has_id { fields } else { format!("id,{fields}") });
        }
        if !self.omit.is_empty() {
            text.append_pair("omit", &self.omit.join(","));
        }
        for (name, value) in paging {
            text.append_pair(name, value);
        }
        // Commas between field names need no escape, and NetBox's own links leave them.
        text.finish().replace("%2C", ",")
    }
}

impl fmt::Display for Query {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, (name, value)) in self.filters.iter().enumerate() {
            let separator = if position == 0 { "" } else { ", " };
            write!(formatter, "{separator}{name}={value}")?;
        }
        Ok(())
    }
}

fn text_at(row: &Value, path: &str) -> Option<String> {
    let leaf = path.split('.').try_fold(row, |value, name| value.get(name))?;
    let leaf = match leaf {
        Value::Object(object) => object.get("id").or_else(|| object.get("value"))?,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => leaf,
    };
    match leaf {
        Value::String(text) => Some(text.clone()),
        Value::Null => Some("null".to_owned()),
        Value::Bool(_) | Value::Number(_) => Some(leaf.to_string()),
        Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn query_keeps_its_order_and_always_asks_for_the_id() {
        let query = Query::new()
            .with("cluster_id", 3)
            .with("name", "a b&c")
            .with("enabled", true)
            .fields(&["name", "vmid"])
            .omit("config_context");
        assert_eq!(
            query.encoded(&[("limit", "2".to_owned())]),
            "cluster_id=3&name=a+b%26c&enabled=true&fields=id,name,vmid&omit=config_context&limit=2"
        );
        assert_eq!(query.to_string(), "cluster_id=3, name=a b&c, enabled=true");
    }

    #[test]
    fn expectation_is_compared_with_every_form_a_field_has() {
        let row =
            json!({"id": 1, "name": "x", "cluster": {"id": 3}, "status": {"value": "active"}, "on": true, "vm": null});
        let cases = [
            ("cluster.id", "3", true),
            ("cluster", "3", true),
            ("cluster", "4", false),
            ("status", "active", true),
            ("on", "true", true),
            ("name", "x", true),
            ("name", "y", false),
            ("vm", "null", true),
            ("vm", "3", false),
            ("absent", "3", false),
        ];
        for (path, value, fits) in cases {
            let query = Query::new().expect(path, value);
            assert_eq!(query.unmet(&row).is_none(), fits, "{path} = {value}");
        }
    }

    #[test]
    fn row_shows_that_a_filter_was_ignored_as_far_as_it_tells() {
        let row = json!({"id": 9, "vmid": 101, "cluster": {"id": 3, "name": "lab"}, "device": null, "slug": "web"});
        for (query, expected) in [
            (Query::new(), None),
            (Query::new().with_any("id", [8, 9]), None),
            (Query::new().with_any("id", [7, 8]), Some(("id", "9"))),
            (Query::new().with("cluster_id", 3).with("slug", "web"), None),
            (
                Query::new().with("cluster_id", 3).with("slug", "db"),
                Some(("slug", "web")),
            ),
            (Query::new().with("cluster_id", 4), Some(("cluster", "3"))),
            (Query::new().with("device_id", 4), Some(("device", "null"))),
            (Query::new().with("vmid", 101), None),
            (Query::new().with("virtual_machine_id", 5), None),
            (Query::new().with("name__ie", "x"), None),
            (Query::new().with("task_id", 101), None),
        ] {
            let found = query.ignored(&row);
            assert_eq!(
                found.as_ref().map(|(field, text)| (*field, text.as_str())),
                expected,
                "{query}"
            );
        }
    }

    #[test]
    fn filter_and_row_are_compared_as_netbox_compares_them() {
        for (filter, asked, field, told, fits) in [
            ("name", "Lab", "name", json!("lab"), true),
            ("name", "lab", "name", json!("lab-2"), false),
            ("name__ie", "PVE1", "name", json!("pve1"), true),
            ("name__ie", "pve1", "name", json!("pve10"), false),
            ("task_id", "101", "task_id", json!("101"), true),
            ("task_id", "101", "task_id", json!("1010"), false),
            ("proxmox_vm_id", "101", "proxmox_vm_id", json!(101), true),
            ("proxmox_vm_id", "101", "proxmox_vm_id", json!(102), false),
            (
                "proxmox_cluster_name",
                "lab",
                "proxmox_cluster_name",
                json!("lab"),
                true,
            ),
            (
                "proxmox_cluster_name",
                "lab",
                "proxmox_cluster_name",
                json!("other"),
                false,
            ),
            ("asn", "65001", "asn", json!(65001), true),
            ("asn", "65001", "asn", json!(65002), false),
            ("interface_id", "7", "assigned_object_id", json!(7), true),
            ("interface_id", "7", "assigned_object_id", json!(8), false),
            ("address", "10.0.0.1", "address", json!("10.0.0.1/24"), true),
            ("address", "10.0.0.1/24", "address", json!("10.0.0.1/24"), true),
            ("address", "10.0.0.1/32", "address", json!("10.0.0.1/24"), false),
            ("address", "10.0.0.1", "address", json!("10.0.0.10/24"), false),
            ("address", "FD00:0::1", "address", json!("fd00::1/64"), true),
            ("prefix", "10.0.0.1/24", "prefix", json!("10.0.0.0/24"), true),
            ("prefix", "10.0.0.0/24", "prefix", json!("10.0.0.0/16"), false),
        ] {
            let row = json!({"id": 1, field: told});
            let is_ignored = Query::new().with(filter, asked).ignored(&row).is_some();
            assert_eq!(is_ignored, !fits, "{filter}={asked} {row}");
        }
    }

    #[test]
    fn narrowed_query_expects_one_of_its_own_values() {
        let query = Query::new().expect_chunk("vmid");
        let query = query.narrowed("vmid", &["1".to_owned(), "2".to_owned()]);
        assert_eq!(query.unmet(&json!({"id": 9, "vmid": 2})), None);
        assert_eq!(
            query.unmet(&json!({"id": 9, "vmid": 3})),
            Some(("vmid".to_owned(), "3".to_owned()))
        );
    }
}
