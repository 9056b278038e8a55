//! Which device stands for which node.
//!
//! A device's sync state is its identity: it names the endpoint, the cluster and the node. Where there is none, a device
//! of the node's name is taken if its placement or its Proxbox tag says that it is the one. A device that another
//! endpoint owns is never touched.

use std::collections::{BTreeMap, BTreeSet};

use super::{Facts, Part, clusters};
use crate::mapping::device::{managed_description, operator_description};
use crate::mapping::names::{DeviceNameParts, device_name};
use crate::netbox::objects::{Device, DeviceState, PROXBOX_TAG};
use crate::reconcile::{ObjectId, Stored};

/// A node, and what is to become of its device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The node's name.
    pub node: String,
    /// The device, or why there cannot be one.
    pub verdict: Result<Choice, String>,
}

/// The device of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The device that exists; `None`: one has to be made.
    pub device: Option<ObjectId>,
    /// The name that it is given; `None`: an operator's name stays.
    pub name: Option<String>,
    /// The description that it is given; `None`: the one it has stays.
    pub description: Option<String>,
    /// Its site, where it has to be written.
    pub site: Option<ObjectId>,
    /// Whether its sync state does not name us as its owner yet.
    pub needs_claim: bool,
}

/// The names under which devices are looked for: each node's own and the one that the template gives it.
pub fn names(facts: &Facts) -> BTreeSet<String> {
    let rendered = facts
        .cluster
        .nodes
        .iter()
        .filter_map(|node| rendered(facts, &node.name).ok());
    facts
        .cluster
        .nodes
        .iter()
        .map(|node| node.name.clone())
        .chain(rendered)
        .collect()
}

fn rendered(facts: &Facts, node: &str) -> Result<String, String> {
    let parts = DeviceNameParts {
        node,
        cluster: &facts.cluster.name,
        endpoint: &facts.endpoint.name,
    };
    device_name(&facts.endpoint.node_device_name_template, parts).map_err(|error| error.to_string())
}

/// The device of every node that the request is about, from the devices and sync states that were read.
pub fn resolve(facts: &Facts) -> Vec<Resolved> {
    let rows = Rows::new(facts);
    let mut taken = BTreeSet::new();
    let mut resolved: Vec<Resolved> = Vec::new();
    for node in &facts.cluster.nodes {
        let verdict = match facts.refused_nodes.get(&node.name) {
            Some(reason) => Err(reason.clone()),
            None => rendered(facts, &node.name).and_then(|name| rows.choose(&node.name, &name, &mut taken)),
        };
        resolved.push(Resolved {
            node: node.name.clone(),
            verdict,
        });
    }
    refuse_shared_names(&mut resolved);
    resolved.retain(|resolved| facts.options.only.takes(Part::Node, &resolved.node));
    resolved
}

/// Two nodes that would bear the same name in the same site both fail.
fn refuse_shared_names(resolved: &mut [Resolved]) {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let name = |resolved: &Resolved| Some(resolved.verdict.as_ref().ok()?.name.as_ref()?.to_lowercase());
    for name in resolved.iter().filter_map(name) {
        *counts.entry(name).or_default() += 1;
    }
    for node in resolved.iter_mut() {
        if let Some(name) = name(node).filter(|name| counts.get(name).is_some_and(|count| *count > 1)) {
            node.verdict = Err(format!(
                "several nodes would have a device named {name:?} in the same site"
            ));
        }
    }
}

struct Rows<'a> {
    facts: &'a Facts,
    cluster: Option<ObjectId>,
    site: Option<ObjectId>,
    location: Option<ObjectId>,
    devices: BTreeMap<ObjectId, &'a Device>,
    states: BTreeMap<ObjectId, &'a DeviceState>,
    members: BTreeSet<&'a str>,
}

impl<'a> Rows<'a> {
    fn new(facts: &'a Facts) -> Self {
        Self {
            facts,
            cluster: facts.target.cluster,
            site: clusters::device_site(facts),
            location: clusters::scope_location(facts),
            devices: facts
                .known
                .devices
                .iter()
                .map(|stored| (stored.id, &stored.object))
                .collect(),
            states: facts
                .known
                .device_states
                .iter()
                .map(|stored| (stored.object.device, &stored.object))
                .collect(),
            members: facts.cluster.nodes.iter().map(|node| node.name.as_str()).collect(),
        }
    }

    fn choose(&self, node: &str, name: &str, taken: &mut BTreeSet<ObjectId>) -> Result<Choice, String> {
        let found = match self.by_state(node)? {
            Some(device) => Some(device),
            None => self.by_name(node, node, name == node)?.map_or_else(
                || {
                    if name == node {
                        Ok(None)
                    } else {
                        self.by_name(node, name, true)
                    }
                },
                |device| Ok(Some(device)),
            )?,
        };
        let choice = match found {
            Some(id) if !taken.insert(id) => return Err(format!("device {id} already stands for another node")),
            Some(id) => self.existing(id, node, name)?,
            None => self.new_device(name)?,
        };
        Ok(choice)
    }

