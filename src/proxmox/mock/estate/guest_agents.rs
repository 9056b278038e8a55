//! What the guest agents of an estate see inside their machines.

use super::super::world::{Agent, AgentInterface, Guest};
use super::virtual_machines::address;

/// The agent of machine `number`: six of ten have one, and one in each twenty misbehaves in some way.
pub(super) fn of_machine(guest: &Guest, number: u32) -> Agent {
    if guest.template {
        return Agent::Absent;
    }
    match number % 20 {
        0 => Agent::Interfaces(busy_server(guest)),
        2 => Agent::NotRunning,
        8 => Agent::Interfaces(windows(guest)),
        11 => Agent::Interfaces(aliases(guest)),
        18 if number > 20 => Agent::Disabled,
        4 if number == 44 => Agent::Interfaces(many_interfaces(guest)),
        1 | 4 | 5 | 7 | 10 | 12 | 15 | 17 => Agent::Plain,
        _ => Agent::Absent,
    }
}

/// What an agent sees when nothing else is said: the loopback and one `ens18`… per `netN`.
pub(in crate::proxmox::mock) fn plain(guest: &Guest) -> Vec<AgentInterface> {
    let mut interfaces = vec![loopback()];
    for index in 0..8_u32 {
        let Some(mac) = guest.mac(usize::try_from(index).unwrap_or(0)) else {
            break;
        };
        interfaces.push(ethernet(guest.vmid, index, mac));
    }
    interfaces
}

fn loopback() -> AgentInterface {
    AgentInterface::new("lo", "00:00:00:00:00:00", &["127.0.0.1/8", "::1/128"])
}

fn ethernet(vmid: u32, index: u32, mac: &str) -> AgentInterface {
    let (high, low) = address(vmid);
    let name = format!("ens{}", 18 + index);
    AgentInterface::new(
        &name,
        &mac.to_lowercase(),
        &[
            &format!("10.{}.{high}.{low}/16", 50 + index),
            &format!("fd00:{}::{vmid:x}/64", 50 + index),
            &format!("fe80::be24:11ff:fe{index:02x}:{vmid:x}/64"),
        ],
    )
}

/// Containers inside: docker bridges, pairs without address, a tunnel.
fn busy_server(guest: &Guest) -> Vec<AgentInterface> {
    let mut interfaces = plain(guest);
    interfaces.push(AgentInterface::new("docker0", "02:42:5f:1e:2a:3b", &["172.17.0.1/16"]));
    interfaces.push(AgentInterface::new(
        "br-1f2e3d4c5b6a",
        "02:42:aa:bb:cc:dd",
        &["172.18.0.1/16"],
    ));
    interfaces.push(AgentInterface {
        addresses: None,
        ..AgentInterface::new("veth1f2e3d4", "9a:bc:de:f0:12:34", &[])
    });
    interfaces.push(AgentInterface::new("wg0", "", &["10.99.0.2/32"]));
    interfaces
}

/// Alias names that share the hardware address of their parent and alone carry IPv4 addresses.
fn aliases(guest: &Guest) -> Vec<AgentInterface> {
    let (high, low) = address(guest.vmid);
    let mac = guest.mac(0).unwrap_or_default().to_lowercase();
    let mut interfaces = plain(guest);
    for alias in 1..4 {
        let address = format!("10.6{alias}.{high}.{low}/22");
        interfaces.push(AgentInterface::new(&format!("ens18:{alias}"), &mac, &[&address]));
    }
    interfaces.push(AgentInterface {
        addresses: None,
        ..AgentInterface::new("vrrp.1", "00:00:5e:00:01:01", &[])
    });
    interfaces
}

/// Names with blanks, prefix -1, a zone index, no hardware address on the loopback.
fn windows(guest: &Guest) -> Vec<AgentInterface> {
    let (high, low) = address(guest.vmid);
    let mac = guest.mac(0).unwrap_or_default().to_lowercase();
    let link_local = format!("fe80::b51b:d3df:15df:{:x}%3", guest.vmid);
    vec![
        AgentInterface::new("Ethernet", &mac, &[&link_local, &format!("10.50.{high}.{low}/16")]),
        AgentInterface::new("Loopback Pseudo-Interface 1", "", &["::1", "127.0.0.1"]),
    ]
}

/// A router with more than a hundred interfaces.
fn many_interfaces(guest: &Guest) -> Vec<AgentInterface> {
    let mut interfaces = plain(guest);
    for vlan in 100..212 {
        let mac = format!("bc:24:11:f0:00:{:02x}", vlan - 100);
        interfaces.push(AgentInterface::new(
            &format!("ens18.{vlan}"),
            &mac,
            &[&format!("10.{vlan}.0.1/24")],
        ));
    }
    interfaces
}
