//! Plans of guests' addresses: those of the two guests of the interfaces' tests.

use serde_json::{Value, json};

use super::*;
use crate::error::ErrorKind;
use crate::inventory::{AgentAnswer, Collected, Container, Gap, GuestAgent, Vmid};
use crate::netbox::objects::{PROXBOX_TAG, VirtualMachine};
use crate::reconcile::{Plan, Resource};
use crate::stages::address_owners::unknown_hosts;
use crate::stages::guest_interfaces::GuestInterfaces;
use crate::stages::stale_addresses::{ReleasedPrimaries, StaleAddresses, StaleLinks, find_stale};
use crate::stages::tests::{changes, plan, plan_against};
use crate::stages::vm_interfaces::tests::{PROXY, SHOP, configure, interfaces, make, tell, world};

const NET0: u64 = 900;
const NET1: u64 = 901;
const ETH0: u64 = 902;

/// Facts of the two guests whose interfaces are in NetBox; none of their addresses is.
fn bare() -> Facts {
    world().0
}

/// Facts of the two guests whose addresses are in NetBox as they should be.
fn full() -> Facts {
    let mut facts = bare();
    let mut addresses = make::<Addresses>(&mut facts, 2000);
    for stored in &mut addresses {
        stored.object.dns_name.get_or_insert_default();
    }
    facts.known.network.addresses = addresses;
    facts.known.network.guest_addresses = make::<Links>(&mut facts, 3000);
    for (id, object) in lacking(&facts) {
        let machine = machine(&mut facts, id);
        let [ip4, ip6] = [object.ip4, object.ip6].map(|first| first.value().copied());
        (machine.primary_ip4, machine.primary_ip6) = (ip4, ip6);
    }
    facts
}

fn machine(facts: &mut Facts, id: ObjectId) -> &mut VirtualMachine {
    let mut machines = facts.known.machines.iter_mut();
    &mut machines.find(|stored| stored.id == id).unwrap().object
}

fn row<'a>(facts: &'a mut Facts, host: &str) -> &'a mut Stored<IpAddress> {
    let host: IpAddr = host.parse().unwrap();
    let mut rows = facts.known.network.addresses.iter_mut();
    rows.find(|stored| stored.object.host == host).unwrap()
}

fn add<'a>(facts: &'a mut Facts, id: u64, host: &str, prefix: u8, assigned: Option<Assignment>) -> &'a mut IpAddress {
    let object = IpAddress {
        host: host.parse().unwrap(),
        prefix: Some(prefix),
        assigned,
        vrf: None,
        status: Some("active".to_owned()),
        dns_name: Some(String::new()),
        tags: [PROXBOX_TAG.to_owned()].into(),
        outside: BTreeSet::new(),
        is_annotated: false,
    };
    let rows = &mut facts.known.network.addresses;
    rows.push(Stored {
        id: ObjectId(id),
        object,
    });
    &mut rows.last_mut().unwrap().object
}

fn on(interface: u64) -> Assignment {
    Assignment::VmInterface(ObjectId(interface))
}

/// What the agent of guest 101 tells of its first interface, the second one being as ever.
fn tell_first(facts: &mut Facts, addresses: &[&str]) {
    let first = ("ens18", "bc:24:11:aa:00:01", addresses);
    let second: (_, _, &[&str]) = ("ens19", "bc:24:11:aa:00:02", &["10.30.0.11/24"]);
    tell(facts, 101, Some("shop-db-1"), &[first, second]);
}

fn created(plan: &Plan) -> Vec<String> {
    let text = |fields: &crate::reconcile::Fields| {
        let text = |name: &str| fields.get(name).map(ToString::to_string).unwrap_or_default();
        format!("{} {}", text("address").replace('"', ""), text("assigned_object_id"))
    };
    plan.create.iter().map(|row| text(&row.fields)).collect()
}

/// Finds what has to go, and returns the hosts and how many links.
fn stale(facts: &mut Facts) -> (Vec<String>, usize) {
    let (addresses, links) = find_stale(facts);
    facts.known.network.stale_addresses = addresses;
    facts.known.network.stale_links = links;
    let gone = plan::<StaleAddresses>(facts).delete;
    let links = plan::<StaleLinks>(facts).delete.len();
    (gone.into_iter().map(|row| row.label).collect(), links)
}

#[test]
fn converged_addresses_plan_nothing() {
    let mut facts = full();
    assert_eq!(stale(&mut facts), (Vec::new(), 0));
    for (is_empty, plan) in [
        (
            plan::<Addresses>(&facts).is_empty(),
            format!("{:#?}", plan::<Addresses>(&facts)),
        ),
        (
            plan::<Links>(&facts).is_empty(),
            format!("{:#?}", plan::<Links>(&facts)),
        ),
        (plan::<GuestInterfaces>(&facts).is_empty(), String::new()),
    ] {
        assert!(is_empty, "{plan}");
    }
    assert!(lacking(&facts).is_empty() && unknown_hosts(&facts).is_empty());
    assert_eq!(claims(&facts).left_out, 1, "the link-local one");
}

