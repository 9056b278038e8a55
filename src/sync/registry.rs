//! Runs in progress: start, list, stop. Runs that may write the same rows of an endpoint exclude each other.

use std::collections::{BTreeMap, HashMap};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::{FutureExt, Stream, stream};
use serde::Serialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;
use uuid::Uuid;

use super::context::RunContext;
use super::event::{Event, Progress};
use super::job::{Job, JobReport};
use super::memo::{Memo, side};
use super::request::SyncRequest;
use super::run::Work;
use crate::endpoint::{EndpointId, EndpointKey, Source};
use crate::mapping::names::plugin_key;
use crate::stages::{EndpointFacts, Stage};

/// A run that is under way.
#[derive(Debug, Clone, Serialize)]
pub struct ActiveRun {
    /// Its id.
    pub id: String,
    /// Its stage, `full-update`, `individual` or `sweep-orphans`.
    pub kind: &'static str,
    /// When it started, ISO 8601 in UTC.
    pub started_at: String,
    /// The endpoints it works for.
    pub endpoints: Vec<EndpointKey>,
}

/// A run that has ended.
#[derive(Debug, Clone)]
pub struct EndedRun {
    /// What it was while it ran.
    pub run: ActiveRun,
    /// When it ended.
    pub finished_at: OffsetDateTime,
    /// Whether it did all that it was asked to.
    pub is_ok: bool,
    /// What it came to, in short.
    pub summary: Value,
}

/// What two runs may not work on at once: a NetBox with its branch, an endpoint, a stage. An endpoint that both this service
/// and the plugin have a row of is one.
type Place = (String, EndpointKey, Stage);

/// The runs in progress.
#[derive(Debug, Clone)]
pub struct Registry {
    shared: Arc<Shared>,
    /// What runs remember for each other.
    pub memo: Memo,
}

#[derive(Debug)]
struct Shared {
    // Plain mutexes: held for a look-up, never across an await.
    active: Mutex<BTreeMap<u64, (ActiveRun, CancellationToken)>>,
    // The inner mutex is tokio's: a run holds it for as long as it works on the place.
    places: Mutex<HashMap<Place, Arc<tokio::sync::Mutex<()>>>>,
    started: std::sync::atomic::AtomicU64,
    tracker: TaskTracker,
    stop: CancellationToken,
    ended: Option<mpsc::UnboundedSender<EndedRun>>,
}

/// A run that somebody waits for. Dropping it asks the run to stop at the next safe point, unless it is detached.
#[derive(Debug)]
pub struct Running {
    /// The run's id.
    pub id: String,
    events: broadcast::Receiver<Event>,
    begun: oneshot::Receiver<()>,
    report: oneshot::Receiver<JobReport>,
    cancel: CancellationToken,
    is_detached: bool,
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.is_detached {
            self.cancel.cancel();
        }
    }
}

impl Running {
    /// The run's events until its end.
    pub fn into_events(self) -> impl Stream<Item = Event> + Send + 'static {
        stream::unfold(self, |mut running| async move {
            loop {
                match running.events.recv().await {
                    Ok(event) => return Some((event, running)),
                    Err(broadcast::error::RecvError::Lagged(missed)) => {
                        tracing::debug!(run.id = %running.id, missed, "listener fell behind");
                    }
                    Err(broadcast::error::RecvError::Closed) => return None,
                }
            }
        })
    }

    /// Waits until no earlier run is in the way of this one.
    pub async fn begun(&mut self) {
        // Where nobody tells, the run is over.
        let _ = (&mut self.begun).await;
    }

    /// The run's report; `None` where the run broke down.
    pub async fn report(mut self) -> Option<JobReport> {
        // Nobody will read the events; as long as somebody might, the latest thousands of them are kept.
        self.events = broadcast::channel(1).1;
        (&mut self.report).await.ok()
    }
}

