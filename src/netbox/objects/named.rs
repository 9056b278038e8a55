//! Objects that are little more than a name and a slug: tags, types, roles, manufacturers, sites, tenants.

use std::collections::BTreeSet;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;

use super::Object;
use super::shape::{Choice, Nested, Tagged, id, put, put_id, put_tags, slugs};
use crate::reconcile::{Fields, ObjectId, Resource, Stored};

/// Which kind of named object.
pub trait NamedKind: fmt::Debug + Send + Sync + Clone + 'static {
    /// The collection's path.
    const PATH: &'static str;
    /// NetBox's name of the model, as [`Object::MODEL`].
    const MODEL: &'static str;
    /// What one is called in reports.
    const KIND: &'static str;
    /// The field that holds its name.
    const NAME_FIELD: &'static str;
    /// The filter by that field, whatever the case.
    const NAME_FILTER: &'static str;
    /// The keys of a row that are read.
    const READ_FIELDS: &'static [&'static str];
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident, $path:literal, $model:literal, $label:literal, $name:literal,
        [$($field:literal),*];)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $kind;

        impl NamedKind for $kind {
            const PATH: &'static str = $path;
            const MODEL: &'static str = $model;
            const KIND: &'static str = $label;
            const NAME_FIELD: &'static str = $name;
            const NAME_FILTER: &'static str = concat!($name, "__ie");
            const READ_FIELDS: &'static [&'static str] = &["id", $name, "slug", $($field),*];
        }
    )*};
}

kinds! {
    /// Tags.
    TagKind, "/api/extras/tags/", "extras.tag", "tag", "name", ["color", "description", "object_types", "tagged_items"];
    /// Cluster types.
    ClusterTypeKind, "/api/virtualization/cluster-types/", "virtualization.clustertype", "cluster type", "name",
        ["description", "tags"];
    /// Manufacturers.
    ManufacturerKind, "/api/dcim/manufacturers/", "dcim.manufacturer", "manufacturer", "name", ["description", "tags"];
    /// Device types.
    DeviceTypeKind, "/api/dcim/device-types/", "dcim.devicetype", "device type", "model",
        ["manufacturer", "description", "tags"];
    /// Device roles.
    DeviceRoleKind, "/api/dcim/device-roles/", "dcim.devicerole", "device role", "name",
        ["color", "description", "vm_role", "tags"];
    /// Virtual machine types.
    VirtualMachineTypeKind, "/api/virtualization/virtual-machine-types/", "virtualization.virtualmachinetype",
        "virtual machine type", "name", ["description", "tags"];
    /// Sites.
    SiteKind, "/api/dcim/sites/", "dcim.site", "site", "name", ["status", "tags"];
    /// Platforms.
    PlatformKind, "/api/dcim/platforms/", "dcim.platform", "platform", "name", ["manufacturer", "tags"];
    /// Tenants.
    TenantKind, "/api/tenancy/tenants/", "tenancy.tenant", "tenant", "name", [];
}

/// A named object of kind `K`. Optional members are not asserted where they are `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named<K> {
    /// Its name (a device type's model).
    pub name: Option<String>,
    /// Its slug, which is its key.
    pub slug: String,
    /// Six lower-case hex digits.
    pub color: Option<String>,
    /// At most 200 characters.
    pub description: Option<String>,
    /// Whether a role may be given to virtual machines.
    pub vm_role: Option<bool>,
    /// A device type's manufacturer.
    pub manufacturer: Option<ObjectId>,
    /// A site's status.
    pub status: Option<String>,
    /// Slugs of its tags.
    pub tags: BTreeSet<String>,
    /// The only types of objects that may bear a tag, `dcim.device`; empty: all may. Never written.
    pub object_types: Vec<String>,
    /// How many objects bear a tag. Never written.
    pub tagged_items: u64,
    kind: PhantomData<K>,
}

impl<K> Named<K> {
    /// An object with a slug and nothing else.
    pub fn new(slug: &str) -> Self {
        Self {
            name: None,
            slug: slug.to_owned(),
            color: None,
            description: None,
            vm_role: None,
            manufacturer: None,
            status: None,
            tags: BTreeSet::new(),
            object_types: Vec::new(),
            tagged_items: 0,
            kind: PhantomData,
        }
    }

    /// The same with a name.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// The same with a description.
    #[must_use]
    pub fn description(mut self, description: &str) -> Self {
        self.description = Some(description.to_owned());
        self
    }

    /// The same with a colour.
    #[must_use]
    pub fn color(mut self, color: &str) -> Self {
        self.color = Some(color.to_owned());
        self
    }

    /// The same with the Proxbox tag.
    #[must_use]
    pub fn tagged(mut self) -> Self {
        self.tags.insert(super::PROXBOX_TAG.to_owned());
        self
    }
}

impl Named<TagKind> {
    /// Whether objects of the type, `dcim.device`, may bear the tag.
    pub fn is_for(&self, object_type: &str) -> bool {
        self.object_types.is_empty() || self.object_types.iter().any(|allowed| allowed == object_type)
    }
}

impl<K: NamedKind> Resource for Named<K> {
    const PATH: &'static str = K::PATH;
    const KIND: &'static str = K::KIND;
    const ROW_MILLIS: u32 = 12;
    type Key = String;

    fn key(&self) -> String {
        self.slug.clone()
    }

    fn fields(&self) -> Fields {
        let mut fields = Fields::from([("slug", self.slug.clone().into())]);
        put(&mut fields, K::NAME_FIELD, self.name.clone());
        put(&mut fields, "color", self.color.clone());
        put(&mut fields, "description", self.description.clone());
        put(&mut fields, "vm_role", self.vm_role);
        put_id(&mut fields, "manufacturer", self.manufacturer);
        put(&mut fields, "status", self.status.clone());
        put_tags(&mut fields, &self.tags);
        fields
    }
}

/// A row as NetBox answers it.
#[derive(Debug, Deserialize)]
pub struct NamedRead<K> {
    id: ObjectId,
    #[serde(alias = "model")]
    name: String,
    slug: String,
    color: Option<String>,
    description: Option<String>,
    vm_role: Option<bool>,
    manufacturer: Option<Nested>,
    status: Option<Choice>,
    #[serde(default)]
    tags: Vec<Tagged>,
    #[serde(default)]
    object_types: Vec<String>,
    #[serde(default)]
    tagged_items: u64,
    #[serde(skip)]
    kind: PhantomData<K>,
}

impl<K> From<NamedRead<K>> for Stored<Named<K>> {
    fn from(row: NamedRead<K>) -> Self {
        let object = Named {
            name: Some(row.name),
            slug: row.slug,
            color: row.color,
            description: row.description,
            vm_role: row.vm_role,
            manufacturer: id(row.manufacturer),
            status: row.status.map(|status| status.value),
            tags: slugs(row.tags),
            object_types: row.object_types,
            tagged_items: row.tagged_items,
            kind: PhantomData,
        };
        Self { id: row.id, object }
    }
}

impl<K: NamedKind> Object for Named<K> {
    type Read = NamedRead<K>;
    const MODEL: &'static str = K::MODEL;
    const READ_FIELDS: &'static [&'static str] = K::READ_FIELDS;
}
