//! The stage `vm-ip-addresses`, from a Proxmox to a NetBox.

use std::sync::Arc;
use std::time::Duration;

use proxbox_api::netbox::standin::{Fault, FaultRule, StandinOptions};
use proxbox_api::proxmox::mock::world::{Agent, AgentInterface, GuestStatus};
use proxbox_api::proxmox::mock::{Fault as ProxmoxFault, MockOptions, MockProxmox, Release, World};
use proxbox_api::reconcile::ObjectId;
use proxbox_api::stages::Stage;
use proxbox_api::sync::{Report, SyncRequest};
use serde_json::{Value, json};

use crate::harness::{Bench, INTERFACES, MACHINES, tags, warnings};

const ADDRESSES: &str = "ipam/ip-addresses";
const LINKS: &str = "plugins/proxbox/guest-vm-interface-addresses";

/// Reads that the stage may make in NetBox over an estate that has not changed.
const READS: usize = 7;

async fn with_interfaces() -> Bench {
    let bench = Bench::start().await;
    bench.stage(Stage::VirtualMachines).await;
    bench.stage(Stage::VmInterfaces).await;
    bench
}

async fn synced() -> Bench {
    let bench = with_interfaces().await;
    let report = bench.stage(Stage::VmIpAddresses).await;
    assert_eq!(report.counts().failed, 0, "{:?}", report.endpoints[0].warnings);
    bench
}

async fn again(bench: &Bench) -> Report {
    bench.forget();
    bench.take_writes();
    bench.stage(Stage::VmIpAddresses).await
}

/// The row of a host, whatever its mask.
fn address(bench: &Bench, host: &str) -> Option<Value> {
    let mut rows = bench.netbox.rows(ADDRESSES).into_iter();
    let is_it = |row: &Value| row["address"].as_str().unwrap().split('/').next() == Some(host);
    rows.find(is_it)
}

/// The hosts on an interface of a guest, in the order in which they were made.
fn hosts(bench: &Bench, vmid: u32, interface: &str) -> Vec<String> {
    let id = bench.interface_of(vmid, interface)["id"].clone();
    let rows = bench.netbox.rows(ADDRESSES).into_iter();
    let on_it = rows
        .filter(|row| row["assigned_object_type"] == "virtualization.vminterface" && row["assigned_object_id"] == id);
    on_it.map(|row| row["address"].as_str().unwrap().to_owned()).collect()
}

/// The request that a query makes.
fn asked(query: &[(&str, &str)]) -> SyncRequest {
    let query = query
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    SyncRequest::parse(&query.collect()).unwrap()
}

/// The id of our tag.
fn our_tag(bench: &Bench) -> Value {
    let rows = bench.netbox.rows("extras/tags");
    rows.iter().find(|tag| tag["slug"] == "proxbox").unwrap()["id"].clone()
}

/// The hosts of a guest's links.
fn linked(bench: &Bench, vmid: u32) -> Vec<String> {
    let machine = bench.machine_of(vmid)["id"].clone();
    let rows = bench.netbox.rows("plugins/proxbox/guest-vm-interfaces").into_iter();
    let own: Vec<Value> = rows
        .filter(|row| row["virtual_machine"]["id"] == machine)
        .map(|row| row["id"].clone())
        .collect();
    let links = bench.netbox.rows(LINKS).into_iter();
    let links = links.filter(|link| own.contains(&link["guest_interface"]["id"]));
    links
        .map(|link| link["ip_address"]["address"].as_str().unwrap().to_owned())
        .collect()
}

/// Lets the agent of a guest tell these addresses of its first interface.
fn tell(bench: &Bench, vmid: u32, addresses: &[&str]) {
    bench.proxmox.world().change(|world| {
        let guest = world.guest(vmid).unwrap();
        let mac = guest.mac(0).unwrap().to_lowercase();
        guest.agent = Agent::Interfaces(vec![AgentInterface::new("ens18", &mac, addresses)]);
    });
}

#[tokio::test]
async fn empty_netbox_gets_every_address_and_a_second_run_writes_nothing() {
    let bench = synced().await;
    let on_machine = hosts(&bench, 100, "net0");
    assert!(
        on_machine.len() == 2 && on_machine[0].starts_with("10.50."),
        "{on_machine:?}"
    );
    let machine = bench.machine_of(100);
    assert_eq!(machine["primary_ip4"]["address"], json!(on_machine[0]));
    assert_eq!(machine["primary_ip6"]["address"], json!(on_machine[1]));
    let row = address(&bench, on_machine[0].split('/').next().unwrap()).unwrap();
    assert_eq!(
        (&row["status"]["value"], &row["dns_name"]),
        (
            &json!("active"),
            &json!(machine["name"].as_str().unwrap().to_lowercase())
        )
    );
    assert_eq!(tags(&row), ["proxbox"]);
    let linked = bench.netbox.rows(LINKS);
    assert!(linked.iter().any(|link| link["ip_address"]["id"] == row["id"]));
    assert_eq!(address(&bench, "172.17.0.1"), None, "a bridge inside a guest");
    let running = bench.proxmox.world().read(|world| {
        let mut guests = world.guests.values().filter(|guest| guest.is_running());
        let leased = |guest: &&proxbox_api::proxmox::mock::Guest| {
            guest.config.text("net0").is_some_and(|net| net.contains("ip=dhcp"))
        };
        guests.find(leased).unwrap().vmid
    });
    assert!(
        hosts(&bench, running, "eth0")[0].starts_with("10.61."),
        "a lease of a container"
    );

    for pause in [false, true] {
        if pause {
            bench.forget();
            bench.stage(Stage::VirtualMachines).await;
        }
        bench.take_writes();
        bench.stage(Stage::VmIpAddresses).await;
        let reads = bench.netbox.requests().len();
        assert_eq!(bench.take_writes(), Vec::<String>::new());
        assert!(reads <= READS, "{reads} requests");
    }
}

#[tokio::test]
async fn address_that_is_gone_goes_and_the_next_becomes_primary() {
    let bench = synced().await;
    let old = hosts(&bench, 100, "net0");
    tell(&bench, 100, &["10.99.0.7/24"]);
    let report = again(&bench).await;
    let counts = report.counts();
    assert_eq!((counts.created, counts.deleted, counts.failed), (1, 2, 0));
    assert_eq!(hosts(&bench, 100, "net0"), ["10.99.0.7/24"]);
    let machine = bench.machine_of(100);
    assert_eq!(machine["primary_ip4"]["address"], "10.99.0.7/24");
    assert_eq!(machine["primary_ip6"], Value::Null);
    let rows = bench.netbox.rows(LINKS);
    assert!(
        !rows
            .iter()
            .any(|link| old.contains(&link["ip_address"]["address"].as_str().unwrap().to_owned()))
    );
}

