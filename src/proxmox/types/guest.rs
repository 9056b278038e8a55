//! Guests: their numbers, their kinds, their configuration.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::proxmox::property::{Property, indexed};
use crate::proxmox::wire;

/// The number of a guest, unique in its cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Vmid(pub u32);

impl fmt::Display for Vmid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl FromStr for Vmid {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl<'de> Deserialize<'de> for Vmid {
    /// From a number or numeric text.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        wire::required_number(deserializer)
    }
}

/// What kind of guest, in Proxmox's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GuestKind {
    /// A virtual machine.
    Qemu,
    /// A container.
    Lxc,
}

impl GuestKind {
    /// The word in paths: `qemu` or `lxc`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Qemu => "qemu",
            Self::Lxc => "lxc",
        }
    }
}

impl fmt::Display for GuestKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The configuration of a guest.
#[derive(Debug, Clone, PartialEq)]
pub enum GuestConfig {
    /// Of a virtual machine.
    Qemu(QemuConfig),
    /// Of a container.
    Lxc(LxcConfig),
}

impl GuestConfig {
    /// Reads the answer of `…/config` for a guest of `kind`.
    ///
    /// # Errors
    ///
    /// Where the answer is no object, or a field this service works with has a form it never has.
    pub fn decode(kind: GuestKind, answer: Value) -> Result<Self, serde_json::Error> {
        match kind {
            GuestKind::Qemu => QemuConfig::deserialize(answer).map(Self::Qemu),
            GuestKind::Lxc => LxcConfig::deserialize(answer).map(Self::Lxc),
        }
    }

    /// The kind of guest this belongs to.
    pub const fn kind(&self) -> GuestKind {
        match self {
            Self::Qemu(_) => GuestKind::Qemu,
            Self::Lxc(_) => GuestKind::Lxc,
        }
    }

    /// Every key as sent.
    pub const fn raw(&self) -> &Map<String, Value> {
        match self {
            Self::Qemu(config) => &config.raw,
            Self::Lxc(config) => &config.raw,
        }
    }

    /// `name` of a virtual machine, `hostname` of a container.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Qemu(config) => config.name.as_deref(),
            Self::Lxc(config) => config.hostname.as_deref(),
        }
    }

    /// The digest to send with a change, so that nobody else's change is lost.
    pub fn digest(&self) -> Option<&str> {
        match self {
            Self::Qemu(config) => config.digest.as_deref(),
            Self::Lxc(config) => config.digest.as_deref(),
        }
    }

    /// The notes, as the operator wrote them.
    pub fn description(&self) -> Option<&str> {
        match self {
            Self::Qemu(config) => config.description.as_deref(),
            Self::Lxc(config) => config.description.as_deref(),
        }
    }

    /// The kind of operating system, such as `l26` or `debian`.
    pub fn os_type(&self) -> Option<&str> {
        match self {
            Self::Qemu(config) => config.ostype.as_deref(),
            Self::Lxc(config) => config.ostype.as_deref(),
        }
    }

    /// Whether the guest is a template.
    pub const fn is_template(&self) -> bool {
        match self {
            Self::Qemu(config) => config.template,
            Self::Lxc(config) => config.template,
        }
    }

    /// Whether the guest starts with its node.
    pub const fn starts_at_boot(&self) -> bool {
        match self {
            Self::Qemu(config) => config.onboot,
            Self::Lxc(config) => config.onboot,
        }
    }

    /// The search domain.
    pub fn search_domain(&self) -> Option<&str> {
        match self {
            Self::Qemu(config) => config.searchdomain.as_deref(),
            Self::Lxc(config) => config.searchdomain.as_deref(),
        }
    }

    /// Whether the guest agent is switched on; containers have none.
    pub fn has_agent(&self) -> bool {
        match self {
            Self::Qemu(config) => config.has_agent(),
            Self::Lxc(_) => false,
        }
    }

    /// The tags.
    pub fn tags(&self) -> &[String] {
        match self {
            Self::Qemu(config) => &config.tags,
            Self::Lxc(config) => &config.tags,
        }
    }

    /// The network interfaces `net0`, `net1`, … by their number.
    pub fn networks(&self) -> Vec<(u32, Property)> {
        self.properties("net")
    }

    /// The property strings under `prefix0`, `prefix1`, … by their number.
    pub fn properties(&self, prefix: &str) -> Vec<(u32, Property)> {
        let found = indexed(self.raw(), prefix).into_iter();
        found
            .filter_map(|(index, value)| Some((index, Property::parse(value.as_str()?))))
            .collect()
    }

    /// The property string under `key`.
    pub fn property(&self, key: &str) -> Option<Property> {
        let text = wire::text_of(self.raw().get(key)?).ok()??;
        Some(Property::parse(&text))
    }
}

/// Declares a configuration: typed fields, each with its reader, beside the whole answer.
macro_rules! config {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty = $reader:literal;)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
            /// Every key as sent.
            pub raw: Map<String, Value>,
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                #[derive(Deserialize)]
                struct Fields {
                    $(#[serde(default, deserialize_with = $reader)] $field: $type,)*
                }
                let raw = Map::deserialize(deserializer)?;
                let fields = Fields::deserialize(&raw).map_err(D::Error::custom)?;
                Ok(Self { $($field: fields.$field,)* raw })
            }
        }
    };
}