impl Registry {
    /// No runs yet. Runs that end are told to `ended`.
    pub fn new(ended: Option<mpsc::UnboundedSender<EndedRun>>) -> Self {
        let shared = Shared {
            active: Mutex::default(),
            places: Mutex::default(),
            started: std::sync::atomic::AtomicU64::new(0),
            tracker: TaskTracker::new(),
            stop: CancellationToken::new(),
            ended,
        };
        Self {
            shared: Arc::new(shared),
            memo: Memo::default(),
        }
    }

    /// Runs in progress, oldest first.
    pub fn active(&self) -> Vec<ActiveRun> {
        let active = self.shared.active.lock().unwrap_or_else(PoisonError::into_inner);
        active.values().map(|(run, _)| run.clone()).collect()
    }

    /// Asks the run `id` to stop at its next safe point, be it detached or not; says whether there is such a run.
    pub fn cancel(&self, id: &str) -> bool {
        let active = self.shared.active.lock().unwrap_or_else(PoisonError::into_inner);
        let found = active.values().find(|(run, _)| run.id == id);
        found.inspect(|(_, cancel)| cancel.cancel()).is_some()
    }

    /// Starts a run. It waits for earlier runs of the same stages and endpoints.
    ///
    /// Where the request does not name the run, its id does.
    pub fn start(&self, job: impl Into<Job>, mut request: SyncRequest, context: RunContext) -> Running {
        let job = job.into();
        let progress = Progress::default();
        let events = progress.listen();
        let cancel = self.shared.stop.child_token();
        let (start, begun) = oneshot::channel();
        let (sender, report) = oneshot::channel();
        let active = ActiveRun {
            id: Uuid::new_v4().to_string(),
            kind: job.as_str(),
            started_at: OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default(),
            endpoints: context.endpoints.iter().map(|endpoint| endpoint.facts.key).collect(),
        };
        let job_id = Some(request.options.run_id.clone()).filter(|id| !id.is_empty());
        request.options.run_id = job_id.clone().unwrap_or_else(|| active.id.clone());
        let running = Running {
            id: active.id.clone(),
            events,
            begun,
            report,
            cancel: cancel.clone(),
            is_detached: request.detach,
        };
        let entry = Entry::new(self.shared.clone(), active, job_id, cancel.clone());
        let span = tracing::info_span!("run", run.id = %running.id, stage = job.as_str());
        let work = work(
            self.clone(),
            job,
            request,
            context,
            (progress, cancel, entry, (start, sender)),
        );
        self.shared.tracker.spawn(work.instrument(span));
        running
    }

    /// Asks all runs to stop at their next safe point and waits for them, at most `patience`.
    pub async fn shut_down(&self, patience: Duration) {
        self.shared.stop.cancel();
        self.shared.tracker.close();
        if tokio::time::timeout(patience, self.shared.tracker.wait())
            .await
            .is_err()
        {
            tracing::warn!("runs did not stop in time");
        }
    }

    /// Gives back what the run has left for the next one, once that has not come.
    fn purge_later(&self, ttl: Duration) {
        let (memo, stop) = (self.memo.clone(), self.shared.stop.clone());
        self.shared.tracker.spawn(async move {
            tokio::select! {
                () = tokio::time::sleep(ttl) => memo.purge(ttl),
                () = stop.cancelled() => {}
            }
        });
    }

    /// Waits for `places`, which are in order, or until the run is asked to stop.
    async fn hold(&self, places: Vec<Place>, cancel: &CancellationToken) -> Vec<tokio::sync::OwnedMutexGuard<()>> {
        let mut held = Vec::new();
        for place in places {
            let lock = self.place(place);
            tokio::select! {
                guard = lock.lock_owned() => held.push(guard),
                () = cancel.cancelled() => break,
            }
        }
        held
    }

    fn place(&self, place: Place) -> Arc<tokio::sync::Mutex<()>> {
        self.shared
            .places
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(place)
            .or_default()
            .clone()
    }

