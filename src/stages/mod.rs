//! Which facts become which objects, under which rules.
//!
//! A stage is a sequence of passes; a pass is one kind of NetBox object. This room says for each pass which rows it
//! compares with ([`Pass::scope`]), what should be ([`Pass::desired`]), which conflicts only NetBox can show
//! ([`Pass::settle`]) and what may be changed ([`Pass::policy`]). It is pure: `sync` does the reading and writing.

pub mod address_owners;
pub mod backup_routines;
pub mod backups;
pub mod bgp;
pub mod bgp_sessions;
pub mod bootstrap;
pub mod bridges;
pub mod claim;
pub mod clusters;
pub mod devices;
mod facts;
pub mod guest_interfaces;
pub mod guests;
pub mod machines;
pub mod node_addresses;
pub mod node_interfaces;
pub mod nodes;
mod only;
mod options;
pub mod ports;
pub mod replications;
pub mod sdn;
pub mod sdn_bindings;
pub mod sdn_networks;
pub mod snapshots;
pub mod stale_addresses;
pub mod storages;
pub mod task_history;
pub mod virtual_disks;
pub mod vlans;
pub mod vm_addresses;
pub mod vm_interfaces;
pub mod vm_ip_addresses;
pub mod vm_macs;

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::netbox::objects::Object;
use crate::reconcile::{ObjectId, Policy, Refused, Resource, Retire, Row, Stored, Wanted};

pub use facts::{EndpointFacts, Facts, Known, KnownNetwork, KnownSdn, Lookup, Target};
pub use only::{Only, Part};
pub use options::{Family, Flag, GuestOptions, InterfaceNaming, Modes, Options, Overwrite};

macro_rules! stages {
    ($($(#[$doc:meta])* $stage:ident = $name:literal;)*) => {
        /// The stages, in the order in which they run.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Stage {
            $($(#[$doc])* $stage,)*
        }

        impl Stage {
            /// Every stage, in the order in which they run.
            pub const ORDER: &'static [Self] = &[$(Self::$stage),*];

            /// The stage's name in events and reports.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$stage => $name,)*
                }
            }
        }
    };
}

stages! {
    /// Clusters, sites and the devices that stand for nodes.
    Devices = "devices";
    /// Storage definitions.
    Storage = "storage";
    /// The virtual machines that stand for guests.
    VirtualMachines = "virtual-machines";
    /// What was done to guests.
    TaskHistory = "task-history";
    /// Disks of guests.
    VirtualDisks = "virtual-disks";
    /// Backups of guests.
    Backups = "backups";
    /// Snapshots of guests.
    Snapshots = "snapshots";
    /// Network interfaces of nodes.
    NodeInterfaces = "node-interfaces";
    /// Network interfaces of guests.
    VmInterfaces = "vm-interfaces";
    /// Addresses of guests.
    VmIpAddresses = "vm-ip-addresses";
    /// Software-defined networks.
    Sdn = "sdn";
    /// Replication jobs.
    Replications = "replications";
    /// Scheduled backup jobs.
    BackupRoutines = "backup-routines";
}

/// Which rows of a collection are compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// Filters that all must hold.
    pub filters: Vec<(&'static str, String)>,
    /// A filter of which any value may hold.
    pub any_of: Option<(&'static str, Vec<String>)>,
    /// Whether the whole collection may be read instead of what [`Self::any_of`] asks for.
    pub whole: Option<Whole>,
    /// What every row hangs on that matters here.
    pub parents: Option<Parents>,
}

/// The whole collection in place of a selection from it, where that takes fewer requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whole {
    /// Rows of others are left out: this field holds the id of the row that the selection is about.
    By(&'static str),
    /// Rows of others come with it and do no harm.
    WithOthers,
}

/// Rows that others hang on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parents {
    /// The path of their collection.
    pub path: &'static str,
    /// Their ids.
    pub ids: HashSet<ObjectId>,
}

impl Selection {
    /// The whole collection.
    pub fn all() -> Self {
        Self {
            filters: Vec::new(),
            any_of: None,
            whole: None,
            parents: None,
        }
    }

    /// Rows for which `name` is `value`.
    pub fn with(name: &'static str, value: &(impl ToString + ?Sized)) -> Self {
        Self {
            filters: vec![(name, value.to_string())],
            any_of: None,
            whole: None,
            parents: None,
        }
    }

    /// Rows for which `name` is any of `values`; no rows where there are none.
    pub fn any_of<V: ToString>(name: &'static str, values: impl IntoIterator<Item = V>) -> Self {
        let values = values.into_iter().map(|value| value.to_string()).collect();
        Self {
            filters: Vec::new(),
            any_of: Some((name, values)),
            whole: None,
            parents: None,
        }
    }

    /// Rows whose field `related` names one of `ids`, which the filter `name` asks for.
    pub fn related_to<V: ToString>(
        name: &'static str,
        related: &'static str,
        ids: impl IntoIterator<Item = V>,
    ) -> Self {
        Self {
            whole: Some(Whole::By(related)),
            ..Self::any_of(name, ids)
        }
    }

    /// Says that other rows do no harm.
    #[must_use]
    pub fn or_whole(self) -> Self {
        Self {
            whole: Some(Whole::WithOthers),
            ..self
        }
    }

    /// Says that only rows matter which hang on one of these of kind `R`. Where nothing can hang on them, because they
    /// have only just been made, nothing is read.
    #[must_use]
    pub fn below<R: Resource>(self, ids: impl IntoIterator<Item = ObjectId>) -> Self {
        let parents = Parents {
            path: R::PATH,
            ids: ids.into_iter().collect(),
        };
        Self {
            parents: Some(parents),
            ..self
        }
    }

    /// What NetBox is asked for; the same for two selections of the same rows.
    pub fn criteria(&self) -> impl PartialEq + '_ {
        (&self.filters, &self.any_of)
    }

    /// Whether the selection can hold no row.
    pub fn is_empty(&self) -> bool {
        self.any_of.as_ref().is_some_and(|(_, values)| values.is_empty())
    }
}