#[tokio::test]
async fn address_that_moved_to_another_guest_is_there_after_one_run() {
    let bench = with_interfaces().await;
    tell(&bench, 100, &["10.99.0.7/24", "10.99.0.8/24"]);
    tell(&bench, 101, &["10.99.0.9/24"]);
    bench.forget();
    bench.stage(Stage::VmIpAddresses).await;
    tell(&bench, 100, &["10.99.0.8/24"]);
    tell(&bench, 101, &["10.99.0.7/24"]);
    let report = again(&bench).await;
    assert_eq!(report.counts().failed, 0, "{:?}", report.endpoints[0].warnings);
    assert_eq!(hosts(&bench, 100, "net0"), ["10.99.0.8/24"]);
    assert_eq!(hosts(&bench, 101, "net0"), ["10.99.0.7/24"]);
    assert_eq!(bench.machine_of(100)["primary_ip4"]["address"], "10.99.0.8/24");
    assert_eq!(bench.machine_of(101)["primary_ip4"]["address"], "10.99.0.7/24");
    again(&bench).await;
    assert_eq!(bench.take_writes(), Vec::<String>::new());
}

#[tokio::test]
async fn free_address_is_adopted_and_that_of_somebody_else_is_named() {
    let bench = with_interfaces().await;
    tell(&bench, 100, &["10.99.0.7/24", "10.99.0.8/24", "10.99.0.9/24"]);
    let free = json!({"address": "10.99.0.7/32", "description": "reserved"});
    let free = bench.netbox.seed(ADDRESSES, &free).unwrap();
    let other = json!({"name": "by-hand", "cluster": bench.machine_of(100)["cluster"]["id"]});
    let other = bench.netbox.seed(MACHINES, &other).unwrap();
    let interface = json!({"virtual_machine": other, "name": "eth9"});
    let interface = bench.netbox.seed(INTERFACES, &interface).unwrap();
    let taken = json!({
        "address": "10.99.0.8/24", "assigned_object_type": "virtualization.vminterface", "assigned_object_id": interface
    });
    bench.netbox.seed(ADDRESSES, &taken).unwrap();
    let report = again(&bench).await;
    let warnings = warnings(&report);
    assert_eq!(report.counts().failed, 0, "{warnings}");
    assert!(
        warnings.contains("10.99.0.8") && warnings.contains("by-hand eth9"),
        "{warnings}"
    );
    let adopted = address(&bench, "10.99.0.7").unwrap();
    assert_eq!(
        (&adopted["id"], &adopted["address"], &adopted["description"]),
        (&json!(free), &json!("10.99.0.7/32"), &json!("reserved"))
    );
    assert_eq!(hosts(&bench, 100, "net0"), ["10.99.0.7/32", "10.99.0.9/24"]);
    assert_eq!(address(&bench, "10.99.0.8").unwrap()["assigned_object_id"], interface);
    again(&bench).await;
    assert_eq!(bench.take_writes(), Vec::<String>::new());
}

/// It was an operator's before, or an operator has written into it since: it becomes nobody's, and the next guest's.
#[tokio::test]
async fn address_with_an_operators_words_is_released_and_never_deleted() {
    let bench = with_interfaces().await;
    tell(&bench, 100, &["10.99.0.7/24"]);
    let free = json!({"address": "10.99.0.7/32", "description": "reserved"});
    let free = bench.netbox.seed(ADDRESSES, &free).unwrap();
    again(&bench).await;
    assert_eq!(bench.machine_of(100)["primary_ip4"]["id"], free);
    tell(&bench, 100, &["10.99.0.8/24"]);
    let report = again(&bench).await;
    let counts = report.counts();
    assert_eq!((counts.deleted, counts.failed), (0, 0), "{}", warnings(&report));
    assert_eq!(hosts(&bench, 100, "net0"), ["10.99.0.8/24"]);
    assert_eq!(bench.machine_of(100)["primary_ip4"]["address"], "10.99.0.8/24");
    let row = address(&bench, "10.99.0.7").unwrap();
    assert_eq!(
        (&row["id"], &row["description"], &row["assigned_object_id"]),
        (&json!(free), &json!("reserved"), &Value::Null)
    );
    again(&bench).await;
    assert_eq!(bench.take_writes(), Vec::<String>::new());
    // It goes from one guest to another in one run.
    tell(&bench, 100, &["10.99.0.7/24"]);
    again(&bench).await;
    tell(&bench, 100, &["10.99.0.8/24"]);
    tell(&bench, 101, &["10.99.0.7/24"]);
    let report = again(&bench).await;
    assert_eq!(report.counts().failed, 0, "{}", warnings(&report));
    assert_eq!(hosts(&bench, 101, "net0"), ["10.99.0.7/32"]);
    assert_eq!(bench.machine_of(101)["primary_ip4"]["id"], free);
    assert_eq!(address(&bench, "10.99.0.7").unwrap()["description"], "reserved");
    again(&bench).await;
    assert_eq!(bench.take_writes(), Vec::<String>::new());
}

/// Rows of nobody, of an operator on the very interface, and of this service on another interface.
#[tokio::test]
async fn rows_with_other_masks_keep_them_and_the_second_run_writes_nothing() {
    let bench = with_interfaces().await;
    tell(&bench, 100, &["10.99.0.7/24", "10.99.0.8/24", "10.99.0.9/24"]);
    let kind = "virtualization.vminterface";
    let interface = bench.interface_of(100, "net0")["id"].clone();
    let other = json!({"virtual_machine": bench.machine_of(100)["id"], "name": "net8"});
    let other = bench.netbox.seed(INTERFACES, &other).unwrap();
    let rows = [
        json!({"address": "10.99.0.7/16"}),
        json!({"address": "10.99.0.8/23", "assigned_object_type": kind, "assigned_object_id": interface}),
        json!({
            "address": "10.99.0.9/28", "assigned_object_type": kind, "assigned_object_id": other,
            "tags": [our_tag(&bench)]
        }),
    ];
    for row in &rows {
        bench.netbox.seed(ADDRESSES, row).unwrap();
    }
    let report = again(&bench).await;
    let counts = report.counts();
    assert_eq!((counts.updated, counts.failed), (3, 0), "{}", warnings(&report));
    let mut adopted = hosts(&bench, 100, "net0");
    adopted.sort();
    assert_eq!(adopted, ["10.99.0.7/16", "10.99.0.8/23", "10.99.0.9/28"]);
    again(&bench).await;
    assert_eq!(bench.take_writes(), Vec::<String>::new());
}

#[tokio::test]
async fn refused_address_is_named_and_the_others_are_written() {
    let bench = with_interfaces().await;
    tell(&bench, 100, &["10.99.0.7/24", "10.99.0.8/24"]);
    let words = "This address is reserved.";
    bench
        .netbox
        .faults()
        .refuse_row(ADDRESSES, "10.99.0.7/24", "address", words);
    let report = again(&bench).await;
    let warnings = warnings(&report);
    assert_eq!(report.counts().failed, 1, "{warnings}");
    assert!(warnings.contains("10.99.0.7") && warnings.contains(words), "{warnings}");
    assert_eq!(hosts(&bench, 100, "net0"), ["10.99.0.8/24"]);
    assert_eq!(bench.machine_of(100)["primary_ip4"]["address"], "10.99.0.8/24");
}

