//! The rounds of one pass: list, map, settle, diff, check, apply; and the same again for rows whose fate is unknown.
//!
//! NetBox may go on with a request that has got no answer, and then makes all of its rows or none. Where its database takes
//! no row twice, rows that are sent again meanwhile are refused, and looked for once more. Of other kinds they would be made
//! twice: as long as they may still come, they are looked for some times before they are sent again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::apply::{Applied, Round, apply};
use super::error::Error;
use super::pass::EndpointRun;
use super::report::{Failure, Outcome};
use super::warning::Warning;
use crate::netbox::objects::Object;
use crate::reconcile::{Mode, Plan, Refused, Resource, Retire, Row, Shrink, Stored, Wanted, check, diff};
use crate::stages::guests::of_all_machines;
use crate::stages::{Desired, Pass};

/// How often NetBox is read again in one pass because a write's fate was unknown. Each time the batches are half as large:
/// so often that the largest comes down to single rows.
const ROUNDS: usize = 8;

/// The first pause between looks for rows that NetBox may take twice and may still be making is this part of the time that
/// they may take; each further one is twice the one before.
const FIRST_PART: u32 = 60;
/// No pause is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Rows of a request that was answered, if only by a server in front of NetBox, may come in this part of the time that others
/// may take, and no longer than so.
const ANSWERED_PART: u32 = 4;
const LONGEST_ANSWERED: Duration = Duration::from_secs(30);

/// What came of a pass.
#[derive(Debug, Default)]
pub(super) struct Passed {
    pub(super) outcome: Outcome,
    /// What would be written, where nothing is.
    pub(super) plan: Option<Plan>,
    /// That the plan would retire too much to be written.
    pub(super) refused: Option<Shrink>,
    pub(super) warnings: Vec<Warning>,
}

/// What is there, and what has to be done.
struct Look<R> {
    actual: Vec<Stored<R>>,
    plan: Plan,
    /// Keys of new rows that are known by more than their key.
    distinct: BTreeSet<String>,
    warnings: Vec<String>,
}

/// Rows of which it is not known whether they are there.
#[derive(Debug, Default)]
struct Open {
    /// Their names by their keys.
    rows: BTreeMap<String, String>,
    /// Keys of those that NetBox may still be making.
    coming: BTreeSet<String>,
    /// Those of them whose request got no answer at all.
    under_way: BTreeSet<String>,
    /// How long NetBox asks to be left alone.
    retry_after: Duration,
    /// Keys of all rows of the pass that a request without an answer may have made.
    perhaps_made: BTreeSet<String>,
}

impl Open {
    /// Takes in what came of `plan`.
    fn follow(&mut self, plan: &Plan, applied: Applied) {
        let open = plan.create.iter().filter(|row| applied.unresolved.contains(&row.key));
        self.rows = open.map(|row| (row.key.clone(), row.label.clone())).collect();
        self.perhaps_made.extend(applied.perhaps_made.iter().cloned());
        self.coming = applied.perhaps_made;
        self.under_way = applied.under_way;
        self.retry_after = applied.retry_after;
    }

    /// How much longer any of the rows `missing` may come, so long after they were sent; `settle`: how long NetBox may be at
    /// work on a request.
    fn time_left<'k>(
        &self,
        mut missing: impl Iterator<Item = &'k str> + Clone,
        waited: Duration,
        settle: Duration,
    ) -> Duration {
        if missing.clone().any(|key| self.under_way.contains(key)) {
            return settle;
        }
        if !missing.any(|key| self.coming.contains(key)) {
            return Duration::ZERO;
        }
        let answered = (settle / ANSWERED_PART).min(LONGEST_ANSWERED);
        answered.max(self.retry_after.min(settle)).saturating_sub(waited)
    }

    /// Counts the rows where NetBox cannot be read again because of `error`.
    fn give_up<R: Resource>(self, outcome: &mut Outcome, error: &Error) {
        if matches!(error, Error::Cancelled) {
            outcome.left_out += self.rows.len();
            return;
        }
        outcome.failed.extend(self.rows.into_iter().map(|(key, label)| Failure {
            object: R::KIND,
            key,
            label,
            kind: error.kind(),
            message: format!("its fate is unknown, since NetBox could not be read again: {error}"),
        }));
    }
}

