//! Scheduled backup jobs. A job that is gone keeps its row, marked as stale.

use super::replications::{node_row, of_endpoint, stale};
use super::{Desired, Facts, Part, Pass, Selection};
use crate::inventory::{BackupJob, BackupJobs};
use crate::mapping::backup_routine::{RoutineParents, backup_routine, fleecing_storage};
use crate::mapping::names::clean;
use crate::netbox::objects::{BackupRoutine, STALE, Said, Storage};
use crate::reconcile::{Policy, Retire, Stored};

/// The backup routines of the endpoint.
#[derive(Debug)]
pub struct BackupRoutines;

impl Pass for BackupRoutines {
    type Object = BackupRoutine;

    fn scope(facts: &Facts) -> Vec<Selection> {
        of_endpoint(facts)
    }

    fn desired(facts: &Facts) -> Desired<BackupRoutine> {
        let mut desired = Desired::default();
        let Some(endpoint) = facts.target.plugin_endpoint else {
            return desired;
        };
        let storages = facts.known.storage_ids();
        // Which rows are a cluster's storages is not known where it is not known which cluster it is.
        let are_known = facts.target.cluster.is_some() && !facts.known.is_unread::<Storage>();
        let storage = |name: Option<&str>| match name {
            Some(name) if are_known => storages.get(name).copied().into(),
            Some(_) => Said::Nothing,
            None => Said::Empty,
        };
        let parents = |job: &BackupJob| RoutineParents {
            endpoint,
            node: node_row(facts, job.node.as_deref()),
            storage: storage(job.storage.as_deref()),
            fleecing_storage: storage(fleecing_storage(job).as_deref()),
        };
        let mut routines = Vec::new();
        let jobs = facts.inventory.items::<BackupJobs>().iter();
        for job in jobs.filter(|job| facts.options.only.takes(Part::BackupJob, &job.id)) {
            match backup_routine(job, parents(job)) {
                Ok(routine) => routines.push(routine),
                Err(reason) => desired.refuse(&job.id, reason.to_string()),
            }
        }
        desired.wanted = Desired::by_key(routines).wanted;
        desired
    }

    /// When a job runs next is no change of the job: it is brought up to date once it has passed.
    fn policy(facts: &Facts) -> Policy {
        Policy::default().rider("next_run", Some(facts.now.clone()))
    }

    /// A row that is marked already is nothing to lose.
    fn count_ours(_: &Facts, actual: &[Stored<BackupRoutine>]) -> usize {
        let marked = |stored: &&Stored<BackupRoutine>| stored.object.status.as_deref() == Some(STALE);
        actual.len() - actual.iter().filter(marked).count()
    }