#[test]
fn new_guests_get_their_addresses_links_and_primaries() {
    let mut facts = bare();
    let plan_of_addresses = plan::<Addresses>(&facts);
    assert_eq!(
        created(&plan_of_addresses),
        [
            "10.20.0.11/24 900",
            "10.20.0.12/24 900",
            "10.20.0.30/24 902",
            "10.30.0.11/24 901",
            "fd00:20::11/64 900",
            "fd00:20::30/64 902",
        ]
    );
    let expected = json!({
        "address": "10.20.0.11/24", "assigned_object_type": "virtualization.vminterface", "assigned_object_id": 900,
        "status": "active", "dns_name": "shop-db-1", "tags": ["proxbox"]
    });
    assert_eq!(json!(plan_of_addresses.create[0].fields), expected);
    assert_eq!(
        plan_of_addresses.create[2].fields["dns_name"],
        json!("proxy1.example.net")
    );
    facts.known.network.addresses = make::<Addresses>(&mut facts, 2000);
    let links = plan::<Links>(&facts).create;
    let told: Vec<_> = links.iter().map(|row| row.label.as_str()).collect();
    assert_eq!(
        told,
        [
            "shop-db-1/ens18 10.20.0.11",
            "shop-db-1/ens18 10.20.0.12",
            "shop-db-1/ens18 fd00:20::11",
            "shop-db-1/ens19 10.30.0.11",
        ]
    );
    let links: Vec<Value> = links.iter().map(|row| json!(row.fields)).collect();
    let link = |row: u64, address: u64| json!({"guest_interface": row, "ip_address": address});
    assert_eq!(
        links,
        [link(801, 2000), link(801, 2001), link(801, 2004), link(802, 2003)],
        "ens18 and ens19"
    );
    let lacking: Vec<Value> = lacking(&facts).values().map(|row| json!(row.fields())).collect();
    assert_eq!(
        lacking,
        [
            json!({"primary_ip4": 2000, "primary_ip6": 2004}),
            json!({"primary_ip4": 2002, "primary_ip6": 2005}),
        ]
    );
}

#[test]
fn one_difference_plans_just_that() {
    type Edit = fn(&mut IpAddress);
    let cases: [(Edit, Value, Flag); 3] = [
        (
            |row| row.status = Some("reserved".to_owned()),
            json!({"status": "active"}),
            Flag::IpStatus,
        ),
        (
            |row| row.dns_name = Some("mine.example".to_owned()),
            json!({"dns_name": "shop-db-1"}),
            Flag::IpDnsName,
        ),
        (
            |row| row.tags = ["gold".to_owned()].into(),
            json!({"tags": ["gold", "proxbox"]}),
            Flag::IpTags,
        ),
    ];
    for (edit, expected, flag) in cases {
        let mut facts = full();
        edit(&mut row(&mut facts, "10.20.0.11").object);
        assert_eq!(changes(&plan::<Addresses>(&facts)), json!({"2000": expected}));
        facts.options.overwrite.set(flag, false);
        assert!(plan::<Addresses>(&facts).is_empty(), "{flag:?}");
    }
}

#[test]
fn name_that_could_not_be_learned_leaves_the_old_one() {
    let mut facts = full();
    let told: (_, _, &[&str]) = ("ens18", "bc:24:11:aa:00:01", &["10.20.0.11/24"]);
    tell(&mut facts, 101, None, &[told]);
    assert!(plan::<Addresses>(&facts).is_empty());
}

#[test]
fn address_that_nobody_has_is_adopted_with_its_mask() {
    let mut facts = bare();
    add(&mut facts, 50, "10.20.0.11", 32, None).tags.clear();
    let first = plan::<Addresses>(&facts);
    let expected = json!({"50": {
        "assigned_object_type": "virtualization.vminterface", "assigned_object_id": 900, "dns_name": "shop-db-1",
        "tags": ["proxbox"]
    }});
    assert_eq!((changes(&first), first.create.len()), (expected, 5));
    let adopted = row(&mut facts, "10.20.0.11");
    adopted.object.assigned = Some(on(NET0));
    adopted.object.dns_name = Some("shop-db-1".to_owned());
    adopted.object.tags.insert(PROXBOX_TAG.to_owned());
    assert!(plan::<Addresses>(&facts).update.is_empty(), "the next run");
    assert_eq!(stale(&mut facts).0, Vec::<String>::new());
}

