//! The stages in the OpenAPI document.

use utoipa::IntoParams as _;
use utoipa::openapi::path::{HttpMethod, OperationBuilder, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::{Content, Paths, Ref, Required, ResponseBuilder};

use super::{Answer, Limits, MACHINE, NODE, Place};
use crate::http::scope::{Scope, text_parameter};
use crate::http::single::CLUSTER_NAME;
use crate::sync::{Flag, Job, Part, Stage};

/// Parameters of every stage besides those that select endpoints and the overwrite flags.
const PARAMETERS: &[(&str, &str)] = &[
    (
        "netbox_id",
        "The stored NetBox endpoint to write to; the first enabled one where it is absent.",
    ),
    ("netbox_branch_schema_id", "The branch of NetBox to read and write."),
    (
        "netbox_vm_ids",
        "Only the guests of these virtual machines: numbers, parted by commas.",
    ),
    ("dry_run", "Only tell what would be written."),
    ("allow_shrink", "Lift the shrink guard for this run."),
    ("detach", "Go on when the client leaves."),
    (
        "fetch_max_concurrency",
        "How many requests to one Proxmox may be under way at once.",
    ),
];

/// Kinds of resources that have a mode of their own.
const MODES: &[&str] = &[
    "vm",
    "vm_template",
    "vm_interface",
    "mac",
    "ip_address",
    "cluster",
    "node",
    "storage",
    "sdn",
    "sdn_bgp",
];

/// Stages that look at guests or at what is theirs.
const OF_GUESTS: &[Stage] = &[
    Stage::VirtualMachines,
    Stage::TaskHistory,
    Stage::VirtualDisks,
    Stage::Backups,
    Stage::Snapshots,
    Stage::VmInterfaces,
    Stage::VmIpAddresses,
    Stage::Replications,
];
const MACHINES: &[Stage] = &[Stage::VirtualMachines];
const INTERFACES: &[Stage] = &[Stage::VirtualMachines, Stage::VmInterfaces];
const ADDRESSES: &[Stage] = &[Stage::VirtualMachines, Stage::VmIpAddresses];
const NETWORKS: &[Stage] = &[Stage::VirtualMachines, Stage::VmInterfaces, Stage::VmIpAddresses];

/// Parameters that some stages alone read: their names, the stages, whether a full update heeds them, and what they mean.
const OF_STAGES: &[(&str, &[Stage], bool, &str)] = &[
    (
        "sync_vm_network",
        MACHINES,
        false,
        "Whether disks, interfaces and addresses are brought in step too; default true.",
    ),
    (
        "sync_task_history",
        MACHINES,
        false,
        "Whether the tasks of guests are brought in step too; default true.",
    ),
    (
        "assign_vm_interface_ips",
        MACHINES,
        false,
        "Whether addresses are among what is brought in step too; default true.",
    ),
    (
        "sync_vm_interface_macs",
        INTERFACES,
        true,
        "Whether interfaces get MAC address objects; default true.",
    ),
    (
        "vm_interface_sync_strategy",
        NETWORKS,
        true,
        "What interfaces are called: guest_os_model, the default, keeps the names that Proxmox has; legacy_rename, which is \
         deprecated, gives them those of the guest.",
    ),
    (
        "use_guest_agent_interface_name",
        NETWORKS,
        true,
        "Whether legacy_rename takes the names that guest agents tell; default: what the plugin's page says, else true.",
    ),
    (
        "ignore_ipv6_link_local_addresses",
        ADDRESSES,
        true,
        "Whether link-local addresses are left out; default: what the plugin's page says, else true.",
    ),
    (
        "primary_ip_preference",
        ADDRESSES,
        true,
        "Which addresses come first, ipv4 or ipv6; default: what the plugin's page says, else ipv4.",
    ),
    (
        "parse_description_metadata",
        OF_GUESTS,
        true,
        "Whether what the notes of guests say of NetBox is heeded.",
    ),
    (
        "sync_vm_platform_from_guest_agent",
        MACHINES,
        true,
        "Whether platforms are made of what guest agents tell.",
    ),
    (
        "all_tasks",
        &[Stage::VirtualMachines, Stage::TaskHistory],
        true,
        "Read the archives of tasks as a whole.",
    ),
    (
        "delete_nonexistent_backup",
        &[Stage::Backups],
        false,
        "Delete the rows of backups that are gone; default false.",
    ),
    (
        "delete_nonexistent_snapshot",
        &[Stage::Snapshots],
        false,
        "Delete the rows of snapshots that are gone; default false.",
    ),
    (
        "sync_node_interfaces",
        &[Stage::NodeInterfaces],
        true,
        "Whether the topology of nodes' networks is brought in step; default false.",
    ),
];

/// An operation that brings NetBox in step with Proxmox.
pub(in crate::http::routes) struct Synced<'a> {
    pub(in crate::http::routes) path: &'a str,
    /// What it brings in step.
    pub(in crate::http::routes) subject: &'a str,
    pub(in crate::http::routes) media_type: &'static str,
    pub(in crate::http::routes) parameters: Vec<Parameter>,
}

