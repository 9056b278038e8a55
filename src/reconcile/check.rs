//! The shrink guard: a plan that would retire too much at once is more likely a fault in what was read than the truth.

use super::Plan;

/// How much a plan may retire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Retiring more than this share of the endpoint's rows of one type, in percent …
    pub percent: u8,
    /// … and at least this many of them is refused.
    pub rows: usize,
    /// The guard is lifted for this run.
    pub is_lifted: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            percent: 30,
            rows: 10,
            is_lifted: false,
        }
    }
}

/// A plan that would retire too much.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "refused to retire {retired} of {total} {kind} rows at once (limit: {percent} % and {rows} rows); nothing was \
     written. Check that Proxmox shows everything it should; then repeat with allow_shrink=true, or change \
     PROXBOX_SHRINK_LIMIT_PERCENT and PROXBOX_SHRINK_LIMIT_ROWS"
)]
pub struct Shrink {
    /// What one row is called.
    pub kind: &'static str,
    /// How many rows the plan retires.
    pub retired: usize,
    /// How many rows of that kind the endpoint has.
    pub total: usize,
    /// The limit, in percent.
    pub percent: u8,
    /// The limit, in rows.
    pub rows: usize,
}

/// Refuses `plan` where it retires more of the endpoint's `total` rows than `limits` allow.
///
/// # Errors
///
/// [`Shrink`], which says how to allow it.
pub fn check(plan: &Plan, total: usize, limits: Limits) -> Result<(), Shrink> {
    let retired = plan.retirements();
    let is_too_much = retired >= limits.rows.max(1) && retired * 100 > total * usize::from(limits.percent);
    if limits.is_lifted || !is_too_much {
        return Ok(());
    }
    Err(Shrink {
        kind: plan.kind,
        retired,
        total,
        percent: limits.percent,
        rows: limits.rows,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconcile::{Delete, ObjectId, SideBySide};

    fn plan_that_deletes(rows: usize) -> Plan {
        let delete = |id| Delete {
            id: ObjectId(id),
            key: id.to_string(),
            label: id.to_string(),
        };
        Plan {
            delete: (1..=rows as u64).map(delete).collect(),
            kind: "snapshot",
            path: "/api/x/",
            side_by_side: SideBySide::All,
            row_millis: 1,
            told: None,
            create: Vec::new(),
            update: Vec::new(),
            unchanged: Vec::new(),
            refused: Vec::new(),
            left_out: 0,
        }
    }

    #[test]
    fn plan_is_refused_only_over_both_limits() {
        for (deleted, total, is_refused) in [
            (0, 0, false),
            (9, 9, false),
            (10, 33, true),
            (10, 34, false),
            (30, 100, false),
            (31, 100, true),
        ] {
            let answer = check(&plan_that_deletes(deleted), total, Limits::default());
            assert_eq!(answer.is_err(), is_refused, "{deleted} of {total}");
        }
    }

    #[test]
    fn lifted_guard_lets_everything_pass() {
        let limits = Limits {
            is_lifted: true,
            ..Limits::default()
        };
        assert_eq!(check(&plan_that_deletes(100), 100, limits), Ok(()));
    }

    #[test]
    fn refusal_says_how_to_allow_it_and_what_to_change() {
        let refused = check(&plan_that_deletes(12), 12, Limits::default())
            .unwrap_err()
            .to_string();
        for words in [
            "12 of 12 snapshot rows",
            "30 % and 10 rows",
            "allow_shrink=true",
            "PROXBOX_SHRINK_LIMIT_PERCENT",
            "PROXBOX_SHRINK_LIMIT_ROWS",
        ] {
            assert!(refused.contains(words), "{words}: {refused}");
        }
    }
}
