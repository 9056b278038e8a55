//! What the identity of a session may see.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::proxmox::wire;

/// The answer of `access/permissions`: object of the access list → privilege → whether it propagates downwards.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Permissions(BTreeMap<String, BTreeMap<String, bool>>);

impl Permissions {
    /// Reads the map; privileges with odd values are taken as held but not propagated.
    pub fn of(map: &Map<String, Value>) -> Self {
        let paths = map.iter().map(|(path, privileges)| {
            let held = privileges.as_object().into_iter().flatten();
            let held = held.map(|(name, value)| (name.clone(), wire::flag_of(value).ok().flatten().unwrap_or(false)));
            (path.clone(), held.collect())
        });
        Self(paths.collect())
    }

    /// The objects with their privileges, and whether each propagates.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &BTreeMap<String, bool>)> {
        self.0.iter().map(|(path, privileges)| (path.as_str(), privileges))
    }
}

/// What the identity may see and do, derived from [`Permissions`].
///
/// An identity with too few rights is not refused: rows are left out without a word, which looks like deletion. Whoever
/// takes an absence for a deletion must ask here first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Whether the rights could be read at all. If not, every question is answered with "no".
    pub known: bool,
    permissions: Permissions,
}

/// Paths that the server always looks at.
const ROOTS: [&str; 7] = [
    "/access",
    "/access/groups",
    "/nodes",
    "/pool",
    "/sdn",
    "/storage",
    "/vms",
];

impl Capabilities {
    /// The capabilities that `permissions` give.
    pub const fn of(permissions: Permissions) -> Self {
        Self {
            known: true,
            permissions,
        }
    }

    /// Nothing is known.
    pub fn unknown() -> Self {
        Self::default()
    }

    /// The rights themselves.
    pub const fn permissions(&self) -> &Permissions {
        &self.permissions
    }

    /// Whether it is known that no privilege at all is held, so that nothing worth reading is visible.
    pub fn is_nothing(&self) -> bool {
        self.known && self.permissions.iter().all(|(_, held)| held.is_empty())
    }

    /// Whether `privilege` is held on `path`, such as `/vms/100`: there, or propagated from further up.
    ///
    /// The server lists every object that has an entry of its own with the rights that hold there, so that the nearest
    /// listed object decides. It also looks at the roots of its trees, and leaves out those where nothing is held.
    pub fn has(&self, path: &str, privilege: &str) -> bool {
        let path = normal(path);
        let listed = &self.permissions.0;
        let tells_roots = listed.contains_key("/") && ROOTS.iter().any(|root| listed.contains_key(*root));
        let mut at = path.as_str();
        loop {
            if let Some(held) = listed.get(at) {
                let propagates = held.get(privilege).copied();
                return if at == path {
                    propagates.is_some()
                } else {
                    propagates == Some(true)
                };
            }
            if tells_roots && ROOTS.contains(&at) {
                return false;
            }
            at = match parent(at) {
                Some(parent) => parent,
                None => return false,
            };
        }
    }

    /// Whether every guest is visible: VM.Audit on `/vms`, propagated, and nowhere below taken away.
    pub fn sees_all_guests(&self) -> bool {
        self.sees_all("/vms", &["VM.Audit"])
    }

    /// Whether every storage is visible: Datastore.Audit or Datastore.AllocateSpace on `/storage`, propagated, and
    /// nowhere below taken away.
    pub fn sees_all_storages(&self) -> bool {
        self.sees_all("/storage", &["Datastore.Audit", "Datastore.AllocateSpace"])
    }

    /// Whether every backup on `storage` is visible: Datastore.Allocate there, or Datastore.AllocateSpace there and
    /// VM.Backup on every guest.
    pub fn sees_all_backups(&self, storage: &str) -> bool {
        let path = format!("/storage/{storage}");
        self.has(&path, "Datastore.Allocate")
            || (self.has(&path, "Datastore.AllocateSpace") && self.sees_all("/vms", &["VM.Backup"]))
    }

    /// Whether every software-defined network is visible: SDN.Audit or SDN.Allocate on `/sdn`, propagated, and nowhere
    /// below taken away.
    pub fn sees_all_networks(&self) -> bool {
        self.sees_all("/sdn", &["SDN.Audit", "SDN.Allocate"])
    }

