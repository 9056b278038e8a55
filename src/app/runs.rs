//! Ended runs, on their way into the database.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::sync::CancellationToken;

use crate::store::{Run, Store};
use crate::sync::EndedRun;

/// Keeps each run that `ended` tells of, until `no_more` and all that were told before it.
pub(super) async fn keep(store: Store, mut ended: UnboundedReceiver<EndedRun>, no_more: CancellationToken) {
    loop {
        let run = tokio::select! {
            biased;
            run = ended.recv() => run,
            () = no_more.cancelled() => None,
        };
        let Some(run) = run else { return };
        if let Err(error) = store.keep_run(&row(&run)).await {
            tracing::warn!(%error, run.id = %run.run.id, "run cannot be kept");
        }
    }
}

fn row(ended: &EndedRun) -> Run {
    let finished_at = ended.finished_at.unix_timestamp();
    let started_at = OffsetDateTime::parse(&ended.run.started_at, &Rfc3339);
    Run {
        id: ended.run.id.clone(),
        kind: ended.run.kind.to_owned(),
        // Both are plain values, which always have a JSON form.
        endpoints: serde_json::to_string(&ended.run.endpoints).unwrap_or_default(),
        started_at: started_at.map_or(finished_at, OffsetDateTime::unix_timestamp),
        finished_at,
        is_ok: ended.is_ok,
        summary: ended.summary.to_string(),
    }
}
