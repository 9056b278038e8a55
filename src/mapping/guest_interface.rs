//! What a guest sees of its interfaces: folded, matched with the configured ones, and as the plugin's rows.

use std::collections::HashMap;

use super::names::clean;
use crate::inventory::{GuestAddress, GuestInterface, Nic, canonical_mac};
use crate::netbox::ObjectId;
use crate::netbox::objects::{GuestVmInterface, PROXBOX_TAG};

/// The longest name of a row.
const NAME_MAX: usize = 128;
/// The longest hardware address of a row.
const MAC_MAX: usize = 32;
/// The largest packets that a row can tell, in bytes.
const MTUS: std::ops::RangeInclusive<u32> = 1..=i32::MAX.unsigned_abs();

/// The interfaces with aliases folded in: `ens18:1` gives its addresses to `ens18`; where there is no such, to the first
/// alias of that name.
pub fn without_aliases(interfaces: &[GuestInterface]) -> Vec<GuestInterface> {
    let mut parents: HashMap<&str, usize> = HashMap::new();
    for (place, interface) in interfaces.iter().enumerate() {
        if alias_of(&interface.name).is_none() {
            parents.entry(&interface.name).or_insert(place);
        }
    }
    for (place, interface) in interfaces.iter().enumerate() {
        if let Some(base) = alias_of(&interface.name) {
            parents.entry(base).or_insert(place);
        }
    }
    let mut folded: Vec<Option<GuestInterface>> = interfaces.iter().cloned().map(Some).collect();
    for (place, interface) in interfaces.iter().enumerate() {
        let parent = alias_of(&interface.name).and_then(|base| parents.get(base).copied());
        let Some(parent) = parent.filter(|parent| *parent != place) else {
            continue;
        };
        if let Some(Some(parent)) = folded.get_mut(parent) {
            add_addresses(parent, &interface.addresses);
        }
        if let Some(alias) = folded.get_mut(place) {
            *alias = None;
        }
    }
    folded.into_iter().flatten().collect()
}

/// `ens18` of `ens18:1`.
fn alias_of(name: &str) -> Option<&str> {
    let (base, number) = name.rsplit_once(':')?;
    let is_number = !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit());
    (is_number && !base.is_empty()).then_some(base)
}

fn add_addresses(interface: &mut GuestInterface, more: &[GuestAddress]) {
    for address in more {
        if !interface.addresses.contains(address) {
            interface.addresses.push(address.clone());
        }
    }
}

/// The guest's view of `nic`: its interfaces with the same hardware address as one, under the name of the first; where
/// there is none, the last one with the name `core_name` in any case.
pub fn seen(interfaces: &[GuestInterface], nic: &Nic, core_name: &str) -> Option<GuestInterface> {
    let mut same = interfaces.iter().filter(|interface| has_mac(interface, nic));
    if let Some(first) = same.next() {
        let mut view = first.clone();
        for interface in same {
            add_addresses(&mut view, &interface.addresses);
            view.is_partial |= interface.is_partial;
        }
        return Some(view);
    }
    let name = core_name.to_lowercase();
    interfaces
        .iter()
        .rfind(|interface| interface.name.to_lowercase() == name)
        .cloned()
}

/// Whether an interface has the hardware address of `nic`.
pub fn has_mac(interface: &GuestInterface, nic: &Nic) -> bool {
    nic.mac.is_some() && interface.mac.as_deref().and_then(canonical_mac) == nic.mac
}

/// The plugin's row of an interface, which is the core interface `vm_interface` where one is known; `None` for a name
/// that is no name.
pub fn guest_vm_interface(
    interface: &GuestInterface,
    virtual_machine: ObjectId,
    vm_interface: Option<ObjectId>,
) -> Option<GuestVmInterface> {
    let name = row_name(interface)?;
    let mac = clean(interface.mac.as_deref().unwrap_or_default()).to_lowercase();
    Some(GuestVmInterface {
        virtual_machine,
        machine_name: None,
        name,
        vm_interface: vm_interface.into(),
        mac_address: Some(if mac.chars().count() > MAC_MAX {
            String::new()
        } else {
            mac
        }),
        enabled: Some(true),
        mtu: interface.mtu.filter(|mtu| MTUS.contains(mtu)).into(),
        tags: [PROXBOX_TAG.to_owned()].into(),
    })
}

