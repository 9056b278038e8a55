//! What a request asks for, parsed from its query.

use std::collections::{BTreeMap, BTreeSet};

use crate::endpoint::Source;
use crate::inventory::Vmid;
use crate::mapping::node_interface::is_choice;
use crate::reconcile::{Mode, ObjectId};
use crate::stages::{Family, Flag, GuestOptions, InterfaceNaming, Modes, Only, Options, Overwrite, Part};

/// How many endpoint ids a list may hold, and how long its text may be.
const MAX_IDS: usize = 100;
const MAX_IDS_TEXT: usize = 255;
/// So many characters NetBox keeps of the run that has written a sync state.
const LONGEST_RUN_ID: usize = 255;

/// A parameter that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadParameter {
    /// Its value is of the wrong form: answered with 422.
    #[error("{name}: {message}")]
    Form {
        /// The parameter.
        name: &'static str,
        /// What is wrong with it.
        message: String,
    },
    /// The list of virtual machines is not one: answered with 422.
    #[error("netbox_vm_ids must be a comma-separated list of positive integers")]
    Machines,
    /// It selects endpoints in a way that makes no sense: answered with 400.
    #[error("{message}")]
    Scope {
        /// What is wrong, in short.
        message: &'static str,
        /// What is wrong, in full.
        detail: String,
    },
}

/// Which endpoints a request is about; by default all of this service's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndpointFilter {
    /// Where endpoints are defined.
    pub source: Source,
    /// Only these; `None`: no filter.
    pub ids: Option<Vec<i64>>,
    /// The first with this IP address.
    pub ip_address: Option<String>,
    /// The first with this domain.
    pub domain: Option<String>,
    /// The first with this name.
    pub name: Option<String>,
}

/// The parameters of a query, each once: the last one wins.
type Query = BTreeMap<String, String>;

impl EndpointFilter {
    /// Reads the filter from a query.
    ///
    /// # Errors
    ///
    /// [`BadParameter`]: an unknown source, a list of ids that is empty, too long or not made of integers, another selector
    /// that is empty, or a port that is none.
    pub fn parse(query: &Query) -> Result<Self, BadParameter> {
        let source = match query.get("source").map(|text| text.trim()) {
            None | Some("database") => Source::Database,
            Some("netbox") => Source::NetBox,
            Some(_) => {
                return Err(BadParameter::Scope {
                    message: "Invalid source parameter",
                    detail: "source must be 'database' or 'netbox'.".to_owned(),
                });
            }
        };
        let ids = query.get("proxmox_endpoint_ids").or_else(|| query.get("endpoint_ids"));
        let port = query.get("port").map(|text| text.trim().parse::<u16>().ok());
        if port.is_some_and(|port| port.is_none_or(|port| port == 0)) {
            return Err(BadParameter::Form {
                name: "port",
                message: "must be a number from 1 to 65535".to_owned(),
            });
        }
        // One that is there and empty would choose all endpoints: a script's variable that is not set.
        let text = |name: &'static str| match query.get(name).map(|text| text.trim()) {
            Some("") => Err(BadParameter::Scope {
                message: "Invalid Proxmox endpoint query parameter",
                detail: format!("{name} is given but empty."),
            }),
            text => Ok(text.map(str::to_owned)),
        };
        Ok(Self {
            source,
            ids: ids.map(|text| endpoint_ids(text)).transpose()?,
            ip_address: text("ip_address")?,
            domain: text("domain")?,
            name: text("name")?,
        })
    }
}

fn endpoint_ids(text: &str) -> Result<Vec<i64>, BadParameter> {
    let bad = |detail: String| BadParameter::Scope {
        message: "Invalid Proxmox endpoint_ids query parameter",
        detail,
    };
    if text.len() > MAX_IDS_TEXT {
        return Err(bad(format!("endpoint_ids may have at most {MAX_IDS_TEXT} characters.")));
    }
    let ids: Result<Vec<i64>, _> = text
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(str::parse)
        .collect();
    match ids {
        Err(_) => Err(bad("endpoint_ids must be integers separated by commas.".to_owned())),
        Ok(ids) if ids.is_empty() => Err(bad("endpoint_ids is given but names no endpoint.".to_owned())),
        Ok(ids) if ids.len() > MAX_IDS => Err(bad(format!("endpoint_ids may name at most {MAX_IDS} endpoints."))),
        Ok(ids) => Ok(ids),
    }
}

