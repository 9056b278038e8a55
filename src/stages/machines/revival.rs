//! Virtual machines that were marked because their guest was gone, and whose guest is there again.

use std::collections::BTreeMap;

use super::{machines, touched};
use crate::mapping::virtual_machine::status;
use crate::netbox::objects::{DECOMMISSIONING, Revival, SOFT_DELETED_TAG};
use crate::reconcile::{ObjectId, Stored};
use crate::stages::{Desired, Facts, Pass, Selection};

/// Takes the mark off again.
#[derive(Debug)]
pub struct Revivals;

/// Marked virtual machines whose guest is there, and the guest's status.
fn marked(facts: &Facts) -> BTreeMap<ObjectId, &'static str> {
    let machines = machines(facts);
    let returned = touched(facts).filter_map(|prepared| {
        let stored = machines.get(&prepared.matched.machine()?)?;
        let word = prepared.guest.status.as_deref().unwrap_or_default();
        let is_marked = stored.object.tags.contains(SOFT_DELETED_TAG);
        is_marked.then(|| (stored.id, status(word)))
    });
    returned.collect()
}

impl Pass for Revivals {
    type Object = Revival;

    fn scope(facts: &Facts) -> Vec<Selection> {
        vec![Selection::any_of("id", marked(facts).into_keys())]
    }

    /// Nothing before the rows were read: which tags stay only those can tell.
    fn desired(_: &Facts) -> Desired<Revival> {
        Desired::default()
    }

    fn settle(facts: &Facts, _: Desired<Revival>, actual: &[Stored<Revival>]) -> Desired<Revival> {
        let marked = marked(facts);
        Desired::by_key(actual.iter().filter_map(|stored| {
            let live = marked.get(&stored.id)?;
            let mut revived = stored.object.clone();
            revived.tags.remove(SOFT_DELETED_TAG);
            if revived.status.as_deref() == Some(DECOMMISSIONING) {
                revived.status = Some((*live).to_owned());
            }
            Some(revived)
        }))
    }
}
