//! Stage `devices`: supporting objects, cluster, devices and their sync states.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::Summary;
use crate::netbox::objects::{Device, DeviceState};
use crate::reconcile::Mode;
use crate::stages::devices::{
    DeviceClaims, DeviceStates, Devices, NodeLinks, device_selections, named_state_selection, state_selection,
};
use crate::sync::error::Error;
use crate::sync::pass::EndpointRun;
use crate::sync::report::{Counts, Failure, Outcome};
use crate::sync::tell::Subject;

const PHASE: &str = "devices";
const DEVICES: Subject = Subject {
    phase: PHASE,
    kind: "node",
    page: Some("/dcim/devices/"),
    row: Some("device"),
};

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
    run.progress.discovered(PHASE, "device", &items);
    run.bootstrap().await?;
    let claim = run.find_cluster().await?;
    run.find_placement().await?;
    run.write_cluster(claim).await?;
    run.read_devices().await?;
    run.claim_devices().await?;
    let mut outcome = run.pass::<Devices>().await?;
    let links = run.pass::<NodeLinks>().await?;
    run.warn(PHASE, &links);
    let states = run.pass::<DeviceStates>().await?;
    run.verify_owner(&states, &mut outcome).await?;
    Ok(run.tell(&DEVICES, &outcome))
}

impl EndpointRun<'_> {
    /// Reads the devices that may stand for a node, and their sync states.
    pub(super) async fn read_devices(&mut self) -> Result<(), Error> {
        self.facts.known.device_states = self.list::<DeviceState>(vec![state_selection(&self.facts)]).await?;
        self.facts.known.devices = self.list::<Device>(device_selections(&self.facts)).await?;
        let more = self
            .list::<DeviceState>(vec![named_state_selection(&self.facts)])
            .await?;
        self.facts.known.device_states.extend(more);
        Ok(())
    }

    /// Claims devices that exist and that nobody owns, and reads the claims back before anything else is written.
    async fn claim_devices(&mut self) -> Result<(), Error> {
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
            .list::<DeviceState>(vec![crate::stages::Selection::any_of("device_id", claimed)])
            .await?;
        let devices: BTreeSet<_> = fresh.iter().map(|stored| stored.object.device).collect();
        self.facts
            .known
            .device_states
            .retain(|stored| !devices.contains(&stored.object.device));
        self.facts.known.device_states.extend(fresh);
        Ok(())
    }

    /// A node whose owner could not be written, or did not stay, has failed although its device stands.
    async fn verify_owner(&mut self, states: &Outcome, devices: &mut Outcome) -> Result<(), Error> {
        let mut failed: BTreeMap<String, String> = states
            .failed
            .iter()
            .map(|failure| (failure.label.clone(), failure.message.clone()))
            .collect();
        let written: Vec<_> = states.created.iter().chain(&states.updated).collect();
        if !written.is_empty() && !self.is_dry_run {
            let selection = crate::stages::Selection::any_of("device_id", written.iter().map(|row| &row.key));
            let owner = Some(self.facts.endpoint.key.id.0);
            let stored = self.list::<DeviceState>(vec![selection]).await?;
            let lost = stored.iter().filter(|stored| stored.object.endpoint_raw_id != owner);
            failed.extend(lost.filter_map(|stored| {
                Some((
                    stored.object.node_name.clone()?,
                    "its device now belongs to another Proxmox endpoint".to_owned(),
                ))
            }));
        }
        for rows in [&mut devices.created, &mut devices.updated, &mut devices.unchanged] {
            let (kept, lost): (Vec<_>, Vec<_>) = rows.drain(..).partition(|row| !failed.contains_key(&row.key));
            *rows = kept;
            devices.failed.extend(lost.into_iter().map(|row| Failure {
                object: "device sync state",
                message: failed.get(&row.key).cloned().unwrap_or_default(),
                kind: crate::error::ErrorKind::Validation,
                label: row.key.clone(),
                key: row.key,
            }));
        }
        Ok(())
    }
}
