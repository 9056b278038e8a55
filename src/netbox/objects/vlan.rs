//! VLANs and their groups.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::Object;
use super::shape::{Choice, Nested, Tagged, id, put, put_id, put_tags, slugs};
use crate::reconcile::{Fields, ObjectId, Resource, Stored};

/// A VLAN. Without a group NetBox takes the same number any number of times, even in one site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vlan {
    /// Its number.
    pub vid: u16,
    /// Its site; one without is global.
    pub site: Option<ObjectId>,
    /// Its group; never written.
    pub group: Option<ObjectId>,
    /// Its tenant.
    pub tenant: Option<ObjectId>,
    /// Its name, at most 64 characters.
    pub name: Option<String>,
    /// Its status word.
    pub status: Option<String>,
    /// Slugs of its tags.
    pub tags: BTreeSet<String>,
}

impl Vlan {
    /// The key of the VLAN `vid` of a site and tenant.
    pub fn key_of(vid: u16, site: Option<ObjectId>, tenant: Option<ObjectId>) -> String {
        let text = |id: Option<ObjectId>| id.map(|id| id.to_string()).unwrap_or_default();
        format!("{vid}@{}/{}", text(site), text(tenant))
    }
}

impl Resource for Vlan {
    const PATH: &'static str = "/api/ipam/vlans/";
    const KIND: &'static str = "VLAN";
    /// NetBox looks at numbers within a group only, and ours are in none.
    const IS_UNIQUE: bool = false;
    type Key = String;

    fn key(&self) -> String {
        Self::key_of(self.vid, self.site, self.tenant)
    }

    fn label(&self) -> String {
        self.vid.to_string()
    }

    fn fields(&self) -> Fields {
        let mut fields = Fields::from([("vid", self.vid.into())]);
        put_id(&mut fields, "site", self.site);
        put_id(&mut fields, "tenant", self.tenant);
        put(&mut fields, "name", self.name.clone());
        put(&mut fields, "status", self.status.clone());
        put_tags(&mut fields, &self.tags);
        fields
    }
}

/// A row as NetBox answers it.
#[derive(Debug, Deserialize)]
pub struct VlanRead {
    id: ObjectId,
    vid: u16,
    site: Option<Nested>,
    group: Option<Nested>,
    tenant: Option<Nested>,
    name: String,
    status: Option<Choice>,
    tags: Vec<Tagged>,
}

impl From<VlanRead> for Stored<Vlan> {
    fn from(row: VlanRead) -> Self {
        let object = Vlan {
            vid: row.vid,
            site: id(row.site),
            group: id(row.group),
            tenant: id(row.tenant),
            name: Some(row.name),
            status: row.status.map(|status| status.value),
            tags: slugs(row.tags),
        };
        Self { id: row.id, object }
    }
}

impl Object for Vlan {
    type Read = VlanRead;
    const MODEL: &'static str = "ipam.vlan";
    const READ_FIELDS: &'static [&'static str] = &["id", "vid", "site", "group", "tenant", "name", "status", "tags"];
}

/// A group of VLANs; read only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VlanGroup {
    /// Its name, which several groups may share.
    pub name: String,
    /// What `scope_id` is, such as `dcim.site`; `None`: the group has no scope.
    pub scope_type: Option<String>,
    /// What the group is for.
    pub scope_id: Option<ObjectId>,
}

impl VlanGroup {
    /// The site that the group is for, where it is for one.
    pub fn site(&self) -> Option<ObjectId> {
        self.scope_id
            .filter(|_| self.scope_type.as_deref() == Some("dcim.site"))
    }
}

impl Resource for VlanGroup {
    const PATH: &'static str = "/api/ipam/vlan-groups/";
    const KIND: &'static str = "VLAN group";
    type Key = String;

    fn key(&self) -> String {
        self.name.clone()
    }

    fn fields(&self) -> Fields {
        Fields::new()
    }
}

/// A row as NetBox answers it.
#[derive(Debug, Deserialize)]
pub struct VlanGroupRead {
    id: ObjectId,
    name: String,
    scope_type: Option<String>,
    scope_id: Option<ObjectId>,
}

impl From<VlanGroupRead> for Stored<VlanGroup> {
    fn from(row: VlanGroupRead) -> Self {
        let object = VlanGroup {
            name: row.name,
            scope_type: row.scope_type,
            scope_id: row.scope_id,
        };
        Self { id: row.id, object }
    }
}

impl Object for VlanGroup {
    type Read = VlanGroupRead;
    const MODEL: &'static str = "ipam.vlangroup";
    const READ_FIELDS: &'static [&'static str] = &["id", "name", "scope_type", "scope_id"];
}