/// What a sync request asks for, its endpoints aside.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SyncRequest {
    /// Flags, modes and what holds for guests.
    pub options: Options,
    /// Which stored NetBox endpoint to write to.
    pub netbox_id: Option<i64>,
    /// How many requests to Proxmox may be under way at once.
    pub fetch_max_concurrency: Option<usize>,
    /// The branch to write into.
    pub branch: Option<String>,
    /// Only say what would be written.
    pub dry_run: bool,
    /// Lift the shrink guard for this run.
    pub allow_shrink: bool,
    /// Go on when the client leaves.
    pub detach: bool,
}

impl SyncRequest {
    /// Reads the request from a query. Unknown parameters are ignored: the plugin sends one set to all stages.
    ///
    /// # Errors
    ///
    /// [`BadParameter`] naming the first parameter that cannot be understood.
    pub fn parse(query: &Query) -> Result<Self, BadParameter> {
        let mut overwrite = Overwrite::default();
        for flag in Flag::ALL {
            if let Some(value) = switch(query, flag.as_str())? {
                overwrite.set(*flag, value);
            }
        }
        let concurrency = integer(query, "fetch_max_concurrency")?;
        if concurrency.is_some_and(|value| value < 1) {
            return Err(form("fetch_max_concurrency", "must be at least 1"));
        }
        let text = |name: &str| query.get(name).filter(|text| !text.is_empty()).cloned();
        let run_id = text("run_id").unwrap_or_default();
        if run_id.chars().count() > LONGEST_RUN_ID {
            return Err(form("run_id", "must have at most 255 characters"));
        }
        Ok(Self {
            options: Options {
                overwrite,
                modes: modes(query),
                guests: guest_options(query)?,
                sync_node_topology: switch(query, "sync_node_interfaces")?.unwrap_or_default(),
                run_id,
                stamps_overdue_before: None,
                only: Only::default(),
            },
            netbox_id: integer(query, "netbox_id")?,
            fetch_max_concurrency: concurrency.and_then(|value| usize::try_from(value).ok()),
            branch: text("netbox_branch_schema_id"),
            dry_run: switch(query, "dry_run")?.unwrap_or_default(),
            allow_shrink: switch(query, "allow_shrink")?.unwrap_or_default(),
            detach: switch(query, "detach")?.unwrap_or_default(),
        })
    }

