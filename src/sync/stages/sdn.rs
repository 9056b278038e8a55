//! Stage `sdn`: software-defined networks, as the plugin's rows and as what of them NetBox itself knows.

use serde_json::{Value, json};

use super::Summary;
use crate::inventory::{Sdn, SdnNetworks};
use crate::netbox::objects::{
    L2vpnTermination, Object, PluginEndpoint, Prefix, SdnBinding, SdnControllerBody, SdnFabricBody, SdnPrefixBody,
    SdnRouteMapBody, SdnSubnetBody, SdnVnetBody, SdnZoneBody, Vlan,
};
use crate::netbox::{self, Query};
use crate::reconcile::{Mode, Resource};
use crate::stages::sdn::{SdnRows, Skipped, skipped};
use crate::stages::sdn_bindings::SdnBindings;
use crate::stages::sdn_networks::{
    L2vpns, Prefixes, RouteTargets, Terminations, skipped_endings, termination_selection, vlan_selection,
};
use crate::stages::{Pass, claim};
use crate::sync::error::Error;
use crate::sync::pass::EndpointRun;
use crate::sync::report::{Counts, Failure, Outcome};
use crate::sync::tally::SdnTally;
use crate::sync::tell::Subject;

const PHASE: &str = "sdn";
const NETWORKS: Subject = Subject {
    phase: PHASE,
    kind: "sdn",
    page: None,
    row: None,
};
/// The counter of the plugin's rows.
const ROWS: &str = "plugin_metadata";

pub(super) async fn run(run: &mut EndpointRun<'_>) -> Result<Summary, Error> {
    let mut course = Course::default();
    if run.facts.options.modes.sdn == Mode::Disabled {
        run.progress.summary(PHASE, &Counts::default());
    } else {
        run.tell_processing();
        course.read(run).await?;
        if course.find_plugin_endpoint(run).await? {
            course.write(run).await?;
        }
        run.tell_processed(&course.tally);
    }
    let summary = run.tell(&NETWORKS, &course.outcome);
    Ok(Summary {
        tally: Some(course.tally),
        ..summary
    })
}

/// What the stage has done so far.
#[derive(Debug, Default)]
pub(super) struct Course {
    tally: SdnTally,
    outcome: Outcome,
}

impl Course {
    /// Reads the networks from Proxmox and counts them.
    async fn read(&mut self, run: &mut EndpointRun<'_>) -> Result<(), Error> {
        run.read::<Sdn>().await?;
        self.tally
            .miss(&run.facts.cluster.name, run.facts.inventory.gaps::<Sdn>().len());
        let Some(networks) = run.facts.inventory.networks() else {
            return Ok(());
        };
        run.progress.discovered(PHASE, "network", &items(networks));
        self.tally.count("controllers", networks.controllers.rows.len());
        self.tally.count("zones", networks.zones.rows.len());
        self.tally.count("vnets", networks.vnets.rows.len());
        self.tally.skip(networks.count_unsupported());
        Ok(())
    }

    /// Tells which of the plugin's endpoints the run works for. Without one nothing can be written.
    async fn find_plugin_endpoint(&mut self, run: &mut EndpointRun<'_>) -> Result<bool, Error> {
        let known = run.place().target();
        if let Some(endpoint) = known.and_then(|known| known.target.plugin_endpoint) {
            run.facts.target.plugin_endpoint = Some(endpoint);
            return Ok(true);
        }
        let rows: Vec<PluginEndpoint> = run.netbox.list(PluginEndpoint::PATH, &Query::new()).await?;
        match claim::plugin_endpoint(&run.facts.endpoint, &rows) {
            Ok(endpoint) => {
                run.facts.target.plugin_endpoint = Some(endpoint);
                Ok(true)
            }
            Err(ambiguity) => {
                let count = run.facts.inventory.networks().map_or(0, SdnNetworks::count);
                self.skip(count);
                run.warnings.push(ambiguity.to_string().into());
                Ok(false)
            }
        }
    }

    /// Networks come before the plugin's rows, which refer to them; what everything became comes last.
    async fn write(&mut self, run: &mut EndpointRun<'_>) -> Result<(), Error> {
        self.read_known(run).await?;
        self.write_networks(run).await?;
        self.write_rows(run).await?;
        self.project(run).await?;
        self.pass::<SdnBindings>(run, ROWS).await?;
        let left_out = skipped(&run.facts).into_iter().chain(skipped_endings(&run.facts));
        for skipped in left_out {
            self.leave_out(skipped);
        }
        Ok(())
    }

    async fn read_known(&mut self, run: &mut EndpointRun<'_>) -> Result<(), Error> {
        run.facts.known.sdn.bindings = match run.list::<SdnBinding>(SdnBindings::scope(&run.facts)).await {
            Err(Error::NetBox(netbox::Error::NoRoute { .. })) => None,
            rows => Some(self.or_without::<SdnBinding, _>(run, rows)?),
        };
        let prefixes = run.list::<Prefix>(Prefixes::scope(&run.facts)).await;
        run.facts.known.sdn.prefixes = self.or_without::<Prefix, _>(run, prefixes)?;
        let vlans = run.list::<Vlan>(vec![vlan_selection(&run.facts)]).await;
        run.facts.known.sdn.vlans = self.or_without::<Vlan, _>(run, vlans)?;
        Ok(())
    }