impl EndpointRun<'_> {
    /// Compares and writes, while so many other passes do; `None` where the pass is turned off, or what is there is not
    /// known. What has been written is told whatever comes after it.
    pub(super) async fn carry_out<P: Pass>(&self, beside: usize) -> Result<Option<Passed>, Error> {
        let policy = P::policy(&self.facts);
        if policy.mode == Mode::Disabled || self.facts.known.is_unread::<P::Object>() {
            return Ok(None);
        }
        let is_blind = P::are_new(&self.facts) && !self.is_dry_run;
        let mut look = self.first_look::<P>(is_blind).await?;
        self.refuse_hidden::<P::Object>(&mut look.plan).await;
        let mut passed = Passed {
            warnings: look.warnings.drain(..).map(Warning::from).collect(),
            ..Passed::default()
        };
        let guarded = self.guard::<P>(&look.plan, &look.actual).await;
        if self.is_dry_run {
            (passed.plan, passed.refused) = (Some(look.plan), guarded.err());
            return Ok(Some(passed));
        }
        guarded?;
        if self.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let mut open = Open::default();
        for round in 0..=ROUNDS {
            let scope = P::scope(&self.facts);
            let known = (scope.as_slice(), &look.distinct);
            let sent = (&open.perhaps_made, &open.coming);
            let writer = self.writer(known, sent, (beside, look.plan.row_millis));
            let mut applied = apply(&look.plan, writer, which(round, is_blind)).await;
            applied.outcome.take_for_made(&open.perhaps_made);
            passed.outcome.absorb(std::mem::take(&mut applied.outcome));
            open.follow(&look.plan, applied);
            if open.rows.is_empty() {
                break;
            }
            look = match self.look_again::<P>(&open, round).await {
                Ok(look) => look,
                Err(error) => {
                    open.give_up::<P::Object>(&mut passed.outcome, &error);
                    break;
                }
            };
        }
        Ok(Some(passed))
    }

    /// Refuses new rows that NetBox takes twice where its token may make rows that it may not see: nobody could tell them from
    /// those that are there, and each run would make them again.
    async fn refuse_hidden<R: Resource + Object>(&self, plan: &mut Plan) {
        if R::IS_UNIQUE || plan.create.is_empty() {
            return;
        }
        let rights = self.cancel.run_until_cancelled(self.netbox.rights()).await;
        if rights.is_some_and(|rights| rights.makes_unseen(R::MODEL)) {
            let reason = format!(
                "NetBox may hide it already: its token may make rows of {} that it may not see",
                R::MODEL
            );
            plan.refused.extend(plan.create.drain(..).map(|row| Refused {
                key: row.key,
                label: row.label,
                reason: reason.clone(),
            }));
        }
    }

    async fn first_look<P: Pass>(&self, is_blind: bool) -> Result<Look<P::Object>, Error> {
        let actual = if is_blind {
            Vec::new()
        } else if let Some(rows) = P::at_hand(&self.facts) {
            rows
        } else {
            self.list(P::scope(&self.facts)).await?
        };
        Ok(self.compare::<P>(actual, None))
    }

    /// Looks for what is still `open`: after a pause where NetBox gave no answer, and for as long as rows may come that could
    /// be made twice.
    async fn look_again<P: Pass>(&self, open: &Open, round: usize) -> Result<Look<P::Object>, Error> {
        let (retry_delay, settle) = self.netbox.patience();
        let mut waited = Duration::ZERO;
        if !open.coming.is_empty() {
            waited = pause(retry_delay, round).max(open.retry_after.min(settle));
            rest(waited, &self.cancel).await?;
        }
        let mut look = self.second_look::<P>(open).await?;
        for pause in pauses(settle) {
            let missing = look.plan.create.iter().map(|row| row.key.as_str());
            let pause = pause.min(open.time_left(missing, waited, settle));
            if P::Object::IS_UNIQUE || pause.is_zero() {
                break;
            }
            rest(pause, &self.cancel).await?;
            waited += pause;
            look = self.second_look::<P>(open).await?;
        }
        if self.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        Ok(look)
    }

    async fn second_look<P: Pass>(&self, open: &Open) -> Result<Look<P::Object>, Error> {
        // Whatever hung on the parents before, the write whose fate is unknown may have added to it.
        let mut scope = P::scope_again(&self.facts);
        for selection in &mut scope {
            selection.parents = None;
        }
        let actual = self.list(scope).await?;
        Ok(self.compare::<P>(actual, Some(open)))
    }

    /// What has to be done; after the first look only about the rows that are still `open`.
    fn compare<P: Pass>(&self, actual: Vec<Stored<P::Object>>, open: Option<&Open>) -> Look<P::Object> {
        let desired = self.settled::<P>(&actual, open);
        let distinct = desired.wanted.iter().filter(|wanted| wanted.row == Row::New);
        let distinct = distinct.map(|wanted| wanted.object.key().to_string()).collect();
        let may_retire = open.is_none() && self.facts.may_retire();
        let mut plan = diff(desired.wanted, &actual, &P::policy(&self.facts), |stored| {
            if may_retire {
                P::retire(&self.facts, stored)
            } else {
                Retire::Keep
            }
        });
        plan.refused.extend(desired.refused);
        // They were counted at the first look.
        plan.left_out = if open.is_none() { desired.left_out } else { 0 };
        self.needs.write::<P::Object>(&plan);
        Look {
            actual,
            plan,
            distinct,
            warnings: desired.warnings,
        }
    }

    /// What should be, in view of what is; after the first look only what is still `open`.
    fn settled<P: Pass>(&self, actual: &[Stored<P::Object>], open: Option<&Open>) -> Desired<P::Object> {
        let desired = P::desired(&self.facts);
        let Some(open) = open else {
            return P::settle(&self.facts, desired, actual);
        };
        let is_open = |wanted: &Wanted<P::Object>| open.rows.contains_key(&wanted.object.key().to_string());
        let labels = desired.wanted.iter().filter(|wanted| is_open(wanted));
        let labels: BTreeSet<String> = labels.map(|wanted| wanted.object.label()).collect();
        let mut settled = P::settle(&self.facts, desired, actual);
        settled.wanted.retain(is_open);
        settled.refused.retain(|refused| labels.contains(&refused.label));
        settled
    }

    /// Whether the shrink guard lets `plan` pass. Where the request names virtual machines, the rows that were read are a few
    /// of the endpoint's: of all of them the guard takes its share, where they can be told.
    async fn guard<P: Pass>(&self, plan: &Plan, actual: &[Stored<P::Object>]) -> Result<(), Shrink> {
        let guarded = check(plan, P::count_ours(&self.facts, actual), self.limits);
        if guarded.is_ok() || self.facts.options.guests.only.is_none() {
            return guarded;
        }
        let all = of_all_machines(&self.facts);
        let Some(selection) = P::all_ours(&all) else {
            return guarded;
        };
        match self.list::<P::Object>(vec![selection]).await {
            Ok(rows) => check(plan, P::count_all(&all, &rows), self.limits),
            Err(_) => guarded,
        }
    }
}