    /// The device whose sync state names this cluster and node: ours first, then one that nobody owns.
    fn by_state(&self, node: &str) -> Result<Option<ObjectId>, String> {
        let ours = Some(self.facts.endpoint.key.id.0);
        let named = |owner: Option<i64>| -> Vec<ObjectId> {
            let states = self.states.values().filter(|state| {
                state.endpoint_raw_id == owner
                    && state.cluster_name.as_deref() == Some(self.facts.cluster.name.as_str())
                    && state.node_name.as_deref() == Some(node)
            });
            states
                .map(|state| state.device)
                .filter(|device| self.devices.contains_key(device))
                .collect()
        };
        match named(ours).as_slice() {
            [] => {}
            [device] => return Ok(Some(*device)),
            several => {
                return self
                    .by_placement(several)
                    .map(Some)
                    .ok_or_else(|| ambiguous(node, several.len()));
            }
        }
        let unclaimed: Vec<ObjectId> = named(None)
            .into_iter()
            .filter(|device| self.is_placed_here(*device))
            .collect();
        match unclaimed.as_slice() {
            [] => Ok(None),
            [device] => Ok(Some(*device)),
            several => Err(ambiguous(node, several.len())),
        }
    }

    /// The only one of several devices in the cluster, else the only one without a cluster where the cluster is.
    fn by_placement(&self, several: &[ObjectId]) -> Option<ObjectId> {
        let only = |fits: &dyn Fn(&Device) -> bool| {
            let mut fitting = several
                .iter()
                .filter(|id| self.devices.get(id).is_some_and(|device| fits(device)));
            fitting.next().filter(|_| fitting.next().is_none()).copied()
        };
        only(&|device| self.is_in_cluster(device)).or_else(|| only(&|device| self.is_free_here(device)))
    }

    fn is_placed_here(&self, id: ObjectId) -> bool {
        let device = self.devices.get(&id);
        device.is_some_and(|device| self.is_in_cluster(device) || self.is_free_here(device))
    }

    /// The device named `name` that fits the placement or bears our tag. One of another endpoint is in the way only where
    /// the node would be; elsewhere it is another node of the same name.
    fn by_name(&self, node: &str, name: &str, is_foreign_owner_fatal: bool) -> Result<Option<ObjectId>, String> {
        let mut candidates: Vec<(ObjectId, &Device)> = self
            .devices
            .iter()
            .map(|(id, device)| (*id, *device))
            .filter(|(_, device)| device.name.as_deref() == Some(name))
            .filter(|(_, device)| self.is_here(device) || device.tags.contains(PROXBOX_TAG))
            .collect();
        candidates.sort_by_key(|(id, device)| (!device.tags.contains(PROXBOX_TAG), *id));
        for (id, device) in candidates {
            match self.states.get(&id) {
                Some(state) if self.is_of_another_member(state, node) => {}
                Some(state) if self.is_foreign(state) && is_foreign_owner_fatal && self.is_here(device) => {
                    return Err(format!(
                        "device {id} named {name:?} belongs to another Proxmox endpoint"
                    ));
                }
                Some(state) if self.is_foreign(state) => {}
                _ => return Ok(Some(id)),
            }
        }
        Ok(None)
    }

    /// Whether a device is in the site, in the cluster, or free to join it in its location.
    fn is_here(&self, device: &Device) -> bool {
        (self.site.is_some() && device.site == self.site)
            || self.is_in_cluster(device)
            || (device.cluster.is_none() && self.is_in_location(device))
    }

    fn is_in_cluster(&self, device: &Device) -> bool {
        self.cluster.is_some() && device.cluster == self.cluster
    }

    /// Whether a device without a cluster is in the site, or in the location of the cluster.
    fn is_free_here(&self, device: &Device) -> bool {
        device.cluster.is_none() && (device.site == self.site || self.is_in_location(device))
    }

    fn is_in_location(&self, device: &Device) -> bool {
        self.location.is_some() && device.location == self.location
    }

    fn is_foreign(&self, state: &DeviceState) -> bool {
        state
            .endpoint_raw_id
            .is_some_and(|owner| owner != self.facts.endpoint.key.id.0)
    }

    /// Whether a device of ours already stands for another node that is a member.
    fn is_of_another_member(&self, state: &DeviceState, node: &str) -> bool {
        state.endpoint_raw_id == Some(self.facts.endpoint.key.id.0)
            && state
                .node_name
                .as_deref()
                .is_some_and(|other| other != node && self.members.contains(other))
    }

