//! Cloud-init settings of a guest as the plugin's row of them.

use percent_encoding::percent_decode_str;

use super::names::clean;
use crate::inventory::GuestConfig;
use crate::netbox::ObjectId;
use crate::netbox::objects::CloudInit;

/// The most bytes of keys that are shown.
const KEYS_MAX: usize = 10_240;
const CUT_NOTE: &str = "\n# truncated by proxbox-api at 10KB";
/// The longest user and address settings of a row, in characters.
const USER_MAX: usize = 64;
const IP_CONFIG_MAX: usize = 255;

/// The cloud-init row of the virtual machine `machine`; `None` where the guest has no such settings.
pub fn cloud_init(config: &GuestConfig, machine: ObjectId) -> Option<CloudInit> {
    let GuestConfig::Qemu(config) = config else { return None };
    let text = |text: Option<&String>, max: usize| -> String {
        clean(text.map_or("", String::as_str)).chars().take(max).collect()
    };
    let encoded = config.sshkeys.as_deref().unwrap_or_default();
    let keys = clean(&percent_decode_str(encoded).decode_utf8_lossy());
    let (keys, is_cut) = cut(keys);
    let row = CloudInit {
        virtual_machine: machine,
        user: Some(text(config.ciuser.as_ref(), USER_MAX)),
        ssh_keys: Some(keys),
        ip_config: Some(text(config.ipconfig0.as_ref(), IP_CONFIG_MAX)),
        is_cut: Some(is_cut),
    };
    let texts = [&row.user, &row.ssh_keys, &row.ip_config];
    let is_empty = texts.iter().all(|text| text.as_deref().is_none_or(str::is_empty));
    (!is_empty).then_some(row)
}

/// `keys` up to the limit, whole characters only, with a note where something is missing.
fn cut(mut keys: String) -> (String, bool) {
    if keys.len() <= KEYS_MAX {
        return (keys, false);
    }
    keys.truncate(keys.floor_char_boundary(KEYS_MAX));
    keys.push_str(CUT_NOTE);
    (keys, true)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::inventory::GuestKind;

    fn row(kind: GuestKind, config: Value) -> Option<CloudInit> {
        cloud_init(&GuestConfig::decode(kind, config).unwrap(), ObjectId(310))
    }

    #[test]
    fn settings_are_reflected_with_keys_decoded() {
        let config = json!({
            "ciuser": "deb", "sshkeys": "ssh-ed25519%20AAAA%20me%0A", "ipconfig0": "ip=10.20.0.11/24,gw=10.20.0.1"
        });
        let expected = CloudInit {
            virtual_machine: ObjectId(310),
            user: Some("deb".to_owned()),
            ssh_keys: Some("ssh-ed25519 AAAA me".to_owned()),
            ip_config: Some("ip=10.20.0.11/24,gw=10.20.0.1".to_owned()),
            is_cut: Some(false),
        };
        assert_eq!(row(GuestKind::Qemu, config.clone()), Some(expected));
        assert_eq!(row(GuestKind::Lxc, config), None);
        assert_eq!(row(GuestKind::Qemu, json!({"ciuser": " ", "sshkeys": ""})), None);
    }

    #[test]
    fn long_keys_are_cut_at_a_whole_character() {
        let keys = format!("{}€uro", "x".repeat(KEYS_MAX - 1));
        let row = row(GuestKind::Qemu, json!({ "sshkeys": keys })).unwrap();
        let expected = format!("{}{CUT_NOTE}", "x".repeat(KEYS_MAX - 1));
        assert_eq!((row.ssh_keys, row.is_cut), (Some(expected), Some(true)));
    }
}
