//! Proxmox for callers without a runtime: the same session, and every call waits.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::time::Duration;

use secrecy::SecretString;
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

use crate::proxmox::types::{
    ApiToken, BackupJob, CephDaemon, CephStatus, Certificate, ClusterOptions, CpuModel, Datastore, Disk, FirewallName,
    FirewallOptions, FirewallRule, GuestOs, GuestStatus, HaGroup, HaManagerStatus, HaResource, HaRule, HaStatus,
    JoinInformation, Metric, MigrationPreflight, Namespace, NodeConfig, NodeInterface, Pool, RemoteResources,
    ReplicationJob, SdnSubnet, SdnVnet, SdnZone, Service, Snapshot, StorageIdentity, StorageState, Task, Upid, Volume,
    ZfsPool, ZfsPoolDetail,
};
use crate::proxmox::{
    self, BackupOptions, BackupServerJob, BackupServerStorage, CloneOptions, ClusterResource, ClusterStatus,
    ContentFilter, Endpoint, Error, FirewallOf, GuestConfig, GuestInterface, GuestKind, GuestPlace, HaCommand,
    MetricFilter, NodeRow, Param, Permissions, Power, Rows, SdnOnNode, StorageConfig, TaskEnd, TaskFilter,
    TaskProgress, TaskStatus, Version, Vmid, Wait,
};

/// A session whose calls wait for their answers.
///
/// # Panics
///
/// Every call panics inside a runtime of tokio, which must not be blocked: use [`proxmox::Session`] there.
pub struct Session {
    session: proxmox::Session,
    runtime: Runtime,
}

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The endpoint's definition cannot be used.
    #[error(transparent)]
    Endpoint(#[from] Error),
    /// The system gives no runtime.
    #[error("no runtime can be started")]
    Runtime(#[from] io::Error),
}

impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.session.fmt(formatter)
    }
}

impl Session {
    /// Prepares a session over TLS; sends nothing.
    ///
    /// # Errors
    ///
    /// [`OpenError`], where the endpoint cannot be used or the system gives no runtime.
    pub fn new(endpoint: Endpoint) -> Result<Self, OpenError> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(Self {
            session: proxmox::Session::new(endpoint)?,
            runtime,
        })
    }

    /// Waits for any call of [`proxmox::Session`]: `session.wait(async |session| session.version_info().await)`.
    pub fn wait<T>(&self, call: impl AsyncFnOnce(&proxmox::Session) -> T) -> T {
        self.runtime.block_on(call(&self.session))
    }

    /// As [`proxmox::Session::sdn_on_node`].
    pub fn sdn_on_node(&self, node: &str, routed: &BTreeMap<String, Vec<String>>) -> SdnOnNode {
        self.runtime.block_on(self.session.sdn_on_node(node, routed))
    }

    /// As [`proxmox::Session::wait_task`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn wait_task(&self, upid: &Upid, wait: Wait, progress: impl FnMut(TaskProgress)) -> Result<TaskEnd, Error> {
        self.runtime.block_on(self.session.wait_task(upid, wait, progress))
    }
}

