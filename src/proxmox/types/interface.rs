//! Network interfaces of guests as they look from inside: what a guest agent or the kernel of a container tells.

use std::fmt::Display;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::proxmox::wire;

/// An interface as the guest sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestInterface {
    /// Its name in the guest, such as `ens18`, `eth0.100` or `Ethernet 2`.
    pub name: String,
    /// Its hardware address as sent; loopbacks and tunnels may have none.
    pub mac: Option<String>,
    /// Its largest packet in bytes; few guests tell it.
    pub mtu: Option<u32>,
    /// Its addresses, in the order sent.
    pub addresses: Vec<GuestAddress>,
    /// Whether it may have more of them: releases up to 8.3 tell of a container only the last one of each family.
    pub is_partial: bool,
}

/// An address of an interface, as sent: nothing of it has been checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestAddress {
    /// The address; an IPv6 one may have a zone index (`%3`).
    pub address: String,
    /// The length of the network's prefix; some guests answer -1.
    pub prefix: Option<i64>,
}

impl GuestInterface {
    /// The interfaces in an answer: a list, or an object that holds it under `result` or `interfaces`. Entries without a
    /// name are left out.
    ///
    /// # Errors
    ///
    /// The words of a guest that refuses the question with a status of 200, or what is wrong with the answer.
    pub fn decode(answer: Value) -> Result<Vec<Self>, String> {
        match answer {
            Value::Array(rows) => Ok(rows.into_iter().filter_map(Self::of_row).collect()),
            Value::Object(mut object) => {
                let inner = ["result", "interfaces"].iter().find_map(|key| object.remove(*key));
                match (inner, object.get("error")) {
                    (Some(inner), _) => Self::decode(inner),
                    (None, Some(error)) => Err(complaint(error)),
                    (None, None) => Err("the answer holds no interfaces".to_owned()),
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                Err("the answer is no list".to_owned())
            }
        }
    }

    /// The same for a container, which has none while it is stopped: then the answer is null.
    ///
    /// # Errors
    ///
    /// As [`Self::decode`].
    pub fn decode_container(answer: Value) -> Result<Vec<Self>, String> {
        if answer.is_null() {
            return Ok(Vec::new());
        }
        Self::decode(answer)
    }

    fn of_row(row: Value) -> Option<Self> {
        let row = Row::deserialize(row).ok()?;
        let name = row.name.filter(|name| !name.trim().is_empty())?;
        // An agent leaves the list out where there is nothing to tell, but has none of the other keys either.
        let is_partial = row.addresses.is_none() && row.hwaddr.is_some();
        let listed = row.addresses.into_iter().flatten().filter_map(|address| {
            Some(GuestAddress {
                address: address.address?,
                prefix: address.prefix,
            })
        });
        let mut addresses: Vec<GuestAddress> = listed.collect();
        if addresses.is_empty() {
            addresses.extend([row.inet, row.inet6].into_iter().flatten().map(|text| split(&text)));
        }
        Some(Self {
            name,
            mac: row.mac.or(row.hwaddr),
            mtu: row.mtu,
            addresses,
            is_partial,
        })
    }
}

/// The host name in an answer to `get-host-name`, under `result` or at the top.
pub(in crate::proxmox) fn host_name(answer: &Value) -> Option<String> {
    let inner = answer.get("result").unwrap_or(answer);
    let keys = ["host-name", "hostname", "host_name"];
    let found = keys.iter().find_map(|key| wire::text_of(inner.get(*key)?).ok()?);
    found.filter(|name| !name.trim().is_empty())
}

fn complaint(error: &Value) -> String {
    let words = error.get("desc").or_else(|| error.get("class")).and_then(Value::as_str);
    words.unwrap_or("the guest refuses the question").to_owned()
}

fn split(text: &str) -> GuestAddress {
    let (address, prefix) = text.split_once('/').unwrap_or((text, ""));
    GuestAddress {
        address: address.to_owned(),
        prefix: prefix.parse().ok(),
    }
}

#[derive(Deserialize)]
struct Row {
    #[serde(default, deserialize_with = "wire::text")]
    name: Option<String>,
    #[serde(
        rename = "hardware-address",
        alias = "hardware_address",
        default,
        deserialize_with = "wire::text"
    )]
    mac: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    hwaddr: Option<String>,
    #[serde(default, deserialize_with = "count")]
    mtu: Option<u32>,
    #[serde(rename = "ip-addresses", alias = "ip_addresses", default, deserialize_with = "rows")]
    addresses: Option<Vec<AddressRow>>,
    #[serde(default, deserialize_with = "wire::text")]
    inet: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    inet6: Option<String>,
}

