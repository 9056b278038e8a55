//! What the cluster tells of itself.

use std::sync::Arc;

use serde::de::Error as _;

use super::rows_if_offered;
use crate::proxmox::types::{ClusterResource, ClusterStatus, CpuModel, JoinInformation, Metric};
use crate::proxmox::{Error, GuestKind, Param, Resource, Rows, Session, Vmid};

/// Which figures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MetricFilter {
    /// Those of the last half hour too, not only the present ones.
    pub history: bool,
    /// Only those of the node that answers.
    pub local_only: bool,
    /// Only those after this time, in seconds since 1970.
    pub start_time: Option<i64>,
}

impl Session {
    /// The row of `cluster/status` that is the node `name`; `None` where the cluster has no such node. Needs Sys.Audit
    /// on `/`.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange; [`Error::Decode`] where a row that could be the node cannot be read.
    pub async fn find_node_status(&self, name: &str) -> Result<Option<ClusterStatus>, Error> {
        let rows = self.cluster_status().await?;
        only(rows, "cluster/status", |row| {
            row.is_node() && row.name.as_deref() == Some(name)
        })
    }

    /// The row of `cluster/resources` that is a guest, wherever it is; `None` where the identity sees no such guest.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange; [`Error::Decode`] where a row that could be the guest cannot be read.
    pub async fn find_guest(&self, kind: GuestKind, vmid: Vmid) -> Result<Option<ClusterResource>, Error> {
        let rows = self.cluster_resources(Some("vm")).await?;
        only(rows, "cluster/resources", |row| {
            row.kind.guest() == Some(kind) && row.vmid == Some(vmid)
        })
    }

    /// `cluster/config/join`: what a host needs to join, the members with their certificates among it; `None` of a host
    /// outside a cluster. Needs Sys.Audit on `/`.
    ///
    /// # Errors
    ///
    /// Any other [`Error`] of the exchange.
    pub async fn find_join_information(&self) -> Result<Option<JoinInformation>, Error> {
        match self.cluster().join_information().get_as().await {
            Ok(information) => Ok(Some(information)),
            Err(Error::NotClustered { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// `cluster/qemu/custom-cpu-models`: the processor models that operators have defined.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn list_cpu_models(&self) -> Result<Rows<CpuModel>, Error> {
        rows_if_offered(self.cpu_models()).await
    }

    /// The processor model called `name`, with or without `custom-` before it; `None` where there is none.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange; [`Error::Decode`] where a row that could be the model cannot be read.
    pub async fn find_cpu_model(&self, name: &str) -> Result<Option<CpuModel>, Error> {
        let rows = self.list_cpu_models().await?;
        only(rows, "cluster/qemu/custom-cpu-models", |row| row.is_named(name))
    }

    /// `POST cluster/qemu/custom-cpu-models`: defines the processor model `name`, which reports itself to guests as
    /// `reported_model`, with `parameters` such as `flags` or `hidden`.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange; [`Error::NotImplemented`] on releases before 9.2.
    pub async fn create_cpu_model(
        &self,
        name: &str,
        reported_model: &str,
        parameters: &[(&str, Param)],
    ) -> Result<(), Error> {
        let mut all = vec![("cputype", name.into()), ("reported-model", reported_model.into())];
        all.extend_from_slice(parameters);
        self.cpu_models().post(&all).await.map(drop)
    }

    /// `PUT cluster/qemu/custom-cpu-models/{name}`: changes `parameters` of the processor model. Guests that run keep what
    /// they were started with.
    ///
    /// # Errors
    ///
    /// As [`Session::create_cpu_model`].
    pub async fn change_cpu_model(&self, name: &str, parameters: &[(&str, Param)]) -> Result<(), Error> {
        self.cpu_models().child(name).put(parameters).await.map(drop)
    }

    /// `DELETE cluster/qemu/custom-cpu-models/{name}`. Guests that are set to it do not start any more.
    ///
    /// # Errors
    ///
    /// As [`Session::create_cpu_model`].
    pub async fn delete_cpu_model(&self, name: &str) -> Result<(), Error> {
        self.cpu_models().child(name).delete(&[]).await.map(drop)
    }

    fn cpu_models(&self) -> Resource {
        self.cluster().child("qemu").child("custom-cpu-models")
    }

    /// `cluster/metrics/export`: figures of nodes, guests and storages. Needs Sys.Audit on `/`.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange; [`Error::Decode`] where the answer holds no list.
    pub async fn list_metrics(&self, filter: MetricFilter) -> Result<Rows<Metric>, Error> {
        let parameters = [
            ("history", filter.history.then_some(true).into()),
            ("local-only", filter.local_only.then_some(true).into()),
            ("start-time", filter.start_time.into()),
        ];
        let place = self.cluster().child("metrics").child("export");
        Ok(Rows::decode(place.get_list_at("data", &parameters).await?))
    }
}

/// The row that `is_it`. It is absent only where every row could be read.
pub(super) fn only<T>(rows: Rows<T>, path: &str, is_it: impl Fn(&T) -> bool) -> Result<Option<T>, Error> {
    let found = rows.items.into_iter().find(is_it);
    match rows.rejected.first() {
        Some(row) if found.is_none() => Err(Error::Decode {
            call: format!("GET {path}"),
            source: Arc::new(serde_json::Error::custom(&row.reason)),
        }),
        _ => Ok(found),
    }
}