    fn retire(facts: &Facts, stored: &Stored<BackupRoutine>) -> Retire {
        if stored.object.status.as_deref() == Some(STALE) {
            return Retire::Keep;
        }
        let is_known = |id: &str| {
            let jobs = facts.inventory.items::<BackupJobs>();
            jobs.iter().any(|job| clean(&job.id) == id)
        };
        if facts.inventory.is_complete::<BackupJobs>() && !is_known(&stored.object.job_id) {
            stale()
        } else {
            Retire::Keep
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::tests::{changes, converged, plan, plan_against, storage};
    use super::*;
    use crate::inventory::{Collected, Inventory};
    use crate::netbox::objects::TrackingNode;
    use crate::reconcile::{ObjectId, Resource};

    fn jobs(facts: &mut Facts, rows: &[Value]) {
        let items: Vec<BackupJob> = rows
            .iter()
            .map(|row| serde_json::from_value(row.clone()).unwrap())
            .collect();
        let gaps = Vec::new();
        facts.inventory.backup_jobs.fill(Collected { items, gaps });
    }

    fn job() -> Value {
        json!({
            "id": "backup-1", "enabled": 1, "all": 1, "storage": "nas", "node": "pve2", "schedule": "21:00",
            "prune-backups": "keep-last=3", "comment": "nightly", "fleecing": {"enabled": "1", "storage": "local-lvm"},
            "next-run": 1_795_608_000,
        })
    }

    /// Facts of one job whose row is as it should be.
    fn world() -> (Facts, Vec<Stored<BackupRoutine>>) {
        let mut facts = converged();
        facts.known.node_links = [("pve2".to_owned(), ObjectId(62))].into();
        facts.known.storages = vec![storage(20, "nas"), storage(21, "local-lvm")];
        jobs(&mut facts, &[job()]);
        let object = BackupRoutines::desired(&facts).wanted.remove(0).object;
        let stored = Stored {
            id: ObjectId(1),
            object,
        };
        (facts, vec![stored])
    }

    #[test]
    fn converged_job_plans_nothing_and_knows_its_parents() {
        let (facts, rows) = world();
        assert!(plan_against::<BackupRoutines>(&facts, &rows).is_empty());
        let routine = &rows[0].object;
        assert_eq!(routine.node, Said::Is(ObjectId(62)));
        let storages = [routine.storage, routine.fleecing_storage];
        assert_eq!(storages, [20, 21].map(|id| Said::Is(ObjectId(id))));
    }

    #[test]
    fn storages_stay_where_it_is_not_known_which_cluster_it_is() {
        let (mut facts, rows) = world();
        facts.target.cluster = None;
        facts.known.storages = Vec::new();
        assert!(plan_against::<BackupRoutines>(&facts, &rows).is_empty());
        jobs(&mut facts, &[json!({"id": "backup-1", "vmid": "100"})]);
        let changed = changes(&plan_against::<BackupRoutines>(&facts, &rows));
        let cleared = [&changed["1"]["storage"], &changed["1"]["fleecing_storage"]];
        assert_eq!(cleared.map(Value::is_null), [true, true], "the job has none");
        assert!(changed["1"].as_object().unwrap().contains_key("storage"));
    }

    #[test]
    fn node_and_storages_stay_where_their_rows_were_not_read() {
        let (mut facts, rows) = world();
        facts.known.node_links.clear();
        facts.known.storages.clear();
        let cleared = json!({"1": {"node": null, "storage": null, "fleecing_storage": null}});
        assert_eq!(changes(&plan_against::<BackupRoutines>(&facts, &rows)), cleared);
        facts.known.unread = [TrackingNode::PATH, Storage::PATH].into();
        assert!(plan_against::<BackupRoutines>(&facts, &rows).is_empty());
    }

    #[test]
    fn what_a_job_no_longer_has_is_cleared() {
        let (mut facts, rows) = world();
        jobs(
            &mut facts,
            &[json!({"id": "backup-1", "vmid": "100,101", "next-run": 1_795_608_000})],
        );
        let plan = plan_against::<BackupRoutines>(&facts, &rows);
        let changed = changes(&plan);
        let mut changed = changed["1"].clone();
        changed.as_object_mut().unwrap().remove("raw_config");
        let expected = json!({
            "comment": "", "fleecing": "", "fleecing_storage": null, "keep_last": null, "node": null, "schedule": "",
            "selection": [100, 101], "storage": null
        });
        assert_eq!(changed, expected);
    }

    #[test]
    fn next_run_is_brought_up_to_date_once_it_has_passed() {
        let (mut facts, rows) = world();
        let mut later = job();
        later["next-run"] = json!(1_795_694_400);
        jobs(&mut facts, std::slice::from_ref(&later));
        facts.now = "2026-11-25T11:59:59Z".to_owned();
        assert!(plan_against::<BackupRoutines>(&facts, &rows).is_empty());
        facts.now = "2026-11-25T12:00:01Z".to_owned();
        let expected = json!({"1": {"next_run": "2026-11-26T12:00:00Z"}});
        assert_eq!(changes(&plan_against::<BackupRoutines>(&facts, &rows)), expected);
        facts.now = "2026-11-25T11:59:59Z".to_owned();
        later["enabled"] = json!(0);
        jobs(&mut facts, &[later.clone()]);
        let expected = json!({"1": {"enabled": false, "next_run": "2026-11-26T12:00:00Z", "raw_config": later}});
        assert_eq!(changes(&plan_against::<BackupRoutines>(&facts, &rows)), expected);
    }

    #[test]
    fn job_that_is_gone_is_marked_unless_the_jobs_were_not_read() {
        let (mut facts, rows) = world();
        jobs(&mut facts, &[]);
        let plan = plan_against::<BackupRoutines>(&facts, &rows);
        assert_eq!(
            (changes(&plan), plan.retirements()),
            (json!({"1": {"status": "stale"}}), 1)
        );
        facts.inventory = Inventory::default();
        assert!(plan_against::<BackupRoutines>(&facts, &rows).is_empty());
    }

    #[test]
    fn job_that_selects_nobody_is_refused_by_name_and_its_row_kept() {
        let (mut facts, rows) = world();
        jobs(&mut facts, &[json!({"id": "backup-1"})]);
        let plan_of_it = plan_against::<BackupRoutines>(&facts, &rows);
        assert_eq!(
            (plan_of_it.refused[0].label.as_str(), plan_of_it.is_empty()),
            ("backup-1", true)
        );
        assert!(plan::<BackupRoutines>(&facts).create.is_empty());
    }

    #[test]
    fn every_option_that_a_job_no_longer_has_is_cleared() {
        let (mut facts, _) = world();
        let full = json!({
            "id": "backup-1", "vmid": "100", "bwlimit": 51_200, "zstd": 4, "io_workers": 8, "repeat-missed": 1,
            "pbs-change-detection-mode": "metadata", "notes-template": "x", "next-run": 1_795_608_000,
            "prune-backups": "keep-all=1,keep-daily=1,keep-weekly=2,keep-monthly=3,keep-yearly=4",
        });
        jobs(&mut facts, &[full]);
        let object = BackupRoutines::desired(&facts).wanted.remove(0).object;
        let id = ObjectId(1);
        jobs(&mut facts, &[json!({"id": "backup-1", "vmid": "100"})]);
        let plan = plan_against::<BackupRoutines>(&facts, &[Stored { id, object }]);
        let mut changed = changes(&plan)["1"].clone();
        changed.as_object_mut().unwrap().remove("raw_config");
        let expected = json!({
            "bwlimit": null, "io_workers": null, "keep_all": null, "keep_daily": null, "keep_monthly": null,
            "keep_weekly": null, "keep_yearly": null, "next_run": null, "notes_template": "",
            "pbs_change_detection_mode": "", "repeat_missed": null, "zstd": null,
        });
        assert_eq!(changed, expected);
    }
}
