//! What every stage begins with that writes what belongs to guests.

use serde_json::{Value, json};

use super::Summary;
use crate::stages::claim::Claim;
use crate::stages::guests::bindings;
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
        let bindings = bindings(&self.facts);
        let has_any = !bindings.bound.is_empty();
        // Where the request names virtual machines, reading them has told of these already.
        if self.facts.options.guests.only.is_none() {
            let warnings = self.unbound(&bindings);
            self.warnings.extend(warnings);
        }
        Ok(has_any)
    }

    /// Tells the virtual machines that a stage is about to work on; `noun` is what one is called.
    pub(super) fn discovered_machines(&self, phase: &str, noun: &str) {
        let bindings = bindings(&self.facts);
        let items: Vec<Value> = bindings
            .bound
            .iter()
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