#[test]
fn address_of_another_table_is_not_in_the_way() {
    let mut facts = bare();
    let operators = add(&mut facts, 50, "10.20.0.11", 24, None);
    operators.vrf = Some(ObjectId(4));
    operators.tags.clear();
    let plan = plan::<Addresses>(&facts);
    assert_eq!((plan.update.len(), plan.create.len()), (0, 6));
}

#[test]
fn own_address_in_another_table_is_kept() {
    let mut facts = full();
    row(&mut facts, "10.20.0.11").object.vrf = Some(ObjectId(4));
    assert!(plan::<Addresses>(&facts).is_empty());
}

#[test]
fn address_taken_within_another_table_keeps_nobody_from_the_global_one() {
    let mut facts = bare();
    add(&mut facts, 50, "10.20.0.11", 24, Some(on(NET1))).vrf = Some(ObjectId(4));
    configure(
        &mut facts,
        202,
        json!({"net0": "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:BB:00:01,ip=10.20.0.11/24"}),
    );
    let estate = estate(&facts, &facts.known.network.addresses);
    assert_eq!(estate.foreign, []);
    let titles = estate
        .met
        .iter()
        .filter(|(claim, _)| claim.address.host.to_string() == "10.20.0.11");
    let titles: Vec<_> = titles.map(|(claim, title)| (claim.machine, *title)).collect();
    assert_eq!(titles, [(SHOP, Title::Taken(ObjectId(50))), (PROXY, Title::New)]);
}

#[test]
fn address_moves_between_interfaces_of_one_virtual_machine() {
    let mut facts = full();
    row(&mut facts, "10.20.0.12").object.assigned = Some(on(NET1));
    let expected = json!({"2001": {"assigned_object_id": 900}});
    assert_eq!(changes(&plan::<Addresses>(&facts)), expected);
    assert_eq!(stale(&mut facts).0, Vec::<String>::new());
}

#[test]
fn address_of_somebody_else_is_left_alone_and_named() {
    for holder in [
        Some(on(7777)),
        Some(Assignment::DeviceInterface(ObjectId(5))),
        Some(on(ETH0)),
    ] {
        let mut facts = full();
        row(&mut facts, "10.20.0.11").object.assigned = holder.clone();
        // The container keeps it, because it should have it too.
        let shared = json!({
            "hostname": "proxy1.example.net",
            "net0": "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:BB:00:01,ip=10.20.0.11/24,tag=120"
        });
        if holder == Some(on(ETH0)) {
            configure(&mut facts, 202, shared);
        }
        let estate = estate(&facts, &facts.known.network.addresses);
        let [foreign] = estate.foreign.as_slice() else {
            panic!("{holder:?}: {:?}", estate.foreign);
        };
        assert_eq!(
            (foreign.label.as_str(), foreign.host.to_string().as_str()),
            ("shop-db-1 net0", "10.20.0.11")
        );
        assert_eq!(foreign.row.is_some(), holder != Some(on(ETH0)));
        let plan = plan::<Addresses>(&facts);
        let is_moved = plan
            .update
            .iter()
            .any(|row| row.changes.contains_key("assigned_object_id"));
        assert!(plan.create.is_empty() && !is_moved, "{plan:#?}");
    }
}

#[test]
fn address_that_several_guests_want_goes_to_the_first() {
    let mut facts = bare();
    configure(
        &mut facts,
        202,
        json!({"net0": "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:BB:00:01,ip=10.20.0.11/24"}),
    );
    let estate = estate(&facts, &[]);
    let rivals: Vec<_> = estate
        .foreign
        .iter()
        .map(|foreign| (foreign.label.as_str(), foreign.rival.as_deref()))
        .collect();
    assert_eq!(rivals, [("proxy1 eth0", Some("shop-db-1 net0"))]);
}

#[test]
fn address_that_is_gone_goes_with_its_link_and_another_becomes_primary() {
    let mut facts = full();
    tell_first(&mut facts, &["10.20.0.99/24", "fd00:20::11/64", "10.20.0.12/24"]);
    assert_eq!(unknown_hosts(&facts), ["10.20.0.99".parse().unwrap()].into());
    assert_eq!(stale(&mut facts), (vec!["10.20.0.11".to_owned()], 1));
    assert_eq!(created(&plan::<Addresses>(&facts)), ["10.20.0.99/24 900"]);
    let key = IpAddress::key_of("10.20.0.99".parse().unwrap(), Some(&on(NET0)));
    facts.ids.learn(IpAddress::PATH, key, ObjectId(2099));
    let lacking = lacking(&facts);
    assert_eq!(
        (lacking.len(), lacking[&SHOP].ip4, lacking[&SHOP].ip6),
        (1, Said::Is(ObjectId(2099)), Said::Nothing)
    );
}

