//! High availability.

use super::{find, rows_if_offered};
use crate::proxmox::types::{HaGroup, HaManagerStatus, HaResource, HaRule, HaStatus};
use crate::proxmox::{Error, Rows, Session};

/// What to do about high availability as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HaCommand {
    /// Nodes are fenced and guests recovered again.
    Arm,
    /// No node is fenced, no guest recovered.
    Disarm(WhileDisarmed),
}

/// What becomes of changes to guests while high availability is disarmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhileDisarmed {
    /// They are refused.
    Freeze,
    /// They are done as if the guests were not looked after.
    Ignore,
}

impl Session {
    /// `cluster/ha/status/current`: quorum, master, managers and services. Needs Sys.Audit on `/`.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn list_ha_status(&self) -> Result<Rows<HaStatus>, Error> {
        self.cluster().ha().child("status").child("current").get_rows().await
    }

    /// `cluster/ha/status/manager_status`: how the manager itself sees things. Needs Sys.Audit on `/`.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn ha_manager_status(&self) -> Result<HaManagerStatus, Error> {
        let status = self.cluster().ha().child("status");
        status.child("manager_status").get_as().await
    }

    /// `cluster/ha/resources`: the guests that are kept running.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn list_ha_resources(&self) -> Result<Rows<HaResource>, Error> {
        self.cluster().ha().child("resources").get_rows().await
    }

    /// `cluster/ha/resources/{sid}`: one of them, such as `vm:100`; `None` where it is not among them.
    ///
    /// # Errors
    ///
    /// Any other [`Error`] of the exchange.
    pub async fn find_ha_resource(&self, sid: &str) -> Result<Option<HaResource>, Error> {
        find(self.cluster().ha().child("resources").child(sid)).await
    }

    /// `cluster/ha/groups`; none on releases whose groups have become rules.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn list_ha_groups(&self) -> Result<Rows<HaGroup>, Error> {
        rows_if_offered(self.cluster().ha().child("groups")).await
    }

    /// `cluster/ha/groups/{group}`; `None` where there is none, or where groups have become rules.
    ///
    /// # Errors
    ///
    /// Any other [`Error`] of the exchange.
    pub async fn find_ha_group(&self, group: &str) -> Result<Option<HaGroup>, Error> {
        find(self.cluster().ha().child("groups").child(group)).await
    }

    /// `cluster/ha/rules`; none on releases that have groups instead.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn list_ha_rules(&self) -> Result<Rows<HaRule>, Error> {
        rows_if_offered(self.cluster().ha().child("rules")).await
    }

    /// `cluster/ha/rules/{rule}`; `None` where there is none, or where groups are not rules yet.
    ///
    /// # Errors
    ///
    /// Any other [`Error`] of the exchange.
    pub async fn find_ha_rule(&self, rule: &str) -> Result<Option<HaRule>, Error> {
        find(self.cluster().ha().child("rules").child(rule)).await
    }

    /// `POST cluster/ha/status/arm-ha` or `…/disarm-ha`, which Proxmox has known since 9.1.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange; [`Error::NotImplemented`] on older releases.
    pub async fn set_ha(&self, command: HaCommand) -> Result<(), Error> {
        let status = self.cluster().ha().child("status");
        let done = match command {
            HaCommand::Arm => status.child("arm-ha").post(&[]).await,
            HaCommand::Disarm(guests) => {
                let mode = match guests {
                    WhileDisarmed::Freeze => "freeze",
                    WhileDisarmed::Ignore => "ignore",
                };
                status.child("disarm-ha").post(&[("resource-mode", mode.into())]).await
            }
        };
        done.map(drop)
    }
}
