//! High availability.

use super::rows_if_offered;
use crate::proxmox::types::{HaGroup, HaResource, HaRule, HaStatus};
use crate::proxmox::{Error, Rows, Session};

impl Session {
    /// `cluster/ha/status/current`: quorum, master, managers and services. Needs Sys.Audit on `/`.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn list_ha_status(&self) -> Result<Rows<HaStatus>, Error> {
        self.cluster().ha().child("status").child("current").get_rows().await
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
        match self.cluster().ha().child("resources").child(sid).get_as().await {
            Ok(resource) => Ok(Some(resource)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// `cluster/ha/groups`; none on releases whose groups have become rules.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn list_ha_groups(&self) -> Result<Rows<HaGroup>, Error> {
        rows_if_offered(self.cluster().ha().child("groups")).await
    }

    /// `cluster/ha/rules`; none on releases that have groups instead.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn list_ha_rules(&self) -> Result<Rows<HaRule>, Error> {
        rows_if_offered(self.cluster().ha().child("rules")).await
    }
}
