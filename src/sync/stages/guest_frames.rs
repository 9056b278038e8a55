//! What the stage `virtual-machines` tells of each guest where it sees to networks too: then one guest is often all there
//! is to do, and an operator watches it.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;

use crate::inventory::{AgentAnswer, Guest};
use crate::stages::Stage;
use crate::stages::machines::handled;
use crate::stages::ports::{GuestPorts, guest_ports};
use crate::stages::vm_addresses::claims;
use crate::sync::event::{Item, Substep};
use crate::sync::pass::EndpointRun;
use crate::sync::report::{Failure, Outcome, Written};

const PHASE: &str = Stage::VirtualMachines.as_str();
const PAGE: &str = "/virtualization/virtual-machines/";
const DEPENDENCIES: &str = "resolve_dependencies";
const MACHINE: &str = "reconcile_vm";
const INTERFACES: &str = "vm_interfaces";

impl EndpointRun<'_> {
    /// Every guest's turn has come.
    pub(super) fn tell_begun(&self) {
        for guest in handled(&self.facts) {
            let name = guest.label();
            self.progress.processing(PHASE, &name, guest.kind.as_str());
            self.substep(DEPENDENCIES, "processing", (&name, "Resolving dependencies"), None);
        }
    }

    /// Everything that virtual machines refer to stands, and all is read.
    pub(super) fn tell_ready(&self, took: Duration) {
        for guest in handled(&self.facts) {
            let name = guest.label();
            self.substep(DEPENDENCIES, "completed", (&name, "Dependencies ready"), Some(took));
            self.substep(MACHINE, "processing", (&name, "Reconciling"), None);
        }
    }

    /// The virtual machines are written, or are not.
    pub(super) fn tell_reconciled(&self, outcome: &Outcome, took: Duration) {
        for guest in handled(&self.facts) {
            let name = guest.label();
            let (status, message) = match fate(outcome, guest) {
                Fate::Standing(_) => ("completed", "Reconciled"),
                Fate::Failed(reason) => ("failed", reason),
                Fate::LeftAlone => ("skipped", "Left alone"),
            };
            self.substep(MACHINE, status, (&name, message), Some(took));
        }
    }

    /// The guests are done: those that were as they should be, and those with interfaces among the `failed` ones, are told
    /// of here. Returns how many the latter are.
    pub(super) fn tell_done(&self, outcome: &Outcome, failed: &BTreeSet<String>) -> usize {
        let ports = guest_ports(&self.facts);
        let options = &self.facts.options.guests;
        let wants_addresses = options.sync_network && options.assign_addresses;
        let bare: BTreeSet<(String, String)> = claims(&self.facts).bare.into_iter().collect();
        let is_bare = |ports: &GuestPorts<'_>| {
            let machine = ports.bound.label();
            let mut names = ports.ports.iter().map(|port| (machine.to_owned(), port.name.clone()));
            !ports.ports.is_empty() && names.all(|name| bare.contains(&name))
        };
        let mut count = 0;
        for guest in handled(&self.facts) {
            let name = guest.label();
            self.tell_agent(guest, &name);
            let Fate::Standing(row) = fate(outcome, guest) else {
                continue;
            };
            let own = ports.iter().find(|ports| ports.bound.id == row.id);
            if wants_addresses && own.is_some_and(is_bare) {
                self.tell_bare_machine(&row.name);
            }
            let warning = own.and_then(|ports| shortfall(ports, failed));
            count += usize::from(warning.is_some());
            if warning.is_none() && !outcome.unchanged.contains(row) {
                continue;
            }
            let page = self.page(PAGE, row.id);
            // That it was as it should be completes its turn too.
            self.progress.item_as(
                "completed",
                Item {
                    phase: PHASE,
                    name: &name,
                    kind: guest.kind.as_str(),
                    page: Some((row.id, &page)),
                    operation: operation(outcome, row),
                    warning: warning.as_deref(),
                    extra: None,
                    error: None,
                    current: 0,
                    total: 0,
                },
            );
        }
        count
    }

    /// That a virtual machine has no address, as a row of the plugin's table.
    fn tell_bare_machine(&self, name: &str) {
        let warning = "No IP address was found for this virtual machine.";
        let columns = json!({"completed": true, "status": "warning", "warning": warning, "rowid": name});
        self.progress.columns("virtual_machine", "sync", name, &columns);
    }

    /// That a guest's agent should have told of its interfaces, and why it did not.
    fn tell_agent(&self, guest: &Guest, name: &str) {
        let words = match self.facts.inventory.agent(guest.vmid).map(|agent| &agent.answer) {
            Some(AgentAnswer::Failure(gap)) => &gap.message,
            Some(AgentAnswer::Silence(words)) => words,
            Some(AgentAnswer::Interfaces(_)) | None => return,
        };
        self.substep(INTERFACES, "completed", (name, words), None);
    }

    fn substep(&self, name: &'static str, status: &'static str, (item, message): (&str, &str), took: Option<Duration>) {
        self.progress.substep(Substep {
            phase: PHASE,
            name,
            status,
            message,
            item,
            took,
        });
    }
}

/// What became of a guest's virtual machine.
enum Fate<'a> {
    Standing(&'a Written),
    Failed(&'a str),
    LeftAlone,
}

fn fate<'a>(outcome: &'a Outcome, guest: &Guest) -> Fate<'a> {
    let (key, label) = (guest.vmid.to_string(), guest.label());
    if let Some(row) = outcome.standing().find(|row| row.key == key) {
        return Fate::Standing(row);
    }
    let mut failed = outcome.failed.iter();
    // Guests that were refused have no key.
    let is_it = |failure: &&Failure| failure.key == key || failure.key.is_empty() && failure.label == label;
    let failure = failed.find(is_it);
    failure.map_or(Fate::LeftAlone, |failure| Fate::Failed(&failure.message))
}

/// What was done to a virtual machine that stands.
fn operation(outcome: &Outcome, row: &Written) -> &'static str {
    if outcome.unchanged.contains(row) {
        "skipped"
    } else if outcome.created.contains(row) {
        "created"
    } else {
        "updated"
    }
}

/// How many of a guest's interfaces failed, in words; `None` where none did.
fn shortfall(ports: &GuestPorts<'_>, failed: &BTreeSet<String>) -> Option<String> {
    let all = ports.ports.len();
    let lost = ports
        .ports
        .iter()
        .filter(|port| failed.contains(&ports.key(port)))
        .count();
    (lost > 0).then(|| format!("{lost} of {all} interfaces failed"))
}
