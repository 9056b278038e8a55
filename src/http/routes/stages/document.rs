//! The stages in the OpenAPI document.

use utoipa::IntoParams as _;
use utoipa::openapi::path::{HttpMethod, OperationBuilder, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::{Content, Paths, Ref, Required, ResponseBuilder};

use super::{Answer, Limits, MACHINE, NODE, Place};
use crate::http::scope::{Scope, text_parameter};
use crate::http::single::CLUSTER_NAME;
use crate::sync::{Flag, Part};

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
