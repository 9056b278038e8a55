//! Privileges, roles, and what an identity may do on a path.

use std::collections::{BTreeMap, BTreeSet};

use super::Release;
use super::world::{Access, Subject, World};

/// All privileges of release 9, with those that only earlier ones have.
const PRIVILEGES: &[&str] = &[
    "Datastore.Allocate",
    "Datastore.AllocateSpace",
    "Datastore.AllocateTemplate",
    "Datastore.Audit",
    "Group.Allocate",
    "Mapping.Audit",
    "Mapping.Modify",
    "Mapping.Use",
    "Permissions.Modify",
    "Pool.Allocate",
    "Pool.Audit",
    "Realm.Allocate",
    "Realm.AllocateUser",
    "SDN.Allocate",
    "SDN.Audit",
    "SDN.Use",
    "Sys.AccessNetwork",
    "Sys.Audit",
    "Sys.Console",
    "Sys.Incoming",
    "Sys.Modify",
    "Sys.PowerMgmt",
    "Sys.Syslog",
    "User.Modify",
    "VM.Allocate",
    "VM.Audit",
    "VM.Backup",
    "VM.Clone",
    "VM.Config.CDROM",
    "VM.Config.CPU",
    "VM.Config.Cloudinit",
    "VM.Config.Disk",
    "VM.Config.HWType",
    "VM.Config.Memory",
    "VM.Config.Network",
    "VM.Config.Options",
    "VM.Console",
    "VM.Migrate",
    "VM.PowerMgmt",
    "VM.Snapshot",
    "VM.Snapshot.Rollback",
];
const ONLY_9: &[&str] = &[
    "VM.GuestAgent.Audit",
    "VM.GuestAgent.FileRead",
    "VM.GuestAgent.FileSystemMgmt",
    "VM.GuestAgent.FileWrite",
    "VM.GuestAgent.Unrestricted",
    "VM.Replicate",
];
const ONLY_8: &[&str] = &["VM.Monitor"];
/// Paths under which permissions are told when a whole map is asked for.
const ROOTS: &[&str] = &[
    "/",
    "/access",
    "/access/groups",
    "/nodes",
    "/pool",
    "/sdn",
    "/storage",
    "/vms",
];

/// Who has asked: a user, or a token of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    /// `user@realm`.
    pub(super) user: String,
    /// The name of the token.
    pub(super) token: Option<String>,
}

impl Identity {
    /// `user@realm` or `user@realm!token`.
    pub(super) fn id(&self) -> String {
        match &self.token {
            Some(token) => format!("{}!{token}", self.user),
            None => self.user.clone(),
        }
    }
}

/// The privileges of one identity, per path.
pub(super) struct Rights<'a> {
    access: &'a Access,
    release: Release,
    identity: &'a Identity,
    is_superuser: bool,
    is_separated: bool,
}

impl<'a> Rights<'a> {
    pub(super) fn new(world: &'a World, release: Release, identity: &'a Identity) -> Self {
        let access = &world.access;
        let token = identity.token.as_ref().and_then(|_| access.token(&identity.id()));
        let is_separated = token.is_some_and(|token| token.separated);
        Self {
            access,
            release,
            identity,
            is_superuser: identity.user == "root@pam" && !is_separated,
            is_separated,
        }
    }

    /// Whether the identity has `privilege` on `path`.
    pub(super) fn has(&self, path: &str, privilege: &str) -> bool {
        self.is_superuser || self.on(path).contains(privilege)
    }

    /// Whether the identity has `privilege` on the guest, directly or through its pool.
    pub(super) fn on_guest(&self, vmid: u32, pool: Option<&str>, privilege: &str) -> bool {
        self.is_superuser
            || self.has(&format!("/vms/{vmid}"), privilege)
            || pool.is_some_and(|pool| self.has(&format!("/pool/{pool}"), privilege))
    }

    /// All privileges on `path`.
    pub(super) fn on(&self, path: &str) -> BTreeSet<&'a str> {
        if self.is_superuser {
            return self.all();
        }
        let own = if self.identity.user == "root@pam" {
            self.all()
        } else {
            self.of_user(path)
        };
        if !self.is_separated {
            return own;
        }
        let id = self.identity.id();
        let given = self.given(path, |subject, ugid| subject == Subject::Token && ugid == id);
        own.intersection(&given).copied().collect()
    }

    /// Path to privileges, for the usual paths and every path that the access control list names.
    pub(super) fn map(&self) -> BTreeMap<String, BTreeSet<&'a str>> {
        let named = self.access.acl.iter().map(|entry| entry.path.as_str());
        let paths: BTreeSet<&str> = ROOTS.iter().copied().chain(named).collect();
        let held = paths.into_iter().map(|path| (path.to_owned(), self.on(path)));
        held.filter(|(_, privileges)| !privileges.is_empty()).collect()
    }

    fn all(&self) -> BTreeSet<&'a str> {
        role("Administrator", self.release, self.access)
    }

    fn of_user(&self, path: &str) -> BTreeSet<&'a str> {
        let user = &self.identity.user;
        let own = self.given(path, |subject, ugid| subject == Subject::User && ugid == user);
        if !own.is_empty() {
            return own;
        }
        let groups = self
            .access
            .user(user)
            .map(|user| user.groups.as_slice())
            .unwrap_or_default();
        self.given(path, |subject, ugid| {
            subject == Subject::Group && groups.iter().any(|group| group == ugid)
        })
    }

    /// What the entries that `concerns` give on `path`: the deepest path that has any decides.
    fn given(&self, path: &str, concerns: impl Fn(Subject, &str) -> bool) -> BTreeSet<&'a str> {
        for place in ancestors(path) {
            let entries = self.access.acl.iter().filter(|entry| {
                entry.path == place && (entry.propagate || place == path) && concerns(entry.subject, &entry.ugid)
            });
            let roles: Vec<&str> = entries.map(|entry| entry.role.as_str()).collect();
            if !roles.is_empty() {
                return roles
                    .into_iter()
                    .flat_map(|name| role(name, self.release, self.access))
                    .collect();
            }
        }
        BTreeSet::new()
    }
}