#[tokio::test]
async fn netbox_that_takes_no_address_at_all_is_told_and_does_not_fail_the_stage() {
    let bench = with_interfaces().await;
    let down = FaultRule::on(ADDRESSES, Fault::Status(403)).method("POST");
    bench.netbox.faults().add(down);
    let report = again(&bench).await;
    let counts = report.counts();
    assert!(counts.failed > 0 && counts.created == 0, "{counts:?}");
    assert_eq!(report.result()["degraded"], true);
    assert_eq!(warnings(&report).matches("IP address").count(), counts.failed);
}

#[tokio::test]
async fn netbox_that_fails_while_addresses_are_written_is_told_and_does_not_fail_the_stage() {
    let bench = with_interfaces().await;
    let dry = SyncRequest {
        dry_run: true,
        ..SyncRequest::default()
    };
    bench.forget();
    bench.netbox.clear_requests();
    bench.stage_with(Stage::VmIpAddresses, dry).await;
    let asked = bench.netbox.requests().into_iter();
    let reads = asked.filter(|request| request.path.ends_with("/ip-addresses/")).count();
    let lost = FaultRule::on(ADDRESSES, Fault::LoseAnswer).method("POST");
    // What the write came to cannot be read any more.
    let refused = FaultRule::on(ADDRESSES, Fault::Status(403)).method("GET");
    bench.netbox.faults().add(lost);
    bench.netbox.faults().add(refused.after(u32::try_from(reads).unwrap()));
    let report = again(&bench).await;
    let warnings = warnings(&report);
    assert!(warnings.contains("its fate is unknown"), "{warnings}");
    assert_eq!(report.result()["degraded"], true);
}

#[tokio::test]
async fn only_the_guests_that_were_asked_for_get_addresses() {
    let bench = with_interfaces().await;
    let before = bench.netbox.count(ADDRESSES);
    let wanted = bench.machine_of(100)["id"].as_u64().unwrap();
    let mut request = SyncRequest::default();
    request.options.guests.only = Some([ObjectId(wanted)].into());
    bench.forget();
    let report = bench.stage_with(Stage::VmIpAddresses, request).await;
    let made = hosts(&bench, 100, "net0").len();
    assert!(made > 0);
    assert_eq!(
        (report.counts().created, bench.netbox.count(ADDRESSES)),
        (made, before + made)
    );
}

#[tokio::test]
async fn nothing_is_deleted_where_guests_cannot_be_asked() {
    let bench = synced().await;
    bench.proxmox.world().change(|world| {
        world.guest(101).unwrap().agent = Agent::NotRunning;
        world.guest(104).unwrap().agent = Agent::Disabled;
    });
    bench.proxmox.faults().wedge_agent(100);
    let denied = "/nodes/*/qemu/107/agent/*";
    bench
        .proxmox
        .faults()
        .fail(denied, 403, "Permission check failed (/vms/107, VM.GuestAgent.Audit)");
    bench
        .proxmox
        .faults()
        .fail("/nodes/*/lxc/*/interfaces", 500, "no such process");
    bench.proxmox.faults().node_down("pve3");
    let report = again(&bench).await;
    let warnings = warnings(&report);
    assert_eq!(bench.take_writes(), Vec::<String>::new(), "{warnings}");
    assert_eq!(report.counts().failed, 0, "{warnings}");
    for told in ["guest agent of qemu/100", "VM.GuestAgent.Audit", "pve3"] {
        assert!(warnings.contains(told), "{told}: {warnings}");
    }
    assert!(
        !warnings.contains("qemu/101") && !warnings.contains("qemu/104"),
        "{warnings}"
    );
}

#[tokio::test]
async fn machine_that_is_stopped_keeps_its_addresses() {
    let bench = synced().await;
    let (before, machine) = (hosts(&bench, 100, "net0"), bench.machine_of(100));
    assert_eq!(before.len(), 2);
    bench
        .proxmox
        .world()
        .change(|world| world.guest(100).unwrap().status = GuestStatus::Stopped);
    let report = again(&bench).await;
    assert_eq!((report.counts().failed, warnings(&report)), (0, String::new()));
    assert_eq!(bench.take_writes(), Vec::<String>::new());
    assert_eq!((hosts(&bench, 100, "net0"), bench.machine_of(100)), (before, machine));
}

#[tokio::test]
async fn containers_are_asked_while_an_agent_hangs() {
    let bench = with_interfaces().await;
    let hangs = ProxmoxFault::Latency(Duration::from_hours(1));
    bench.proxmox.faults().on_path("/nodes/*/qemu/100/agent/*", hangs);
    bench.proxmox.clear_requests();
    let is_asked = || {
        let requests = bench.proxmox.requests();
        requests.iter().any(|request| request.path.ends_with("/interfaces"))
    };
    let mut open = bench.proxmox.open_requests();
    let asked = async {
        while !is_asked() {
            open.changed().await.unwrap();
        }
    };
    tokio::select! {
        _ = again(&bench) => panic!("the agent hangs"),
        told = tokio::time::timeout(Duration::from_secs(8), asked) => assert!(told.is_ok()),
    }
}

#[tokio::test]
async fn operators_edits_survive_as_the_flags_say() {
    let bench = synced().await;
    let host = hosts(&bench, 100, "net0")[0].split('/').next().unwrap().to_owned();
    let row = address(&bench, &host).unwrap();
    let gold = json!({"name": "Gold", "slug": "gold"});
    let gold = bench.netbox.seed("extras/tags", &gold).unwrap();
    let edit = json!({"status": "reserved", "dns_name": "mine.example", "description": "op", "tags": [gold]});
    bench
        .netbox
        .change(ADDRESSES, row["id"].as_u64().unwrap(), &edit)
        .unwrap();
    let mut request = SyncRequest::default();
    for flag in ["overwrite_ip_status", "overwrite_ip_address_dns_name"] {
        let flag = proxbox_api::stages::Flag::ALL
            .iter()
            .find(|known| known.as_str() == flag);
        request.options.overwrite.set(*flag.unwrap(), false);
    }
    bench.stage_with(Stage::VmIpAddresses, request).await;
    let row = address(&bench, &host).unwrap();
    assert_eq!(
        (&row["status"]["value"], &row["dns_name"], &row["description"]),
        (&json!("reserved"), &json!("mine.example"), &json!("op"))
    );
    assert_eq!(tags(&row), ["gold", "proxbox"]);
    bench.stage(Stage::VmIpAddresses).await;
    let row = address(&bench, &host).unwrap();
    assert_eq!(
        (&row["status"]["value"], &row["description"]),
        (&json!("active"), &json!("op"))
    );
}

