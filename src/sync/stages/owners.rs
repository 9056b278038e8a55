//! What every stage begins with that writes what belongs to guests.

use serde_json::{Value, json};

use super::Summary;
use crate::netbox::objects::VirtualMachineState;
use crate::reconcile::Stored;
use crate::stages::claim::Claim;
use crate::stages::guests::{Bound, bindings, lost_states};
use crate::sync::error::Error;
use crate::sync::pass::EndpointRun;
use crate::sync::report::Counts;

impl EndpointRun<'_> {
    /// Tells which virtual machines stand for which guests, and says whether any does. Those of which it cannot be told
    /// are left out with a warning.
    pub(super) async fn find_owners(&mut self) -> Result<bool, Error> {
        if self.find_cluster().await? == Claim::Create {
            let name = &self.facts.cluster.name;
            let text = format!("no cluster in NetBox stands for {name:?} yet: run the stage devices first");
            self.warnings.push(text.into());
            return Ok(false);
        }
        self.read_machines().await?;
        self.tell_unbound().await?;
        Ok(!bindings(&self.facts).bound.is_empty())
    }

    /// Names the virtual machines of which it cannot be told which guest they are, each once in a run. Where the request
    /// names virtual machines, reading them has told of these already.
    pub(super) async fn tell_unbound(&mut self) -> Result<(), Error> {
        if self.facts.options.guests.only.is_some() {
            return Ok(());
        }
        let mut lost: Vec<Stored<VirtualMachineState>> = self.recall(vec![lost_states(&self.facts)]).await?;
        lost.retain(|stored| stored.object.endpoint_raw_id.is_none());
        self.facts.known.machine_states.extend(lost);
        for warning in self.unbound(&bindings(&self.facts)) {
            if !self.warnings.contains(&warning) {
                self.warnings.push(warning);
            }
        }
        Ok(())
    }

    /// Tells the virtual machines that a stage is about to work on; `noun` is what one is called.
    pub(super) fn discovered_machines<'b>(
        &self,
        phase: &str,
        noun: &str,
        machines: impl Iterator<Item = &'b Bound<'b>>,
    ) {
        let items: Vec<Value> = machines
            .map(|bound| json!({"name": bound.label(), "item_type": noun}))
            .collect();
        self.progress.discovered(phase, "virtual machine", &items);
    }

    /// The end of a stage that has nothing to work on.
    pub(super) fn nothing(&self, phase: &str) -> Summary {
        self.progress.summary(phase, &Counts::default());
        Summary::default()
    }
}
