//! Who a configured Proxmox endpoint is.
//!
//! Two number spaces overlap: the ids of this service's own table and the primary keys of the plugin's rows in NetBox.
//! An [`EndpointKey`] keeps them apart.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where an endpoint's definition comes from, and so in which number space its id lives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// This service's own table of endpoints.
    #[default]
    Database,
    /// The plugin's rows in NetBox.
    NetBox,
}

impl Source {
    /// The word used in queries and answers: `database` or `netbox`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::NetBox => "netbox",
        }
    }
}

/// Which product of Proxmox an endpoint runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Product {
    /// Proxmox VE.
    #[default]
    VirtualEnvironment,
    /// Proxmox Backup Server.
    BackupServer,
    /// Proxmox Datacenter Manager.
    DatacenterManager,
}

impl Product {
    /// What operators and logs call it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::VirtualEnvironment => "PVE",
            Self::BackupServer => "PBS",
            Self::DatacenterManager => "PDM",
        }
    }

    /// The port of its API.
    pub const fn port(self) -> u16 {
        match self {
            Self::VirtualEnvironment => 8006,
            Self::BackupServer => 8007,
            Self::DatacenterManager => 8443,
        }
    }
}

/// The id of a Proxmox endpoint inside its [`Source`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EndpointId(pub i64);

impl fmt::Display for EndpointId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// One Proxmox endpoint, unmistakably.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EndpointKey {
    /// The number space of `id`.
    pub source: Source,
    /// The number.
    pub id: EndpointId,
}

impl fmt::Display for EndpointKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.source.as_str(), self.id)
    }
}