    /// Gives back the places that nobody holds or waits for.
    fn leave_places(&self) {
        let mut places = self.shared.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.retain(|_, lock| Arc::strong_count(lock) > 1);
    }
}

/// The run's place in the list of active runs; leaves it when dropped.
struct Entry {
    shared: Arc<Shared>,
    number: u64,
    run: ActiveRun,
    /// The id of the plugin's job that the run belongs to, where the request names it.
    job_id: Option<String>,
}

impl Entry {
    fn new(shared: Arc<Shared>, run: ActiveRun, job_id: Option<String>, cancel: CancellationToken) -> Self {
        let number = shared.started.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        shared
            .active
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(number, (run.clone(), cancel));
        Self {
            shared,
            number,
            run,
            job_id,
        }
    }

    fn ended(&self, report: &JobReport) {
        let is_ok = report.errors().is_empty() && !report.is_cancelled();
        let ended = EndedRun {
            run: self.run.clone(),
            finished_at: OffsetDateTime::now_utc(),
            is_ok,
            summary: report.summary(),
        };
        if let Some(sender) = &self.shared.ended {
            // The receiver is gone only when the service is going down.
            let _ = sender.send(ended);
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.shared
            .active
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.number);
    }
}

/// What a run reports to.
type Ends = (
    Progress,
    CancellationToken,
    Entry,
    (oneshot::Sender<()>, oneshot::Sender<JobReport>),
);

async fn work(registry: Registry, job: Job, request: SyncRequest, context: RunContext, ends: Ends) {
    let (progress, cancel, entry, (start, sender)) = ends;
    let held = registry.hold(places(&job, &request, &context), &cancel).await;
    // Nobody may be waiting for it.
    let _ = start.send(());
    let is_begun = !cancel.is_cancelled();
    if let Some(job_id) = entry.job_id.as_deref().filter(|_| is_begun) {
        registry.memo.begin_job(&context, job_id);
    }
    let running = Work {
        request: &request,
        context: &context,
        memo: &registry.memo,
        progress: &progress,
        cancel: &cancel,
    };
    let step = job.step(&request);
    let report = if is_begun {
        AssertUnwindSafe(Box::pin(running.run(job))).catch_unwind().await
    } else {
        Ok(running.unbegun(&job))
    };
    match report {
        Ok(report) => {
            entry.ended(&report);
            tracing::info!(result = %report.text(), ok = report.errors().is_empty(), cancelled = report.is_cancelled(), "run finished");
            // Nobody may wait for it any more.
            let _ = sender.send(report);
        }
        Err(_) => progress.failed(
            &step,
            &["The run broke down; see the log.".to_owned()],
            false,
            json!({}),
        ),
    }
    drop(held);
    registry.leave_places();
    registry.purge_later(context.inventory_ttl);
}

/// What a run may not share: one order for all, so that two runs with several endpoints cannot wait for each other.
fn places(job: &Job, request: &SyncRequest, context: &RunContext) -> Vec<Place> {
    let side = side(&context.netbox);
    let stages = job.stages(request);
    let endpoints = context.endpoints.iter().map(|endpoint| row_of(&endpoint.facts));
    let mut places: Vec<Place> = endpoints
        .flat_map(|key| stages.iter().map(move |stage| (key, *stage)))
        .map(|(key, stage)| (side.clone(), key, stage))
        .collect();
    places.sort();
    places.dedup();
    places
}

/// The row by which an endpoint is told from others: the plugin's, where it has one.
fn row_of(endpoint: &EndpointFacts) -> EndpointKey {
    let plugins = plugin_key(&endpoint.name).and_then(|id| i64::try_from(id).ok());
    plugins.map_or(endpoint.key, |id| EndpointKey {
        source: Source::NetBox,
        id: EndpointId(id),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn shutdown_without_runs_returns_at_once() {
        let registry = Registry::new(None);
        registry.shut_down(Duration::from_secs(5)).await;
        assert!(registry.active().is_empty());
    }
}
