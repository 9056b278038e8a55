//! Plans of the task history.

use super::guests::{machine, machine_state, plan_over, with_guests};
use super::*;
use crate::inventory::{Collected, Gap, Task, Tasks, Vmid};
use crate::netbox::objects::TaskHistory as TaskRow;
use crate::stages::task_history::{TaskHistory, TaskPass, has_holes, holders, older, recent, recorded, unowned};

const UPID: &str = "UPID:pve2:000A1:0B2C:67AB1F00:qmshutdown:204:ops@pve:";

fn task(more: &Value) -> Task {
    let mut row = json!({
        "upid": UPID, "node": "pve2", "id": "204", "type": "qmshutdown", "starttime": 1_795_000_000,
        "endtime": 1_795_000_007, "user": "ops@pve", "status": "OK"
    });
    row.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(row).unwrap()
}

fn facts(tasks: Vec<Task>) -> Facts {
    let mut facts = with_guests();
    guests::fill::<Tasks>(&mut facts, tasks);
    facts
}

/// The row of [`task`] as the plugin answers it.
fn row(id: u64, machine: u64) -> Stored<TaskRow> {
    let object = TaskRow {
        upid: UPID.to_owned(),
        virtual_machine: Some(ObjectId(machine)),
        vm_type: Some("qemu".to_owned()),
        task_id: Some("204".to_owned()),
        end_time: Some("2026-11-18T11:06:47Z".to_owned()),
        status: Some("OK".to_owned()),
        exitstatus: Some("OK".to_owned()),
        task_state: Some("stopped".to_owned()),
        tags: [PROXBOX_TAG.to_owned()].into(),
        ..TaskRow::default()
    };
    Stored {
        id: ObjectId(id),
        object,
    }
}

#[test]
fn converged_tasks_plan_nothing_in_whatever_spelling_of_the_time() {
    let facts = facts(vec![task(&json!({}))]);
    for end in [
        "2026-11-18T11:06:47Z",
        "2026-11-18T11:06:47+00:00",
        "2026-11-18T12:06:47.000+01:00",
    ] {
        let mut row = row(1, 31);
        row.object.end_time = Some(end.to_owned());
        row.object.tags.insert("gold".to_owned());
        let (plan, _) = plan_over::<TaskHistory>(&facts, &[row]);
        assert!(plan.is_empty() && plan.unchanged.len() == 1, "{end}: {plan:#?}");
    }
}

#[test]
fn task_without_a_row_gets_one_and_rows_of_old_tasks_stay() {
    let facts = facts(vec![task(&json!({}))]);
    let mut forgotten = row(1, 31);
    forgotten.object.upid = "UPID:pve2:rotated".to_owned();
    let (plan, _) = plan_over::<TaskHistory>(&facts, &[forgotten]);
    assert_eq!((plan.create.len(), plan.update.len(), plan.delete.len()), (1, 0, 0));
    assert_eq!(plan.create[0].fields["description"], json!("QEMU 204 - Shutdown"));
}

#[test]
fn row_below_the_wrong_virtual_machine_moves_and_nothing_else_of_it_changes() {
    let mut facts = facts(vec![task(&json!({}))]);
    facts.known.tasks = vec![row(1, 32)];
    assert_eq!(holders(&facts), [ObjectId(32)].into());
    facts.known.task_holders = vec![machine_state(32, 205, "lxc")];
    let (plan, _) = plan_over::<TaskHistory>(&facts, &facts.known.tasks);
    assert_eq!(changes(&plan), json!({"1": {"virtual_machine": 31}}));
}

#[test]
fn row_of_another_endpoints_guest_of_the_same_number_is_never_taken() {
    let mut facts = facts(vec![task(&json!({}))]);
    facts.known.tasks = vec![row(1, 90)];
    let mut rival = machine_state(90, 204, "qemu");
    rival.object.endpoint_raw_id = Some(OURS + 1);
    facts.known.task_holders = vec![rival];
    let (plan, _) = plan_over::<TaskHistory>(&facts, &facts.known.tasks);
    assert!(plan.is_empty() && plan.refused.len() == 1, "{plan:#?}");
    facts.known.task_holders[0].object.vmid = Some(300);
    let (plan, _) = plan_over::<TaskHistory>(&facts, &facts.known.tasks);
    assert_eq!(
        changes(&plan),
        json!({"1": {"virtual_machine": 31}}),
        "guest 300 can have no task of 204"
    );
}

