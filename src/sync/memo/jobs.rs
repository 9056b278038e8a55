//! Jobs of the plugin, which share nothing with each other.

use super::{Memo, side};
use crate::sync::context::RunContext;

impl Memo {
    /// A run begins that belongs to a job of the plugin. What another job has read does not serve this one: whoever starts a
    /// job wants to see what is there now.
    ///
    /// The first stages of a job do not name it. They read no guests: where these are known, it was not they who read.
    pub(in crate::sync) fn begin_job(&self, context: &RunContext, job_id: &str) {
        let side = side(&context.netbox);
        self.with(|state| {
            for endpoint in &context.endpoints {
                let Ok(session) = &endpoint.session else {
                    continue;
                };
                let kept = state.kept((side.clone(), endpoint.facts.key), session, &context.netbox);
                let is_of_another = match &kept.job_id {
                    Some(known) => known != job_id,
                    None => kept.inventory.guests.get().is_some(),
                };
                if is_of_another {
                    kept.forget();
                }
                kept.job_id = Some(job_id.to_owned());
            }
        });
    }
}