#[tokio::test]
async fn primary_address_that_an_operator_chose_stays() {
    let bench = with_interfaces().await;
    tell(&bench, 100, &["10.99.0.7/24", "10.99.0.8/24"]);
    again(&bench).await;
    let chosen = address(&bench, "10.99.0.8").unwrap()["id"].clone();
    let machine = bench.machine_of(100)["id"].as_u64().unwrap();
    bench
        .netbox
        .change(MACHINES, machine, &json!({"primary_ip4": chosen}))
        .unwrap();
    again(&bench).await;
    assert_eq!(bench.take_writes(), Vec::<String>::new());
    assert_eq!(bench.machine_of(100)["primary_ip4"]["id"], chosen);
}

#[tokio::test]
async fn interfaces_that_are_missing_are_told_once() {
    let bench = Bench::start().await;
    bench.stage(Stage::VirtualMachines).await;
    let report = bench.stage(Stage::VmIpAddresses).await;
    let warnings = warnings(&report);
    assert_eq!(
        warnings.matches("run the stage vm-interfaces first").count(),
        1,
        "{warnings}"
    );
    let counts = report.counts();
    assert_eq!(counts.created, 0);
    bench.stage(Stage::VmInterfaces).await;
    let missing = bench.netbox.count(INTERFACES);
    let unfit = again(&bench).await.counts().skipped;
    assert_eq!(counts.skipped, missing + unfit, "{missing} interfaces");
}

/// Up to release 8.3 a running container tells only the last address of each family: the link-local one hides the other.
#[tokio::test]
async fn containers_of_older_releases_have_their_configured_addresses_too_and_lose_nothing() {
    let options = MockOptions {
        release: Release::V8_3,
        agent_limit: Duration::from_millis(50),
        ..MockOptions::default()
    };
    let proxmox = MockProxmox::start(options, World::estate(2, 24)).await.unwrap();
    let bench = Bench::between(Arc::new(proxmox), StandinOptions::default()).await;
    let (fixed, leased) = bench.proxmox.world().read(|world| {
        let running = |word: &str| {
            let mut guests = world.guests.values().filter(|guest| guest.is_running());
            let has = |guest: &&proxbox_api::proxmox::mock::Guest| {
                guest.config.text("net0").is_some_and(|net| net.contains(word))
            };
            guests.find(has).unwrap().vmid
        };
        (running("ip6=fd00"), running("ip=dhcp"))
    });
    bench.stage(Stage::VirtualMachines).await;
    bench.stage(Stage::VmInterfaces).await;
    let report = bench.stage(Stage::VmIpAddresses).await;
    assert_eq!(report.counts().failed, 0, "{}", warnings(&report));
    let told = hosts(&bench, fixed, "eth0");
    let is_whole = told.len() == 2 && told[0].starts_with("10.60.") && told[1].starts_with("fd00:60::");
    assert!(is_whole, "{told:?}");
    let machine = bench.machine_of(fixed);
    assert_eq!(machine["primary_ip6"]["address"], json!(told[1]));
    assert!(hosts(&bench, leased, "eth0")[0].starts_with("10.61."));
    let second = json!({
        "address": "10.60.99.9/16", "assigned_object_type": "virtualization.vminterface",
        "assigned_object_id": bench.interface_of(fixed, "eth0")["id"], "tags": [our_tag(&bench)]
    });
    bench.netbox.seed(ADDRESSES, &second).unwrap();
    again(&bench).await;
    assert_eq!(bench.take_writes(), Vec::<String>::new());
}

#[tokio::test]
async fn interfaces_that_are_renamed_take_their_addresses_along_and_leave_no_link_behind() {
    let bench = with_interfaces().await;
    tell(&bench, 100, &["10.99.0.7/24", "10.99.0.8/24"]);
    again(&bench).await;
    assert_eq!(linked(&bench, 100), ["10.99.0.7/24", "10.99.0.8/24"]);
    let request = asked(&[("vm_interface_sync_strategy", "legacy_rename")]);
    for (told, expected) in [
        (["10.99.0.7/24", "10.99.0.8/24"], &["10.99.0.7/24", "10.99.0.8/24"][..]),
        (["10.99.0.7/24", "10.99.0.9/24"], &["10.99.0.7/24", "10.99.0.9/24"]),
    ] {
        tell(&bench, 100, &told);
        bench.forget();
        for stage in [Stage::VmInterfaces, Stage::VmIpAddresses] {
            let report = bench.stage_with(stage, request.clone()).await;
            assert_eq!(report.counts().failed, 0, "{}", warnings(&report));
        }
        assert_eq!(hosts(&bench, 100, "ens18"), expected);
        assert_eq!(hosts(&bench, 100, "net0"), [""; 0]);
        assert_eq!(bench.machine_of(100)["primary_ip4"]["address"], "10.99.0.7/24");
        bench.forget();
        bench.take_writes();
        for stage in [Stage::VmInterfaces, Stage::VmIpAddresses] {
            bench.stage_with(stage, request.clone()).await;
            assert_eq!(bench.take_writes(), Vec::<String>::new(), "{expected:?}");
        }
    }
    assert_eq!(address(&bench, "10.99.0.8"), None);
    assert_eq!(linked(&bench, 100), ["10.99.0.7/24"]);
}

#[tokio::test]
async fn link_local_addresses_are_taken_where_the_query_says_so() {
    let bench = with_interfaces().await;
    let told = ["10.99.0.7/24", "fe80::7/64", "169.254.3.4/16"];
    tell(&bench, 100, &told);
    for (word, expected) in [("true", &told[..1]), ("false", &told[..])] {
        bench.forget();
        let request = asked(&[("ignore_ipv6_link_local_addresses", word)]);
        bench.stage_with(Stage::VmIpAddresses, request).await;
        let mut found = hosts(&bench, 100, "net0");
        found.sort_by_key(|host| told.iter().position(|told| host == told));
        assert_eq!(found, expected, "{word}");
    }
}

#[tokio::test]
async fn family_that_the_query_prefers_comes_first() {
    let bench = with_interfaces().await;
    let dry = ("dry_run", "true");
    for (word, expected) in [
        ("ipv4", ["10.99.0.7", "10.99.0.8", "fd00:99::7"]),
        ("ipv6", ["fd00:99::7", "10.99.0.7", "10.99.0.8"]),
    ] {
        tell(&bench, 100, &["10.99.0.7/24", "fd00:99::7/64", "10.99.0.8/24"]);
        bench.forget();
        let request = asked(&[("primary_ip_preference", word), dry]);
        let events = bench.events(Stage::VmIpAddresses, request).await;
        let discovery = events.iter().find(|event| event.name == "discovery").unwrap();
        let items = discovery.data["items"].as_array().unwrap().iter();
        let names = items.filter_map(|item| item["name"].as_str());
        let own: Vec<&str> = names.filter(|name| expected.contains(name)).collect();
        assert_eq!(own, expected, "{word}");
    }
}