config! {
    /// The configuration of a virtual machine; pending values unless asked otherwise.
    QemuConfig {
        /// Digest of the configuration.
        digest: Option<String> = "wire::text";
        /// Name.
        name: Option<String> = "wire::text";
        /// The guest agent's property string; see [`QemuConfig::has_agent`].
        agent: Option<String> = "agent";
        /// Whether it starts with its node.
        onboot: bool = "wire::flag";
        /// Whether it is a template.
        template: bool = "wire::flag";
        /// Tags.
        tags: Vec<String> = "wire::text_list";
        /// Kind of operating system, such as `l26`.
        ostype: Option<String> = "wire::text";
        /// Notes.
        description: Option<String> = "wire::text";
        /// Cores per socket; Proxmox means 1 where absent.
        cores: Option<u32> = "wire::number";
        /// Sockets; Proxmox means 1 where absent.
        sockets: Option<u32> = "wire::number";
        /// Memory in MiB; Proxmox means 512 where absent.
        memory: Option<u64> = "memory";
        /// Cloud-init: search domain.
        searchdomain: Option<String> = "wire::text";
        /// Cloud-init: name servers.
        nameserver: Option<String> = "wire::text";
        /// Cloud-init: user.
        ciuser: Option<String> = "wire::text";
        /// Cloud-init: public keys, percent-encoded as sent.
        sshkeys: Option<String> = "wire::text";
        /// Cloud-init: addresses of `net0`.
        ipconfig0: Option<String> = "wire::text";
    }
}

config! {
    /// The configuration of a container.
    LxcConfig {
        /// Digest of the configuration.
        digest: Option<String> = "wire::text";
        /// Host name.
        hostname: Option<String> = "wire::text";
        /// Whether root inside is nobody outside.
        unprivileged: bool = "wire::flag";
        /// Whether it starts with its node.
        onboot: bool = "wire::flag";
        /// Whether it is a template.
        template: bool = "wire::flag";
        /// Tags.
        tags: Vec<String> = "wire::text_list";
        /// Kind of distribution, such as `debian`.
        ostype: Option<String> = "wire::text";
        /// Notes; end with a line feed.
        description: Option<String> = "wire::text";
        /// Cores; all of the node's where absent.
        cores: Option<u32> = "wire::number";
        /// Memory in MiB; Proxmox means 512 where absent.
        memory: Option<u64> = "wire::number";
        /// The root volume's property string.
        rootfs: Option<String> = "wire::text";
        /// Name servers.
        nameserver: Option<String> = "wire::text";
        /// Search domain.
        searchdomain: Option<String> = "wire::text";
    }
}

impl QemuConfig {
    /// Whether the guest agent is switched on.
    pub fn has_agent(&self) -> bool {
        let agent = Property::parse(self.agent.as_deref().unwrap_or_default());
        let switch = agent.get_default("enabled").map(Value::from);
        switch.is_some_and(|switch| wire::flag_of(&switch) == Ok(Some(true)))
    }

    /// Sockets times cores.
    pub fn processors(&self) -> u32 {
        self.sockets.unwrap_or(1).saturating_mul(self.cores.unwrap_or(1))
    }
}

/// What is no text switches nothing on.
fn agent<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(wire::text_of(&value).ok().flatten())
}

/// Memory is a number up to 8.0, numeric text from 8.1 on, and by its schema a property string (`current=4096`).
fn memory<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let current = value
        .as_str()
        .map(Property::parse)
        .and_then(|text| text.get_default("current").map(Value::from));
    wire::number_of(&current.unwrap_or(value)).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn vmid_is_read_from_number_and_text_only() {
        for value in [json!(100), json!("100"), json!(" 100 ")] {
            assert_eq!(
                serde_json::from_value::<Vmid>(value.clone()).unwrap(),
                Vmid(100),
                "{value}"
            );
        }
        for value in [json!(""), json!(null), json!("x"), json!(-1), json!([])] {
            assert!(serde_json::from_value::<Vmid>(value.clone()).is_err(), "{value}");
        }
    }

    #[test]
    fn memory_of_every_release_is_mebibytes() {
        for value in [json!(4096), json!("4096"), json!("current=4096")] {
            let config: QemuConfig = serde_json::from_value(json!({ "memory": value })).unwrap();
            assert_eq!(config.memory, Some(4096), "{value}");
        }
        assert!(serde_json::from_value::<QemuConfig>(json!({"memory": "plenty"})).is_err());
    }

    #[test]
    fn agent_in_every_form_is_on_or_off() {
        for (value, wanted) in [
            (json!(1), true),
            (json!("1"), true),
            (json!("1,fstrim_cloned_disks=1"), true),
            (json!("enabled=1,type=virtio"), true),
            (json!("fstrim_cloned_disks=1,enabled=1"), true),
            (json!("0"), false),
            (json!("enabled=0"), false),
            (json!("type=virtio"), false),
            (json!(""), false),
            (json!(true), true),
            (json!(null), false),
            (json!("perhaps"), false),
            (json!({"enabled": 1}), false),
        ] {
            let config: QemuConfig = serde_json::from_value(json!({ "agent": value })).unwrap();
            assert_eq!(config.has_agent(), wanted, "{value}");
        }
    }

    #[test]
    fn config_keeps_every_key_and_finds_its_networks() {
        let answer = json!({
            "digest": "d", "hostname": "ct", "net1": "name=eth1,bridge=vmbr1", "net0": "name=eth0,bridge=vmbr0",
            "mp0": "local:x,mp=/x", "lxc": [["lxc.a", "b"]], "onboot": "", "memory": 512,
        });
        let config = GuestConfig::decode(GuestKind::Lxc, answer.clone()).unwrap();
        assert_eq!(Value::Object(config.raw().clone()), answer);
        assert_eq!(config.name(), Some("ct"));
        let bridges: Vec<_> = config
            .networks()
            .iter()
            .map(|(_, net)| net.get("bridge").unwrap().to_owned())
            .collect();
        assert_eq!(bridges, ["vmbr0", "vmbr1"]);
        assert_eq!(
            config
                .property("mp0")
                .and_then(|mount| mount.get("mp").map(str::to_owned)),
            Some("/x".to_owned())
        );
    }
}
