//! Property strings (`virtio=BC:24:11:00:00:01,bridge=vmbr0`) and indexed keys (`net0`, `net1`, …).

use serde_json::{Map, Value};

use super::wire;

/// One property string, taken apart; the order of its parts is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Property {
    bare: Vec<String>,
    pairs: Vec<(String, String)>,
}

impl Property {
    /// Takes `text` apart at its commas. Every text is a property string, if an odd one; nothing is dropped but blanks.
    pub fn parse(text: &str) -> Self {
        let mut property = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            match part.split_once('=') {
                Some((key, value)) => property.pairs.push((key.trim().to_owned(), value.trim().to_owned())),
                None => property.bare.push(part.to_owned()),
            }
        }
        property
    }

    /// The first part without a key: the volume of a drive, the switch of `agent`.
    pub fn bare(&self) -> Option<&str> {
        self.bare.first().map(String::as_str)
    }

    /// The value of `key`, the first one where it repeats.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.pairs
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    }

    /// The value of the schema's default key, written with its name or without.
    pub fn get_default(&self, key: &str) -> Option<&str> {
        self.get(key).or_else(|| self.bare())
    }

    /// The flag under `key`; `None` where it is absent or says nothing a flag can say.
    pub fn flag(&self, key: &str) -> Option<bool> {
        wire::flag_of(&Value::from(self.get(key)?)).ok().flatten()
    }

    /// All `key=value` parts in the order sent.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

/// The values of `prefix0`, `prefix1`, … in `map`, ordered by their number; keys with another ending are left out.
pub fn indexed<'a>(map: &'a Map<String, Value>, prefix: &str) -> Vec<(u32, &'a Value)> {
    let mut found: Vec<_> = map
        .iter()
        .filter_map(|(key, value)| {
            let digits = key.strip_prefix(prefix)?;
            let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| digits.parse().ok())?.map(|index| (index, value))
        })
        .collect();
    found.sort_by_key(|(index, _)| *index);
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn property_string_of_each_kind_is_taken_apart() {
        let net = Property::parse("virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1,tag=20");
        assert_eq!(net.get("virtio"), Some("BC:24:11:00:00:01"));
        assert_eq!(net.get("bridge"), Some("vmbr0"));
        assert_eq!(net.flag("firewall"), Some(true));
        assert_eq!(net.flag("link_down"), None);
        assert_eq!(net.bare(), None);
        assert_eq!(
            net.pairs().map(|(key, _)| key).collect::<Vec<_>>(),
            ["virtio", "bridge", "firewall", "tag"]
        );

        let disk = Property::parse("local-lvm:vm-100-disk-0,size=32G,ssd=1");
        assert_eq!(disk.bare(), Some("local-lvm:vm-100-disk-0"));
        assert_eq!(disk.get_default("file"), Some("local-lvm:vm-100-disk-0"));
        assert_eq!(Property::parse("file=a:b,size=1M").get_default("file"), Some("a:b"));
    }

    #[test]
    fn property_of_blank_text_is_empty() {
        for text in ["", " ", ",", " , "] {
            assert_eq!(Property::parse(text), Property::default(), "{text:?}");
        }
    }

    #[test]
    fn indexed_keys_come_in_numeric_order_without_lookalikes() {
        let map = json!({"net10": "c", "net2": "b", "net0": "a", "netx": 1, "net": 2, "net-1": 3, "net+1": 4});
        let found = indexed(map.as_object().unwrap(), "net");
        let found: Vec<_> = found
            .into_iter()
            .map(|(index, value)| (index, value.as_str().unwrap()))
            .collect();
        assert_eq!(found, [(0, "a"), (2, "b"), (10, "c")]);
    }
}