/// Facts in which an address of guest 101 has moved to guest 202.
fn moved() -> Facts {
    let mut facts = full();
    tell_first(&mut facts, &["10.20.0.12/24", "fd00:20::11/64"]);
    configure(
        &mut facts,
        202,
        json!({"net0": "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:BB:00:01,ip=10.20.0.11/24"}),
    );
    facts
}

#[test]
fn address_that_moved_to_another_guest_is_made_there_in_the_same_run() {
    let mut facts = moved();
    let (gone, links) = stale(&mut facts);
    assert_eq!((gone, links), (vec!["10.20.0.11".to_owned()], 1));
    assert_eq!(created(&plan::<Addresses>(&facts)), ["10.20.0.11/24 902"]);
}

#[test]
fn only_our_own_addresses_of_interfaces_that_are_known_go() {
    let mut facts = full();
    add(&mut facts, 51, "10.20.0.51", 24, Some(on(NET0))).tags.clear();
    add(&mut facts, 52, "10.20.0.52", 24, Some(on(7777)));
    add(&mut facts, 53, "10.20.0.53", 24, Some(on(903)));
    add(&mut facts, 54, "10.20.0.54", 24, Some(on(NET0)));
    assert_eq!(stale(&mut facts).0, ["10.20.0.54"]);
}

/// It told more while it ran, and will again: its configuration does not tell what it has no more.
#[test]
fn container_that_is_stopped_gets_what_is_configured_and_loses_nothing() {
    let mut facts = full();
    add(&mut facts, 54, "10.20.0.54", 24, Some(on(ETH0)));
    add(&mut facts, 55, "fd00:20::55", 64, Some(on(ETH0)));
    let net = "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:BB:00:01,ip=10.20.0.31/24,tag=120";
    configure(&mut facts, 202, json!({"net0": net}));
    assert_eq!(stale(&mut facts), (Vec::new(), 0));
    assert_eq!(created(&plan::<Addresses>(&facts)), ["10.20.0.31/24 902"]);
}

#[test]
fn nothing_goes_where_a_guest_could_not_be_asked() {
    let silent = |answer: AgentAnswer| GuestAgent {
        vmid: Vmid(101),
        answer,
        host_name: None,
    };
    let gap = Gap {
        source: "guest agent of qemu/101".to_owned(),
        kind: ErrorKind::Timeout,
        message: "timeout".to_owned(),
    };
    for agents in [
        vec![],
        vec![silent(AgentAnswer::Silence("it does not run".to_owned()))],
        vec![silent(AgentAnswer::Failure(gap))],
        vec![silent(AgentAnswer::Interfaces(interfaces(&[(
            "lo",
            "00:00:00:00:00:00",
            &["127.0.0.1/8"],
        )])))],
    ] {
        let mut facts = full();
        let says_nothing = format!("{agents:?}");
        facts.inventory.guest_agents.fill(Collected {
            items: agents,
            gaps: Vec::new(),
        });
        assert_eq!(stale(&mut facts).0, Vec::<String>::new(), "{says_nothing}");
        assert!(
            plan::<Addresses>(&facts).is_empty() && lacking(&facts).is_empty(),
            "{says_nothing}"
        );
    }
}

#[test]
fn nothing_goes_where_it_is_not_known_whether_a_container_runs() {
    for status in [Some("unknown"), None] {
        let mut facts = full();
        add(&mut facts, 54, "10.20.0.54", 24, Some(on(ETH0)));
        let mut guests = facts.inventory.guests.get().cloned().unwrap();
        guests.items[1].status = status.map(str::to_owned);
        facts.inventory.guests.fill(guests);
        assert_eq!(stale(&mut facts).0, Vec::<String>::new(), "{status:?}");
        assert!(plan::<Addresses>(&facts).is_empty(), "{status:?}");
    }
}

#[test]
fn running_container_tells_all_its_addresses() {
    let mut facts = full();
    add(&mut facts, 54, "10.20.0.54", 24, Some(on(ETH0)));
    let mut guests = facts.inventory.guests.get().cloned().unwrap();
    guests.items[1].status = Some("running".to_owned());
    facts.inventory.guests.fill(guests);
    assert_eq!(
        stale(&mut facts).0,
        Vec::<String>::new(),
        "it was not asked, or did not answer"
    );
    let told = interfaces(&[
        (
            "eth0",
            "bc:24:11:bb:00:01",
            &["10.20.0.30/24", "fd00:20::30/64", "fe80::1/64"],
        ),
        ("eth1", "bc:24:11:bb:00:02", &["10.40.0.7/24"]),
    ]);
    facts.inventory.containers.fill(Collected {
        items: vec![Container {
            vmid: Vmid(202),
            interfaces: told,
        }],
        gaps: Vec::new(),
    });
    assert_eq!(stale(&mut facts).0, ["10.20.0.54"]);
    assert_eq!(created(&plan::<Addresses>(&facts)), ["10.40.0.7/24 903"]);
}