impl Synced<'_> {
    /// Its entry in the document: it is asked for with GET, as the plugin does, or with POST.
    pub(in crate::http::routes) fn documented(&self) -> Paths {
        let id = self
            .path
            .trim_matches('/')
            .replace(['/', '-'], "_")
            .replace(['{', '}'], "");
        let mut paths = Paths::new();
        for (method, id) in [(HttpMethod::Get, id.clone()), (HttpMethod::Post, format!("post_{id}"))] {
            paths.add_path_operation(self.path, vec![method], self.operation(id));
        }
        paths
    }

    fn operation(&self, id: String) -> OperationBuilder {
        let success = ResponseBuilder::new()
            .description("What the run did, or tells while it goes on")
            .content(self.media_type, Content::default());
        let failure = ResponseBuilder::new()
            .description("The request is not possible")
            .content(
                "application/json",
                Content::new(Some(Ref::from_schema_name("ErrorBody"))),
            );
        OperationBuilder::new()
            .operation_id(Some(id))
            .summary(Some(format!("Brings NetBox in step with Proxmox: {}.", self.subject)))
            .tag("stages")
            .parameters(Some(self.parameters.clone()))
            .response("200", success)
            .response("400", failure)
    }
}

/// The entry of a stage.
pub(super) fn documented(place: &Place) -> Paths {
    let media_type = if place.answer == Answer::Stream {
        "text/event-stream"
    } else {
        "application/json"
    };
    let synced = Synced {
        path: place.path,
        subject: place.work.as_str(),
        media_type,
        parameters: parameters(place),
    };
    synced.documented()
}

/// A parameter that has to be given.
pub(in crate::http::routes) fn required(name: &str, place: ParameterIn) -> Parameter {
    let parameter = ParameterBuilder::new().name(name).parameter_in(place);
    parameter.required(Required::True).build()
}

/// Parameters that every run understands.
pub(in crate::http::routes) fn flags() -> impl Iterator<Item = Parameter> {
    Flag::ALL.iter().map(|flag| {
        let default = if flag.default() { "true" } else { "false" };
        text_parameter(
            flag.as_str(),
            &format!("Whether an existing value may be overwritten; default {default}."),
        )
    })
}

/// What a run is called, and the parameters that it reads besides those of all runs.
fn of_run(place: &Place) -> Vec<Parameter> {
    let mut parameters = Vec::new();
    if let Job::Sweep { .. } = place.work {
        let lost = "Whether the stage virtual-machines has lost guests, so that nothing may be marked; default false.";
        parameters.push(required("run_id", ParameterIn::Query));
        parameters.push(text_parameter("vm_stage_failed", lost));
    } else {
        let name = "The id of the job that the run belongs to; jobs share nothing of what they have read.";
        parameters.push(text_parameter("run_id", name));
    }
    // Rows are deleted by runs for all alone; those of one virtual machine still lose backups.
    let keeps = |name: &str| match name {
        "delete_nonexistent_backup" => place.limits.is_some(),
        "delete_nonexistent_snapshot" => place.limits.is_some() || place.path.contains(MACHINE),
        _ => false,
    };
    let is_read = |stages: &[Stage], by_all: bool| match &place.work {
        Job::Stage(stage) => stages.contains(stage),
        Job::FullUpdate => by_all,
        Job::Individual(_) | Job::Sweep { .. } => false,
    };
    let read = OF_STAGES
        .iter()
        .filter(|(name, stages, by_all, _)| is_read(stages, *by_all) && !keeps(name));
    parameters.extend(read.map(|(name, _, _, description)| text_parameter(name, description)));
    parameters
}

