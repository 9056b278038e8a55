//! Configured network interfaces as NetBox's interfaces, with their VLANs and MAC addresses.

use crate::inventory::Nic;
use crate::netbox::ObjectId;
use crate::netbox::objects::{Assignment, MacAddress, PROXBOX_TAG, Said, Vlan, VmInterface};

/// The longest name of an interface in NetBox.
const NAME_MAX: usize = 64;
/// Of how many VLANs a trunk may be so that each is made.
const WIDE: usize = 64;
/// The name of an interface that has none.
const NAMELESS: &str = "net0";

/// What an interface is called in the configuration: a container's own name of it, else its key.
pub fn core_name(nic: &Nic) -> &str {
    nic.name.as_deref().unwrap_or(&nic.key)
}

/// The name of an interface called `name`; `fallback` where nothing of that can be printed.
pub fn interface_name(name: &str, fallback: &str) -> String {
    let printable = |text: &str| -> String {
        let kept: String = text.chars().filter(|letter| !letter.is_ascii_control()).collect();
        let cut: String = kept.trim().chars().take(NAME_MAX).collect();
        cut.trim_end().to_owned()
    };
    let names = [printable(name), printable(fallback)];
    let name = names.into_iter().find(|name| !name.is_empty());
    name.unwrap_or_else(|| NAMELESS.to_owned())
}

/// Where an interface's VLANs are, by their number.
pub type VlanIds<'a> = &'a dyn Fn(u16) -> Option<ObjectId>;

/// The interface `name` of `virtual_machine`. A VLAN that could not be had is not mentioned, so what NetBox has stays; an
/// interface without one does not mention it either.
pub fn vm_interface(nic: &Nic, virtual_machine: ObjectId, name: &str, vlans: VlanIds<'_>) -> VmInterface {
    let vlan = nic.vlan.and_then(vlans);
    VmInterface {
        enabled: Some(true),
        mode: vlan.map_or(Said::Nothing, |_| Said::Is("access".to_owned())),
        untagged_vlan: vlan.map_or(Said::Nothing, Said::Is),
        tags: [PROXBOX_TAG.to_owned()].into(),
        ..VmInterface::of(virtual_machine, name)
    }
}

/// Whether a trunk is so wide that its configuration only means that anything may pass: of its VLANs those count that NetBox
/// has.
pub fn is_wide(nic: &Nic) -> bool {
    nic.trunks.len() > WIDE
}

/// `interface` with the state of its link, its largest packet and the VLANs of its trunk. A largest packet of 1 is that of
/// the bridge, which the configuration does not tell.
pub fn with_link(interface: VmInterface, nic: &Nic, vlans: VlanIds<'_>) -> VmInterface {
    let tagged = nic.trunks.iter().copied().map(vlans);
    let tagged = if is_wide(nic) {
        Some(tagged.flatten().collect())
    } else {
        tagged.collect::<Option<_>>().filter(|_| !nic.trunks.is_empty())
    };
    VmInterface {
        enabled: Some(!nic.is_down),
        mtu: nic.mtu.filter(|mtu| *mtu > 1).into(),
        mode: tagged
            .as_ref()
            .map_or(interface.mode, |_| Said::Is("tagged".to_owned())),
        untagged_vlan: match &tagged {
            Some(_) if nic.vlan.is_none() => Said::Empty,
            Some(_) | None => interface.untagged_vlan,
        },
        tagged_vlans: tagged,
        ..interface
    }
}

/// The VLAN `vid` of a site and tenant.
pub fn vlan(vid: u16, site: Option<ObjectId>, tenant: Option<ObjectId>) -> Vlan {
    Vlan {
        vid,
        site,
        group: None,
        tenant,
        name: Some(format!("VLAN {vid}")),
        status: Some("active".to_owned()),
        tags: [PROXBOX_TAG.to_owned()].into(),
    }
}

