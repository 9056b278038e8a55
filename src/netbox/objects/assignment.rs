//! What MAC and IP addresses are assigned to.

use std::fmt;

use crate::reconcile::{Fields, ObjectId};

const VM_INTERFACE: &str = "virtualization.vminterface";
const DEVICE_INTERFACE: &str = "dcim.interface";

/// What an address is assigned to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Assignment {
    /// An interface of a virtual machine.
    VmInterface(ObjectId),
    /// An interface of a device.
    DeviceInterface(ObjectId),
    /// Something else, by its content type.
    Other(String, ObjectId),
}

impl Assignment {
    /// What an answer's two columns say.
    pub(super) fn of(content_type: Option<String>, id: Option<ObjectId>) -> Option<Self> {
        Some(Self::to(content_type?, id?))
    }

    /// To the object `id` of a content type.
    pub fn to(content_type: String, id: ObjectId) -> Self {
        match content_type.as_str() {
            VM_INTERFACE => Self::VmInterface(id),
            DEVICE_INTERFACE => Self::DeviceInterface(id),
            _ => Self::Other(content_type, id),
        }
    }

    /// The content type and the object.
    pub fn parts(&self) -> (&str, ObjectId) {
        match self {
            Self::VmInterface(id) => (VM_INTERFACE, *id),
            Self::DeviceInterface(id) => (DEVICE_INTERFACE, *id),
            Self::Other(content_type, id) => (content_type, *id),
        }
    }

    /// The interface of a virtual machine that it is.
    pub fn vm_interface(&self) -> Option<ObjectId> {
        match self {
            Self::VmInterface(id) => Some(*id),
            Self::DeviceInterface(_) | Self::Other(..) => None,
        }
    }
}

impl fmt::Display for Assignment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (content_type, id) = self.parts();
        write!(formatter, "{content_type} {id}")
    }
}

/// Adds the two columns of an assignment where there is one.
pub(super) fn put_assignment(fields: &mut Fields, assigned: Option<&Assignment>) {
    if let Some((content_type, id)) = assigned.map(Assignment::parts) {
        fields.insert("assigned_object_type", content_type.into());
        fields.insert("assigned_object_id", id.0.into());
    }
}

/// What an address is called in keys: the address, and what it is assigned to.
pub(super) fn assigned_key(address: &str, assigned: Option<&Assignment>) -> String {
    assigned.map_or_else(|| address.to_owned(), |assigned| format!("{address} on {assigned}"))
}