fn parameters(place: &Place) -> Vec<Parameter> {
    let in_path = |name: &str| place.path.contains(&format!("{{{name}}}"));
    let machine = MACHINE.trim_matches(['{', '}']);
    let machine = in_path(machine).then(|| required(machine, ParameterIn::Path));
    let limits = place.limits.iter().flat_map(|limits: &Limits| limits.parts.iter());
    let limits = limits.map(|(name, part)| {
        if *part == Part::Ports {
            return text_parameter(name, "Only interfaces of this type, in Proxmox's word.");
        }
        let place = if in_path(name) {
            ParameterIn::Path
        } else {
            ParameterIn::Query
        };
        required(name, place)
    });
    let cluster = in_path(NODE.trim_matches(['{', '}']))
        .then(|| text_parameter(CLUSTER_NAME, "Only the endpoint whose cluster or host is called so."));
    let guest = place
        .limits
        .iter()
        .map(|_| text_parameter("vmid", "Only the guest with this number."));
    let own = PARAMETERS
        .iter()
        .map(|(name, description)| text_parameter(name, description));
    let own = own.chain(of_run(place));
    let modes = MODES.iter().map(|kind| {
        text_parameter(
            &format!("sync_mode_{kind}"),
            "How far the kind is kept in step: always, bootstrap_only or disabled.",
        )
    });
    let scope = Scope::into_params(|| None);
    machine
        .into_iter()
        .chain(limits)
        .chain(cluster)
        .chain(guest)
        .chain(scope)
        .chain(own)
        .chain(modes)
        .chain(flags())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::PLACES;
    use super::*;
    use crate::sync::SyncRequest;

    /// The parameters of the run at `path`, and whether each has to be given.
    fn of(path: &str) -> BTreeMap<String, bool> {
        let place = PLACES.iter().find(|place| place.path == path).unwrap();
        let told = parameters(place).into_iter();
        told.map(|told| (told.name, told.required == Required::True)).collect()
    }

    #[test]
    fn runs_tell_the_parameters_that_they_read_and_no_others() {
        let sweep = of("/virtualization/virtual-machines/orphans/sweep");
        assert_eq!(
            ["run_id", "vm_stage_failed", "all_tasks"].map(|name| sweep.get(name)),
            [Some(&true), Some(&false), None]
        );
        let machines = of("/virtualization/virtual-machines/create/stream");
        assert_eq!(
            (machines.get("run_id"), machines.get("sync_vm_network")),
            (Some(&false), Some(&false))
        );
        let all = of("/full-update");
        assert!(all.contains_key("all_tasks") && !all.contains_key("sync_vm_network"));
        assert!(!all.contains_key("delete_nonexistent_snapshot"));
        let deletions = |path: &str| -> Vec<String> {
            let names = of(&format!("/virtualization/virtual-machines/{path}")).into_keys();
            names.filter(|name| name.starts_with("delete_")).collect()
        };
        assert_eq!(deletions("backups/all/create/stream"), ["delete_nonexistent_backup"]);
        assert_eq!(
            deletions("{netbox_vm_id}/backups/create/stream"),
            ["delete_nonexistent_backup"]
        );
        assert_eq!(deletions("backups/create"), [""; 0]);
        assert_eq!(deletions("snapshots/all/create"), ["delete_nonexistent_snapshot"]);
        assert_eq!(deletions("{netbox_vm_id}/snapshots/create/stream"), [""; 0]);
    }

    /// A name that is misspelt here would be ignored.
    #[test]
    fn parameters_are_called_as_they_are_read() {
        for (name, ..) in OF_STAGES {
            let odd = [((*name).to_owned(), "odd".to_owned())].into();
            assert!(SyncRequest::parse(&odd).is_err(), "{name}");
        }
    }
}
