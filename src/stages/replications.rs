//! Replication jobs. A job that is gone keeps its row, marked as stale.

use std::collections::{BTreeMap, BTreeSet};

use super::guests::{Bindings, bindings};
use super::{Desired, Facts, Part, Pass, Selection};
use crate::inventory::{self, Vmid};
use crate::mapping::names::clean;
use crate::mapping::replication::{ReplicationParents, replication};
use crate::netbox::objects::{Replication, STALE, Said, TrackingNode, VirtualMachine, VirtualMachineState};
use crate::reconcile::{Fields, ObjectId, Retire, Stored};

/// The replications of the endpoint.
#[derive(Debug)]
pub struct Replications;

/// Rows of the plugin's endpoint.
pub(super) fn of_endpoint(facts: &Facts) -> Vec<Selection> {
    let endpoint = facts.target.plugin_endpoint;
    endpoint
        .map(|endpoint| Selection::with("endpoint", &endpoint))
        .into_iter()
        .collect()
}

/// The plugin's row of the node that a job names, or that it has none, as far as the plugin's rows of nodes were read.
pub(super) fn node_row(facts: &Facts, node: Option<&str>) -> Said<ObjectId> {
    match node {
        Some(_) if facts.known.is_unread::<TrackingNode>() => Said::Nothing,
        Some(node) => facts.known.node_links.get(node).copied().into(),
        None => Said::Empty,
    }
}

/// What marks a row whose job is gone.
pub(super) fn stale() -> Retire {
    Retire::Mark(Fields::from([("status", STALE.into())]))
}

impl Pass for Replications {
    type Object = Replication;

    fn scope(facts: &Facts) -> Vec<Selection> {
        let below = |rows: Selection| rows.below::<VirtualMachine>(facts.known.machine_ids());
        of_endpoint(facts).into_iter().map(below).collect()
    }

    /// A job of a guest for which no virtual machine stands is left out; its row, where it has one, stays as it is.
    fn desired(facts: &Facts) -> Desired<Replication> {
        let Some(endpoint) = facts.target.plugin_endpoint else {
            return Desired::default();
        };
        let bindings = bindings(facts);
        let jobs = facts.inventory.items::<inventory::Replications>().iter();
        let wanted = jobs.filter(|job| facts.options.only.takes(Part::Replication, &job.id));
        Desired::by_key(wanted.filter_map(|job| {
            let parents = ReplicationParents {
                endpoint,
                virtual_machine: machine_of(facts, &bindings, job.guest?)?,
                target: node_row(facts, job.target.as_deref()),
            };
            replication(job, parents)
        }))
    }

    /// A row that is marked already is nothing to lose.
    fn count_ours(_: &Facts, actual: &[Stored<Replication>]) -> usize {
        let marked = |stored: &&Stored<Replication>| stored.object.status == STALE;
        actual.len() - actual.iter().filter(marked).count()
    }

    fn retire(facts: &Facts, stored: &Stored<Replication>) -> Retire {
        if stored.object.status == STALE {
            return Retire::Keep;
        }
        let is_known = |id: &str| {
            let jobs = facts.inventory.items::<inventory::Replications>();
            jobs.iter().any(|job| clean(&job.id) == id)
        };
        if facts.inventory.is_complete::<inventory::Replications>() && !is_known(&stored.object.replication_id) {
            stale()
        } else {
            Retire::Keep
        }
    }
}

/// The virtual machine of a guest: the one that stands for it at this endpoint, else at another one of the same cluster.
fn machine_of(facts: &Facts, bindings: &Bindings<'_>, guest: Vmid) -> Option<ObjectId> {
    let own = bindings.of(guest).map(|bound| bound.id);
    own.or_else(|| facts.known.neighbours.get(&guest).copied())
}

/// Guests that have a job and no virtual machine of this endpoint. Those of which that cannot be told are not among them.
pub fn homeless(facts: &Facts) -> BTreeSet<Vmid> {
    let bindings = bindings(facts);
    let is_disputed = |guest: &Vmid| bindings.unbound.iter().any(|unbound| unbound.vmid == Some(*guest));
    let jobs = facts.inventory.items::<inventory::Replications>().iter();
    let guests = jobs.filter_map(|job| job.guest);
    guests
        .filter(|guest| bindings.of(*guest).is_none() && !is_disputed(guest))
        .collect()
}

