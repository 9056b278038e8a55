//! What a fresh NetBox with the plugin holds.

use serde_json::{Value, json};

use super::access::{self, Account};
use super::faults::RowFaults;
use super::refusal::Refusal;
use super::world::World;
use super::write::Write;

/// The rows of the plugin's migrations, its settings page, and the users of the tokens.
///
/// # Errors
///
/// Where the schema refuses one of them.
pub(super) fn plant(world: &mut World, accounts: &[Account]) -> Result<(), Refusal> {
    let role =
        |name: &str, slug: &str, color: &str| json!({"name": name, "slug": slug, "color": color, "vm_role": true});
    let field = |name: &str, label: &str| json!({"name": name, "label": label, "type": "text", "object_types": ["virtualization.virtualmachine"]});
    let token = |number: usize| json!({"version": 1, "key": format!("token-{number}"), "enabled": true, "write_enabled": true, "user": 1});
    let mut rows: Vec<(&str, Value)> = vec![
        (
            "dcim/device-roles",
            role("Virtual Machine (QEMU)", "virtual-machine-qemu", "9c27b0"),
        ),
        ("dcim/device-roles", role("Container (LXC)", "container-lxc", "00bcd4")),
        ("extras/custom-fields", field("proxmox_node", "Proxmox target node")),
        ("extras/custom-fields", field("proxmox_storage", "Proxmox storage pool")),
        ("plugins/proxbox/settings", json!({})),
        ("users/users", access::user_row("admin")),
    ];
    if accounts.iter().any(|account| account.rights.is_some()) {
        rows.push(("users/users", access::user_row("sync")));
    }
    rows.extend((1..=accounts.len()).map(|number| ("users/tokens", token(number))));
    for (path, row) in rows {
        create(world, path, &row)?;
    }
    Ok(())
}

/// Adds one row, as an operator would.
///
/// # Errors
///
/// Why NetBox would refuse it; nothing is stored then.
pub(super) fn create(world: &mut World, path: &str, row: &Value) -> Result<u64, Refusal> {
    decided(world, path, |mut write| write.create(row))
}

/// Changes one row, as an operator would.
///
/// # Errors
///
/// Why NetBox would refuse it; nothing is stored then.
pub(super) fn change(world: &mut World, path: &str, id: u64, row: &Value) -> Result<(), Refusal> {
    decided(world, path, |mut write| write.update(id, row, true))
}

/// Deletes one row, as an operator would.
///
/// # Errors
///
/// Why NetBox would refuse it; nothing is deleted then.
pub(super) fn remove(world: &mut World, path: &str, id: u64) -> Result<(), Refusal> {
    decided(world, path, |write| {
        super::delete::delete(write.world, write.collection, id)
    })
}

fn decided<T>(world: &mut World, path: &str, act: impl FnOnce(Write<'_>) -> Result<T, Refusal>) -> Result<T, Refusal> {
    let Some(collection) = world.schema.at(path).map(|collection| collection.id) else {
        return Err(Refusal::Whole(
            404,
            json!({"detail": format!("no collection at {path}")}),
        ));
    };
    let outcome = act(Write {
        world,
        collection,
        base: "",
        faults: &RowFaults::default(),
    });
    match outcome {
        Ok(_) => world.commit(),
        Err(_) => world.roll_back(),
    }
    outcome
}