/// Lets the container run and its kernel tell these interfaces.
fn run_container(facts: &mut Facts, told: Vec<GuestInterface>) {
    let mut guests = facts.inventory.guests.get().cloned().unwrap();
    guests.items[1].status = Some("running".to_owned());
    facts.inventory.guests.fill(guests);
    facts.inventory.containers.fill(Collected {
        items: vec![Container {
            vmid: Vmid(202),
            interfaces: told,
        }],
        gaps: Vec::new(),
    });
}

#[test]
fn container_of_which_only_a_part_is_told_has_its_configuration_too_and_loses_nothing() {
    // Its IPv6 address is hidden behind the link-local one.
    let mut told = interfaces(&[("eth0", "bc:24:11:bb:00:01", &["10.20.0.31/24", "fe80::1/64"])]);
    told[0].is_partial = true;
    let mut facts = bare();
    run_container(&mut facts, told.clone());
    let mine = created(&plan::<Addresses>(&facts)).into_iter();
    let mine: Vec<String> = mine.filter(|row| row.ends_with("902")).collect();
    assert_eq!(mine, ["10.20.0.30/24 902", "10.20.0.31/24 902", "fd00:20::30/64 902"]);
    let mut facts = full();
    add(&mut facts, 54, "10.20.0.54", 24, Some(on(ETH0)));
    add(&mut facts, 55, "fd00:20::55", 64, Some(on(ETH0)));
    run_container(&mut facts, told);
    assert_eq!(stale(&mut facts).0, Vec::<String>::new());
    assert_eq!(created(&plan::<Addresses>(&facts)), ["10.20.0.31/24 902"]);
}

#[test]
fn interface_of_which_a_running_container_tells_nothing_has_what_is_configured_and_no_more_of_that_family() {
    let silent: (&str, &str, &[&str]) = ("eth0", "bc:24:11:bb:00:01", &["fe80::1/64"]);
    let other: (&str, &str, &[&str]) = ("eth1", "bc:24:11:bb:00:02", &["10.40.0.7/24"]);
    for told in [vec![silent, other], vec![other]] {
        let mut facts = full();
        let net = "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:BB:00:01,ip=10.20.0.30/24,tag=120";
        let net1 = "name=eth1,bridge=vmbr9,hwaddr=BC:24:11:BB:00:02,ip=dhcp";
        configure(&mut facts, 202, json!({"net0": net, "net1": net1}));
        add(&mut facts, 54, "10.20.0.54", 24, Some(on(ETH0)));
        add(&mut facts, 55, "fd00:20::55", 64, Some(on(ETH0)));
        add(&mut facts, 56, "fd00:40::56", 64, Some(on(903)));
        run_container(&mut facts, interfaces(&told));
        let gone = stale(&mut facts).0;
        assert_eq!(gone, ["10.20.0.54", "fd00:40::56"], "{told:?}");
    }
}

/// Where nothing may go, what should go is in the way of others like anything that stays.
#[test]
fn address_that_moved_to_another_guest_stays_where_nothing_may_go() {
    let gap = Gap {
        source: "cluster".to_owned(),
        kind: ErrorKind::Permission,
        message: "Sys.Audit is missing".to_owned(),
    };
    let mut facts = moved();
    facts.cluster.hidden = Some(gap);
    let (gone, links) = find_stale(&facts);
    assert_eq!(gone, BTreeSet::new(), "{links:?}");
    assert_eq!(created(&plan::<Addresses>(&facts)), [""; 0]);
    let foreign = estate(&facts, &facts.known.network.addresses).foreign;
    assert_eq!((foreign.len(), foreign[0].row), (1, Some(ObjectId(2000))));
    assert!(lacking(&facts).is_empty());
}

/// Whose the row was makes no difference, nor does a mask that the guest has changed.
#[test]
fn row_that_is_there_keeps_its_mask_in_this_run_and_the_next() {
    type Edit = fn(&mut IpAddress);
    let cases: [(&str, Edit); 4] = [
        ("nobody's", |row| {
            row.tags.clear();
            row.assigned = None;
        }),
        ("an operator's", |row| row.tags.clear()),
        ("of another interface", |row| row.assigned = Some(on(NET1))),
        ("ours", |_| {}),
    ];
    for (whose, edit) in cases {
        for prefix in [16, 23, 32] {
            let mut facts = full();
            let stored = row(&mut facts, "10.20.0.11");
            stored.object.prefix = Some(prefix);
            edit(&mut stored.object);
            let first = plan::<Addresses>(&facts);
            assert!(first.create.is_empty(), "{whose} /{prefix}: {first:#?}");
            assert!(
                !changes(&first).to_string().contains("\"address\""),
                "{whose} /{prefix}: {first:#?}"
            );
            let key = IpAddress::key_of("10.20.0.11".parse().unwrap(), Some(&on(NET0)));
            assert_eq!(texts(&facts)[&key], format!("10.20.0.11/{prefix}"), "{whose}");
            let stored = row(&mut facts, "10.20.0.11");
            stored.object.assigned = Some(on(NET0));
            stored.object.tags.insert(PROXBOX_TAG.to_owned());
            assert!(plan::<Addresses>(&facts).is_empty(), "{whose} /{prefix}: the next run");
            assert_eq!(stale(&mut facts).0, Vec::<String>::new(), "{whose} /{prefix}");
        }
    }
}