    fn existing(&self, id: ObjectId, node: &str, name: &str) -> Result<Choice, String> {
        let device = self.devices.get(&id).ok_or("its device has gone meanwhile")?;
        let state = self.states.get(&id);
        if let Some(owner) = state
            .filter(|state| self.is_foreign(state))
            .and_then(|state| state.endpoint_raw_id)
        {
            return Err(format!(
                "device {id} belongs to the Proxmox endpoint with the id {owner}"
            ));
        }
        let current = device.name.as_deref().unwrap_or_default();
        let is_managed = current == node
            || (device.tags.contains(PROXBOX_TAG) && device.description == Some(managed_description(current)));
        let moves = device.cluster != self.cluster;
        let (name, description) = if current == name || is_managed {
            (Some(name.to_owned()), Some(managed_description(name)))
        } else {
            let is_blank = device.description.as_deref().unwrap_or_default().is_empty();
            (None, is_blank.then(|| operator_description(node)))
        };
        let site = if moves {
            clusters::scope_site(self.facts).or(device.site).or(self.site)
        } else {
            device.site
        };
        if let Some(name) = &name {
            self.refuse_taken_name(name, site, Some(id))?;
        }
        let needs_claim = state.is_none_or(|state| state.endpoint_raw_id.is_none());
        Ok(Choice {
            device: Some(id),
            name,
            description,
            site: site.filter(|_| moves),
            needs_claim,
        })
    }

    fn new_device(&self, name: &str) -> Result<Choice, String> {
        let site = self.site.ok_or_else(|| self.no_site())?;
        self.refuse_taken_name(name, Some(site), None)?;
        Ok(Choice {
            device: None,
            name: Some(name.to_owned()),
            description: Some(managed_description(name)),
            site: Some(site),
            needs_claim: true,
        })
    }

    fn no_site(&self) -> &'static str {
        if self.location.is_some() {
            "its cluster is scoped to a location in NetBox, where its device has to be too: make that there, named like the node"
        } else {
            "its cluster has no site and no default site could be had"
        }
    }

    /// NetBox wants a device's name to be unique per site and tenant, whatever the case.
    fn refuse_taken_name(&self, name: &str, site: Option<ObjectId>, own: Option<ObjectId>) -> Result<(), String> {
        let tenant = own
            .and_then(|id| self.devices.get(&id))
            .and_then(|device| device.tenant);
        let holder = self.devices.iter().find(|(id, device)| {
            Some(**id) != own
                && device.site == site
                && device.tenant == tenant
                && device
                    .name
                    .as_deref()
                    .is_some_and(|other| other.to_lowercase() == name.to_lowercase())
        });
        holder.map_or(Ok(()), |(id, _)| {
            Err(format!("device {id} already has the name {name:?} in this site"))
        })
    }
}

fn ambiguous(node: &str, count: usize) -> String {
    format!("{count} devices in NetBox claim to be node {node:?}")
}

/// The devices that stand for the nodes: those that exist and those that were made in this run.
pub fn devices_of(facts: &Facts) -> Vec<(String, ObjectId)> {
    resolve(facts)
        .into_iter()
        .filter_map(|resolved| {
            let choice = resolved.verdict.ok()?;
            let made = facts.ids.find::<Device>(&resolved.node);
            Some((resolved.node, choice.device.or(made)?))
        })
        .collect()
}

/// The devices of nodes that cannot have the name that they should: ours, in the cluster, and left as they are. What is on
/// such a node is there all the same.
pub fn misnamed_devices(facts: &Facts) -> Vec<(String, ObjectId)> {
    let rows = Rows::new(facts);
    let ours = Some(facts.endpoint.key.id.0);
    let is_ours = |id: &ObjectId| rows.states.get(id).is_some_and(|state| state.endpoint_raw_id == ours);
    let is_in_cluster = |id: &ObjectId| rows.devices.get(id).is_some_and(|device| rows.is_in_cluster(device));
    let refused = resolve(facts).into_iter().filter(|resolved| resolved.verdict.is_err());
    let refused = refused.filter(|resolved| !facts.refused_nodes.contains_key(&resolved.node));
    let standing = refused.filter_map(|resolved| {
        let device = rows.by_state(&resolved.node).ok().flatten()?;
        Some((resolved.node, device))
    });
    standing.filter(|(_, id)| is_ours(id) && is_in_cluster(id)).collect()
}

/// The sites of the devices that stand for the nodes: where each is, or where it was moved or made in this run.
pub fn sites_of(facts: &Facts) -> BTreeMap<ObjectId, ObjectId> {
    let stored: BTreeMap<ObjectId, Option<ObjectId>> = facts
        .known
        .devices
        .iter()
        .map(|stored| (stored.id, stored.object.site))
        .collect();
    let resolved = resolve(facts).into_iter().filter_map(|resolved| {
        let choice = resolved.verdict.ok()?;
        let device = choice.device.or_else(|| facts.ids.find::<Device>(&resolved.node))?;
        let site = choice.site.or_else(|| stored.get(&device).copied().flatten())?;
        Some((device, site))
    });
    let misnamed = misnamed_devices(facts).into_iter();
    let misnamed = misnamed.filter_map(|(_, device)| Some((device, stored.get(&device).copied().flatten()?)));
    resolved.chain(misnamed).collect()
}

/// Sync states read for devices, as rows of a pass.
pub(super) fn states_at_hand(facts: &Facts) -> Vec<Stored<DeviceState>> {
    facts.known.device_states.clone()
}