/// `path` itself, then everything above it up to `/`.
fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| match path.rfind('/') {
        Some(0) if path.len() > 1 => Some("/"),
        Some(at) if at > 0 => path.get(..at),
        _ => None,
    })
}

/// The privileges of the role `name` on `release`.
pub(super) fn role<'a>(name: &str, release: Release, access: &'a Access) -> BTreeSet<&'a str> {
    let special: &[&str] = if release.is_9() { ONLY_9 } else { ONLY_8 };
    let all = || PRIVILEGES.iter().chain(special).copied();
    match name {
        "Administrator" => all().collect(),
        "PVEAdmin" => all()
            .filter(|name| !matches!(*name, "Sys.Modify" | "Sys.PowerMgmt" | "Realm.Allocate"))
            .collect(),
        "PVEAuditor" => all()
            .filter(|name| name.ends_with(".Audit") && (release.is_9() || *name != "VM.GuestAgent.Audit"))
            .collect(),
        "PVEVMAdmin" => all().filter(|name| name.starts_with("VM.")).collect(),
        "PVEVMUser" => ["VM.Audit", "VM.Backup", "VM.Config.CDROM", "VM.Console", "VM.PowerMgmt"].into(),
        "PVEDatastoreUser" => ["Datastore.AllocateSpace", "Datastore.Audit"].into(),
        "PVEDatastoreAdmin" => all().filter(|name| name.starts_with("Datastore.")).collect(),
        _ => {
            let own = access.roles.iter().find(|(own, _)| own == name);
            own.map(|(_, privileges)| privileges.iter().map(String::as_str).collect())
                .unwrap_or_default()
        }
    }
}

/// The names of the built-in roles.
pub(super) const ROLES: &[&str] = &[
    "Administrator",
    "NoAccess",
    "PVEAdmin",
    "PVEAuditor",
    "PVEDatastoreAdmin",
    "PVEDatastoreUser",
    "PVEVMAdmin",
    "PVEVMUser",
];

#[cfg(test)]
mod tests {
    use super::super::world::{AUDITOR_TOKEN, EMPTY_TOKEN, ROOT_TOKEN};
    use super::*;

    fn identity(id: &str) -> Identity {
        let (user, token) = id
            .split_once('!')
            .map_or((id, None), |(user, token)| (user, Some(token.to_owned())));
        Identity {
            user: user.to_owned(),
            token,
        }
    }

    #[test]
    fn rights_follow_role_path_and_release() {
        let mut world = World::estate(1, 2);
        world.access.add_user("limited@pve", "x");
        world.access.allow("/vms/100", "limited@pve", "PVEVMUser");
        world.access.allow("/vms", "limited@pve", "NoAccess");
        for (id, release, path, privilege, expected) in [
            ("root@pam", Release::V9_2, "/", "Sys.Modify", true),
            (ROOT_TOKEN, Release::V9_2, "/vms/100", "VM.Backup", true),
            (EMPTY_TOKEN, Release::V9_2, "/vms/100", "VM.Audit", false),
            (AUDITOR_TOKEN, Release::V9_2, "/vms/100", "VM.Audit", true),
            (AUDITOR_TOKEN, Release::V9_2, "/vms/100", "VM.GuestAgent.Audit", true),
            (AUDITOR_TOKEN, Release::V8_3, "/vms/100", "VM.GuestAgent.Audit", false),
            (AUDITOR_TOKEN, Release::V9_2, "/vms/100", "VM.Backup", false),
            ("limited@pve", Release::V9_2, "/vms/100", "VM.Audit", true),
            ("limited@pve", Release::V9_2, "/vms/101", "VM.Audit", false),
            ("limited@pve", Release::V9_2, "/", "Sys.Audit", false),
        ] {
            let who = identity(id);
            let rights = Rights::new(&world, release, &who);
            assert_eq!(rights.has(path, privilege), expected, "{id} {path} {privilege}");
        }
    }
}
