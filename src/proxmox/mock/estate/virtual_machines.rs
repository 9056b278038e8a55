//! Configurations of virtual machines.

use super::super::world::{Agent, Guest};
use super::{guest_agents, mix, pick};

/// Fills the configuration of machine `number`.
pub(super) fn configure(guest: &mut Guest, number: u32) {
    let seed = u64::from(guest.vmid);
    guest.sockets = if number % 10 == 5 { 2 } else { 1 };
    let config = &mut guest.config;
    config.set(
        "ostype",
        pick(&["l26", "l26", "l26", "win11", "win10", "other"], seed, 20, "l26"),
    );
    config.set("scsihw", "virtio-scsi-single");
    config.set("numa", 0);
    config.set(
        "cpu",
        pick(&["x86-64-v2-AES", "host", "custom-lab-cpu"], seed, 21, "host"),
    );
    config.set("smbios1", format!("uuid={}", uuid(seed)));
    config.set("vmgenid", uuid(seed + 1));
    config.set(
        "meta",
        format!("creation-qemu=9.0.2,ctime={}", 1_700_000_000 + seed * 60),
    );
    if !number.is_multiple_of(3) {
        config.set("onboot", 1);
    }
    disks(guest, number);
    networks(guest, number);
    if number.is_multiple_of(4) {
        cloud_init(guest, number);
    }
    guest.agent = guest_agents::of_machine(guest, number);
    if guest.agent.is_configured() {
        let agent = match number % 4 {
            0 => "1",
            1 => "enabled=1,fstrim_cloned_disks=1",
            2 => "1,type=virtio",
            _ => "enabled=1",
        };
        guest.config.set("agent", agent);
    } else if guest.agent == Agent::Absent && number.is_multiple_of(5) {
        guest.config.set("agent", "0");
    }
}

fn disks(guest: &mut Guest, number: u32) {
    let vmid = guest.vmid;
    let storage = if number.is_multiple_of(2) {
        "local-lvm"
    } else {
        "ceph-rbd"
    };
    let size = pick(&[8_u32, 16, 32, 64, 128], u64::from(vmid), 30, 32);
    let stem = if guest.template { "base" } else { "vm" };
    let bus = match number % 10 {
        1 => "virtio0",
        2 => "sata0",
        4 => "ide0",
        _ => "scsi0",
    };
    let config = &mut guest.config;
    config.set("boot", format!("order={bus};ide2;net0"));
    config.set(
        bus,
        format!("{storage}:{stem}-{vmid}-disk-0,discard=on,iothread=1,size={size}G"),
    );
    config.set(
        "ide2",
        if number.is_multiple_of(3) {
            "none,media=cdrom"
        } else {
            "local:iso/debian-12.iso,media=cdrom,size=629M"
        },
    );
    if number.is_multiple_of(5) {
        config.set("bios", "ovmf");
        config.set("machine", "q35");
        config.set(
            "efidisk0",
            format!("{storage}:{stem}-{vmid}-disk-1,efitype=4m,pre-enrolled-keys=1,size=4M"),
        );
        config.set(
            "tpmstate0",
            format!("{storage}:{stem}-{vmid}-disk-2,size=4M,version=v2.0"),
        );
    }
    if number % 5 == 1 {
        config.set("scsi1", format!("{storage}:vm-{vmid}-disk-3,backup=0,size=104858K"));
        config.set("virtio1", format!("{storage}:vm-{vmid}-disk-4,size=1029M"));
    }
    if number % 15 == 7 {
        config.set(
            "scsi3",
            "/dev/disk/by-id/ata-WDC_WD40EFRX-68N32N0_WD-WCC7K0000001,size=3907018584K",
        );
        config.set("hostpci0", "0000:01:00.0,pcie=1");
        config.set("usb0", "host=1-2");
    }
    if number % 10 == 8 {
        config.set("unused0", format!("{storage}:vm-{vmid}-disk-9"));
        config.set("sata1", format!("{storage}:vm-{vmid}-disk-5,size=2T"));
    }
}

fn networks(guest: &mut Guest, number: u32) {
    let models = ["virtio", "virtio", "e1000", "vmxnet3", "rtl8139", "e1000e"];
    let seed = u64::from(guest.vmid);
    for index in 0..=(number % 3) {
        let model = pick(&models, seed, 40 + u64::from(index), "virtio");
        let bridge = if index == 0 { "vmbr0" } else { "vmbr1" };
        let mut net = format!("{model}={},bridge={bridge}", mac(guest.vmid, index));
        match (index, number % 6) {
            (0, 0 | 3) => net.push_str(",firewall=1,tag=120"),
            (0, 1) => net.push_str(",tag=130,rate=100"),
            (0, 4) => net.push_str(",trunks=10;20;100-110"),
            (1, _) => net.push_str(",mtu=9000,queues=4"),
            (2, _) => net.push_str(",link_down=1"),
            _ => {}
        }
        guest.config.set(format!("net{index}"), net);
    }
}

fn cloud_init(guest: &mut Guest, number: u32) {
    let (high, low) = address(guest.vmid);
    let config = &mut guest.config;
    config.set(
        "ide3",
        format!("local-lvm:vm-{}-cloudinit,media=cdrom,size=4M", guest.vmid),
    );
    config.set("ciuser", "deb");
    config.set("cipassword", "**********");
    config.set(
        "sshkeys",
        "ssh-ed25519%20AAAAC3NzaC1lZDI1NTE5AAAAIExample%20ops%40lab%0A",
    );
    config.set("nameserver", "10.10.255.53");
    config.set("searchdomain", "lab.example");
    config.set(
        "ipconfig0",
        format!(
            "ip=10.50.{high}.{low}/16,gw=10.50.255.254,ip6=fd00:50::{:x}/64",
            guest.vmid
        ),
    );
    if !number.is_multiple_of(3) {
        config.set(
            "ipconfig1",
            if number.is_multiple_of(8) {
                "ip=dhcp,ip6=auto"
            } else {
                "ip=dhcp"
            },
        );
    }
}

/// The last two parts of the guest's own address.
pub(super) const fn address(vmid: u32) -> (u32, u32) {
    (vmid / 250, vmid % 250 + 1)
}

/// The hardware address of interface `index`.
pub(super) fn mac(vmid: u32, index: u32) -> String {
    format!(
        "BC:24:11:{:02X}:{:02X}:{:02X}",
        index * 16 + (vmid >> 16 & 0x0f),
        vmid >> 8 & 0xff,
        vmid & 0xff
    )
}

fn uuid(seed: u64) -> String {
    let (high, low) = (mix(seed, 50), mix(seed, 51));
    format!(
        "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xfff,
        low >> 52,
        low & 0xffff_ffff_ffff
    )
}
