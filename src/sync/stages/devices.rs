//! Stage `devices`: supporting objects, cluster, devices and their sync states.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::Summary;
use crate::netbox::objects::{Device, DeviceState, TrackingNode};
use crate::reconcile::{Mode, ObjectId, Stored};
use crate::stages::devices::{
    DeviceClaims, DeviceStates, Devices, NodeLinks, named_selection, named_state_selection, state_selection,
    stated_selection,
};
use crate::stages::nodes::{devices_of, misnamed_devices, resolve, sites_of};
use crate::stages::{Pass, Selection};
use crate::sync::error::Error;
use crate::sync::memo::KnownNodes;
use crate::sync::pass::EndpointRun;
use crate::sync::report::{Counts, Outcome, Written};
use crate::sync::tell::Subject;

const PHASE: &str = "devices";
const DEVICES: Subject = Subject {
    phase: PHASE,
    kind: "node",
    page: Some("/dcim/devices/"),
    row: Some(TABLE),
};
/// The plugin's table of devices.
const TABLE: &str = "device";

pub(super) async fn run(run: &mut EndpointRun<'_>) -> Result<Summary, Error> {
    if run.facts.options.modes.effective_node() == Mode::Disabled {
        run.progress.summary(PHASE, &Counts::default());
        return Ok(Summary::default());
    }
    let nodes = &run.facts.cluster.nodes;
    let items: Vec<_> = nodes
        .iter()
        .map(|node| json!({"name": node.name, "item_type": "node"}))
        .collect();
    let total = json!({"total_devices": items.len()});
    run.progress.discovered_with(PHASE, "device", &items, Some(total));
    run.tell_begun_nodes();
    let outcome = run.write_nodes().await?;
    let summary = run.tell_items(&DEVICES, &outcome);
    run.tell_unchanged(&DEVICES, &outcome);
    run.sum_up(&DEVICES, &summary.counts);
    Ok(summary)
}

