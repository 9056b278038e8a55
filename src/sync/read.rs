//! What a stage reads before it compares: areas of Proxmox, and which virtual machines stand for which guests.

use std::collections::BTreeSet;

use super::error::Error;
use super::pass::EndpointRun;
use super::warning::Warning;
use crate::error::ErrorKind;
use crate::inventory::{Area, Collected, Gap, GuestConfigs, Guests, Listener, Reader, RecordedTasks};
use crate::netbox::objects::{Storage, VirtualMachine};
use crate::stages::guests::{
    Bindings, Unbound, bindings, claimed_by_selected, claimed_outside, machine_selection, state_selection,
};
use crate::stages::machines::identity::claimed_elsewhere;
use crate::stages::machines::may_handle_any;
use crate::stages::storages::Storages as StorageRows;
use crate::stages::{Part, Pass, Selection};

/// How many sources that could not be read a line of the log names.
const GAPS_NAMED: usize = 5;

impl EndpointRun<'_> {
    /// Reads an area, unless this run or one that ended a short while ago has. Its gaps become warnings; one that the
    /// credentials may not see at all is a gap too.
    pub(super) async fn read<A: Area>(&mut self) -> Result<(), Error> {
        let collected = self.collect::<A>(None).await?;
        self.keep::<A>(collected);
        Ok(())
    }

    /// Like [`Self::read`]; `listener` is told of guests meanwhile.
    pub(super) async fn read_heard<A: Area>(&mut self, listener: &dyn Listener) -> Result<(), Error> {
        let collected = self.collect::<A>(Some(listener)).await?;
        self.keep::<A>(collected);
        Ok(())
    }

    /// Reads an area that a stage can do without: a failure of Proxmox is a gap, called `source`, but for that of an endpoint
    /// that cannot be reached at all. The next stage asks again.
    pub(super) async fn read_or_miss<A: Area>(&mut self, source: &str) -> Result<(), Error> {
        match self.collect::<A>(None).await {
            Err(Error::Proxmox(error)) if error.kind() != ErrorKind::Connection => {
                let missed = Collected {
                    items: Vec::new(),
                    gaps: vec![Gap::new(source, &error)],
                };
                A::slot_mut(&mut self.facts.inventory).fill(missed);
                self.miss_all::<A>();
            }
            collected => self.keep::<A>(collected?),
        }
        Ok(())
    }

    /// Reads two areas side by side; neither may build upon the other.
    pub(super) async fn read_both<A: Area, B: Area>(&mut self) -> Result<(), Error> {
        let (first, second) = tokio::try_join!(self.collect::<A>(None), self.collect::<B>(None))?;
        self.keep::<A>(first);
        self.keep::<B>(second);
        Ok(())
    }

    /// What an area holds; `None` where it was read before. A run that is asked to stop does not wait for the rest.
    async fn collect<A: Area>(&self, listener: Option<&dyn Listener>) -> Result<Option<Collected<A::Item>>, Error> {
        if A::slot(&self.facts.inventory).get().is_some() {
            return Ok(None);
        }
        let reader = Reader {
            session: self.session,
            cluster: &self.facts.cluster,
            inventory: &self.facts.inventory,
            only: self.only.as_ref(),
            node: self.facts.options.only.named(Part::Node),
            storage: self.facts.options.only.named(Part::Storage),
            recorded: &self.recorded,
            concurrency: self.concurrency,
            agent_timeout: self.agent_timeout,
            listener,
        };
        let collected = tokio::select! {
            biased;
            () = self.cancel.cancelled() => return Err(Error::Cancelled),
            collected = A::collect(&reader) => collected,
        };
        Ok(Some(match collected {
            Ok(collected) => collected,
            Err(error) => Collected::refused(&error).ok_or(error)?,
        }))
    }

    /// Keeps what was read of an area, for the next runs too where it is all of it, and tells of its gaps.
    fn keep<A: Area>(&mut self, collected: Option<Collected<A::Item>>) {
        if let Some(collected) = collected {
            A::slot_mut(&mut self.facts.inventory).fill(collected);
            // Not where reading stopped at tasks that are on record, or old: these are not all.
            let is_all = self.only.is_none() && self.recorded == RecordedTasks::default();
            if is_all && self.facts.options.only.is_everything() {
                self.place().keep_area::<A>(A::slot(&self.facts.inventory));
            }
        }
        self.miss_all::<A>();
    }

    /// Tells of the gaps of an area.
    fn miss_all<A: Area>(&mut self) {
        let gaps = self.facts.inventory.gaps::<A>().to_vec();
        for gap in &gaps {
            self.miss(gap);
        }
    }

    /// Tells of a gap, once.
    pub(super) fn miss(&mut self, gap: &Gap) {
        let warning = Warning::from(gap);
        if !self.warnings.contains(&warning) {
            self.progress.gap(self.stage.as_str(), gap);
            self.warnings.push(warning);
            self.gaps.push(gap.clone());
        }
    }

    /// Leaves a line in the log of what could not be read: of the events of a quick run the plugin's log keeps but a few.
    pub(super) fn log_gaps(&self) {
        if self.gaps.is_empty() {
            return;
        }
        let named: Vec<String> = self.gaps.iter().take(GAPS_NAMED).map(Gap::to_string).collect();
        tracing::warn!(
            stage = self.stage.as_str(),
            endpoint.id = %self.facts.endpoint.key,
            count = self.gaps.len(),
            sources = named.join("; "),
            "not everything could be read"
        );
    }

    /// Reads the guests, the cluster's virtual machines and their sync states; afterwards [`bindings`] tell which is
    /// which. Where the request names virtual machines, areas read from here on are limited to their guests.
    pub(super) async fn read_machines(&mut self) -> Result<(), Error> {
        self.read::<Guests>().await?;
        let machines = machine_selection(&self.facts);
        let states = vec![state_selection(&self.facts)];
        let (machines, states) = tokio::try_join!(self.recall(machines), self.recall(states))?;
        self.facts.known.machines = machines;
        self.facts.known.machine_states = states;
        self.read_machines_elsewhere().await?;
        self.select_guest();
        if self.facts.options.guests.only.is_some() {
            self.select_guests()?;
        }
        Ok(())
    }

    /// Reads the virtual machines of guests whose notes may have put them into another cluster of NetBox; one that is in
    /// no cluster at all is not told by its sync state alone.
    async fn read_machines_elsewhere(&mut self) -> Result<(), Error> {
        if self.facts.options.guests.parse_metadata {
            let claimed = Selection::any_of("id", claimed_elsewhere(&self.facts));
            let more = self.recall::<VirtualMachine>(vec![claimed]).await?.into_iter();
            let in_cluster = more.filter(|stored| stored.object.cluster.is_some());
            self.facts.known.machines.extend(in_cluster);
            self.read_notes_of_outsiders().await?;
        }
        Ok(())
    }

    /// Reads the configurations of guests where any of the virtual machines that claim to be one is not in the endpoint's
    /// cluster: their notes tell which cluster is the guest's. Of a request that names virtual machines only their guests count.
    async fn read_notes_of_outsiders(&mut self) -> Result<(), Error> {
        let outside = claimed_outside(&self.facts);
        let selected = claimed_by_selected(&self.facts);
        if selected
            .as_ref()
            .map_or(outside.is_empty(), |selected| selected.is_disjoint(&outside))
        {
            return Ok(());
        }
        if selected.is_some() {
            self.only = selected;
        }
        self.read::<GuestConfigs>().await
    }

    /// Reads the cluster's storages.
    pub(super) async fn read_storages(&mut self) -> Result<(), Error> {
        self.facts.known.storages = self.recall::<Storage>(StorageRows::scope(&self.facts)).await?;
        Ok(())
    }

    /// Reads the guests, and where the request names virtual machines all that [`Self::read_machines_afresh`] does: these tell
    /// which guests it is about. Says whether there is any to see to, so that nothing is made of what only guests need.
    pub(super) async fn find_guests(&mut self) -> Result<bool, Error> {
        if self.facts.options.guests.only.is_some() {
            self.find_or_claim_cluster().await?;
            self.read_machines_afresh().await?;
        } else {
            self.read::<Guests>().await?;
            self.facts.guests.only = self.facts.options.only.guest.map(|vmid| [vmid].into());
        }
        Ok(may_handle_any(&self.facts))
    }

    /// Reads the guests, and from NetBox the cluster's virtual machines and all sync states: those of other endpoints
    /// tell which virtual machines are not ours.
    pub(super) async fn read_machines_afresh(&mut self) -> Result<(), Error> {
        self.read::<Guests>().await?;
        let machines = machine_selection(&self.facts);
        let (machines, states) = tokio::try_join!(self.list(machines), self.list(vec![Selection::all()]))?;
        self.facts.known.machines = machines;
        self.facts.known.machine_states = states;
        if let Some(vmid) = self.facts.options.only.guest {
            self.only = Some([vmid].into());
            self.facts.guests.only.clone_from(&self.only);
            return Ok(());
        }
        if self.facts.options.guests.only.is_some() {
            self.read_machines_elsewhere().await?;
            self.select_guests()?;
            self.refuse_vanished()?;
            self.facts.guests.only.clone_from(&self.only);
        }
        Ok(())
    }

    /// A virtual machine that the request names and whose guest is not listed.
    fn refuse_vanished(&mut self) -> Result<(), Error> {
        let bindings = bindings(&self.facts);
        let vanished = bindings.bound.iter().filter(|bound| bound.guest.is_none());
        let cluster = &self.facts.cluster.name;
        let unread = self.facts.inventory.gaps::<Guests>().first();
        let warnings = vanished.map(|bound| {
            let reason = match unread {
                Some(gap) => format!("guest {} could not be looked for: {gap}", bound.vmid),
                None => format!("guest {} is not in the cluster", bound.vmid),
            };
            Warning::machine(bound.id, &reason).of_guest(bound.vmid, cluster)
        });
        let warnings = warnings.collect();
        self.leave_out(warnings)
    }

    /// Limits the run to the virtual machine of the one guest that the request is about; to none where it has none.
    fn select_guest(&mut self) {
        if let Some(vmid) = self.facts.options.only.guest {
            self.facts.options.guests.only = None;
            let machine = bindings(&self.facts).of(vmid).map(|bound| bound.id);
            self.facts.options.guests.only = Some(machine.into_iter().collect());
        }
    }

    /// Limits the run to the guests of the virtual machines that the request names.
    fn select_guests(&mut self) -> Result<(), Error> {
        let bindings = bindings(&self.facts);
        let only: BTreeSet<_> = bindings.bound.iter().map(|bound| bound.vmid).collect();
        let warnings = self.unbound(&bindings);
        self.leave_out(warnings)?;
        self.only = Some(only);
        Ok(())
    }

    /// One warning per virtual machine of which it cannot be told which guest it is.
    pub(super) fn unbound(&self, bindings: &Bindings<'_>) -> Vec<Warning> {
        let warning = |unbound: &Unbound| {
            let warning = Warning::machine(unbound.id, &unbound.reason);
            match unbound.vmid {
                Some(vmid) => warning.of_guest(vmid, &self.facts.cluster.name),
                None => warning,
            }
        };
        bindings.unbound.iter().map(warning).collect()
    }

    /// Goes on without virtual machines, unless the request insists on each. The stages of one run tell each reason once.
    fn leave_out(&mut self, warnings: Vec<Warning>) -> Result<(), Error> {
        if self.facts.options.guests.is_strict && !warnings.is_empty() {
            let reasons: Vec<String> = warnings.iter().map(ToString::to_string).collect();
            return Err(Error::Selection {
                reasons: reasons.join("; "),
            });
        }
        for warning in warnings {
            if !self.warnings.contains(&warning) {
                self.warnings.push(warning);
            }
        }
        Ok(())
    }
}