/// The name of an interface's row.
pub fn row_name(interface: &GuestInterface) -> Option<String> {
    let name: String = clean(&interface.name).chars().take(NAME_MAX).collect();
    let name = name.trim_end();
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::inventory::{GuestConfig, GuestKind};
    use crate::reconcile::Resource;

    fn interface(name: &str, mac: &str, addresses: &[&str]) -> GuestInterface {
        let addresses = addresses.iter().map(|address| GuestAddress {
            address: (*address).to_owned(),
            prefix: Some(24),
        });
        GuestInterface {
            name: name.to_owned(),
            mac: (!mac.is_empty()).then(|| mac.to_owned()),
            mtu: None,
            addresses: addresses.collect(),
            is_partial: false,
        }
    }

    fn nic(mac: &str) -> Nic {
        let config = json!({"net0": format!("virtio={mac},bridge=vmbr0")});
        Nic::list(&GuestConfig::decode(GuestKind::Qemu, config).unwrap()).remove(0)
    }

    #[test]
    fn aliases_are_folded_into_their_parent() {
        let folded = without_aliases(&[
            interface("ens19:2", "", &["10.3.0.2"]),
            interface("ens18:1", "", &["10.1.0.2", "10.1.0.1"]),
            interface("ens18", "", &["10.1.0.1"]),
            interface("ens18", "", &["10.9.0.1"]),
            interface("ens19:7", "", &["10.3.0.7"]),
            interface("a:b", "", &["10.4.0.1"]),
        ]);
        let expected = [
            interface("ens19:2", "", &["10.3.0.2", "10.3.0.7"]),
            interface("ens18", "", &["10.1.0.1", "10.1.0.2"]),
            interface("ens18", "", &["10.9.0.1"]),
            interface("a:b", "", &["10.4.0.1"]),
        ];
        assert_eq!(folded, expected);
    }

    #[test]
    fn interfaces_with_one_hardware_address_are_one_view() {
        let interfaces = [
            interface("net0", "", &["10.9.0.1"]),
            interface("ens18", "bc:24:11:aa:00:01", &["10.1.0.1"]),
            interface("ens18.100", "BC-24-11-AA-00-01", &["10.2.0.1", "10.1.0.1"]),
            interface("NET0", "", &["10.8.0.1"]),
        ];
        let view = seen(&interfaces, &nic("BC:24:11:AA:00:01"), "net0").unwrap();
        assert_eq!(view, interface("ens18", "bc:24:11:aa:00:01", &["10.1.0.1", "10.2.0.1"]));
        let by_name = seen(&interfaces, &nic("BC:24:11:AA:00:02"), "net0").unwrap();
        assert_eq!(by_name.name, "NET0", "the last of that name");
        assert_eq!(seen(&interfaces, &nic("BC:24:11:AA:00:02"), "net1"), None);
    }

    #[test]
    fn row_has_the_address_in_lower_case_and_says_what_it_is_not() {
        let row = guest_vm_interface(&interface("lo", "00:00:00:00:00:00", &[]), ObjectId(1), None).unwrap();
        let expected = json!({
            "virtual_machine": 1, "vm_interface": null, "name": "lo", "mac_address": "00:00:00:00:00:00",
            "enabled": true, "mtu": null, "tags": ["proxbox"]
        });
        assert_eq!(json!(row.fields()), expected);
        let row = guest_vm_interface(
            &interface("ens18", "BC:24:11:AA:00:01", &[]),
            ObjectId(1),
            Some(ObjectId(900)),
        );
        let row = json!(row.unwrap().fields());
        assert_eq!(
            (&row["vm_interface"], &row["mac_address"]),
            (&json!(900), &json!("bc:24:11:aa:00:01"))
        );
        for (mtu, expected) in [
            (Some(1500), json!(1500)),
            (Some(0), json!(null)),
            (Some(u32::MAX), json!(null)),
        ] {
            let told = GuestInterface {
                mtu,
                ..interface("ens18", "", &[])
            };
            let row = json!(guest_vm_interface(&told, ObjectId(1), None).unwrap().fields());
            assert_eq!(row["mtu"], expected, "{mtu:?}");
        }
        let odd = interface(&"x".repeat(200), &"y".repeat(33), &[]);
        let row = json!(guest_vm_interface(&odd, ObjectId(1), None).unwrap().fields());
        assert_eq!(
            (row["name"].as_str().unwrap().len(), &row["mac_address"]),
            (128, &json!(""))
        );
    }
}
