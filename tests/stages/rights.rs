//! NetBox tokens whose permissions have constraints.

use std::time::{Duration, Instant};

use proxbox_api::netbox::standin::{Account, Action, Fault, FaultRule, StandinOptions, TOKEN};
use proxbox_api::proxmox::mock::World;
use proxbox_api::stages::Stage;
use proxbox_api::sync::{Job, SyncRequest};
use serde_json::{Value, json};

use crate::harness::{Bench, MACHINES, until, warnings};

const WARNING: &str = "rights of the NetBox token: ";
const DISKS: &str = "virtualization/virtual-disks";
const PERMISSIONS: &str = "users/permissions";

async fn bench(account: Account) -> Bench {
    let options = StandinOptions {
        accounts: vec![account],
        ..StandinOptions::default()
    };
    Bench::with(World::estate(2, 12), options).await
}

/// A user who may see and write everything, one permission for each model.
fn user() -> Account {
    Account::superuser(TOKEN).with_each_right()
}

/// How often it was asked who the token's user is, what permissions there are, and whether it is a superuser.
fn asked(bench: &Bench) -> [usize; 3] {
    ["authentication-check", PERMISSIONS, "users/users"].map(|path| {
        let requests = bench.netbox.requests().into_iter();
        requests
            .filter(|request| request.path == format!("/api/{path}/"))
            .count()
    })
}

/// The warnings of a full update about the rights of its token: stage by stage.
async fn full_update(bench: &Bench) -> Vec<(String, String)> {
    let report = bench.job(Job::FullUpdate, SyncRequest::default()).await;
    assert_eq!(report.errors(), Vec::<String>::new());
    assert_eq!(bench.netbox.count(MACHINES), 12);
    let result = report.result();
    let warnings = result["warnings"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let told = warnings
        .iter()
        .map(|warning| (text(&warning["phase"]), text(&warning["message"])));
    told.filter(|(_, message)| message.starts_with(WARNING)).collect()
}

#[tokio::test]
async fn stages_that_need_a_constrained_model_tell_it_once() {
    let bench = bench(user().constrained(DISKS, &json!({"name__startswith": "scsi"}))).await;
    let first = full_update(&bench).await;
    let told = |message: &str| vec![("virtual-disks".to_owned(), format!("{WARNING}{message}"))];
    let written = "it may write some rows of virtualization.virtualdisk only, and NetBox refuses the others";
    assert_eq!(
        first,
        told(written),
        "new virtual machines have no disks that could be hidden"
    );
    let second = full_update(&bench).await;
    let hidden = "its permissions for virtualization.virtualdisk have constraints, and rows that it may not see are taken \
                  for missing";
    assert_eq!(second, told(hidden), "nothing is written");
    assert_eq!(asked(&bench), [1, 1, 1]);
}

#[tokio::test]
async fn row_that_netbox_takes_twice_is_not_made_by_who_may_not_see_it() {
    let may_see_some = |mut account: Account, made: Value| {
        let rights = account.rights.as_mut().unwrap();
        let right = rights.iter_mut().find(|right| right.path == "ipam/vlans").unwrap();
        let mut view = right.clone();
        right.actions.retain(|action| *action != Action::View);
        right.constraints = made;
        view.actions = vec![Action::View];
        view.constraints = json!({"group__name": "prod"});
        rights.push(view);
        account
    };
    for made in [Value::Null, json!({"status": "active"})] {
        let bench = bench(may_see_some(user(), made.clone())).await;
        full_update(&bench).await;
        assert_eq!(bench.netbox.count("ipam/vlans"), 0, "{made}");
        let report = bench.stage(Stage::VmInterfaces).await;
        let told = warnings(&report);
        assert!(told.contains("NetBox may hide it already"), "{made}: {told}");
    }
    let sees_what_it_makes = bench(user().constrained("ipam/vlans", &json!({"tenant": 1}))).await;
    full_update(&sees_what_it_makes).await;
    assert!(sees_what_it_makes.netbox.count("ipam/vlans") > 0);
}

#[tokio::test]
async fn rights_that_do_not_come_are_waited_for_by_no_run_that_is_asked_to_stop() {
    let bench = bench(user()).await;
    bench.netbox.faults().add(FaultRule::on(PERMISSIONS, Fault::Hang));
    let is_asked = || {
        let mut asked = bench.netbox.requests().into_iter();
        asked.any(|request| request.path.contains(PERMISSIONS))
    };
    let stop = async {
        until(is_asked).await;
        bench.stop_runs();
        Instant::now()
    };
    let (report, stopped) = tokio::join!(bench.job(Stage::Devices, SyncRequest::default()), stop);
    assert!(report.is_cancelled());
    // A small answer has ten seconds.
    assert!(stopped.elapsed() < Duration::from_secs(5), "{:?}", stopped.elapsed());
}

#[tokio::test]
async fn supporting_objects_of_an_earlier_stage_are_needed_too() {
    let bench = bench(user().constrained("extras/tags", &json!({"slug": "proxbox"}))).await;
    for stage in [Stage::Devices, Stage::Storage] {
        let told = warnings(&bench.stage(stage).await);
        let told: Vec<&str> = told.lines().filter(|line| line.starts_with(WARNING)).collect();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told.iter().all(|line| line.contains("extras.tag")), "{told:?}");
    }
}

#[tokio::test]
async fn row_that_is_hidden_is_refused_a_second_time_and_the_reason_is_told() {
    let bench = bench(user().constrained(MACHINES, &json!({"name": "a"}))).await;
    full_update(&bench).await;
    let machine = bench.machine_of(101);
    let state = bench.machine_state(101);
    bench.netbox.hide(MACHINES, machine["id"].as_u64().unwrap());
    let states = "plugins/proxbox/sync-state/virtual-machines";
    bench.netbox.hide(states, state["id"].as_u64().unwrap());
    bench.forget();
    let report = bench.stage(Stage::VirtualMachines).await;
    let told = warnings(&report);
    assert!(told.contains("must be unique"), "{told}");
    assert_eq!(
        told.matches("virtualization.virtualmachine have constraints").count(),
        1,
        "{told}"
    );
    assert_eq!(report.counts().unchanged, 11, "{told}");
    assert_eq!(bench.netbox.count(MACHINES), 12);
}

#[tokio::test]
async fn rights_that_may_not_be_read_are_not_warned_of() {
    let account = user().constrained(MACHINES, &json!({"name": "a"})).without(PERMISSIONS);
    let bench = bench(account).await;
    for _ in 0..2 {
        assert_eq!(full_update(&bench).await, []);
    }
    assert_eq!(asked(&bench), [1, 1, 0]);
}

#[tokio::test]
async fn superuser_is_asked_for_once() {
    let bench = bench(Account::superuser(TOKEN)).await;
    for _ in 0..2 {
        assert_eq!(full_update(&bench).await, []);
    }
    for stage in [Stage::Devices, Stage::VirtualMachines] {
        bench.forget();
        bench.stage(stage).await;
    }
    assert_eq!(asked(&bench), [1, 0, 0]);
}
