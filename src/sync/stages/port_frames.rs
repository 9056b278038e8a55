//! What the stages of virtual machines' interfaces tell of each interface, as rows of the plugin's tables: that its turn has
//! come, and what came of it.

use std::collections::BTreeMap;

use serde_json::json;

use crate::netbox::ids::Ids;
use crate::netbox::objects::{Assignment, IpAddress};
use crate::reconcile::ObjectId;
use crate::stages::ports::guest_ports;
use crate::stages::vm_addresses::claims;
use crate::sync::pass::EndpointRun;
use crate::sync::report::{Outcome, Written};

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

    /// Each interface's addresses that stand, by their `texts`, and the interfaces that have none.
    pub(super) fn tell_addresses(&self, outcome: &Outcome, texts: &BTreeMap<String, String>) {
        let claims = claims(&self.facts);
        let standing: BTreeMap<&str, &Written> = outcome.standing().map(|row| (row.key.as_str(), row)).collect();
        for claim in &claims.claims {
            let key = IpAddress::key_of(claim.address.host, Some(&Assignment::VmInterface(claim.interface)));
            if let Some(row) = standing.get(key.as_str()) {
                let rowid = row_id(&claim.machine_name, &claim.interface_name);
                let columns = json!({
                    "completed": true, "rowid": rowid, "name": claim.interface_name, "vm": claim.machine_name,
                    "ip_id": Ids::told(row.id), "address": texts.get(&key),
                });
                self.progress.columns(ADDRESSES, "sync", &rowid, &columns);
            }
        }
        for (machine, name) in claims.bare {
            let rowid = row_id(&machine, &name);
            let columns = json!({"completed": true, "rowid": rowid, "name": name, "vm": machine, "address": "No IP"});
            self.progress.columns(ADDRESSES, "sync", &rowid, &columns);
        }
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
