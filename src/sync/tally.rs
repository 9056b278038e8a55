//! What stages count beside their rows. Software-defined networks: by kind, and what was left out.

use std::collections::BTreeMap;

use serde::Serialize;

use super::report::Failure;
use crate::stages::sdn::Skipped;

/// The counters that are always told.
const COUNTERS: &[&str] = &[
    "controllers",
    "zones",
    "vnets",
    "subnets",
    "l2vpns",
    "route_targets",
    "terminations",
    "plugin_metadata",
    "bgp_prefix_lists",
    "bgp_prefix_list_rules",
    "bgp_routing_policies",
    "bgp_communities",
    "bgp_routing_policy_rules",
    "bgp_peer_groups",
    "bgp_sessions",
    SKIPPED,
    STALE,
];
const SKIPPED: &str = "skipped";
const STALE: &str = "stale";

/// Counters of a run of the stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SdnTally {
    #[serde(flatten)]
    counts: BTreeMap<&'static str, usize>,
    /// How many sources could not be read, by cluster.
    per_endpoint_errors: BTreeMap<String, usize>,
    object_errors: Vec<ObjectError>,
    warnings: Vec<ObjectWarning>,
}

/// An object that could not be written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct ObjectError {
    kind: &'static str,
    name: String,
    error: String,
}

/// An object that was left out on purpose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct ObjectWarning {
    kind: &'static str,
    name: String,
    warning: String,
}

/// What a pass over the tasks of guests counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct TaskTally {
    /// Rows that could not be written, sources that could not be read, and tasks of guests that several virtual machines
    /// claim to be.
    pub errors: usize,
    /// Rows that stand as they should.
    pub reconciled: usize,
    /// Tasks that are nobody's, and virtual machines without an identity.
    pub skipped: usize,
    /// How many of the errors are nodes that are offline.
    #[serde(skip)]
    pub offline: usize,
}

impl TaskTally {
    /// Whether more went wrong than that nodes are offline.
    pub const fn is_degraded(&self) -> bool {
        self.errors > self.offline
    }

    /// Adds what another pass counted.
    pub(super) const fn absorb(&mut self, more: Self) {
        self.errors += more.errors;
        self.reconciled += more.reconciled;
        self.skipped += more.skipped;
        self.offline += more.offline;
    }
}

impl Default for SdnTally {
    fn default() -> Self {
        Self {
            counts: COUNTERS.iter().map(|name| (*name, 0)).collect(),
            per_endpoint_errors: BTreeMap::new(),
            object_errors: Vec::new(),
            warnings: Vec::new(),
        }
    }
}

impl SdnTally {
    /// Adds `more` to the counter `name`.
    pub(super) fn count(&mut self, name: &'static str, more: usize) {
        *self.counts.entry(name).or_default() += more;
    }

    /// Counts what is left out without more to say of it.
    pub(super) fn skip(&mut self, more: usize) {
        self.count(SKIPPED, more);
    }

    /// Counts rows that were marked because their object is gone.
    pub(super) fn mark(&mut self, more: usize) {
        self.count(STALE, more);
    }

    /// Counts what is left out, and tells why.
    pub(super) fn leave_out(&mut self, skipped: Skipped) {
        self.skip(1);
        self.warn(skipped.kind, skipped.name, skipped.reason);
    }

    /// Tells what is amiss with an object, or with a kind of objects where `name` is empty.
    pub(super) fn warn(&mut self, kind: &'static str, name: String, warning: String) {
        self.warnings.push(ObjectWarning { kind, name, warning });
    }

    /// Counts what could not be written.
    pub(super) fn fail(&mut self, failure: &Failure) {
        self.object_errors.push(ObjectError {
            kind: failure.object,
            name: failure.label.clone(),
            error: failure.message.clone(),
        });
    }

    /// Counts sources of `cluster` that could not be read.
    pub(super) fn miss(&mut self, cluster: &str, more: usize) {
        if more > 0 {
            *self.per_endpoint_errors.entry(cluster.to_owned()).or_default() += more;
        }
    }

    /// Takes over what was counted elsewhere.
    pub(super) fn absorb(&mut self, other: Self) {
        for (name, more) in other.counts {
            self.count(name, more);
        }
        for (cluster, more) in other.per_endpoint_errors {
            self.miss(&cluster, more);
        }
        self.object_errors.extend(other.object_errors);
        self.warnings.extend(other.warnings);
    }

    /// Whether anything could not be read or written.
    pub fn is_degraded(&self) -> bool {
        !self.object_errors.is_empty() || !self.per_endpoint_errors.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn what_is_left_out_degrades_nothing_and_what_fails_does() {
        let mut tally = SdnTally::default();
        tally.leave_out(Skipped {
            kind: "SDN fabric",
            name: "spine".to_owned(),
            reason: "unknown type".to_owned(),
        });
        assert!(!tally.is_degraded());
        let mut other = SdnTally::default();
        other.fail(&Failure {
            object: "SDN zone",
            key: "1/lab/wide1".to_owned(),
            label: "wide1".to_owned(),
            kind: ErrorKind::Validation,
            message: "no".to_owned(),
        });
        other.miss("lab", 2);
        other.count("zones", 3);
        tally.absorb(other);
        assert!(tally.is_degraded());
        let told = json!(tally);
        assert_eq!(
            (&told["zones"], &told["skipped"], &told["stale"], &told["bgp_sessions"]),
            (&json!(3), &json!(1), &json!(0), &json!(0))
        );
        assert_eq!(told["per_endpoint_errors"], json!({"lab": 2}));
        assert_eq!(
            told["object_errors"],
            json!([{"kind": "SDN zone", "name": "wide1", "error": "no"}])
        );
        assert_eq!(
            told["warnings"],
            json!([{"kind": "SDN fabric", "name": "spine", "warning": "unknown type"}])
        );
    }
}