/// What a pass wants, and what it cannot have.
#[derive(Debug, Clone, PartialEq)]
pub struct Desired<R> {
    /// Rows that should be.
    pub wanted: Vec<Wanted<R>>,
    /// Rows that cannot be had, and why.
    pub refused: Vec<Refused>,
    /// What an operator should know although every row can be had.
    pub warnings: Vec<String>,
    /// How many rows are another virtual machine's and stay so: they count as skipped.
    pub left_out: usize,
}

impl<R> Default for Desired<R> {
    fn default() -> Self {
        Self {
            wanted: Vec::new(),
            refused: Vec::new(),
            warnings: Vec::new(),
            left_out: 0,
        }
    }
}

impl<R: Resource> Desired<R> {
    /// `objects`, each identified by its key.
    pub fn by_key(objects: impl IntoIterator<Item = R>) -> Self {
        Self {
            wanted: objects.into_iter().map(Wanted::by_key).collect(),
            ..Self::default()
        }
    }

    /// Wants those of the `actual` rows that `is_kept` to stay as they are.
    fn keep(&mut self, actual: &[Stored<R>], is_kept: impl Fn(&R) -> bool)
    where
        R: Clone,
    {
        let kept = actual.iter().filter(|stored| is_kept(&stored.object));
        let kept: Vec<&Stored<R>> = kept.collect();
        let by_id: HashMap<ObjectId, &R> = kept.iter().map(|stored| (stored.id, &stored.object)).collect();
        let by_key: BTreeMap<R::Key, &R> = kept
            .iter()
            .map(|stored| (stored.object.key(), &stored.object))
            .collect();
        for wanted in &mut self.wanted {
            let row = match wanted.row {
                Row::Is(id) => by_id.get(&id),
                Row::ByKey => by_key.get(&wanted.object.key()),
                Row::New => None,
            };
            if let Some(row) = row {
                wanted.object = R::clone(row);
            }
        }
    }

    /// Counts an object whose row stays below the virtual machine `holder`. A request about that object alone is told so.
    fn leave(&mut self, facts: &Facts, label: &str, holder: ObjectId) {
        self.left_out += 1;
        if !facts.options.only.is_everything() {
            let why = "which claims to be its guest too and is not in charge of it";
            self.warnings
                .push(format!("{label}: its row stays below virtual machine {holder}, {why}"));
        }
    }

    /// Adds an object that cannot be had.
    pub fn refuse(&mut self, label: impl Into<String>, reason: impl Into<String>) {
        self.refused.push(Refused {
            key: String::new(),
            label: label.into(),
            reason: reason.into(),
        });
    }
}

/// One kind of object inside a stage.
pub trait Pass {
    /// The kind.
    type Object: Object;

    /// Which rows are compared; several selections are put together. Empty: nothing is read.
    fn scope(facts: &Facts) -> Vec<Selection>;

    /// Which rows are looked at once more after NetBox has refused some as there already, or has perhaps made them: those
    /// of [`Self::scope`], and any other that may be in the way.
    fn scope_again(facts: &Facts) -> Vec<Selection> {
        Self::scope(facts)
    }

    /// The same rows where an earlier step of the run has just read them.
    fn at_hand(_facts: &Facts) -> Option<Vec<Stored<Self::Object>>> {
        None
    }

    /// Whether no row is there as far as can be told, so that none is looked for before they are made. Where NetBox refuses
    /// one it is.
    fn are_new(_facts: &Facts) -> bool {
        false
    }

    /// What should be.
    fn desired(facts: &Facts) -> Desired<Self::Object>;

    /// Resolves what only NetBox can show: names that are taken, rows that an operator owns.
    fn settle(
        _facts: &Facts,
        desired: Desired<Self::Object>,
        _actual: &[Stored<Self::Object>],
    ) -> Desired<Self::Object> {
        desired
    }

    /// How many of the rows that were read are the endpoint's own: of these the shrink guard takes its share.
    fn count_ours(_facts: &Facts, actual: &[Stored<Self::Object>]) -> usize {
        actual.len()
    }

    /// All rows of the endpoint, of which a request for some virtual machines reads but theirs; `all` are the facts without
    /// that limit. `None`: they cannot be told.
    fn all_ours(_all: &Facts) -> Option<Selection> {
        None
    }

    /// How many of the rows that [`Self::all_ours`] selects are the endpoint's own.
    fn count_all(_all: &Facts, rows: &[Stored<Self::Object>]) -> usize {
        rows.len()
    }

    /// What may be changed.
    fn policy(_facts: &Facts) -> Policy {
        Policy::default()
    }

    /// What becomes of a row that is no longer desired.
    fn retire(_facts: &Facts, _stored: &Stored<Self::Object>) -> Retire {
        Retire::Keep
    }
}

#[cfg(test)]
mod tests;
