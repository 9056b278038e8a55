//! Cloud-init settings of guests, shown beside their virtual machines.

use super::states::machine_of;
use super::touched;
use crate::mapping::cloud_init::cloud_init;
use crate::netbox::objects::{CloudInit, VirtualMachine};
use crate::reconcile::Policy;
use crate::stages::{Desired, Facts, Flag, Pass, Selection};

/// The cloud-init settings of guests.
#[derive(Debug)]
pub struct CloudInits;

fn rows(facts: &Facts) -> impl Iterator<Item = CloudInit> {
    touched(facts).filter_map(|prepared| cloud_init(prepared.config, machine_of(facts, prepared)?))
}

impl Pass for CloudInits {
    type Object = CloudInit;

    /// All rows: the collection has no filter that takes several virtual machines.
    fn scope(facts: &Facts) -> Vec<Selection> {
        let machines = rows(facts).map(|row| row.virtual_machine);
        vec![Selection::all().below::<VirtualMachine>(machines)]
    }

    fn desired(facts: &Facts) -> Desired<CloudInit> {
        Desired::by_key(rows(facts))
    }

    fn policy(facts: &Facts) -> Policy {
        let may_update = facts.options.overwrite.allows(Flag::VmCloudinit);
        ["ciuser", "sshkeys", "ipconfig0", "sshkeys_truncated"]
            .into_iter()
            .fold(Policy::default(), |policy, field| policy.update_if(field, may_update))
    }
}