#[derive(Deserialize)]
struct AddressRow {
    #[serde(
        rename = "ip-address",
        alias = "ip_address",
        default,
        deserialize_with = "wire::text"
    )]
    address: Option<String>,
    #[serde(default, deserialize_with = "count")]
    prefix: Option<i64>,
}

/// A number; one that is none costs nothing but itself.
fn count<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr,
    T::Err: Display,
{
    let value = Value::deserialize(deserializer)?;
    Ok(wire::number_of(&value).ok().flatten())
}

/// The rows that can be read; `null` is none.
fn rows<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<AddressRow>>, D::Error> {
    let rows = Option::<Vec<Value>>::deserialize(deserializer)?.unwrap_or_default();
    let rows = rows.into_iter().filter_map(|row| AddressRow::deserialize(row).ok());
    Ok(Some(rows.collect()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn texts(answer: Value) -> Vec<String> {
        let interfaces = GuestInterface::decode(answer).unwrap();
        let text = |interface: GuestInterface| {
            let addresses = interface.addresses.iter().map(|address| match address.prefix {
                Some(prefix) => format!("{}/{prefix}", address.address),
                None => address.address.clone(),
            });
            let addresses: Vec<_> = addresses.collect();
            format!(
                "{} {} {}",
                interface.name,
                interface.mac.unwrap_or_default(),
                addresses.join(" ")
            )
        };
        interfaces.into_iter().map(text).collect()
    }

    #[test]
    fn interfaces_are_found_in_every_form_of_the_answer() {
        let row = json!({"name": "ens18", "hardware-address": "bc:24:11:00:00:01", "ip-addresses": [
            {"ip-address": "10.0.0.1", "ip-address-type": "ipv4", "prefix": 24},
            {"ip-address": "fe80::1%3", "prefix": -1}, {"prefix": 8}, {"ip-address": "10.0.0.2", "prefix": "16"},
        ]});
        let underscored = json!({"name": "ens18", "hardware_address": "bc:24:11:00:00:01", "ip_addresses": [
            {"ip_address": "10.0.0.1", "prefix": 24}, {"ip_address": "fe80::1%3", "prefix": -1},
            {"ip_address": "10.0.0.2", "prefix": 16},
        ]});
        let expected = ["ens18 bc:24:11:00:00:01 10.0.0.1/24 fe80::1%3/-1 10.0.0.2/16"];
        for answer in [
            json!([row]),
            json!({"result": [row]}),
            json!({"interfaces": [row]}),
            json!({"result": {"interfaces": [row]}}),
            json!([underscored]),
        ] {
            assert_eq!(texts(answer.clone()), expected, "{answer}");
        }
    }

    #[test]
    fn containers_of_every_release_tell_their_addresses() {
        let old =
            json!({"name": "eth0", "hwaddr": "bc:24:11:89:67:07", "inet": "192.168.3.95/22", "inet6": "fd00::7/64"});
        let mut new = old.clone();
        new["ip-addresses"] =
            json!([{"ip-address": "192.168.3.95", "prefix": 22}, {"ip-address": "fd00::7", "prefix": 64}]);
        new["hardware-address"] = json!("bc:24:11:89:67:07");
        for (answer, is_partial) in [(old, true), (new, false)] {
            let expected = ["eth0 bc:24:11:89:67:07 192.168.3.95/22 fd00::7/64"];
            assert_eq!(texts(json!([answer])), expected, "{answer}");
            let told = GuestInterface::decode(json!([answer])).unwrap();
            assert_eq!(told[0].is_partial, is_partial, "{answer}");
        }
    }

    #[test]
    fn interface_of_which_everything_is_told_is_not_partial() {
        for answer in [
            json!({"name": "ens18", "hardware-address": "bc:24:11:00:00:01"}),
            json!({"name": "eth0", "hwaddr": "bc:24:11:00:00:01", "ip-addresses": []}),
            json!({"name": "eth0", "hwaddr": "bc:24:11:00:00:01", "ip-addresses": null}),
        ] {
            let told = GuestInterface::decode(json!([answer])).unwrap();
            assert!(!told[0].is_partial, "{answer}");
        }
    }

    #[test]
    fn odd_entries_cost_only_themselves() {
        let answer = json!([
            {"name": ""}, {"hardware-address": "aa:bb:cc:dd:ee:ff"}, "no entry", {"name": "vrrp.1", "ip-addresses": null},
            {"name": "wg0", "hardware-address": null, "ip-addresses": [{"ip-address": ["x"]}, {"ip-address": "10.9.0.2"}]},
        ]);
        assert_eq!(texts(answer), ["vrrp.1  ", "wg0  10.9.0.2"]);
    }

    #[test]
    fn address_whose_prefix_is_no_number_has_none() {
        for prefix in [
            json!("/24"),
            json!("auto"),
            json!([24]),
            json!({}),
            json!(""),
            json!(null),
        ] {
            let answer = json!([{"name": "ens18", "ip-addresses": [{"ip-address": "10.0.0.1", "prefix": prefix}]}]);
            assert_eq!(texts(answer), ["ens18  10.0.0.1"], "{prefix}");
        }
    }

    #[test]
    fn answer_without_a_list_is_no_empty_list() {
        for answer in [
            json!(null),
            json!({"result": null}),
            json!({"result": {"interfaces": null}}),
            json!({}),
            json!("none"),
        ] {
            assert!(GuestInterface::decode(answer.clone()).is_err(), "{answer}");
        }
        assert_eq!(GuestInterface::decode(json!({"result": []})), Ok(Vec::new()));
    }

    #[test]
    fn largest_packet_is_told_by_some_guests() {
        for (mtu, expected) in [
            (json!(1500), Some(1500)),
            (json!("9000"), Some(9000)),
            (json!(null), None),
            (json!("auto"), None),
            (json!(-1), None),
        ] {
            let answer = json!([{"name": "ens18", "mtu": mtu}]);
            let interfaces = GuestInterface::decode(answer).unwrap();
            assert_eq!((interfaces.len(), interfaces[0].mtu), (1, expected), "{mtu}");
        }
    }

    #[test]
    fn refusal_inside_an_answer_has_the_guests_words() {
        let answer = json!({"result": {"error": {"class": "CommandDisabled", "desc": "it has been disabled"}}});
        assert_eq!(GuestInterface::decode(answer).unwrap_err(), "it has been disabled");
    }

    #[test]
    fn host_name_is_found_under_every_key() {
        for (answer, expected) in [
            (json!({"result": {"host-name": "db-1"}}), Some("db-1")),
            (json!({"hostname": "db-1"}), Some("db-1")),
            (json!({"result": {"host_name": "db-1"}}), Some("db-1")),
            (json!({"result": {"host-name": " "}}), None),
            (json!({"result": {"error": {"desc": "no"}}}), None),
            (Value::Null, None),
        ] {
            assert_eq!(host_name(&answer).as_deref(), expected, "{answer}");
        }
    }
}