    /// The same, limited to what each of `parts` names, and to the guest with the `vmid` of the query where that has one.
    /// [`Part::Ports`] need not be named. Nothing is deleted, whatever the query says.
    ///
    /// # Errors
    ///
    /// [`BadParameter::Form`] naming the parameter that is missing or cannot be understood.
    pub fn limited(mut self, query: &Query, parts: &[(&'static str, Part)]) -> Result<Self, BadParameter> {
        for (name, part) in parts {
            match (word(query, name), part) {
                (None, Part::Ports) => {}
                (None, _) => return Err(form(name, "is required")),
                (Some(choice), Part::Ports) if !is_choice(choice) => {
                    return Err(form(name, "must be a type of network interfaces"));
                }
                (Some(value), _) => self.options.only.name(*part, value),
            }
        }
        let vmid = word(query, "vmid").map(|text| text.parse().map(Vmid));
        self.options.only.guest = vmid.transpose().map_err(|_| form("vmid", "must be an integer"))?;
        self.options.guests.delete_missing_backups = false;
        self.options.guests.delete_missing_snapshots = false;
        Ok(self)
    }

    /// The same for the guest of one virtual machine, which has to be found. Its snapshots are only added to and updated:
    /// the plugin asks for deletions here too and has never got any.
    #[must_use]
    pub fn of_machine(mut self, machine: ObjectId) -> Self {
        self.options.guests.only = Some([machine].into());
        self.options.guests.is_strict = true;
        self.options.guests.delete_missing_snapshots = false;
        self
    }

    /// The one virtual machine that the request was limited to by [`Self::of_machine`].
    pub(super) fn machine(&self) -> Option<ObjectId> {
        let guests = &self.options.guests;
        let only = guests.only.as_ref().filter(|only| guests.is_strict && only.len() == 1);
        only.and_then(|only| only.first().copied())
    }
}

fn modes(query: &Query) -> Modes {
    let default = Modes::default();
    Modes {
        machine: mode(query, "sync_mode_vm", default.machine),
        template: mode(query, "sync_mode_vm_template", default.template),
        interface: mode(query, "sync_mode_vm_interface", default.interface),
        mac: mode(query, "sync_mode_mac", default.mac),
        ip_address: mode(query, "sync_mode_ip_address", default.ip_address),
        cluster: mode(query, "sync_mode_cluster", default.cluster),
        node: mode(query, "sync_mode_node", default.node),
        storage: mode(query, "sync_mode_storage", default.storage),
        sdn: mode(query, "sync_mode_sdn", default.sdn),
        // What is not understood must not reach another plugin's rows.
        bgp: match word(query, "sync_mode_sdn_bgp") {
            Some("always") => Mode::Always,
            Some("bootstrap_only") => Mode::BootstrapOnly,
            Some(_) | None => Mode::Disabled,
        },
    }
}

fn guest_options(query: &Query) -> Result<GuestOptions, BadParameter> {
    let default = GuestOptions::default();
    let on = |name: &'static str, default: bool| Ok(switch(query, name)?.unwrap_or(default));
    Ok(GuestOptions {
        only: query.get("netbox_vm_ids").map(|text| machine_ids(text)).transpose()?,
        is_strict: default.is_strict,
        sync_network: on("sync_vm_network", default.sync_network)?,
        assign_addresses: on("assign_vm_interface_ips", default.assign_addresses)?,
        sync_macs: on("sync_vm_interface_macs", default.sync_macs)?,
        sync_task_history: on("sync_task_history", default.sync_task_history)?,
        naming: match word(query, "vm_interface_sync_strategy") {
            None | Some("guest_os_model") => InterfaceNaming::GuestOsModel,
            Some("legacy_rename") => {
                tracing::warn!("the interface strategy legacy_rename is deprecated: use guest_os_model");
                InterfaceNaming::LegacyRename
            }
            Some(_) => {
                return Err(form(
                    "vm_interface_sync_strategy",
                    "must be guest_os_model or legacy_rename",
                ));
            }
        },
        use_agent_names: on("use_guest_agent_interface_name", default.use_agent_names)?,
        sync_links: default.sync_links,
        ignore_link_local: on("ignore_ipv6_link_local_addresses", default.ignore_link_local)?,
        primary_family: match word(query, "primary_ip_preference") {
            None | Some("ipv4") => Family::V4,
            Some("ipv6") => Family::V6,
            Some(_) => return Err(form("primary_ip_preference", "must be ipv4 or ipv6")),
        },
        parse_metadata: on("parse_description_metadata", default.parse_metadata)?,
        platform_from_agent: on("sync_vm_platform_from_guest_agent", default.platform_from_agent)?,
        all_tasks: on("all_tasks", default.all_tasks)?,
        delete_missing_backups: on("delete_nonexistent_backup", default.delete_missing_backups)?,
        delete_missing_snapshots: on("delete_nonexistent_snapshot", default.delete_missing_snapshots)?,
    })
}

fn word<'a>(query: &'a Query, name: &str) -> Option<&'a str> {
    query.get(name).map(|text| text.trim()).filter(|text| !text.is_empty())
}

/// A list of virtual machines. An empty one is never taken for all of them.
fn machine_ids(text: &str) -> Result<BTreeSet<ObjectId>, BadParameter> {
    let id = |part: &str| part.trim().parse().ok().filter(|id| *id > 0).map(ObjectId);
    text.split(',')
        .map(id)
        .collect::<Option<_>>()
        .ok_or(BadParameter::Machines)
}

pub(super) fn form(name: &'static str, message: &str) -> BadParameter {
    BadParameter::Form {
        name,
        message: message.to_owned(),
    }
}

/// A switch of a query; `None` where it is not given.
///
/// # Errors
///
/// [`BadParameter::Form`] where it is neither on nor off.
pub fn switch(query: &Query, name: &'static str) -> Result<Option<bool>, BadParameter> {
    let Some(text) = query.get(name) else { return Ok(None) };
    match text.trim().to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" | "t" | "y" => Ok(Some(true)),
        "0" | "false" | "no" | "off" | "f" | "n" => Ok(Some(false)),
        _ => Err(form(name, "must be true or false")),
    }
}

fn integer(query: &Query, name: &'static str) -> Result<Option<i64>, BadParameter> {
    let parse = |text: &String| text.trim().parse().map_err(|_| form(name, "must be an integer"));
    query.get(name).map(parse).transpose()
}

