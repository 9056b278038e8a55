//! Configurations of containers.

use super::super::world::Guest;
use super::pick;
use super::virtual_machines::{address, mac};

/// Fills the configuration of container `number`.
pub(super) fn configure(guest: &mut Guest, number: u32) {
    let vmid = guest.vmid;
    let seed = u64::from(vmid);
    let config = &mut guest.config;
    config.set("arch", "amd64");
    config.set(
        "ostype",
        pick(&["debian", "ubuntu", "alpine", "rockylinux"], seed, 60, "debian"),
    );
    config.set("swap", 512);
    config.set("features", "nesting=1");
    if number % 4 != 1 {
        config.set("unprivileged", 1);
    }
    if number % 2 == 1 {
        config.set("onboot", 1);
        config.set("nameserver", "10.10.255.53");
        config.set("searchdomain", "lab.example");
    }
    if number.is_multiple_of(9) {
        config.set("cpulimit", "1.5");
    }
    let storage = if number.is_multiple_of(2) {
        "local-lvm"
    } else {
        "ceph-rbd"
    };
    config.set(
        "rootfs",
        format!(
            "{storage}:vm-{vmid}-disk-0,size={}G",
            pick(&[4_u32, 8, 16, 32], seed, 61, 8)
        ),
    );
    if number.is_multiple_of(3) {
        config.set(
            "mp0",
            format!("{storage}:vm-{vmid}-disk-1,mp=/srv/data,backup=1,size=100G"),
        );
    }
    if number % 10 == 6 {
        config.set("mp1", "/mnt/host,mp=/mnt/x");
        config.set("unused0", format!("{storage}:vm-{vmid}-disk-7"));
    }
    networks(guest, number);
}

fn networks(guest: &mut Guest, number: u32) {
    let vmid = guest.vmid;
    let (high, low) = address(vmid);
    let config = &mut guest.config;
    let tag = if number.is_multiple_of(2) { ",tag=120" } else { "" };
    let net = match number % 4 {
        0 | 3 => format!("ip=10.60.{high}.{low}/16,gw=10.60.255.254,ip6=fd00:60::{vmid:x}/64"),
        1 => "ip=dhcp,ip6=auto".to_owned(),
        _ => format!("ip=10.60.{high}.{low}/32,gw=10.60.255.254,ip6=dhcp"),
    };
    let hwaddr = mac(vmid, 0);
    config.set(
        "net0",
        format!("name=eth0,bridge=vmbr0,firewall=1,hwaddr={hwaddr},{net}{tag},type=veth"),
    );
    if number % 10 == 9 {
        let hwaddr = mac(vmid, 1);
        config.set(
            "net1",
            format!("name=eth1,bridge=vmbr1,hwaddr={hwaddr},ip=manual,type=veth"),
        );
    }
}