#[test]
fn primary_address_that_an_operator_chose_stays() {
    let mut facts = full();
    machine(&mut facts, SHOP).primary_ip4 = Some(ObjectId(2003));
    assert!(lacking(&facts).is_empty());
    machine(&mut facts, PROXY).primary_ip4 = None;
    let chosen_meanwhile = Stored {
        id: PROXY,
        object: PrimaryAddresses {
            machine: PROXY,
            name: "proxy1".to_owned(),
            ip4: Said::Is(ObjectId(1)),
            ip6: Said::Empty,
        },
    };
    assert!(!lacking(&facts).is_empty());
    assert!(plan_against::<PrimaryIps>(&facts, &[chosen_meanwhile]).is_empty());
    let mut facts = full();
    machine(&mut facts, SHOP).primary_ip6 = Some(ObjectId(9999));
    assert!(lacking(&facts).is_empty());
    machine(&mut facts, SHOP).primary_ip6 = None;
    let chosen_meanwhile = Stored {
        id: SHOP,
        object: PrimaryAddresses {
            machine: SHOP,
            name: "shop-db-1".to_owned(),
            ip4: Said::Empty,
            ip6: Said::Is(ObjectId(9999)),
        },
    };
    assert!(!lacking(&facts).is_empty());
    assert!(plan_against::<PrimaryIps>(&facts, &[chosen_meanwhile]).is_empty());
}

#[test]
fn only_an_address_that_was_just_made_becomes_primary_where_rows_are_not_kept_in_step() {
    let mut facts = full();
    let first = machine(&mut facts, SHOP).primary_ip4.take().unwrap();
    assert_eq!(lacking(&facts)[&SHOP].ip4, Said::Is(first));
    facts.options.modes.ip_address = Mode::BootstrapOnly;
    assert!(lacking(&facts).is_empty());
    facts.known.network.made_addresses = [first].into();
    assert_eq!(lacking(&facts)[&SHOP].ip4, Said::Is(first));
}

#[test]
fn link_that_holds_no_more_goes_although_its_address_stays() {
    let mut facts = full();
    let elsewhere = GuestVmInterfaceAddress {
        guest_interface: ObjectId(802),
        ip_address: ObjectId(2000),
        host: "10.20.0.11".parse().ok(),
        name: "eth0 10.0.0.1/24".to_owned(),
    };
    let id = ObjectId(3099);
    facts
        .known
        .network
        .guest_addresses
        .push(Stored { id, object: elsewhere });
    assert_eq!(stale(&mut facts), (Vec::new(), 1));
    assert!(facts.known.network.stale_links.contains(&id));
    let rows = &mut facts.known.network.guest_interfaces;
    for row in rows {
        row.object.tags.clear();
    }
    assert_eq!(stale(&mut facts), (Vec::new(), 0), "an operator's row");
}

/// Of other clusters' addresses only those are read that guests should have.
#[test]
fn link_that_holds_no_more_goes_although_its_address_was_not_read() {
    for (host, expected) in [(Some("10.20.0.11"), 0), (Some("10.99.0.7"), 1), (None, 0)] {
        let mut facts = full();
        let id = ObjectId(3099);
        let object = GuestVmInterfaceAddress {
            guest_interface: ObjectId(801),
            ip_address: ObjectId(9999),
            host: host.and_then(|host| host.parse().ok()),
            name: String::new(),
        };
        facts.known.network.guest_addresses.push(Stored { id, object });
        assert_eq!(stale(&mut facts), (Vec::new(), expected), "{host:?}");
    }
}

#[test]
fn address_that_cloud_init_gives_is_none_until_the_guest_tells_it() {
    let mut facts = bare();
    configure(
        &mut facts,
        101,
        json!({
            "net0": "virtio=BC:24:11:AA:00:01,bridge=vmbr0",
            "ipconfig0": "ip=10.77.0.11/24,gw=10.77.0.1,ip6=fd00:77::11/64",
        }),
    );
    let on_shop = |facts: &Facts| -> Vec<String> {
        let claims = claims(facts).claims.into_iter();
        let own = claims.filter(|claim| claim.machine == SHOP);
        own.map(|claim| claim.address.host.to_string()).collect()
    };
    facts.inventory.guest_agents.fill(Collected::default());
    assert_eq!(on_shop(&facts), [""; 0]);
    tell(
        &mut facts,
        101,
        None,
        &[("ens18", "bc:24:11:aa:00:01", &["10.77.0.11/24"])],
    );
    assert_eq!(on_shop(&facts), ["10.77.0.11"]);
}