/// The virtual machines of the cluster that `states` of any endpoint call a guest of that number, where it is one only. A
/// number is one guest's in a cluster.
pub fn neighbours(facts: &Facts, states: &[Stored<VirtualMachineState>]) -> BTreeMap<Vmid, ObjectId> {
    let here: BTreeSet<ObjectId> = facts.known.machine_ids().collect();
    let mut claims: BTreeMap<Vmid, BTreeSet<ObjectId>> = BTreeMap::new();
    for Stored { object: state, .. } in states {
        if let Some(vmid) = state.vmid.filter(|_| here.contains(&state.virtual_machine)) {
            claims.entry(Vmid(vmid)).or_default().insert(state.virtual_machine);
        }
    }
    let single = claims.into_iter().filter(|(_, machines)| machines.len() == 1);
    single
        .filter_map(|(vmid, machines)| Some((vmid, machines.into_iter().next()?)))
        .collect()
}

/// How many jobs have no virtual machine to belong to.
pub fn count_homeless(facts: &Facts) -> usize {
    let bindings = bindings(facts);
    let jobs = facts.inventory.items::<inventory::Replications>().iter();
    let is_homeless = |guest: Vmid| machine_of(facts, &bindings, guest).is_none();
    jobs.filter(|job| job.guest.is_none_or(is_homeless)).count()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::tests::{ENDPOINT, changes, converged, plan, plan_against, stand_for};
    use super::*;
    use crate::error::ErrorKind;
    use crate::inventory::{Collected, Gap, ReplicationJob};
    use crate::reconcile::Resource;

    const MACHINE: ObjectId = ObjectId(310);

    fn jobs(facts: &mut Facts, rows: &[Value], gaps: Vec<Gap>) {
        let items: Vec<ReplicationJob> = rows
            .iter()
            .map(|row| serde_json::from_value(row.clone()).unwrap())
            .collect();
        facts.inventory.replications.fill(Collected { items, gaps });
    }

    fn job(id: &str, guest: u32) -> Value {
        json!({"id": id, "guest": guest, "jobnum": 0, "type": "local", "source": "pve1", "target": "pve2", "rate": "50"})
    }

    /// Facts of one job whose row is as it should be.
    fn world() -> (Facts, Vec<Stored<Replication>>) {
        let mut facts = converged();
        stand_for(&mut facts, MACHINE, Vmid(101));
        facts.known.node_links = [("pve2".to_owned(), ObjectId(62))].into();
        jobs(&mut facts, &[job("101-0", 101)], Vec::new());
        let object = Replications::desired(&facts).wanted.remove(0).object;
        let stored = Stored {
            id: ObjectId(1),
            object,
        };
        (facts, vec![stored])
    }

    #[test]
    fn converged_job_plans_nothing_and_knows_its_target() {
        let (facts, rows) = world();
        let plan = plan_against::<Replications>(&facts, &rows);
        assert!(plan.is_empty() && plan.unchanged.len() == 1, "{plan:#?}");
        assert_eq!(rows[0].object.proxmox_node, Said::Is(ObjectId(62)));
        assert_eq!(rows[0].object.endpoint, Some(ENDPOINT));
    }

    #[test]
    fn target_stays_where_the_rows_of_nodes_were_not_read() {
        let (mut facts, rows) = world();
        facts.known.node_links.clear();
        let cleared = json!({"1": {"proxmox_node": null}});
        assert_eq!(changes(&plan_against::<Replications>(&facts, &rows)), cleared);
        facts.known.unread.insert(TrackingNode::PATH);
        assert!(plan_against::<Replications>(&facts, &rows).is_empty());
        jobs(
            &mut facts,
            &[json!({"id": "101-0", "guest": 101, "jobnum": 0})],
            Vec::new(),
        );
        let changed = changes(&plan_against::<Replications>(&facts, &rows));
        assert_eq!(changed["1"].get("proxmox_node"), Some(&Value::Null), "the job has none");
    }

    #[test]
    fn what_a_job_no_longer_has_is_cleared() {
        let (mut facts, rows) = world();
        jobs(
            &mut facts,
            &[json!({"id": "101-0", "guest": 101, "jobnum": 0, "target": "pve2"})],
            Vec::new(),
        );
        let changed = changes(&plan_against::<Replications>(&facts, &rows));
        assert_eq!(
            (&changed["1"]["rate"], &changed["1"]["source"]),
            (&Value::Null, &Value::Null)
        );
        assert!(changed["1"].as_object().unwrap().contains_key("rate"), "{changed}");
    }

    #[test]
    fn job_that_is_gone_is_marked_once_and_comes_back() {
        let (mut facts, mut rows) = world();
        jobs(&mut facts, &[], Vec::new());
        let plan = plan_against::<Replications>(&facts, &rows);
        assert_eq!(
            (changes(&plan), plan.retirements()),
            (json!({"1": {"status": "stale"}}), 1)
        );
        rows[0].object.status = STALE.to_owned();
        assert!(plan_against::<Replications>(&facts, &rows).is_empty());
        jobs(&mut facts, &[job("101-0", 101)], Vec::new());
        let plan = plan_against::<Replications>(&facts, &rows);
        assert_eq!(changes(&plan), json!({"1": {"status": "active"}}));
    }

    #[test]
    fn nothing_is_marked_where_the_jobs_were_not_read_completely() {
        let (mut facts, rows) = world();
        let gap = Gap {
            source: "replications".to_owned(),
            kind: ErrorKind::Permission,
            message: "some are not visible".to_owned(),
        };
        jobs(&mut facts, &[], vec![gap]);
        assert!(plan_against::<Replications>(&facts, &rows).is_empty());
        facts.inventory = inventory::Inventory::default();
        assert!(plan_against::<Replications>(&facts, &rows).is_empty());
    }

    #[test]
    fn job_without_a_virtual_machine_is_left_out_and_its_row_kept() {
        let (mut facts, rows) = world();
        facts.known.machine_states.clear();
        let plan_of_it = plan_against::<Replications>(&facts, &rows);
        assert!(
            plan_of_it.is_empty() && plan_of_it.refused.is_empty(),
            "{plan_of_it:#?}"
        );
        assert!(plan::<Replications>(&facts).create.is_empty());
        assert_eq!(count_homeless(&facts), 1);
    }

    #[test]
    fn machine_that_another_endpoint_of_the_cluster_stands_for_gets_the_job_where_it_is_the_only_one() {
        let (mut facts, rows) = world();
        let mut states = std::mem::take(&mut facts.known.machine_states);
        states[0].object.endpoint_raw_id = Some(9);
        assert_eq!(homeless(&facts), [Vmid(101)].into());
        let found = neighbours(&facts, &states);
        assert_eq!(found, [(Vmid(101), MACHINE)].into());
        facts.known.neighbours = found;
        assert!(plan_against::<Replications>(&facts, &rows).is_empty());
        assert_eq!(count_homeless(&facts), 0);
        let mut elsewhere = states[0].clone();
        elsewhere.object.virtual_machine = ObjectId(999);
        assert_eq!(neighbours(&facts, &[elsewhere]), [].into(), "of another cluster");
        stand_for(&mut facts, ObjectId(311), Vmid(101));
        let mut twin = states[0].clone();
        twin.object.virtual_machine = ObjectId(311);
        assert_eq!(neighbours(&facts, &[states.remove(0), twin]), [].into(), "two of them");
    }

    #[test]
    fn everything_that_a_job_no_longer_has_is_cleared() {
        let (mut facts, _) = world();
        let full = json!({
            "id": "101-0", "guest": 101, "jobnum": 0, "type": "local", "source": "pve1", "target": "pve2", "rate": 50,
            "comment": "nightly", "schedule": "*/15", "remove_job": "full", "disable": 1,
        });
        jobs(&mut facts, &[full], Vec::new());
        let object = Replications::desired(&facts).wanted.remove(0).object;
        let id = ObjectId(1);
        jobs(
            &mut facts,
            &[json!({"id": "101-0", "guest": 101, "jobnum": 0})],
            Vec::new(),
        );
        let plan = plan_against::<Replications>(&facts, &[Stored { id, object }]);
        let mut changed = changes(&plan)["1"].clone();
        changed.as_object_mut().unwrap().remove("raw_config");
        let expected = json!({
            "comment": null, "disable": false, "proxmox_node": null, "rate": null, "remove_job": null, "schedule": "",
            "source": null, "target": "",
        });
        assert_eq!(changed, expected);
    }
}
