//! What the stages of virtual machines' interfaces tell of each interface, as rows of the plugin's tables: that its turn has
//! come, and what came of it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::netbox::ids::Ids;
use crate::netbox::objects::{Assignment, IpAddress};
use crate::reconcile::ObjectId;
use crate::stages::ports::{guest_ports, interface_of};
use crate::stages::vm_addresses::claims;
use crate::sync::pass::EndpointRun;
use crate::sync::report::Outcome;

/// The table of interfaces.
pub(super) const PORTS: &str = "vm_interface";
/// The table of interfaces' addresses.
pub(super) const ADDRESSES: &str = "vm_ip";

/// The status of an interface that was made.
const CREATED: &str = "created";

/// What the plugin's tables call the row of an interface.
fn row_id(machine: &str, interface: &str) -> String {
    format!("{machine}/{interface}")
}

impl EndpointRun<'_> {
    /// The turn of every interface has come.
    pub(super) fn tell_ports_begun(&self, table: &str) {
        for guest in guest_ports(&self.facts) {
            let machine = guest.bound.label();
            for port in &guest.ports {
                let rowid = row_id(machine, &port.name);
                let columns = json!({
                    "completed": false, "sync_status": "syncing", "rowid": rowid, "name": port.name, "vm": machine,
                });
                self.progress.columns(table, "sync", &rowid, &columns);
            }
        }
    }

    /// What came of each interface.
    pub(super) fn tell_ports(&self, outcome: &Outcome) {
        let fates = fates(outcome);
        for guest in guest_ports(&self.facts) {
            let machine = guest.bound.label();
            for port in &guest.ports {
                let rowid = row_id(machine, &port.name);
                let fate = fates.get(guest.key(port).as_str()).copied().unwrap_or_default();
                let columns = json!({
                    "completed": true,
                    "increment_count": if fate.status == CREATED { "yes" } else { "no" },
                    "sync_status": fate.status,
                    "rowid": rowid,
                    "name": port.name,
                    "vm": machine,
                    "netbox_id": fate.row.and_then(Ids::told),
                    "error": fate.error,
                });
                self.progress.columns(PORTS, "create", &rowid, &columns);
            }
        }
    }

    /// Each interface's addresses that stand, by their `texts`; of one without any, why it has none.
    pub(super) fn tell_addresses(&self, outcome: &Outcome, texts: &BTreeMap<String, String>) {
        let claims = claims(&self.facts);
        let fates = fates(outcome);
        let mut wanted: BTreeMap<ObjectId, Vec<(String, Fate<'_>)>> = BTreeMap::new();
        for claim in &claims.claims {
            let key = IpAddress::key_of(claim.address.host, Some(&Assignment::VmInterface(claim.interface)));
            let fate = fates.get(key.as_str()).copied().unwrap_or_default();
            wanted.entry(claim.interface).or_default().push((key, fate));
        }
        for guest in guest_ports(&self.facts) {
            let machine = guest.bound.label();
            for port in &guest.ports {
                let interface = interface_of(&self.facts, &guest, port);
                let own = interface.and_then(|interface| wanted.get(&interface));
                let own = own.map_or(&[][..], Vec::as_slice);
                let standing = own.iter().filter_map(|(key, fate)| Some((key, fate.row?)));
                let mut told: Vec<Value> = standing
                    .map(|(key, row)| json!({"ip_id": Ids::told(row), "address": texts.get(key)}))
                    .collect();
                if told.is_empty() {
                    told.push(ending(interface, own));
                }
                let rowid = row_id(machine, &port.name);
                for mut columns in told {
                    if let Value::Object(columns) = &mut columns {
                        let row = [("rowid", &rowid[..]), ("name", &port.name), ("vm", machine)];
                        columns.extend(row.map(|(column, text)| (column.to_owned(), json!(text))));
                        columns.insert("completed".to_owned(), json!(true));
                    }
                    self.progress.columns(ADDRESSES, "sync", &rowid, &columns);
                }
            }
        }
    }
}

/// Why an interface has none of the addresses that it should have.
fn ending(interface: Option<ObjectId>, wanted: &[(String, Fate<'_>)]) -> Value {
    let error = wanted.iter().find_map(|(_, fate)| fate.error);
    match (interface, error) {
        (None, _) => json!({"warning": "Its interface is not in NetBox yet."}),
        (Some(_), Some(error)) => json!({"error": error}),
        (Some(_), None) if wanted.is_empty() => json!({"address": "No IP"}),
        (Some(_), None) => json!({"warning": "Its addresses were left to whoever has them."}),
    }
}

/// What came of an object. By default it was left alone.
#[derive(Debug, Clone, Copy)]
struct Fate<'a> {
    status: &'static str,
    row: Option<ObjectId>,
    error: Option<&'a str>,
}

impl Default for Fate<'_> {
    fn default() -> Self {
        Self {
            status: "skipped",
            row: None,
            error: None,
        }
    }
}

/// What came of each object, by its key.
fn fates(outcome: &Outcome) -> BTreeMap<&str, Fate<'_>> {
    let stand = [
        (CREATED, &outcome.created),
        ("updated", &outcome.updated),
        ("unchanged", &outcome.unchanged),
    ];
    let stand = stand.into_iter().flat_map(|(status, rows)| {
        rows.iter().map(move |row| {
            let fate = Fate {
                status,
                row: Some(row.id),
                error: None,
            };
            (row.key.as_str(), fate)
        })
    });
    let failed = outcome.failed.iter().map(|failure| {
        let fate = Fate {
            status: "failed",
            error: Some(&failure.message),
            ..Fate::default()
        };
        (failure.key.as_str(), fate)
    });
    stand.chain(failed).collect()
}
