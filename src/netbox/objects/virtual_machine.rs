//! Virtual machines.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;

use super::Object;
use super::shape::{Choice, Nested, Tagged, id, put, put_id, put_tags, slugs};
use crate::reconcile::{Fields, ObjectId, Resource, SideBySide, Stored, Told};

/// The status of a virtual machine whose guest is gone.
pub const DECOMMISSIONING: &str = "decommissioning";
/// The slug of the tag on a virtual machine whose guest is gone.
pub const SOFT_DELETED_TAG: &str = "proxbox-soft-deleted";

/// A virtual machine that stands for a Proxmox guest.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct VirtualMachine {
    /// The number of the guest it should stand for; unknown for rows read from NetBox, where the sync state tells.
    pub vmid: Option<u32>,
    /// Its name, at most 64 characters, unique per cluster and tenant whatever the case.
    pub name: Option<String>,
    /// Its status word.
    pub status: Option<String>,
    /// Its cluster.
    pub cluster: Option<ObjectId>,
    /// The device it runs on, which is in the cluster.
    pub device: Option<ObjectId>,
    /// Its site.
    pub site: Option<ObjectId>,
    /// Its tenant; never written.
    pub tenant: Option<ObjectId>,
    /// Its type (NetBox 4.6 and later).
    pub machine_type: Option<ObjectId>,
    /// Its role.
    pub role: Option<ObjectId>,
    /// Its platform.
    pub platform: Option<ObjectId>,
    /// Processors, with at most two decimals.
    pub vcpus: Option<f64>,
    /// Memory in MiB.
    pub memory: Option<u64>,
    /// Disk in MiB; NetBox keeps it equal to the sum of the virtual disks where there are any.
    pub disk: Option<u64>,
    /// How many virtual disks it has; never written.
    pub disk_count: u64,
    /// At most 200 characters.
    pub description: Option<String>,
    /// Free text.
    pub comments: Option<String>,
    /// Its primary IPv4 address.
    pub primary_ip4: Option<ObjectId>,
    /// Its primary IPv6 address.
    pub primary_ip6: Option<ObjectId>,
    /// Slugs of its tags.
    pub tags: BTreeSet<String>,
}

impl VirtualMachine {
    /// Whether it was marked because its guest is gone.
    pub fn is_soft_deleted(&self) -> bool {
        self.status.as_deref() == Some(DECOMMISSIONING) || self.tags.contains(SOFT_DELETED_TAG)
    }
}

impl Resource for VirtualMachine {
    const PATH: &'static str = "/api/virtualization/virtual-machines/";
    const KIND: &'static str = "virtual machine";
    /// NetBox counts them in the row of their type: requests with rows of two types would each hold what the other needs.
    const SIDE_BY_SIDE: SideBySide = SideBySide::OfOtherValues("virtual_machine_type");
    const ROW_MILLIS: u32 = 50;
    const TOLD: Option<&'static Told> = Some(&Told {
        field: "disk",
        words: "aggregate size",
    });
    type Key = String;

    fn key(&self) -> String {
        self.vmid.map_or_else(|| self.label(), |vmid| vmid.to_string())
    }

    fn label(&self) -> String {
        self.name.clone().unwrap_or_default()
    }

    fn fields(&self) -> Fields {
        let mut fields = Fields::new();
        put(&mut fields, "name", self.name.clone());
        put(&mut fields, "status", self.status.clone());
        put_id(&mut fields, "cluster", self.cluster);
        put_id(&mut fields, "device", self.device);
        put_id(&mut fields, "site", self.site);
        put_id(&mut fields, "virtual_machine_type", self.machine_type);
        put_id(&mut fields, "role", self.role);
        put_id(&mut fields, "platform", self.platform);
        put(&mut fields, "vcpus", self.vcpus);
        put(&mut fields, "memory", self.memory);
        put(&mut fields, "disk", self.disk);
        put(&mut fields, "description", self.description.clone());
        put(&mut fields, "comments", self.comments.clone());
        put_id(&mut fields, "primary_ip4", self.primary_ip4);
        put_id(&mut fields, "primary_ip6", self.primary_ip6);
        put_tags(&mut fields, &self.tags);
        fields
    }

    /// A status that an operator chose stays as long as it does not contradict the guest's; sizes that are not set are
    /// zero; white space around texts is not kept by NetBox.
    fn is_same(field: &str, before: &Value, after: &Value) -> bool {
        match field {
            "status" => before == after || before.as_str().map(as_live) == after.as_str(),
            "memory" | "disk" => before.as_u64().unwrap_or_default() == after.as_u64().unwrap_or_default(),
            "description" | "comments" => before.as_str().map(str::trim) == after.as_str().map(str::trim),
            _ => before == after,
        }
    }
}

/// What a status word says about whether the guest runs.
fn as_live(status: &str) -> &str {
    match status {
        "offline" | "paused" => "offline",
        "planned" => "planned",
        _ => "active",
    }
}

/// A row as NetBox answers it.
#[derive(Debug, Deserialize)]
pub struct VirtualMachineRead {
    id: ObjectId,
    name: String,
    status: Option<Choice>,
    cluster: Option<Nested>,
    device: Option<Nested>,
    site: Option<Nested>,
    tenant: Option<Nested>,
    #[serde(default)]
    virtual_machine_type: Option<Nested>,
    role: Option<Nested>,
    platform: Option<Nested>,
    vcpus: Option<f64>,
    memory: Option<u64>,
    disk: Option<u64>,
    #[serde(default)]
    virtual_disk_count: u64,
    description: String,
    comments: String,
    primary_ip4: Option<Nested>,
    primary_ip6: Option<Nested>,
    tags: Vec<Tagged>,
}

impl From<VirtualMachineRead> for Stored<VirtualMachine> {
    fn from(row: VirtualMachineRead) -> Self {
        let object = VirtualMachine {
            vmid: None,
            name: Some(row.name),
            status: row.status.map(|status| status.value),
            cluster: id(row.cluster),
            device: id(row.device),
            site: id(row.site),
            tenant: id(row.tenant),
            machine_type: id(row.virtual_machine_type),
            role: id(row.role),
            platform: id(row.platform),
            vcpus: row.vcpus,
            memory: row.memory,
            disk: row.disk,
            disk_count: row.virtual_disk_count,
            description: Some(row.description),
            comments: Some(row.comments),
            primary_ip4: id(row.primary_ip4),
            primary_ip6: id(row.primary_ip6),
            tags: slugs(row.tags),
        };
        Self { id: row.id, object }
    }
}

impl Object for VirtualMachine {
    type Read = VirtualMachineRead;
    const MODEL: &'static str = "virtualization.virtualmachine";
    const READ_FIELDS: &'static [&'static str] = &[
        "id",
        "name",
        "status",
        "cluster",
        "device",
        "site",
        "tenant",
        "virtual_machine_type",
        "role",
        "platform",
        "vcpus",
        "memory",
        "disk",
        "virtual_disk_count",
        "description",
        "comments",
        "primary_ip4",
        "primary_ip6",
        "tags",
    ];
    const IS_LOOKED_UP: bool = true;
}
