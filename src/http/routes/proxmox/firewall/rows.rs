//! The rows of a firewall, in the keys that the plugin knows.

use serde_json::{Value, json};

use super::super::fields::{Field, Row, flag, further, good, shaped, switch, text, whole};
use crate::endpoint::EndpointId;
use crate::proxmox::Vmid;

/// A rule. Proxmox leaves `enable` out of a rule that is off; the plugin would take that for on.
const RULE: &[Field] = &[
    whole("pos"),
    text("type"),
    text("action"),
    switch("enable"),
    text("macro"),
    text("iface"),
    text("source"),
    text("dest"),
    text("proto"),
    text("dport"),
    text("sport"),
    text("log"),
    text("icmp_type").from(&["icmp-type"]),
    text("comment"),
    text("digest"),
];
const GROUP: &[Field] = &[text("name").from(&["group"]), text("comment"), text("digest")];
const SET: &[Field] = &[text("name"), text("comment"), text("digest")];
const ENTRY: &[Field] = &[text("cidr"), text("comment"), switch("nomatch")];
const ALIAS: &[Field] = &[text("name"), text("cidr"), text("comment"), text("digest")];
const OPTIONS: &[Field] = &[
    flag("enable"),
    text("policy_in"),
    text("policy_out"),
    text("log_ratelimit"),
];

/// A group or set with its members.
pub(super) type Held = (Row, Vec<Row>);

/// Where a row stands.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Place<'a> {
    /// The name of the cluster, in summaries.
    pub(super) cluster: Option<&'a str>,
    /// The endpoint, everywhere else.
    pub(super) endpoint: Option<EndpointId>,
    /// The node.
    pub(super) node: Option<&'a str>,
    /// The guest.
    pub(super) vmid: Option<Vmid>,
}

impl Place<'_> {
    const fn zone(self) -> &'static str {
        match (self.vmid, self.node) {
            (Some(_), _) => "vm",
            (None, Some(_)) => "node",
            (None, None) => "datacenter",
        }
    }

    /// A row with what tells where it stands.
    fn row(self, zone: &str) -> Row {
        let mut row = self.head();
        row.insert("zone".to_owned(), json!(zone));
        row.insert("node".to_owned(), json!(self.node));
        row.insert("vmid".to_owned(), json!(self.vmid));
        row
    }

    fn head(self) -> Row {
        let mut row = Row::from_iter([("cluster_name".to_owned(), json!(self.cluster))]);
        if let Some(endpoint) = self.endpoint {
            row.insert("endpoint_id".to_owned(), json!(endpoint));
        }
        row
    }
}

pub(super) fn rule(row: &Row, place: Place<'_>) -> Value {
    rule_of(row, place, None)
}

fn rule_of(row: &Row, place: Place<'_>, group: Option<&Value>) -> Value {
    let zone = if group.is_some() {
        "security_group"
    } else {
        place.zone()
    };
    let mut rule = place.row(zone);
    rule.insert("security_group".to_owned(), json!(group));
    rule.extend(shaped(row, RULE));
    good(rule)
}

pub(super) fn group((head, members): &Held, place: Place<'_>) -> Value {
    let mut group = place.head();
    group.extend(shaped(head, GROUP));
    let name = group.get("name").cloned().unwrap_or_default();
    let rules: Vec<Value> = members.iter().map(|row| rule_of(row, place, Some(&name))).collect();
    group.insert("rules".to_owned(), Value::from(rules));
    good(group)
}

pub(super) fn set((head, members): &Held, place: Place<'_>) -> Value {
    let mut set = place.row(place.zone());
    set.extend(shaped(head, SET));
    let entries: Vec<Value> = members.iter().map(|row| Value::Object(shaped(row, ENTRY))).collect();
    set.insert("entries".to_owned(), Value::from(entries));
    good(set)
}

pub(super) fn alias(row: &Row, place: Place<'_>) -> Value {
    let mut alias = place.row(place.zone());
    alias.extend(shaped(row, ALIAS));
    good(alias)
}

/// The options, with what has no key of its own below `options`.
pub(super) fn options(row: &Row, place: Place<'_>) -> Value {
    let mut options = place.row(place.zone());
    options.extend(shaped(row, OPTIONS));
    let rest = further(row, OPTIONS).filter(|(key, _)| *key != "digest");
    let rest: Row = rest.map(|(key, value)| (key.clone(), value.clone())).collect();
    options.insert("options".to_owned(), Value::Object(rest));
    good(options)
}