/// A mode; `default` where it is not given, and [`Mode::Always`] for a word that nobody knows.
fn mode(query: &Query, name: &str, default: Mode) -> Mode {
    match word(query, name) {
        None => default,
        Some("disabled") => Mode::Disabled,
        Some("bootstrap_only") => Mode::BootstrapOnly,
        Some("always") => Mode::Always,
        Some(_) => {
            tracing::warn!(parameter = name, "an unknown mode is taken for `always`");
            Mode::Always
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(pairs: &[(&str, &str)]) -> Query {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn absent_filter_is_none_and_an_empty_one_is_refused() {
        let parse = |pairs: &[(&str, &str)]| EndpointFilter::parse(&query(pairs));
        assert_eq!(parse(&[]).unwrap().ids, None);
        assert_eq!(
            parse(&[("proxmox_endpoint_ids", "1, 2,")]).unwrap().ids,
            Some(vec![1, 2])
        );
        assert_eq!(
            parse(&[("endpoint_ids", "9"), ("proxmox_endpoint_ids", "1")])
                .unwrap()
                .ids,
            Some(vec![1])
        );
        for text in ["", ",", " , ", "1,x", "1.5"] {
            assert!(parse(&[("proxmox_endpoint_ids", text)]).is_err(), "{text:?}");
        }
        assert!(
            parse(&[("proxmox_endpoint_ids", &"1,".repeat(128))]).is_err(),
            "256 characters"
        );
        assert!(
            parse(&[("proxmox_endpoint_ids", &"1,".repeat(101))]).is_err(),
            "101 ids"
        );
    }

    #[test]
    fn sources_are_two() {
        assert_eq!(
            EndpointFilter::parse(&query(&[("source", "netbox")])).unwrap().source,
            Source::NetBox
        );
        assert!(EndpointFilter::parse(&query(&[("source", "file")])).is_err());
    }

    #[test]
    fn flags_and_modes_are_read_and_strangers_ignored() {
        let request = SyncRequest::parse(&query(&[
            ("overwrite_device_role", "OFF"),
            ("sync_mode_node", "bootstrap_only"),
            ("sync_mode_storage", "sometimes"),
            ("dry_run", "yes"),
            ("unheard_of", "1"),
        ]))
        .unwrap();
        assert!(!request.options.overwrite.allows(Flag::DeviceRole));
        assert!(request.options.overwrite.allows(Flag::DeviceTags));
        assert_eq!(
            (request.options.modes.node, request.options.modes.storage),
            (Mode::BootstrapOnly, Mode::Always)
        );
        assert!(request.dry_run);
    }

    #[test]
    fn rows_of_bgp_are_asked_for_in_so_many_words_or_not_at_all() {
        for (word, expected) in [
            ("always", Mode::Always),
            ("bootstrap_only", Mode::BootstrapOnly),
            ("disabled", Mode::Disabled),
            ("sometimes", Mode::Disabled),
            ("", Mode::Disabled),
        ] {
            let request = SyncRequest::parse(&query(&[("sync_mode_sdn_bgp", word)])).unwrap();
            assert_eq!(request.options.modes.bgp, expected, "{word:?}");
        }
    }

    #[test]
    fn request_for_one_machine_deletes_backups_but_no_snapshots() {
        let wishes = [
            ("delete_nonexistent_backup", "true"),
            ("delete_nonexistent_snapshot", "true"),
        ];
        let request = SyncRequest::parse(&query(&wishes)).unwrap();
        let guests = request.clone().of_machine(ObjectId(31)).options.guests;
        assert!(request.options.guests.delete_missing_snapshots);
        assert!(guests.is_strict && guests.delete_missing_backups && !guests.delete_missing_snapshots);
    }

    #[test]
    fn parameter_of_the_wrong_form_is_named() {
        let long = "r".repeat(256);
        for (name, value) in [
            ("run_id", long.as_str()),
            ("overwrite_vm_role", "maybe"),
            ("netbox_id", "one"),
            ("fetch_max_concurrency", "0"),
            ("dry_run", ""),
        ] {
            let error = SyncRequest::parse(&query(&[(name, value)])).unwrap_err();
            assert!(error.to_string().starts_with(name), "{name}={value}: {error}");
        }
    }
}