/// There are few links to delete, and many addresses.
#[tokio::test]
async fn refused_plan_of_addresses_deletes_no_link_either() {
    let bench = synced().await;
    let interface = bench.interface_of(100, "net0")["id"].clone();
    let total = bench.netbox.count(ADDRESSES);
    for host in 1..=total.min(200) {
        let row = json!({
            "address": format!("10.98.0.{host}/24"), "assigned_object_type": "virtualization.vminterface",
            "assigned_object_id": interface, "tags": [our_tag(&bench)]
        });
        bench.netbox.seed(ADDRESSES, &row).unwrap();
    }
    let old = linked(&bench, 100);
    tell(&bench, 100, &["10.99.0.7/24"]);
    bench.forget();
    bench.take_writes();
    let report = bench.job(Stage::VmIpAddresses, SyncRequest::default()).await;
    assert!(
        report.errors()[0].contains("allow_shrink=true"),
        "{:?}",
        report.errors()
    );
    assert_eq!(bench.take_writes(), Vec::<String>::new());
    assert_eq!(linked(&bench, 100), old);
}

#[tokio::test]
async fn primary_address_that_netbox_does_not_let_go_stays_primary() {
    let bench = with_interfaces().await;
    tell(&bench, 100, &["10.99.0.7/24"]);
    again(&bench).await;
    tell(&bench, 100, &["10.99.0.8/24"]);
    let kept = FaultRule::on(ADDRESSES, Fault::Status(403)).method("DELETE");
    bench.netbox.faults().add(kept);
    let report = again(&bench).await;
    assert_eq!(report.counts().failed, 1, "{}", warnings(&report));
    assert_eq!(bench.machine_of(100)["primary_ip4"]["address"], "10.99.0.7/24");
    bench.netbox.faults().clear();
    again(&bench).await;
    assert_eq!(bench.machine_of(100)["primary_ip4"]["address"], "10.99.0.8/24");
}

#[tokio::test]
async fn addresses_of_others_are_none_of_the_endpoints_for_the_guard() {
    let bench = Bench::with(World::estate(2, 1), StandinOptions::default()).await;
    bench.stage(Stage::VirtualMachines).await;
    bench.stage(Stage::VmInterfaces).await;
    let told: Vec<String> = (1..=20).map(|number| format!("10.99.0.{number}/24")).collect();
    let told: Vec<&str> = told.iter().map(String::as_str).collect();
    tell(&bench, 100, &told);
    again(&bench).await;
    assert_eq!((hosts(&bench, 100, "net0").len(), bench.netbox.count(LINKS)), (20, 20));

    let seed = |path: &str, row: Value| bench.netbox.seed(path, &row).unwrap();
    let cluster = bench.machine_of(100)["cluster"]["id"].clone();
    let machine = seed(MACHINES, json!({"name": "by-hand", "cluster": cluster}));
    let interface = seed(INTERFACES, json!({"name": "eth0", "virtual_machine": machine}));
    let guest = json!({"name": "eth0", "virtual_machine": machine});
    let guest = seed("plugins/proxbox/guest-vm-interfaces", guest);
    for number in 1..=100 {
        let row = json!({
            "address": format!("10.77.0.{number}/24"), "assigned_object_type": "virtualization.vminterface",
            "assigned_object_id": interface,
        });
        let row = seed(ADDRESSES, row);
        seed(LINKS, json!({"guest_interface": guest, "ip_address": row}));
    }
    tell(&bench, 100, &told[..5]);
    bench.forget();
    bench.take_writes();
    let report = bench.job(Stage::VmIpAddresses, SyncRequest::default()).await;
    let errors = report.errors();
    assert!(errors.len() == 1 && errors[0].contains("15 of 20"), "{errors:?}");
    let dry = SyncRequest {
        dry_run: true,
        ..SyncRequest::default()
    };
    let report = bench.stage_with(Stage::VmIpAddresses, dry).await;
    let told = warnings(&report);
    assert_eq!(told.matches("15 of 20").count(), 2, "links and addresses: {told}");
    assert_eq!(report.counts().deleted, 15);
    assert_eq!(bench.take_writes(), Vec::<String>::new());
    let lifted = SyncRequest {
        allow_shrink: true,
        ..SyncRequest::default()
    };
    assert_eq!(
        bench.stage_with(Stage::VmIpAddresses, lifted).await.counts().deleted,
        15
    );
    assert_eq!((hosts(&bench, 100, "net0").len(), bench.netbox.count(LINKS)), (5, 105));
}

/// Of few rows of one virtual machine many may go where the endpoint has many.
#[tokio::test]
async fn guard_of_a_run_for_one_virtual_machine_takes_its_share_of_the_endpoints_rows() {
    let bench = with_interfaces().await;
    let told = |net: u8, count: u8| (1..=count).map(move |host| format!("10.99.{net}.{host}/24"));
    for (vmid, net, count) in [(100, 1, 20), (102, 2, 60)] {
        let told: Vec<String> = told(net, count).collect();
        tell(&bench, vmid, &told.iter().map(String::as_str).collect::<Vec<_>>());
    }
    again(&bench).await;
    assert_eq!((hosts(&bench, 100, "net0").len(), linked(&bench, 100).len()), (20, 20));
    tell(&bench, 100, &["10.99.1.1/24"]);
    bench.forget();
    let mut request = SyncRequest::default();
    let machine = bench.machine_of(100)["id"].as_u64().unwrap();
    request.options.guests.only = Some([ObjectId(machine)].into());
    let report = bench.stage_with(Stage::VmIpAddresses, request).await;
    assert_eq!(report.counts().deleted, 19, "{}", warnings(&report));
    assert_eq!((hosts(&bench, 100, "net0").len(), linked(&bench, 100).len()), (1, 1));
}

/// Addresses are written although it is not known who in the guest has them; none goes that such a row may hold.
#[tokio::test]
async fn list_of_the_guests_own_interfaces_that_cannot_be_read_costs_no_address() {
    let rows = "plugins/proxbox/guest-vm-interfaces";
    for naming in ["guest_os_model", "legacy_rename"] {
        for (list, status) in [(rows, 403), (rows, 500), (LINKS, 403), (LINKS, 500)] {
            let case = format!("{naming} {list} {status}");
            let mut bench = with_interfaces().await;
            tell(&bench, 100, &["10.99.0.7/24"]);
            tell(&bench, 101, &["10.99.0.9/24"]);
            bench.forget();
            bench.stage(Stage::VmIpAddresses).await;
            let links = bench.netbox.rows(LINKS);
            tell(&bench, 100, &["10.99.0.8/24"]);
            tell(&bench, 101, &["10.99.0.7/24", "10.99.0.9/24"]);
            bench.restart(true);
            let refused = FaultRule::on(list, Fault::Status(status)).method("GET");
            bench.netbox.faults().add(refused);
            let request = asked(&[
                ("vm_interface_sync_strategy", naming),
                ("use_guest_agent_interface_name", "false"),
            ]);
            let report = bench.stage_with(Stage::VmIpAddresses, request).await;
            let warnings = warnings(&report);
            assert_eq!(report.counts().failed, 0, "{case}: {warnings}");
            assert!(warnings.contains(&format!("`/api/{list}/`")), "{case}: {warnings}");
            assert!(warnings.contains("address 10.99.0.7 of"), "{case}: {warnings}");
            assert_eq!(hosts(&bench, 100, "net0"), ["10.99.0.7/24", "10.99.0.8/24"], "{case}");
            assert_eq!(hosts(&bench, 101, "net0"), ["10.99.0.9/24"], "{case}");
            assert_eq!(bench.netbox.rows(LINKS), links, "{case}");
        }
    }
}