#[test]
fn interfaces_that_are_not_in_netbox_are_counted_by_virtual_machine() {
    let mut facts = bare();
    facts.ids = crate::netbox::ids::Ids::default();
    let claims = claims(&facts);
    assert!(claims.claims.is_empty());
    let expected = [("proxy1".to_owned(), 2), ("shop-db-1".to_owned(), 2)];
    assert_eq!(claims.missing, expected.into());
}

#[test]
fn preferred_family_comes_first_and_link_local_addresses_come_where_they_are_wanted() {
    let mut facts = bare();
    facts.options.guests.primary_family = Family::V6;
    facts.options.guests.ignore_link_local = false;
    let hosts: Vec<_> = claims(&facts)
        .claims
        .iter()
        .map(|claim| claim.address.host.to_string())
        .collect();
    assert_eq!(
        hosts[..4],
        ["fd00:20::11", "fe80::1", "10.20.0.11", "10.20.0.12"].map(str::to_owned)
    );
}

#[test]
fn existing_rows_are_left_alone_in_bootstrap_only_mode() {
    let mut facts = full();
    facts.options.modes.ip_address = Mode::BootstrapOnly;
    add(&mut facts, 50, "10.20.0.99", 32, None);
    tell_first(&mut facts, &["10.20.0.99/24", "10.20.0.98/24"]);
    row(&mut facts, "10.30.0.11").object.status = Some("reserved".to_owned());
    let plan = plan::<Addresses>(&facts);
    assert_eq!(
        (created(&plan), plan.update.len()),
        (vec!["10.20.0.98/24 900".to_owned()], 0)
    );
    assert_eq!(stale(&mut facts).0, Vec::<String>::new());
}

/// How many rows of each kind the shrink guard takes for the endpoint's.
fn totals(facts: &Facts) -> (usize, usize) {
    let count = |at_hand: Option<Vec<Stored<IpAddress>>>| StaleAddresses::count_ours(facts, &at_hand.unwrap());
    let links = StaleLinks::count_ours(facts, &StaleLinks::at_hand(facts).unwrap());
    (count(StaleAddresses::at_hand(facts)), links)
}

#[test]
fn rows_of_other_endpoints_and_of_operators_are_none_of_the_endpoints() {
    let mut facts = full();
    let own = totals(&facts);
    assert_eq!(own, (6, 4));
    add(&mut facts, 4000, "10.77.0.1", 24, Some(on(999)));
    add(&mut facts, 4001, "10.77.0.2", 24, None);
    add(&mut facts, 4002, "10.20.0.99", 24, Some(on(NET0))).tags.clear();
    let links = &mut facts.known.network.guest_addresses;
    for (id, guest_interface, ip_address) in [(4100, 888, 4000), (4101, 888, 4001)] {
        links.push(Stored {
            id: ObjectId(id),
            object: GuestVmInterfaceAddress {
                guest_interface: ObjectId(guest_interface),
                ip_address: ObjectId(ip_address),
                host: None,
                name: String::new(),
            },
        });
    }
    assert_eq!(totals(&facts), own);
    let states = facts.known.machine_states.iter_mut();
    states.for_each(|stored| stored.object.endpoint_raw_id = Some(2));
    assert_eq!(totals(&facts), (0, 0), "another endpoint's");
}

#[test]
fn addresses_of_a_guest_that_is_left_out_are_left_alone() {
    for (mode, expected) in [
        (Mode::Always, (vec!["10.20.0.98/24 900"], 2, 3)),
        // Addresses have a mode of their own.
        (Mode::BootstrapOnly, (vec!["10.20.0.98/24 900"], 2, 3)),
        (Mode::Disabled, (Vec::new(), 0, 0)),
    ] {
        let mut facts = full();
        facts.options.modes.machine = mode;
        let mut guests = facts.inventory.guests.get().cloned().unwrap();
        guests.items[1].is_template = true;
        facts.inventory.guests.fill(guests);
        add(&mut facts, 50, "10.20.0.99", 32, None);
        tell_first(&mut facts, &["10.20.0.99/24", "10.20.0.98/24"]);
        row(&mut facts, "10.30.0.11").object.status = Some("reserved".to_owned());
        let plan = plan::<Addresses>(&facts);
        let planned = (created(&plan), plan.update.len(), stale(&mut facts).0.len());
        let (made, changed, gone) = expected;
        let expected = (made.into_iter().map(str::to_owned).collect(), changed, gone);
        assert_eq!(planned, expected, "{mode:?}");
    }
}