    async fn write_networks(&mut self, run: &mut EndpointRun<'_>) -> Result<(), Error> {
        self.pass::<RouteTargets>(run, "route_targets").await?;
        self.pass::<L2vpns>(run, "l2vpns").await?;
        self.pass::<Prefixes>(run, "subnets").await?;
        let terminations = run.list(vec![termination_selection(&run.facts)]).await;
        run.facts.known.sdn.terminations = self.or_without::<L2vpnTermination, _>(run, terminations)?;
        self.pass::<Terminations>(run, "terminations").await
    }

    async fn write_rows(&mut self, run: &mut EndpointRun<'_>) -> Result<(), Error> {
        self.pass::<SdnRows<SdnControllerBody>>(run, ROWS).await?;
        self.pass::<SdnRows<SdnFabricBody>>(run, ROWS).await?;
        self.pass::<SdnRows<SdnRouteMapBody>>(run, ROWS).await?;
        self.pass::<SdnRows<SdnPrefixBody>>(run, ROWS).await?;
        self.pass::<SdnRows<SdnZoneBody>>(run, ROWS).await?;
        self.pass::<SdnRows<SdnVnetBody>>(run, ROWS).await?;
        // These tell why no prefix stands for a subnet.
        let has_prefixes = run.has_read::<Prefix>();
        self.pass_where::<SdnRows<SdnSubnetBody>>(has_prefixes, run, ROWS).await
    }

    pub(super) fn leave_out(&mut self, skipped: Skipped) {
        self.outcome.left_out += 1;
        self.tally.leave_out(skipped);
    }

    /// What came of reading rows of kind `R`. Where that is not known, what depends on them is left out.
    pub(super) fn or_without<R: Object, T: Default>(
        &mut self,
        run: &mut EndpointRun<'_>,
        read: Result<T, Error>,
    ) -> Result<T, Error> {
        if let Err(error) = read.as_ref()
            && error.is_of_one_question()
        {
            self.tally.warn(R::KIND, String::new(), error.to_string());
        }
        run.or_without::<R, T>(read)
    }

    fn skip(&mut self, count: usize) {
        self.tally.skip(count);
        self.outcome.left_out += count;
    }

    /// One pass, where what its rows refer to `is_known`.
    pub(super) async fn pass_where<P: Pass>(
        &mut self,
        is_known: bool,
        run: &mut EndpointRun<'_>,
        counter: &'static str,
    ) -> Result<(), Error> {
        if is_known {
            return self.pass::<P>(run, counter).await;
        }
        self.skip(P::desired(&run.facts).wanted.len());
        Ok(())
    }

    /// One pass. That NetBox does not offer its collection, does not let this service see it or write to it, or fails, concerns
    /// those passes alone that build upon it.
    pub(super) async fn pass<P: Pass>(
        &mut self,
        run: &mut EndpointRun<'_>,
        counter: &'static str,
    ) -> Result<(), Error> {
        let wanted = P::desired(&run.facts).wanted.len();
        if !run.has_read::<P::Object>() {
            self.skip(wanted);
            return Ok(());
        }
        match run.pass::<P>().await {
            Ok(outcome) => {
                self.tally.mark(outcome.marked.len());
                self.tally.count(counter, outcome.created.len() + outcome.updated.len());
                outcome.failed.iter().for_each(|failure| self.tally.fail(failure));
                self.outcome.absorb(outcome);
                Ok(())
            }
            Err(Error::NetBox(netbox::Error::NoRoute { .. })) => {
                let path = <P::Object as Resource>::PATH;
                let warning = format!("NetBox has no {path}, so nothing was written to it; the plugin may be too old");
                self.skip(wanted);
                self.tally
                    .warn(<P::Object as Resource>::KIND, String::new(), warning.clone());
                run.warnings.push(warning.into());
                run.facts.known.unread.insert(path);
                Ok(())
            }
            Err(error) if matches!(error, Error::Shrink(_)) || error.is_of_one_question() => {
                let failure = Failure {
                    object: <P::Object as Resource>::KIND,
                    key: String::new(),
                    label: <P::Object as Resource>::PATH.to_owned(),
                    kind: error.kind(),
                    message: error.to_string(),
                };
                self.tally.fail(&failure);
                self.outcome.failed.push(failure);
                run.facts.known.unread.insert(<P::Object as Resource>::PATH);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

impl EndpointRun<'_> {
    /// Whether it is known which rows of kind `R` there are.
    pub(super) fn has_read<R: Resource>(&self) -> bool {
        !self.facts.known.is_unread::<R>()
    }

    fn tell_processing(&self) {
        let message = format!(
            "Synchronizing software-defined networks of {}.",
            self.facts.cluster.name
        );
        self.progress.send(
            "step",
            json!({"step": PHASE, "status": "processing", "message": message}),
        );
    }

    fn tell_processed(&self, tally: &SdnTally) {
        let message = format!("Synchronized software-defined networks of {}.", self.facts.cluster.name);
        self.progress.send(
            "step",
            json!({"step": PHASE, "status": "completed", "message": message, "counters": tally}),
        );
    }
}

fn items(networks: &SdnNetworks) -> Vec<Value> {
    let zones = networks.zones.rows.iter().map(|zone| (&zone.row.zone, "zone"));
    let vnets = networks.vnets.rows.iter().map(|vnet| (&vnet.row.vnet, "vnet"));
    zones
        .chain(vnets)
        .map(|(name, kind)| json!({"name": name, "item_type": kind}))
        .collect()
}