/// An older plugin keeps no such rows, so that none holds an address.
#[tokio::test]
async fn plugin_without_guests_interfaces_keeps_no_address_that_is_gone() {
    let bench = with_interfaces().await;
    for list in ["plugins/proxbox/guest-vm-interfaces", LINKS] {
        bench.netbox.faults().add(FaultRule::on(list, Fault::Html(404)));
    }
    tell(&bench, 100, &["10.99.0.7/24"]);
    again(&bench).await;
    tell(&bench, 100, &["10.99.0.8/24"]);
    let report = again(&bench).await;
    assert_eq!(report.counts().failed, 0, "{}", warnings(&report));
    assert_eq!(hosts(&bench, 100, "net0"), ["10.99.0.8/24"]);
}

#[tokio::test]
async fn list_of_addresses_that_cannot_be_read_fails_the_stage() {
    let mut bench = with_interfaces().await;
    bench.restart(true);
    bench
        .netbox
        .faults()
        .add(FaultRule::on(ADDRESSES, Fault::Status(403)).method("GET"));
    bench.take_writes();
    let report = bench.job(Stage::VmIpAddresses, SyncRequest::default()).await;
    assert_eq!((report.errors().len(), bench.take_writes()), (1, Vec::new()));
}

/// What the write came to cannot be read any more.
#[tokio::test]
async fn part_of_addresses_that_netbox_fails_is_told_and_does_not_fail_the_stage() {
    for (part, what) in [
        (LINKS, "its fate is unknown"),
        (MACHINES, "primary addresses could not be written"),
    ] {
        let bench = with_interfaces().await;
        let beside = bench.beside().await;
        for stage in [Stage::VirtualMachines, Stage::VmInterfaces] {
            beside.stage(stage).await;
        }
        again(&beside).await;
        let asked = beside.netbox.requests().into_iter();
        let path = format!("/api/{part}/");
        let reads = asked.filter(|request| request.method == "GET" && request.path == path);
        let reads = u32::try_from(reads.count()).unwrap();
        let lost = FaultRule::on(LINKS, Fault::LoseAnswer).method("POST");
        bench.netbox.faults().add(lost.only(1));
        // Those of virtual machines are read last for their primary addresses.
        let before = if part == MACHINES { reads - 1 } else { reads };
        let refused = FaultRule::on(part, Fault::Status(403)).method("GET");
        bench.netbox.faults().add(refused.after(before));
        let report = again(&bench).await;
        let told = warnings(&report);
        assert!(told.contains(what), "{part}: {told}");
        assert_eq!(bench.netbox.count(ADDRESSES), beside.netbox.count(ADDRESSES), "{part}");
    }
}

#[tokio::test]
async fn addresses_and_links_of_other_clusters_are_not_read_unless_they_are_in_the_way() {
    let bench = synced().await;
    let seed = |path: &str, row: Value| bench.netbox.seed(path, &row).unwrap();
    let kind = bench.netbox.rows("virtualization/cluster-types")[0]["id"].clone();
    let cluster = seed("virtualization/clusters", json!({"name": "beta", "type": kind}));
    let machine = seed(MACHINES, json!({"name": "there", "cluster": cluster}));
    let interface = seed(INTERFACES, json!({"name": "net0", "virtual_machine": machine}));
    let kind = "virtualization.vminterface";
    let taken = json!({"address": "10.99.0.9/24", "assigned_object_type": kind, "assigned_object_id": interface});
    seed(ADDRESSES, taken);
    tell(&bench, 100, &["10.99.0.7/24", "10.99.0.9/24"]);
    let report = again(&bench).await;
    assert!(warnings(&report).contains("there net0"), "{}", warnings(&report));
    for (path, filters) in [
        (ADDRESSES, &["virtual_machine_id=", "address=", "id="][..]),
        (LINKS, &["virtual_machine=", "ip_address_id="]),
    ] {
        let path = format!("/api/{path}/");
        let asked = bench.netbox.requests().into_iter();
        let asked: Vec<_> = asked
            .filter(|request| request.method == "GET" && request.path == path)
            .collect();
        let is_narrow = |query: &str| filters.iter().any(|filter| query.contains(filter));
        assert!(
            !asked.is_empty() && asked.iter().all(|read| is_narrow(&read.query)),
            "{asked:#?}"
        );
    }
}

/// The row of what a guest of another cluster sees has the address too; an operator has moved the address since.
#[tokio::test]
async fn link_of_another_machines_row_goes_with_its_address() {
    let bench = with_interfaces().await;
    tell(&bench, 100, &["10.99.0.7/24"]);
    again(&bench).await;
    let seed = |path: &str, row: Value| bench.netbox.seed(path, &row).unwrap();
    let kind = bench.netbox.rows("virtualization/cluster-types")[0]["id"].clone();
    let cluster = seed("virtualization/clusters", json!({"name": "beta", "type": kind}));
    let machine = seed(MACHINES, json!({"name": "there", "cluster": cluster}));
    let guest = json!({"name": "eth0", "virtual_machine": machine});
    let guest = seed("plugins/proxbox/guest-vm-interfaces", guest);
    let stale = address(&bench, "10.99.0.7").unwrap()["id"].clone();
    seed(LINKS, json!({"guest_interface": guest, "ip_address": stale}));
    tell(&bench, 100, &["10.99.0.8/24"]);
    let report = again(&bench).await;
    assert_eq!(report.counts().failed, 0, "{}", warnings(&report));
    assert_eq!(
        (address(&bench, "10.99.0.7"), hosts(&bench, 100, "net0")),
        (None, vec!["10.99.0.8/24".to_owned()])
    );
}