#[test]
fn addresses_are_linked_only_where_the_row_of_what_the_guest_sees_is_their_interface() {
    let mut facts = full();
    facts.known.network.guest_addresses.clear();
    facts.options.modes.interface = Mode::BootstrapOnly;
    assert_eq!(plan::<Links>(&facts).create.len(), 4);
    let rows = &mut facts.known.network.guest_interfaces;
    let first = rows.iter_mut().find(|row| row.object.name == "ens18").unwrap();
    first.object.vm_interface = None.into();
    assert_eq!(plan::<Links>(&facts).create.len(), 1, "not followed");
    facts.options.modes.interface = Mode::Always;
    assert_eq!(plan::<Links>(&facts).create.len(), 4, "followed by then");
}

#[test]
fn primary_address_that_becomes_nobodys_is_cleared_and_no_virtual_machine_is_retired() {
    let mut facts = full();
    let stored = |id: ObjectId, ip4, ip6| Stored {
        id,
        object: PrimaryAddresses {
            machine: id,
            name: String::new(),
            ip4: Said::Is(ObjectId(ip4)),
            ip6: Said::Is(ObjectId(ip6)),
        },
    };
    let rows = [stored(SHOP, 2000, 2004), stored(PROXY, 2002, 2005)];
    let gone = [2000, 2002, 2005].map(ObjectId);
    for stored in &mut facts.known.network.addresses {
        stored.object.is_annotated = stored.id != gone[1];
    }
    facts.known.network.stale_addresses = gone.into();
    let plan = plan_against::<ReleasedPrimaries>(&facts, &rows);
    let expected = json!({"310": {"primary_ip4": null}, "311": {"primary_ip6": null}});
    assert_eq!((changes(&plan), plan.retirements()), (expected, 0));
}

/// Tenants may have the same networks: in a VRF the host alone does not tell whose a row was.
#[test]
fn row_in_a_vrf_is_taken_again_only_where_it_is_ours_and_was_the_same_guests() {
    type Edit = fn(&mut Facts);
    let cases: [(&str, Edit, usize); 5] = [
        ("the same guest's", |_| {}, 0),
        ("an operator's", |facts| row(facts, "10.99.0.7").object.tags.clear(), 1),
        (
            "one of two",
            |facts| add(facts, 51, "10.99.0.7", 24, None).vrf = Some(ObjectId(6)),
            1,
        ),
        (
            "another guest's",
            |facts| row(facts, "10.99.0.7").object.dns_name = Some("app-2".to_owned()),
            1,
        ),
        (
            "nobody knows whose",
            |facts| row(facts, "10.99.0.7").object.dns_name = Some(String::new()),
            1,
        ),
    ];
    for (whose, edit, expected) in cases {
        let mut facts = full();
        tell_first(
            &mut facts,
            &["10.20.0.11/24", "10.20.0.12/24", "fd00:20::11/64", "10.99.0.7/24"],
        );
        let released = add(&mut facts, 50, "10.99.0.7", 24, None);
        released.vrf = Some(ObjectId(5));
        released.dns_name = Some("shop-db-1".to_owned());
        edit(&mut facts);
        let plan = plan::<Addresses>(&facts);
        assert_eq!(
            (plan.create.len(), plan.update.len()),
            (expected, 1 - expected),
            "{whose}"
        );
    }
}

/// A guest of which no name is known has no name in common with another one of that kind.
#[test]
fn row_in_a_vrf_without_a_name_is_not_taken_by_a_guest_without_one() {
    let mut facts = full();
    let told: (_, _, &[&str]) = ("ens18", "bc:24:11:aa:00:01", &["10.99.0.7/24"]);
    tell(&mut facts, 101, None, &[told]);
    add(&mut facts, 50, "10.99.0.7", 24, None).vrf = Some(ObjectId(5));
    assert_eq!(created(&plan::<Addresses>(&facts)), ["10.99.0.7/24 900"]);
}

/// NetBox lets a virtual machine have the outside of a translated address only while it has the inside.
#[test]
fn inside_of_a_primary_address_stays_and_is_in_the_way_of_others() {
    for (primary, expected) in [(70, vec![]), (71, vec![ObjectId(2000)])] {
        let mut facts = moved();
        row(&mut facts, "10.20.0.11").object.outside = [ObjectId(70)].into();
        machine(&mut facts, SHOP).primary_ip4 = Some(ObjectId(primary));
        let estate = estate(&facts, &facts.known.network.addresses);
        let gone = estate.stale.into_iter().filter(|id| *id == ObjectId(2000));
        assert_eq!(gone.collect::<Vec<_>>(), expected, "{primary}");
        assert_eq!(estate.foreign.is_empty(), primary == 71);
    }
}