/// The MAC address `mac` of an interface.
pub fn mac_address(mac: &str, vm_interface: ObjectId) -> MacAddress {
    MacAddress {
        mac_address: mac.to_owned(),
        assigned: Some(Assignment::VmInterface(vm_interface)),
        tags: [PROXBOX_TAG.to_owned()].into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::inventory::{GuestConfig, GuestKind};
    use crate::reconcile::Resource;

    fn nics(kind: GuestKind, config: Value) -> Vec<Nic> {
        Nic::list(&GuestConfig::decode(kind, config).unwrap())
    }

    fn known(vid: u16) -> Option<ObjectId> {
        (vid != 99).then(|| ObjectId(u64::from(vid) - 32))
    }

    fn fields(nic: &Nic, machine: u64) -> Value {
        json!(vm_interface(nic, ObjectId(machine), core_name(nic), &known).fields())
    }

    #[test]
    fn interfaces_of_a_virtual_machine_are_named_by_their_key() {
        let nics = nics(
            GuestKind::Qemu,
            json!({
                "net0": "virtio=BC:24:11:AA:00:01,bridge=vmbr0,firewall=1,tag=120",
                "net1": "e1000=BC:24:11:AA:00:02,bridge=vmbr1",
                "net2": "virtio=BC:24:11:AA:00:03,bridge=vmbr1,tag=99",
            }),
        );
        let expected = json!({
            "virtual_machine": 310, "name": "net0", "enabled": true, "untagged_vlan": 88, "mode": "access",
            "tags": ["proxbox"]
        });
        assert_eq!(fields(&nics[0], 310), expected);
        let expected = json!({"virtual_machine": 310, "name": "net1", "enabled": true, "tags": ["proxbox"]});
        assert_eq!(fields(&nics[1], 310), expected);
        let expected = json!({"virtual_machine": 310, "name": "net2", "enabled": true, "tags": ["proxbox"]});
        assert_eq!(fields(&nics[2], 310), expected, "a VLAN that could not be had");
    }

    #[test]
    fn interfaces_of_a_container_have_its_names() {
        let net = "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:BB:00:01,ip=10.20.0.30/24,tag=120,type=veth";
        let nics = nics(
            GuestKind::Lxc,
            json!({"net0": net, "net1": "bridge=vmbr9,hwaddr=BC:24:11:BB:00:02"}),
        );
        let names: Vec<_> = nics.iter().map(core_name).collect();
        assert_eq!(names, ["eth0", "net1"]);
    }

    #[test]
    fn names_are_printable_and_at_most_64_characters() {
        let long = "é".repeat(70);
        for (name, fallback, expected) in [
            ("ens18", "net0", "ens18".to_owned()),
            (" Ethernet\u{7} 2\u{7f} ", "net0", "Ethernet 2".to_owned()),
            ("\u{1}\u{2}", "net1", "net1".to_owned()),
            ("", " ", "net0".to_owned()),
            (&long, "net0", "é".repeat(64)),
        ] {
            assert_eq!(interface_name(name, fallback), expected, "{name:?}");
        }
    }

    #[test]
    fn link_of_an_interface_is_told_where_that_is_asked_for() {
        let table = [
            (
                "virtio=BC:24:11:AA:00:01,link_down=1",
                json!({"enabled": false, "mtu": null}),
            ),
            (
                "virtio=BC:24:11:AA:00:01,mtu=9000",
                json!({"enabled": true, "mtu": 9000}),
            ),
            ("virtio=BC:24:11:AA:00:01,mtu=1", json!({"enabled": true, "mtu": null})),
            (
                "virtio=BC:24:11:AA:00:01,trunks=130",
                json!({"enabled": true, "mtu": null, "mode": "tagged", "untagged_vlan": null, "tagged_vlans": [98]}),
            ),
            (
                "virtio=BC:24:11:AA:00:01,tag=120,trunks=130;140-141",
                json!({
                    "enabled": true, "mtu": null, "mode": "tagged", "untagged_vlan": 88, "tagged_vlans": [98, 108, 109]
                }),
            ),
            (
                "virtio=BC:24:11:AA:00:01,tag=120,trunks=130;99",
                json!({"enabled": true, "mtu": null, "mode": "access", "untagged_vlan": 88}),
            ),
        ];
        for (net, expected) in table {
            let nic = nics(GuestKind::Qemu, json!({"net0": net})).remove(0);
            let interface = vm_interface(&nic, ObjectId(310), "net0", &known);
            let mut fields = with_link(interface, &nic, &known).fields();
            for field in ["virtual_machine", "name", "tags"] {
                fields.remove(field);
            }
            assert_eq!(json!(fields), expected, "{net}");
        }
    }

    #[test]
    fn vlan_and_mac_address_are_made_as_the_plugin_shows_them() {
        let vlan = vlan(120, Some(ObjectId(3)), None);
        let expected = json!({"vid": 120, "name": "VLAN 120", "status": "active", "site": 3, "tags": ["proxbox"]});
        assert_eq!(json!(vlan.fields()), expected);
        let expected = json!({
            "mac_address": "BC:24:11:AA:00:01", "assigned_object_type": "virtualization.vminterface",
            "assigned_object_id": 900, "tags": ["proxbox"]
        });
        assert_eq!(
            json!(mac_address("BC:24:11:AA:00:01", ObjectId(900)).fields()),
            expected
        );
    }
}