const fn which(round: usize, is_blind: bool) -> Round {
    match round {
        0 if is_blind => Round::Blind,
        0 => Round::First,
        ROUNDS => Round::Last,
        _ => Round::Later,
    }
}

/// The pause after this many: each is twice the one before.
fn pause(first: Duration, before: usize) -> Duration {
    let times = u32::try_from(before).ok().and_then(|before| 1u32.checked_shl(before));
    first.saturating_mul(times.unwrap_or(u32::MAX)).min(LONGEST_PAUSE)
}

/// The pauses between looks, which fill this time.
fn pauses(time: Duration) -> impl Iterator<Item = Duration> {
    let mut left = time;
    (0..).map_while(move |before| {
        let pause = pause(time / FIRST_PART, before).min(left);
        left -= pause;
        (!pause.is_zero()).then_some(pause)
    })
}

/// Waits so long, unless the run is asked to stop.
async fn rest(pause: Duration, cancel: &CancellationToken) -> Result<(), Error> {
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(Error::Cancelled),
        () = tokio::time::sleep(pause) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn rows_that_may_still_come_are_waited_for_as_long_as_netbox_may_take() {
        let (began, cancel) = (Instant::now(), CancellationToken::new());
        for pause in pauses(Duration::from_mins(2)) {
            rest(pause, &cancel).await.unwrap();
        }
        assert_eq!(began.elapsed(), Duration::from_mins(2));
        let seconds = |limit| pauses(Duration::from_secs(limit)).map(|pause| pause.as_secs());
        assert_eq!(seconds(120).collect::<Vec<_>>(), [2, 4, 8, 16, 30, 30, 30]);
        assert_eq!(seconds(60).collect::<Vec<_>>(), [1, 2, 4, 8, 16, 29]);
        assert_eq!(seconds(0).count(), 0);
    }

    #[test]
    fn rows_of_a_request_that_was_answered_are_waited_for_half_a_minute_or_as_long_as_netbox_asks() {
        let keys = |keys: &[&str]| -> BTreeSet<String> { keys.iter().map(|key| (*key).to_owned()).collect() };
        let open = |seconds| Open {
            coming: keys(&["answered", "silent"]),
            under_way: keys(&["silent"]),
            retry_after: Duration::from_secs(seconds),
            ..Open::default()
        };
        let left = |missing: &[&str], waited, asked| {
            let missing = missing.iter().copied();
            let times = [waited, 120].map(Duration::from_secs);
            open(asked).time_left(missing, times[0], times[1]).as_secs()
        };
        let cases: [(&[&str], u64, u64, u64); 8] = [
            (&["answered"], 2, 0, 28),
            (&["answered"], 30, 0, 0),
            (&["answered"], 5, 5, 25),
            (&["answered"], 45, 45, 0),
            (&["answered"], 2, 3600, 118),
            (&["answered", "silent"], 90, 0, 120),
            (&["silent"], 2, 0, 120),
            (&["found"], 0, 0, 0),
        ];
        for (missing, waited, asked, expected) in cases {
            assert_eq!(left(missing, waited, asked), expected, "{missing:?} {waited} {asked}");
        }
    }

    #[test]
    fn pause_before_a_row_is_sent_again_grows_up_to_half_a_minute() {
        let pauses = (0..ROUNDS).map(|round| pause(Duration::from_secs(2), round).as_secs());
        assert_eq!(pauses.collect::<Vec<_>>(), [2, 4, 8, 16, 30, 30, 30, 30]);
        assert_eq!(pause(Duration::ZERO, 3), Duration::ZERO);
        assert_eq!(pause(Duration::from_hours(1), 900), LONGEST_PAUSE);
    }

    #[tokio::test(start_paused = true)]
    async fn run_that_is_asked_to_stop_waits_no_longer() {
        let (began, cancel) = (Instant::now(), CancellationToken::new());
        let stop = async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            cancel.cancel();
        };
        let (rested, ()) = tokio::join!(rest(Duration::from_secs(30), &cancel), stop);
        assert!(matches!(rested, Err(Error::Cancelled)));
        assert_eq!(began.elapsed(), Duration::from_secs(3));
    }
}
