//! Tags of guests in a NetBox that others use too.

use proxbox_api::netbox::standin::StandinOptions;
use proxbox_api::proxmox::mock::world::GuestKind;
use proxbox_api::proxmox::mock::{Guest, Node, World};
use proxbox_api::reconcile::ObjectId;
use proxbox_api::stages::Stage;
use serde_json::{Value, json};

use crate::clusters::{Estate, alpha, beta};
use crate::harness::{Bench, MACHINES, tags, warnings};

const TAGS: &str = "extras/tags";
/// The colour of the tag `prod` where no style says one.
const PLAIN: &str = "d6e4a9";

/// Its guests bear the tag `prod`, which its style gives these colours.
fn tagged(mut world: World, color_map: &str) -> World {
    for guest in world.guests.values_mut() {
        guest.config.set("tags", "prod");
    }
    paint(&mut world, color_map);
    world
}

fn paint(world: &mut World, color_map: &str) {
    let style = json!({"color-map": color_map, "shape": "full"});
    world.options.insert("tag-style".to_owned(), style);
}

fn color(rows: &[Value]) -> &str {
    let prod = rows.iter().find(|row| row["slug"] == "prod");
    prod.unwrap()["color"].as_str().unwrap()
}

#[tokio::test]
async fn clusters_that_give_one_tag_different_colours_do_not_take_turns() {
    for (of_alpha, of_beta, order, expected) in [
        ("prod:ff0000", "", [0, 1], "ff0000"),
        ("prod:ff0000", "", [1, 0], "ff0000"),
        ("prod:ff0000", "prod:00ff00", [0, 1], "ff0000"),
        ("prod:ff0000", "prod:00ff00", [1, 0], "00ff00"),
        ("", "", [0, 1], PLAIN),
    ] {
        let estate = Estate::start(vec![tagged(alpha(), of_alpha), tagged(beta(), of_beta)]).await;
        for index in order {
            estate.run_for(index, Stage::VirtualMachines).await;
        }
        let case = format!("{of_alpha:?}, {of_beta:?}, {order:?}");
        assert_eq!(color(&estate.netbox.rows(TAGS)), expected, "{case}");
        estate.netbox.clear_requests();
        for index in [0, 1, 0] {
            estate.run_for(index, Stage::VirtualMachines).await;
        }
        estate.run(Stage::VirtualMachines).await;
        assert_eq!(estate.netbox.writes(), [], "{case}");
    }
}

#[tokio::test]
async fn colour_follows_the_style_of_the_one_cluster_that_has_the_tag() {
    let world = tagged(World::estate(2, 6), "prod:ff0000");
    let bench = Bench::with(world, StandinOptions::default()).await;
    for (color_map, expected) in [("prod:ff0000", "ff0000"), ("prod:00ff00", "00ff00"), ("", PLAIN)] {
        bench.proxmox.world().change(|world| paint(world, color_map));
        bench.forget();
        bench.stage(Stage::VirtualMachines).await;
        assert_eq!(color(&bench.netbox.rows(TAGS)), expected, "{color_map}");
    }
}

#[tokio::test]
async fn run_over_one_of_two_names_with_one_slug_leaves_the_colour() {
    let mut world = World::bare(vec![Node::new("pve1", 1, "10.0.0.1")]);
    for (vmid, tag) in [(100, "a.b"), (101, "a-b")] {
        let mut guest = Guest::new(GuestKind::Qemu, vmid, &format!("vm{vmid}"), "pve1");
        guest.config.set("tags", tag);
        world.add_guest(guest);
    }
    let mut estate = Estate::start(vec![world]).await;
    estate.run(Stage::VirtualMachines).await;
    for vmid in [101, 100] {
        let machine = ObjectId(estate.machine(vmid));
        estate.request.options.guests.only = Some([machine].into());
        assert_eq!(estate.writes(Stage::VirtualMachines).await, [], "{vmid}");
    }
}

#[tokio::test]
async fn tag_that_virtual_machines_may_not_bear_costs_no_guest() {
    let bench = Bench::with(tagged(World::estate(2, 6), ""), StandinOptions::default()).await;
    for slug in ["prod", "proxbox-discovered-qemu"] {
        let tag = json!({"name": slug, "slug": slug, "object_types": ["dcim.device"]});
        bench.netbox.seed(TAGS, &tag).unwrap();
    }
    let report = bench.stage(Stage::VirtualMachines).await;
    assert_eq!(
        (report.counts().failed, bench.netbox.count(MACHINES)),
        (0, 6),
        "{}",
        warnings(&report)
    );
    for slug in ["\"prod\"", "\"proxbox-discovered-qemu\""] {
        assert_eq!(warnings(&report).matches(slug).count(), 1, "{}", warnings(&report));
    }
    let machines = bench.netbox.rows(MACHINES);
    assert!(machines.iter().all(|row| !tags(row).contains(&"prod")), "{machines:#?}");
    bench.take_writes();
    bench.forget();
    bench.stage(Stage::VirtualMachines).await;
    assert_eq!(bench.take_writes(), Vec::<String>::new());
}