impl EndpointRun<'_> {
    /// Every node's turn has come.
    fn tell_begun_nodes(&self) {
        for node in &self.facts.cluster.nodes {
            let name = &node.name;
            self.progress.processing(PHASE, name, DEVICES.kind);
            let columns =
                json!({"completed": false, "sync_status": "syncing", "rowid": name, "name": name, "netbox_id": null});
            self.progress.columns(TABLE, "create", name, &columns);
        }
    }

    /// Sees to it that the cluster and the devices of its nodes stand, unless a run did so a short while ago. A node
    /// whose device cannot be had has none in `facts.known.node_devices`.
    pub(super) async fn ensure_nodes(&mut self) -> Result<(), Error> {
        if let Some(nodes) = self.place().nodes() {
            self.bootstrap().await?;
            self.get_cluster().await?;
            self.take_nodes(nodes);
            return Ok(());
        }
        let outcome = self.write_nodes().await?;
        self.warn(PHASE, &outcome);
        Ok(())
    }

    /// Makes the cluster and the devices of its nodes be as they should.
    async fn write_nodes(&mut self) -> Result<Outcome, Error> {
        self.ensure_cluster().await?;
        self.read_devices().await?;
        self.claim_devices().await?;
        let mut outcome = self.pass::<Devices>().await?;
        self.facts.known.made_devices = outcome.created.iter().map(|row| row.id).collect();
        // The links first: by them the plugin finds the node of a sync state, when that is written.
        let links = self.pass::<NodeLinks>().await;
        let links = self.or_without::<TrackingNode, _>(links)?;
        self.warn(PHASE, &links);
        let states = self.pass::<DeviceStates>().await?;
        let disowned = self.verify_owner(&states, &mut outcome).await?;
        let rows = if self.facts.known.is_unread::<TrackingNode>() {
            Vec::new()
        } else {
            self.recall::<TrackingNode>(NodeLinks::scope(&self.facts)).await?
        };
        self.know_nodes(&outcome, &disowned, rows);
        Ok(outcome)
    }

    /// The devices of the nodes but for those that are not ours for sure or not in the cluster. That NetBox has refused
    /// something else of a device, or that it cannot have its name, does not matter to what is on its node.
    fn usable_devices(&self, outcome: &Outcome, disowned: &BTreeSet<String>) -> BTreeMap<String, ObjectId> {
        let failed = outcome.failed_labels();
        let cluster = self.facts.target.cluster;
        let stored = self.facts.known.devices.iter();
        let in_cluster = stored.filter(|stored| cluster.is_some() && stored.object.cluster == cluster);
        let in_cluster: BTreeSet<ObjectId> = in_cluster.map(|stored| stored.id).collect();
        let is_usable = |(node, device): &(String, ObjectId)| {
            let is_in_place = !failed.contains(node.as_str()) || in_cluster.contains(device);
            is_in_place && !disowned.contains(node)
        };
        let devices = devices_of(&self.facts).into_iter();
        devices.chain(misnamed_devices(&self.facts)).filter(is_usable).collect()
    }

    /// Keeps which rows stand for the nodes, for this run and for the next.
    fn know_nodes(&mut self, outcome: &Outcome, disowned: &BTreeSet<String>, rows: Vec<Stored<TrackingNode>>) {
        let nodes = KnownNodes {
            links: links(rows),
            sites: sites_of(&self.facts),
            made_devices: self.facts.known.made_devices.clone(),
            devices: self.usable_devices(outcome, disowned),
        };
        let is_whole = outcome.failed.is_empty() && !self.facts.known.is_unread::<TrackingNode>();
        if is_whole && !self.is_dry_run && self.facts.options.only.is_everything() {
            self.place().keep_nodes(nodes.clone());
        }
        self.take_nodes(nodes);
    }

    fn take_nodes(&mut self, nodes: KnownNodes) {
        self.facts.known.node_devices = nodes.devices;
        self.facts.known.node_links = nodes.links;
        self.facts.known.device_sites = nodes.sites;
        self.facts.known.made_devices = nodes.made_devices;
    }

    /// Finds the devices that stand for the nodes where an earlier stage has put them.
    pub(super) async fn find_node_devices(&mut self) -> Result<(), Error> {
        if let Some(nodes) = self.place().nodes() {
            self.take_nodes(nodes);
            return Ok(());
        }
        self.read_devices().await?;
        let refused = resolve(&self.facts).into_iter();
        let refused = refused.filter_map(|resolved| match resolved.verdict {
            Err(reason) => Some((resolved.node, reason)),
            Ok(choice) if choice.needs_claim => Some((
                resolved.node,
                "its device is nobody's yet: run the stage devices first".to_owned(),
            )),
            Ok(_) => None,
        });
        self.facts.refused_nodes.extend(refused.collect::<Vec<_>>());
        self.facts.known.node_devices = devices_of(&self.facts).into_iter().collect();
        self.facts.known.device_sites = sites_of(&self.facts);
        Ok(())
    }

    /// Finds the plugin's rows of the nodes.
    pub(super) async fn find_node_links(&mut self) -> Result<(), Error> {
        if let Some(nodes) = self.place().nodes() {
            self.take_nodes(nodes);
            return Ok(());
        }
        let rows = self.list::<TrackingNode>(NodeLinks::scope(&self.facts)).await;
        let rows = self.or_without::<TrackingNode, _>(rows)?;
        self.facts.known.node_links = links(rows);
        Ok(())
    }

    /// Reads the devices that may stand for a node, and their sync states.
    async fn read_devices(&mut self) -> Result<(), Error> {
        let of_cluster = self.list::<DeviceState>(vec![state_selection(&self.facts)]);
        let named = self.list::<Device>(vec![named_selection(&self.facts)]);
        (self.facts.known.device_states, self.facts.known.devices) = tokio::try_join!(of_cluster, named)?;
        let stated = self.list::<Device>(vec![stated_selection(&self.facts)]).await?;
        self.facts.known.devices.extend(stated);
        let more = self
            .list::<DeviceState>(vec![named_state_selection(&self.facts)])
            .await?;
        self.facts.known.device_states.extend(more);
        Ok(())
    }

    /// Claims devices that exist and that nobody owns, and reads the claims back before anything else is written.
    async fn claim_devices(&mut self) -> Result<(), Error> {
        if self.is_dry_run && self.facts.options.modes.effective_node() == Mode::Always {
            // The plan of the sync states shows it.
            return Ok(());
        }
        let claims = self.pass::<DeviceClaims>().await?;
        for failure in &claims.failed {
            let reason = format!("its device could not be claimed: {}", failure.message);
            self.facts.refused_nodes.insert(failure.label.clone(), reason);
        }
        let claimed: Vec<_> = claims
            .created
            .iter()
            .chain(&claims.updated)
            .map(|row| row.key.clone())
            .collect();
        if claimed.is_empty() || self.is_dry_run {
            return Ok(());
        }
        let fresh = self
            .list::<DeviceState>(vec![Selection::any_of("device_id", claimed)])
            .await?;
        let devices: BTreeSet<_> = fresh.iter().map(|stored| stored.object.device).collect();
        self.facts
            .known
            .device_states
            .retain(|stored| !devices.contains(&stored.object.device));
        self.facts.known.device_states.extend(fresh);
        Ok(())
    }

    /// A node whose sync state could not be written, or did not stay, has failed although its device stands. A device that was
    /// only just made with its sync state is nobody else's. Returns the nodes whose devices are not known to be ours.
    async fn verify_owner(&mut self, states: &Outcome, devices: &mut Outcome) -> Result<BTreeSet<String>, Error> {
        let mut failed: BTreeMap<String, String> = states
            .failed
            .iter()
            .map(|failure| (failure.label.clone(), failure.message.clone()))
            .collect();
        let owner = Some(self.facts.endpoint.key.id.0);
        let states_at_hand = self.facts.known.device_states.iter();
        let claimed: BTreeSet<String> = states_at_hand
            .filter(|stored| stored.object.endpoint_raw_id == owner)
            .map(|stored| stored.object.device.to_string())
            .collect();
        let unclaimed = states.failed.iter().filter(|failure| !claimed.contains(&failure.key));
        let mut disowned: BTreeSet<String> = unclaimed.map(|failure| failure.label.clone()).collect();
        let made: BTreeSet<_> = devices.created.iter().map(|row| row.id.to_string()).collect();
        let is_new = |row: &&Written| made.contains(&row.key);
        let created = states.created.iter().filter(|row| !is_new(row));
        let written: Vec<_> = created.chain(&states.updated).map(|row| &row.key).collect();
        if !written.is_empty() && !self.is_dry_run {
            let selection = Selection::any_of("device_id", written);
            let stored = self.list::<DeviceState>(vec![selection]).await?;
            let lost = stored.iter().filter(|stored| stored.object.endpoint_raw_id != owner);
            for node in lost.filter_map(|stored| stored.object.node_name.clone()) {
                disowned.insert(node.clone());
                failed.insert(node, "its device now belongs to another Proxmox endpoint".to_owned());
            }
        }
        devices.fail("device sync state", &failed);
        Ok(disowned)
    }
}

/// The plugin's rows of the nodes, by the node's name.
fn links(rows: Vec<Stored<TrackingNode>>) -> BTreeMap<String, ObjectId> {
    rows.into_iter().map(|stored| (stored.object.name, stored.id)).collect()
}