    fn sees_all(&self, root: &str, privileges: &[&str]) -> bool {
        let below = format!("{root}/");
        // Any object below the root stands for those without an entry of their own.
        let anywhere = privileges
            .iter()
            .any(|privilege| self.has(&format!("{below}*"), privilege));
        let entries = self.permissions.0.iter().filter(|(path, _)| path.starts_with(&below));
        anywhere
            && entries
                .map(|(_, held)| held)
                .all(|held| privileges.iter().any(|name| held.contains_key(*name)))
    }
}

fn normal(path: &str) -> String {
    format!("/{}", path.trim_matches('/'))
}

fn parent(path: &str) -> Option<&str> {
    match path.rsplit_once('/') {
        Some(("", "")) | None => None,
        Some(("", _)) => Some("/"),
        Some((parent, _)) => Some(parent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn capabilities(map: &Value) -> Capabilities {
        Capabilities::of(Permissions::of(map.as_object().unwrap()))
    }

    #[test]
    fn privilege_is_found_there_or_propagated_from_above() {
        let rights = capabilities(&json!({
            "/": {"Sys.Audit": 1, "Sys.Modify": 0},
            "/nodes": {"Sys.Audit": 1},
            "/vms": {"Sys.Audit": 1, "VM.Audit": "1"},
            "/vms/100": {"VM.Console": 1},
        }));
        for (path, privilege, wanted) in [
            ("/", "Sys.Audit", true),
            ("/", "Sys.Modify", true),
            ("/nodes/a", "Sys.Audit", true),
            ("nodes/a/", "Sys.Audit", true),
            ("/nodes/a", "Sys.Modify", false),
            ("/vms/101", "VM.Audit", true),
            ("/vms/100", "VM.Audit", false),
            ("/vms/100", "VM.Console", true),
            ("/storage", "Datastore.Audit", false),
            ("/sdn", "Sys.Audit", false),
            ("/sdn/zones/lan", "Sys.Audit", false),
        ] {
            assert_eq!(rights.has(path, privilege), wanted, "{path} {privilege}");
        }
    }

    #[test]
    fn all_guests_are_seen_only_without_a_hole() {
        for (map, wanted) in [
            (json!({"/vms": {"VM.Audit": 1}}), true),
            (json!({"/": {"VM.Audit": 1}}), true),
            (
                json!({"/": {"VM.Audit": 1}, "/vms": {"VM.Audit": 1}, "/vms/100": {"VM.Audit": 1}}),
                true,
            ),
            (json!({"/vms": {"VM.Audit": 0}}), false),
            (json!({"/": {"VM.Audit": 0}}), false),
            (json!({"/vms/100": {"VM.Audit": 1}}), false),
            (json!({"/": {"VM.Audit": 1}, "/vms/100": {}}), false),
            (json!({}), false),
        ] {
            assert_eq!(capabilities(&map).sees_all_guests(), wanted, "{map}");
        }
        assert!(!Capabilities::unknown().sees_all_guests());
        assert!(!Capabilities::unknown().is_nothing());
        assert!(capabilities(&json!({"/": {}})).is_nothing());
        assert!(!capabilities(&json!({"/": {}, "/vms": {"VM.Audit": 0}})).is_nothing());
    }

    #[test]
    fn all_backups_of_a_storage_are_seen_only_with_the_rights_to_make_them() {
        for (map, wanted) in [
            (json!({"/storage/nas": {"Datastore.Allocate": 1}}), true),
            (json!({"/": {"Datastore.AllocateSpace": 1, "VM.Backup": 1}}), true),
            (
                json!({"/": {"Datastore.AllocateSpace": 1, "VM.Backup": 1}, "/vms/100": {"VM.Audit": 1}}),
                false,
            ),
            (json!({"/": {"Datastore.AllocateSpace": 1}}), false),
            (json!({"/": {"Datastore.Audit": 1, "VM.Audit": 1}}), false),
            (json!({"/storage/other": {"Datastore.Allocate": 1}}), false),
        ] {
            assert_eq!(capabilities(&map).sees_all_backups("nas"), wanted, "{map}");
        }
    }

    #[test]
    fn all_storages_are_seen_with_either_privilege() {
        for (map, wanted) in [
            (json!({"/storage": {"Datastore.Audit": 1}}), true),
            (json!({"/storage": {"Datastore.AllocateSpace": 1}}), true),
            (
                json!({"/storage": {"Datastore.Audit": 1}, "/storage/x": {"Datastore.AllocateSpace": 1}}),
                true,
            ),
            (json!({"/storage/x": {"Datastore.Audit": 1}}), false),
        ] {
            assert_eq!(capabilities(&map).sees_all_storages(), wanted, "{map}");
        }
    }
}