/// The calls of [`proxmox::Session`] under their own names.
macro_rules! calls {
    ($($name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {
        impl Session {
            $(
                #[doc = concat!("As [`proxmox::Session::", stringify!($name), "`].\n\n# Errors\n\nAs there.")]
                pub fn $name(&self, $($argument: $type),*) -> Result<$answer, Error> {
                    self.runtime.block_on(self.session.$name($($argument),*))
                }
            )*
        }
    };
}

calls! {
    version_info() -> Version;
    permissions() -> Permissions;
    cluster_status() -> Rows<ClusterStatus>;
    cluster_resources(kind: Option<&str>) -> Rows<ClusterResource>;
    cluster_options() -> ClusterOptions;
    find_node_status(name: &str) -> Option<ClusterStatus>;
    find_guest(kind: GuestKind, vmid: Vmid) -> Option<ClusterResource>;
    list_replications() -> Rows<ReplicationJob>;
    list_backup_jobs() -> Rows<BackupJob>;
    find_join_information() -> Option<JoinInformation>;
    ceph_status() -> CephStatus;
    list_ceph_flags() -> Rows<Value>;
    list_ceph_daemons(node: &str, kind: CephDaemon) -> Rows<Value>;
    list_ceph_osds(node: &str) -> Rows<Value>;
    list_ceph_pools(node: &str) -> Rows<Value>;
    list_ceph_filesystems(node: &str) -> Rows<Value>;
    list_ceph_rules(node: &str) -> Rows<Value>;
    list_datastores() -> Rows<Datastore>;
    list_namespaces(datastore: &str) -> Rows<Namespace>;
    list_datastore_snapshots(datastore: &str, namespace: Option<&str>) -> Rows<Value>;
    list_backup_server_jobs(kind: BackupServerJob) -> Rows<Value>;
    backup_server_status() -> Value;
    list_remotes() -> Rows<Value>;
    list_remote_resources() -> Rows<RemoteResources>;
    list_metrics(filter: MetricFilter) -> Rows<Metric>;
    list_cpu_models() -> Rows<CpuModel>;
    find_cpu_model(name: &str) -> Option<CpuModel>;
    create_cpu_model(name: &str, reported_model: &str, parameters: &[(&str, Param)]) -> ();
    change_cpu_model(name: &str, parameters: &[(&str, Param)]) -> ();
    delete_cpu_model(name: &str) -> ();
    list_api_tokens(user: &str) -> Rows<ApiToken>;
    find_api_token(user: &str, name: &str) -> Option<ApiToken>;
    regenerate_api_token(user: &str, name: &str) -> SecretString;
    list_nodes() -> Rows<NodeRow>;
    list_storages() -> Rows<StorageConfig>;
    storage_config(storage: &str) -> StorageConfig;
    list_node_storages(node: &str, content: Option<&str>) -> Rows<StorageState>;
    find_storage_identity(node: &str, storage: &str) -> Option<StorageIdentity>;
    list_backups(node: &str, storage: &str, vmid: Option<Vmid>) -> Rows<Volume>;
    create_backup_server_storage(storage: &BackupServerStorage<'_>) -> ();
    list_content(node: &str, storage: &str, filter: ContentFilter<'_>) -> Rows<Volume>;
    list_node_guests(node: &str, kind: GuestKind) -> Rows<GuestStatus>;
    guest_config(node: &str, kind: GuestKind, vmid: Vmid) -> GuestConfig;
    guest_status(guest: GuestPlace<'_>) -> GuestStatus;
    guest_os(node: &str, vmid: Vmid, limit: Duration) -> GuestOs;
    agent_interfaces(node: &str, vmid: Vmid, limit: Duration) -> Vec<GuestInterface>;
    agent_host_name(node: &str, vmid: Vmid, limit: Duration) -> Option<String>;
    container_interfaces(node: &str, vmid: Vmid) -> Vec<GuestInterface>;
    list_snapshots(node: &str, kind: GuestKind, vmid: Vmid) -> Rows<Snapshot>;
    set_power(guest: GuestPlace<'_>, power: Power) -> Upid;
    create_snapshot(guest: GuestPlace<'_>, name: &str, description: Option<&str>) -> Upid;
    delete_snapshot(guest: GuestPlace<'_>, name: &str) -> Upid;
    backup_guest(guest: GuestPlace<'_>, options: BackupOptions<'_>) -> Upid;
    find_migration_preflight(guest: GuestPlace<'_>) -> Option<MigrationPreflight>;
    migrate_guest(guest: GuestPlace<'_>, target: &str, online: bool) -> Upid;
    create_guest(guest: GuestPlace<'_>, parameters: &[(&str, Param)]) -> Upid;
    clone_guest(guest: GuestPlace<'_>, options: CloneOptions<'_>) -> Upid;
    change_guest(guest: GuestPlace<'_>, parameters: &[(&str, Param)]) -> ();
    resize_disk(guest: GuestPlace<'_>, disk: &str, size: &str) -> Upid;
    make_template(guest: GuestPlace<'_>) -> Option<Upid>;
    list_tasks(node: &str, filter: TaskFilter<'_>) -> Rows<Task>;
    list_recent_tasks() -> Rows<Task>;
    task_status(upid: &Upid) -> TaskStatus;
    cancel_task(upid: &Upid) -> ();
    list_ha_status() -> Rows<HaStatus>;
    ha_manager_status() -> HaManagerStatus;
    set_ha(command: HaCommand) -> ();
    list_ha_resources() -> Rows<HaResource>;
    find_ha_resource(sid: &str) -> Option<HaResource>;
    list_ha_groups() -> Rows<HaGroup>;
    find_ha_group(group: &str) -> Option<HaGroup>;
    list_ha_rules() -> Rows<HaRule>;
    find_ha_rule(rule: &str) -> Option<HaRule>;
    list_node_interfaces(node: &str, kind: Option<&str>) -> Rows<NodeInterface>;
    node_config(node: &str) -> NodeConfig;
    list_services(node: &str) -> Rows<Service>;
    list_disks(node: &str) -> Rows<Disk>;
    list_zfs_pools(node: &str) -> Rows<ZfsPool>;
    zfs_pool(node: &str, name: &str) -> ZfsPoolDetail;
    list_certificates(node: &str) -> Rows<Certificate>;
    list_pools() -> Rows<Pool>;
    next_vmid() -> Option<Vmid>;
    list_firewall_rules(whose: FirewallOf<'_>) -> Rows<FirewallRule>;
    list_firewall_aliases(whose: FirewallOf<'_>) -> Rows<FirewallName>;
    list_firewall_ipsets(whose: FirewallOf<'_>) -> Rows<FirewallName>;
    list_firewall_groups() -> Rows<FirewallName>;
    list_firewall_group_rules(group: &str) -> Rows<FirewallRule>;
    list_firewall_ipset(whose: FirewallOf<'_>, set: &str) -> Rows<FirewallName>;
    firewall_options(whose: FirewallOf<'_>) -> FirewallOptions;
    list_firewall_parts(whose: FirewallOf<'_>) -> Rows<FirewallName>;
    list_sdn_zones() -> Rows<SdnZone>;
    list_sdn_vnets() -> Rows<SdnVnet>;
    list_sdn_subnets(vnet: &str) -> Rows<SdnSubnet>;
}