#[test]
fn row_that_has_shown_up_since_is_taken_only_from_a_virtual_machine_of_our_own() {
    let facts = facts(vec![task(&json!({}))]);
    let (plan, _) = plan_over::<TaskHistory>(&facts, &[row(1, 90)]);
    assert!(plan.is_empty() && plan.refused.len() == 1, "{plan:#?}");
    let (plan, _) = plan_over::<TaskHistory>(&facts, &[row(1, 32)]);
    assert_eq!(changes(&plan), json!({"1": {"virtual_machine": 31}}));
}

#[test]
fn task_that_ended_otherwise_than_known_is_updated() {
    let facts = facts(vec![task(&json!({"exitstatus": "WARNINGS: 2"}))]);
    let mut running = row(1, 31);
    running.object.end_time = None;
    let (plan, _) = plan_over::<TaskHistory>(&facts, &[running]);
    let expected = json!({"1": {
        "end_time": "2026-11-18T11:06:47Z", "status": "WARNINGS: 2", "exitstatus": "WARNINGS: 2"
    }});
    assert_eq!(changes(&plan), expected);
}

#[test]
fn latest_telling_of_a_task_holds_and_a_dispute_about_its_guest_writes_nothing() {
    let early = task(&json!({"endtime": 1_795_000_001, "status": "unexpected status"}));
    let facts = facts(vec![early, task(&json!({}))]);
    assert!(plan_over::<TaskHistory>(&facts, &[row(1, 31)]).0.is_empty());
    let facts = self::facts(vec![task(&json!({})), task(&json!({"id": "205"}))]);
    let (plan, _) = plan_over::<TaskHistory>(&facts, &[]);
    assert_eq!((plan.create.len(), plan.refused.len()), (0, 1));
}

#[test]
fn tasks_of_nobody_are_left_out_and_counted() {
    let others = [
        json!({"id": ""}),
        json!({"id": "networking"}),
        json!({"id": "999"}),
        json!({"id": "204@local"}),
    ];
    let mut tasks: Vec<Task> = others.iter().map(task).collect();
    tasks.push(task(&json!({})));
    let mut facts = facts(tasks);
    assert_eq!(unowned(&facts), 4);
    assert_eq!(plan_over::<TaskHistory>(&facts, &[]).0.create.len(), 1);
    facts.known.machines.push(machine(33, "web-2"));
    facts.known.machine_states.push(machine_state(33, 204, "qemu"));
    assert_eq!(unowned(&facts), 5, "two virtual machines claim guest 204");
    assert!(plan_over::<TaskHistory>(&facts, &[]).0.is_empty());
}

#[test]
fn only_tasks_below_the_right_virtual_machine_are_on_record() {
    let mut facts = facts(vec![]);
    facts.known.tasks = vec![row(1, 31)];
    let record = recorded(&facts);
    assert_eq!(record.guests, [Vmid(204), Vmid(205)].into());
    assert_eq!(record.endings[UPID].at, Some(1_795_000_007));
    for (machine, kind) in [(32, "lxc"), (31, "lxc"), (90, "qemu")] {
        facts.known.tasks = vec![row(1, machine)];
        facts.known.tasks[0].object.vm_type = Some(kind.to_owned());
        assert!(recorded(&facts).endings.is_empty(), "below {machine} as {kind}");
    }
}

#[test]
fn rows_are_looked_up_as_far_back_as_proxmox_tells() {
    let nodes = vec!["pve1".to_owned(), "pve2".to_owned()];
    let since = "2026-10-25T12:00:00Z".to_owned();
    let mut facts = facts(vec![task(&json!({}))]);
    let expected = Selection {
        filters: vec![("start_time__gte", since.clone())],
        ..Selection::any_of("node", &nodes).below::<VirtualMachine>(facts.known.machine_ids())
    };
    assert_eq!((recent(&facts), older(&facts)), (vec![expected], vec![]));
    guests::fill::<Tasks>(
        &mut facts,
        vec![task(&json!({})), task(&json!({"starttime": 1_739_268_864}))],
    );
    let expected = Selection {
        filters: vec![
            ("start_time__lt", since),
            ("start_time__gte", "2025-02-11T10:14:24Z".to_owned()),
        ],
        ..Selection::any_of("node", ["pve2"]).below::<VirtualMachine>(facts.known.machine_ids())
    };
    assert_eq!(older(&facts), [expected]);
    let nobodys = task(&json!({"id": "999", "node": "pve1", "starttime": 1_739_268_864}));
    guests::fill::<Tasks>(&mut facts, vec![nobodys]);
    assert_eq!(older(&facts), []);
    facts.options.guests.only = Some([ObjectId(31)].into());
    assert_eq!(
        (recent(&facts), older(&facts)),
        (vec![Selection::any_of("task_id", [204])], vec![])
    );
}

