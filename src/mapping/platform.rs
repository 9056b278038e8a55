//! Operating systems of guests as NetBox platforms.

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

use super::names::slug;
use crate::inventory::{GuestConfig, GuestOs};
use crate::netbox::objects::Platform;

/// The longest name of a platform in NetBox.
const NAME_MAX: usize = 100;
/// The longest slug of a platform in NetBox.
const SLUG_MAX: usize = 100;

/// The name of a guest's platform: what its agent says of the system, else what its configuration says.
pub fn platform_name(config: &GuestConfig, os: Option<&GuestOs>) -> Option<String> {
    os.and_then(agent_name)
        .or_else(|| configured_name(config.os_type()?).map(str::to_owned))
}

/// The platform called `name`.
pub fn platform(name: &str) -> Platform {
    Platform::new(&platform_slug(name)).name(name).tagged()
}

/// The slug of the platform called `name`, its letters without accents.
pub fn platform_slug(name: &str) -> String {
    let folded: String = name.nfkd().filter(|letter| !is_combining_mark(*letter)).collect();
    let slug = slug(&folded, "platform");
    let cut: String = slug.chars().take(SLUG_MAX).collect();
    cut.trim_end_matches('-').to_owned()
}

fn agent_name(os: &GuestOs) -> Option<String> {
    let parts = [os.name.as_deref()?, os.version_id.as_deref().unwrap_or_default()];
    let words: Vec<&str> = parts.iter().flat_map(|part| part.split_whitespace()).collect();
    let name: String = words.join(" ").chars().take(NAME_MAX).collect();
    (!name.is_empty()).then_some(name)
}

fn configured_name(os_type: &str) -> Option<&'static str> {
    Some(match os_type.trim().to_lowercase().as_str() {
        "l24" => "Linux (kernel 2.4)",
        "l26" => "Linux (kernel 2.6 or newer)",
        "solaris" => "Solaris",
        "other" => "Other",
        "wxp" => "Windows XP",
        "w2k" => "Windows 2000",
        "w2k3" => "Windows Server 2003",
        "w2k8" => "Windows Server 2008",
        "wvista" => "Windows Vista",
        "win7" => "Windows 7",
        "win8" => "Windows 8",
        "win10" => "Windows 10",
        "win11" => "Windows 11",
        "alpine" => "Alpine Linux",
        "archlinux" => "Arch Linux",
        "centos" => "CentOS",
        "debian" => "Debian",
        "devuan" => "Devuan",
        "fedora" => "Fedora",
        "gentoo" => "Gentoo",
        "nixos" => "NixOS",
        "opensuse" => "openSUSE",
        "ubuntu" => "Ubuntu",
        "unmanaged" => "Unmanaged",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::inventory::GuestKind;

    fn config(os_type: &str) -> GuestConfig {
        GuestConfig::decode(GuestKind::Qemu, json!({ "ostype": os_type })).unwrap()
    }

    #[test]
    fn configured_system_names_the_platform() {
        for (os_type, name, slug) in [
            ("l24", "Linux (kernel 2.4)", "linux-kernel-2-4"),
            ("l26", "Linux (kernel 2.6 or newer)", "linux-kernel-2-6-or-newer"),
            ("solaris", "Solaris", "solaris"),
            ("other", "Other", "other"),
            ("wxp", "Windows XP", "windows-xp"),
            ("w2k", "Windows 2000", "windows-2000"),
            ("w2k3", "Windows Server 2003", "windows-server-2003"),
            ("w2k8", "Windows Server 2008", "windows-server-2008"),
            ("wvista", "Windows Vista", "windows-vista"),
            ("win7", "Windows 7", "windows-7"),
            ("win8", "Windows 8", "windows-8"),
            ("win10", "Windows 10", "windows-10"),
            ("win11", "Windows 11", "windows-11"),
            ("alpine", "Alpine Linux", "alpine-linux"),
            ("archlinux", "Arch Linux", "arch-linux"),
            ("centos", "CentOS", "centos"),
            ("debian", "Debian", "debian"),
            ("devuan", "Devuan", "devuan"),
            ("fedora", "Fedora", "fedora"),
            ("gentoo", "Gentoo", "gentoo"),
            ("nixos", "NixOS", "nixos"),
            ("opensuse", "openSUSE", "opensuse"),
            ("ubuntu", "Ubuntu", "ubuntu"),
            ("unmanaged", "Unmanaged", "unmanaged"),
            (" WIN11 ", "Windows 11", "windows-11"),
        ] {
            let found = platform_name(&config(os_type), None).unwrap();
            assert_eq!(
                (found.as_str(), platform(&found).slug.as_str()),
                (name, slug),
                "{os_type}"
            );
        }
        assert_eq!(platform_name(&config("beos"), None), None);
        assert_eq!(platform_name(&config(""), None), None);
    }

    #[test]
    fn slug_has_letters_without_their_accents_and_an_end() {
        let long = format!("{}ﬁ", "x".repeat(98));
        let slugs = ["Édition Zürich 2", "Ａｌｐｉｎｅ", "日本", &long].map(platform_slug);
        let end = format!("{}fi", "x".repeat(98));
        assert_eq!(slugs, ["edition-zurich-2", "alpine", "platform", end.as_str()]);
        assert_eq!(platform_slug(&"ﬃ".repeat(100)), "ffi".repeat(34)[..100]);
    }

    #[test]
    fn agents_word_goes_before_the_configuration() {
        for (name, version, expected) in [
            (Some("Debian  GNU/Linux"), Some("12"), "Debian GNU/Linux 12"),
            (Some("Alpine"), None, "Alpine"),
            (Some("  "), None, "Windows 11"),
            (None, Some("12"), "Windows 11"),
        ] {
            let os = GuestOs {
                name: name.map(str::to_owned),
                version_id: version.map(str::to_owned),
            };
            let found = platform_name(&config("win11"), Some(&os));
            assert_eq!(found.as_deref(), Some(expected), "{name:?} {version:?}");
        }
    }
}