/// An operator translates an address of the outside to that of a guest, and the guest changes its own.
#[tokio::test]
async fn inside_of_an_operators_address_stays_and_stays_the_guests_where_the_outside_is_its_primary_one() {
    let bench = with_interfaces().await;
    tell(&bench, 100, &["10.99.0.7/24", "10.99.0.8/24"]);
    again(&bench).await;
    let inside = address(&bench, "10.99.0.7").unwrap()["id"].clone();
    let outside = json!({"address": "203.0.113.5/24", "nat_inside": inside});
    let outside = bench.netbox.seed(ADDRESSES, &outside).unwrap();
    let machine = bench.machine_of(100)["id"].as_u64().unwrap();
    for is_primary in [false, true] {
        let expected = if is_primary {
            tell(&bench, 100, &["10.99.0.7/24", "10.99.0.8/24"]);
            again(&bench).await;
            let primary = json!({"primary_ip4": outside});
            bench.netbox.change(MACHINES, machine, &primary).unwrap();
            vec!["10.99.0.7/24", "10.99.0.8/24"]
        } else {
            vec!["10.99.0.8/24"]
        };
        tell(&bench, 100, &["10.99.0.8/24"]);
        let report = again(&bench).await;
        let counts = report.counts();
        assert_eq!((counts.deleted, counts.failed), (0, 0), "{}", warnings(&report));
        let translated = address(&bench, "203.0.113.5").unwrap();
        assert_eq!(translated["nat_inside"]["id"], inside, "{is_primary}");
        let mut own = hosts(&bench, 100, "net0");
        own.sort();
        assert_eq!(own, expected);
        let edit = json!({"comments": format!("{is_primary}")});
        bench.netbox.change(MACHINES, machine, &edit).unwrap();
        again(&bench).await;
        assert_eq!(bench.take_writes(), Vec::<String>::new(), "{is_primary}");
    }
    assert_eq!(bench.machine_of(100)["primary_ip4"]["id"], outside);
}

/// What an operator says of an address may stand in a custom field alone.
#[tokio::test]
async fn address_with_a_value_of_a_custom_field_is_released_and_never_deleted() {
    let bench = with_interfaces().await;
    tell(&bench, 100, &["10.99.0.7/24"]);
    again(&bench).await;
    let row = address(&bench, "10.99.0.7").unwrap()["id"].clone();
    let words = json!({"custom_fields": {"firewall_zone": "dmz"}});
    bench.netbox.change(ADDRESSES, row.as_u64().unwrap(), &words).unwrap();
    tell(&bench, 100, &["10.99.0.8/24"]);
    let report = again(&bench).await;
    let counts = report.counts();
    assert_eq!((counts.deleted, counts.failed), (0, 0), "{}", warnings(&report));
    let kept = address(&bench, "10.99.0.7").unwrap();
    assert_eq!((&kept["id"], &kept["custom_fields"]), (&row, &words["custom_fields"]));
    assert_eq!(kept["assigned_object_id"], Value::Null);
    assert_eq!(hosts(&bench, 100, "net0"), ["10.99.0.8/24"]);
}

/// Tenants may have the same networks.
#[tokio::test]
async fn address_that_an_operator_put_into_a_vrf_goes_back_to_its_guest_and_to_no_other() {
    let bench = with_interfaces().await;
    tell(&bench, 100, &["10.99.0.7/24"]);
    again(&bench).await;
    let row = address(&bench, "10.99.0.7").unwrap()["id"].clone();
    let vrf = bench.netbox.seed("ipam/vrfs", &json!({"name": "T1"})).unwrap();
    let id = row.as_u64().unwrap();
    bench.netbox.change(ADDRESSES, id, &json!({"vrf": vrf})).unwrap();
    tell(&bench, 100, &["10.99.0.8/24"]);
    tell(&bench, 101, &["10.99.0.7/24"]);
    for _ in 0..2 {
        let report = again(&bench).await;
        assert_eq!(report.counts().failed, 0, "{}", warnings(&report));
    }
    let rows = bench.netbox.rows(ADDRESSES).into_iter();
    let mut rows = rows.filter(|row| row["address"] == "10.99.0.7/24");
    let (first, second) = (rows.next().unwrap(), rows.next().unwrap());
    assert_eq!((&first["id"], &first["assigned_object_id"]), (&row, &Value::Null));
    let other = bench.interface_of(101, "net0")["id"].clone();
    assert_eq!((&second["vrf"], &second["assigned_object_id"]), (&Value::Null, &other));
    tell(&bench, 101, &["10.99.0.9/24"]);
    again(&bench).await;
    tell(&bench, 100, &["10.99.0.7/24"]);
    again(&bench).await;
    let back = address(&bench, "10.99.0.7").unwrap();
    let own = bench.interface_of(100, "net0")["id"].clone();
    assert_eq!((&back["id"], &back["assigned_object_id"]), (&row, &own));
}

#[tokio::test]
async fn link_goes_with_what_its_guest_tells_no_more_although_the_address_is_another_clusters() {
    let bench = with_interfaces().await;
    tell(&bench, 100, &["10.99.0.7/24", "10.99.0.8/24"]);
    again(&bench).await;
    let seed = |path: &str, row: Value| bench.netbox.seed(path, &row).unwrap();
    let kind = bench.netbox.rows("virtualization/cluster-types")[0]["id"].clone();
    let cluster = seed("virtualization/clusters", json!({"name": "beta", "type": kind}));
    let machine = seed(MACHINES, json!({"name": "there", "cluster": cluster}));
    let interface = seed(INTERFACES, json!({"name": "net0", "virtual_machine": machine}));
    let moved = address(&bench, "10.99.0.8").unwrap()["id"].as_u64().unwrap();
    let edit = json!({"assigned_object_id": interface});
    bench.netbox.change(ADDRESSES, moved, &edit).unwrap();
    tell(&bench, 100, &["10.99.0.7/24"]);
    let report = again(&bench).await;
    assert_eq!(report.counts().failed, 0, "{}", warnings(&report));
    assert_eq!(linked(&bench, 100), ["10.99.0.7/24"]);
    assert_eq!(address(&bench, "10.99.0.8").unwrap()["assigned_object_id"], interface);
    again(&bench).await;
    assert_eq!(bench.take_writes(), Vec::<String>::new());
}

/// The agent of a guest is silent for a while, or the guest is stopped.
#[tokio::test]
async fn interface_that_an_agent_has_named_is_not_made_again_while_that_is_silent() {
    let bench = Bench::start().await;
    bench.stage(Stage::VirtualMachines).await;
    tell(&bench, 100, &["10.99.0.7/24"]);
    let request = asked(&[("vm_interface_sync_strategy", "legacy_rename")]);
    let stages = [Stage::VmInterfaces, Stage::VmIpAddresses];
    for is_silent in [false, true] {
        if is_silent {
            bench.proxmox.world().change(|world| {
                let guest = world.guest(100).unwrap();
                guest.agent = Agent::NotRunning;
            });
        }
        bench.forget();
        bench.take_writes();
        for stage in stages {
            let report = bench.stage_with(stage, request.clone()).await;
            assert_eq!(report.counts().failed, 0, "{}", warnings(&report));
        }
        assert_eq!(hosts(&bench, 100, "ens18"), ["10.99.0.7/24"]);
        assert_eq!(bench.take_writes().is_empty(), is_silent);
    }
}