#[test]
fn rows_of_nodes_that_bear_another_name_now_are_looked_up_by_the_former_one() {
    let former = |starttime: i64, node: &str| task(&json!({"starttime": starttime, "node": node}));
    let tasks = vec![
        task(&json!({})),
        former(1_795_000_000, "old2"),
        former(1_739_268_864, "old1"),
    ];
    let facts = facts(tasks);
    let expected = Selection {
        filters: vec![("start_time__gte", "2025-02-11T10:14:24Z".to_owned())],
        ..Selection::any_of("node", ["old1", "old2"]).below::<VirtualMachine>(facts.known.machine_ids())
    };
    assert_eq!(older(&facts), [expected]);
}

#[test]
fn pass_continues_the_one_before_unless_tasks_may_have_grown_old_unseen() {
    let mut facts = facts(vec![]);
    let now = facts.now.clone();
    facts.now = "2026-10-27T12:00:00Z".to_owned();
    let before = TaskPass::of(&facts);
    facts.now = "2026-10-27T11:59:59Z".to_owned();
    let long_before = TaskPass::of(&facts);
    facts.now = now;
    let pass = TaskPass::of(&facts);
    assert!(pass.continues(&before) && !pass.continues(&long_before), "28 days");
    assert_eq!(recorded(&facts).since, Some(1_793_102_400));
    facts.cluster.nodes[0].is_online = false;
    let without_a_node = TaskPass::of(&facts);
    assert!(without_a_node.continues(&pass) && !pass.continues(&without_a_node));
    facts.known.machine_states.pop();
    let without_a_guest = TaskPass::of(&facts);
    assert!(without_a_guest.continues(&pass) && !without_a_node.continues(&without_a_guest));
    facts.options.guests.only = Some([ObjectId(31)].into());
    assert_eq!(recorded(&facts).since, None, "all rows of its guest are known");
}

#[test]
fn hole_in_an_archive_is_told_from_a_node_that_is_offline() {
    let mut facts = facts(vec![]);
    facts.cluster.nodes[0].is_online = false;
    let gaps = vec![Gap::offline("pve1")];
    let items = Vec::new();
    facts.inventory.tasks.fill(Collected {
        items,
        gaps: gaps.clone(),
    });
    assert!(!has_holes(&facts));
    let items = Vec::new();
    let gaps = [gaps.clone(), gaps].concat();
    facts.inventory.tasks.fill(Collected { items, gaps });
    assert!(has_holes(&facts));
}

#[test]
fn row_of_a_virtual_machine_that_claims_the_number_beside_the_guests_own_stays_below_it() {
    for (kind, cluster) in [("lxc", CLUSTER), ("qemu", ObjectId(99))] {
        for only in [None, Some([ObjectId(31)].into())] {
            let mut facts = facts(vec![task(&json!({}))]);
            facts.known.machines.push(machine(33, "gone"));
            facts.known.machines[2].object.cluster = Some(cluster);
            facts.known.machine_states.push(machine_state(33, 204, kind));
            facts.options.guests.only = only;
            let mut theirs = row(1, 33);
            theirs.object.vm_type = Some(kind.to_owned());
            facts.known.tasks = vec![theirs];
            let (plan, told) = plan_over::<TaskHistory>(&facts, &facts.known.tasks);
            assert!(plan.is_empty() && plan.refused.is_empty(), "{kind}: {plan:#?}");
            assert_eq!(told, [""; 0], "{kind}");
            assert_eq!((plan.unchanged.len(), plan.left_out), (0, 1), "{kind}");
            assert!(holders(&facts).is_empty(), "{kind}: whose it is is known");
            assert!(
                recorded(&facts).endings.contains_key(UPID),
                "{kind}: nothing is to be done about it"
            );
            let (plan, _) = plan_over::<TaskHistory>(&facts, &[]);
            assert_eq!(plan.create[0].fields["virtual_machine"], json!(31), "{kind}");
            facts.options.only.name(Part::Task, UPID);
            let (_, told) = plan_over::<TaskHistory>(&facts, &facts.known.tasks);
            assert!(
                told.len() == 1 && told[0].contains("below virtual machine 33"),
                "{told:?}"
            );
        }
    }
}