/// Who has an address is asked for a warning alone.
#[tokio::test]
async fn holder_that_cannot_be_read_is_not_named_and_the_rest_is_written() {
    let mut bench = with_interfaces().await;
    tell(&bench, 100, &["10.99.0.7/24", "10.99.0.8/24"]);
    let other = json!({"name": "by-hand", "cluster": bench.machine_of(100)["cluster"]["id"]});
    let other = bench.netbox.seed(MACHINES, &other).unwrap();
    let interface = json!({"virtual_machine": other, "name": "eth9"});
    let interface = bench.netbox.seed(INTERFACES, &interface).unwrap();
    let taken = json!({
        "address": "10.99.0.8/24", "assigned_object_type": "virtualization.vminterface", "assigned_object_id": interface
    });
    bench.netbox.seed(ADDRESSES, &taken).unwrap();
    let dry = SyncRequest {
        dry_run: true,
        ..SyncRequest::default()
    };
    bench.forget();
    bench.netbox.clear_requests();
    bench.stage_with(Stage::VmIpAddresses, dry).await;
    let asked = bench.netbox.requests().into_iter();
    let reads = asked.filter(|request| request.path.ends_with("/ip-addresses/"));
    let is_of_holders = |query: &str| query.contains("assigned_object") && !query.contains("assigned_object_type");
    let before = reads.take_while(|read| !is_of_holders(&read.query)).count();
    bench.restart(true);
    let failing = FaultRule::on(ADDRESSES, Fault::Status(500)).method("GET");
    bench
        .netbox
        .faults()
        .add(failing.only(u32::try_from(before + 1).unwrap()));
    let report = again(&bench).await;
    let warnings = warnings(&report);
    assert!(
        warnings.contains("address 10.99.0.8 of") && warnings.contains("it belongs to another object"),
        "{warnings}"
    );
    assert!(
        warnings.contains("who has addresses that guests should have could not be read"),
        "{warnings}"
    );
    assert_eq!(hosts(&bench, 100, "net0"), ["10.99.0.7/24"]);
}

/// The links are gone by then.
#[tokio::test]
async fn primary_address_that_cannot_be_taken_from_its_machine_stays_and_the_rest_is_written() {
    let mut bench = with_interfaces().await;
    tell(&bench, 100, &["10.99.0.7/24", "10.99.0.9/24"]);
    again(&bench).await;
    let row = address(&bench, "10.99.0.7").unwrap()["id"].as_u64().unwrap();
    let words = json!({"description": "reserved"});
    bench.netbox.change(ADDRESSES, row, &words).unwrap();
    tell(&bench, 100, &["10.99.0.8/24"]);
    bench.restart(true);
    // The virtual machines are read by the stage before; here those whose primary address is to be cleared come first.
    bench.stage(Stage::VirtualMachines).await;
    let failing = FaultRule::on(MACHINES, Fault::Status(403)).method("GET");
    bench.netbox.faults().add(failing);
    let report = bench.stage(Stage::VmIpAddresses).await;
    let warnings = warnings(&report);
    let told = "primary addresses that guests have no more were left as they are";
    assert!(warnings.contains(told), "{warnings}");
    assert_eq!(hosts(&bench, 100, "net0"), ["10.99.0.7/24", "10.99.0.8/24"]);
    assert_eq!(address(&bench, "10.99.0.9"), None);
    bench.netbox.faults().clear();
    again(&bench).await;
    assert_eq!(hosts(&bench, 100, "net0"), ["10.99.0.8/24"]);
    assert_eq!(address(&bench, "10.99.0.7").unwrap()["description"], "reserved");
}

#[tokio::test]
async fn machine_whose_size_is_not_that_of_its_disks_gets_its_primary_address_all_the_same() {
    let bench = with_interfaces().await;
    bench.stage(Stage::VirtualDisks).await;
    tell(&bench, 100, &["10.99.0.7/24"]);
    let machine = bench.machine_of(100);
    bench.netbox.force(MACHINES, machine["id"].as_u64().unwrap(), "disk", 5);
    let report = again(&bench).await;
    assert_eq!(report.counts().failed, 0, "{}", warnings(&report));
    assert_eq!(warnings(&report), "");
    let written = bench.machine_of(100);
    assert_eq!(written["primary_ip4"]["address"], "10.99.0.7/24");
    assert_eq!(written["disk"], machine["disk"]);
}

/// Another row of NetBox needs it, such as that of an endpoint whose address it is.
#[tokio::test]
async fn address_that_netbox_protects_is_released_and_becomes_the_next_guests() {
    let bench = with_interfaces().await;
    tell(&bench, 100, &["10.99.0.7/24"]);
    again(&bench).await;
    let row = address(&bench, "10.99.0.7").unwrap()["id"].clone();
    let endpoint = json!({"name": "other", "mode": "cluster", "port": 9, "ip_address": row});
    bench
        .netbox
        .seed("plugins/proxbox/endpoints/proxmox", &endpoint)
        .unwrap();
    tell(&bench, 100, &["10.99.0.8/24"]);
    tell(&bench, 101, &["10.99.0.7/24"]);
    let report = again(&bench).await;
    assert_eq!(report.counts().failed, 0, "{}", warnings(&report));
    assert_eq!(hosts(&bench, 100, "net0"), ["10.99.0.8/24"]);
    assert_eq!(hosts(&bench, 101, "net0"), ["10.99.0.7/24"]);
    assert_eq!(bench.machine_of(100)["primary_ip4"]["address"], "10.99.0.8/24");
    assert_eq!(bench.machine_of(101)["primary_ip4"]["id"], row);
    again(&bench).await;
    assert_eq!(bench.take_writes(), Vec::<String>::new());
    // Without a next guest it is nobody's.
    tell(&bench, 101, &["10.99.0.9/24"]);
    let report = again(&bench).await;
    assert_eq!(report.counts().failed, 0, "{}", warnings(&report));
    assert_eq!(address(&bench, "10.99.0.7").unwrap()["assigned_object_id"], Value::Null);
    again(&bench).await;
    assert_eq!(bench.take_writes(), Vec::<String>::new());
}

/// That a machine has none may be what an operator wants.
#[tokio::test]
async fn primary_address_is_chosen_with_the_address_alone_where_rows_are_not_kept_in_step() {
    let bench = with_interfaces().await;
    tell(&bench, 100, &["10.99.0.7/24"]);
    let request = asked(&[("sync_mode_ip_address", "bootstrap_only")]);
    bench.forget();
    bench.stage_with(Stage::VmIpAddresses, request.clone()).await;
    let machine = bench.machine_of(100);
    assert_eq!(machine["primary_ip4"]["address"], "10.99.0.7/24");
    let id = machine["id"].as_u64().unwrap();
    bench
        .netbox
        .change(MACHINES, id, &json!({"primary_ip4": null}))
        .unwrap();
    bench.forget();
    bench.take_writes();
    bench.stage_with(Stage::VmIpAddresses, request).await;
    assert_eq!(bench.take_writes(), Vec::<String>::new());
    assert_eq!(bench.machine_of(100)["primary_ip4"], Value::Null);
}
