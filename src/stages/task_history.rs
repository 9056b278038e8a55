//! What was done to guests. Rows are never retired: Proxmox forgets old tasks, NetBox need not.

use std::collections::{BTreeMap, BTreeSet};

use super::guests::{Bindings, Bound, bindings};
use super::{Desired, Facts, Part, Pass, Selection};
use crate::inventory::{self, RecordedTasks, Task, TaskEnding, Vmid};
use crate::mapping::task_history::{TaskOwner, task_history};
use crate::mapping::times::{instant, seconds};
use crate::netbox::objects;
use crate::reconcile::{ObjectId, Policy, Stored};

/// How far back tasks are looked up before it is known which ones Proxmox still tells of.
const RECENT_DAYS: i64 = 30;
/// How long a task may take and still be among the recent rows once it has ended.
const LONGEST_DAYS: i64 = 2;
const DAY: i64 = 86_400;

/// The tasks of the guests that virtual machines stand for.
#[derive(Debug)]
pub struct TaskHistory;

/// What a pass over all tasks looks at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TaskPass {
    /// When it began, in seconds since 1970.
    pub at: Option<i64>,
    /// The guests, with the virtual machines that stand for them.
    pub guests: BTreeSet<(ObjectId, Vmid)>,
    /// The nodes that are online.
    pub nodes: BTreeSet<String>,
}

impl TaskPass {
    /// The pass that looks at `facts`.
    pub fn of(facts: &Facts) -> Self {
        let nodes = facts.cluster.nodes.iter().filter(|node| node.is_online);
        Self {
            at: seconds(&facts.now),
            guests: bindings(facts)
                .bound
                .iter()
                .map(|bound| (bound.id, bound.vmid))
                .collect(),
            nodes: nodes.map(|node| node.name.clone()).collect(),
        }
    }

    /// Whether `before`, the pass before this one, has seen to everything that is not recent: what has ended since is recent,
    /// and it looked at the same guests and nodes, or more.
    pub fn continues(&self, before: &Self) -> bool {
        let is_recent = self
            .at
            .zip(before.at)
            .is_some_and(|(at, before)| before >= recent_ending(at));
        is_recent && self.guests.is_subset(&before.guests) && self.nodes.is_subset(&before.nodes)
    }
}

/// The rows that can be told to be needed before any task was read: recent ones of the cluster's nodes, or those of the
/// guests that the request names. The latter may hang below any virtual machine, and are repaired if so.
pub fn recent(facts: &Facts) -> Vec<Selection> {
    match recent_since(facts) {
        Some(since) => {
            let nodes = facts.cluster.nodes.iter().map(|node| node.name.as_str());
            vec![of_nodes(facts, nodes, vec![("start_time__gte", since)])]
        }
        None => vec![of_guests(facts)],
    }
}

/// The rows that are needed besides once the tasks were read: of tasks that are not recent, and of those that ran on a node
/// which bears another name now.
pub fn older(facts: &Facts) -> Vec<Selection> {
    let Some(since) = recent_since(facts) else {
        return Vec::new();
    };
    let bindings = bindings(facts);
    let tasks = facts.inventory.items::<inventory::Tasks>().iter();
    let owned = tasks.filter(|task| owner(&bindings, task).is_some());
    let names: BTreeSet<&str> = facts.cluster.nodes.iter().map(|node| node.name.as_str()).collect();
    let (present, former): (Vec<&Task>, Vec<&Task>) =
        owned.partition(|task| task.node.as_deref().is_none_or(|node| names.contains(node)));
    let is_older = |task: &&Task| instant(task.starttime).is_none_or(|start| start < since);
    let older: Vec<&Task> = present.into_iter().filter(is_older).collect();
    let older = rows_of(facts, &older, vec![("start_time__lt", since.clone())]);
    older.into_iter().chain(rows_of(facts, &former, Vec::new())).collect()
}

/// The rows that `tasks` may have, among those that fit `filters`.
fn rows_of(facts: &Facts, tasks: &[&Task], mut filters: Vec<(&'static str, String)>) -> Option<Selection> {
    // A task that does not tell when it began may be on record under any time.
    if let Some(oldest) = tasks.iter().map(|task| instant(task.starttime)).min()? {
        filters.push(("start_time__gte", oldest));
    }
    let nodes: BTreeSet<&str> = tasks.iter().filter_map(|task| task.node.as_deref()).collect();
    Some(of_nodes(facts, nodes, filters))
}

/// When what is recent begins; `None` where the request names virtual machines.
fn recent_since(facts: &Facts) -> Option<String> {
    if facts.options.guests.only.is_some() {
        return None;
    }
    instant(Some(seconds(&facts.now)? - RECENT_DAYS * DAY))
}

/// A task that ended from then on has its row among those that are recent at `now`, both in seconds since 1970.
const fn recent_ending(now: i64) -> i64 {
    now - (RECENT_DAYS - LONGEST_DAYS) * DAY
}

fn of_nodes<'a>(
    facts: &Facts,
    nodes: impl IntoIterator<Item = &'a str>,
    filters: Vec<(&'static str, String)>,
) -> Selection {
    Selection {
        filters,
        ..Selection::any_of("node", nodes).below::<objects::VirtualMachine>(facts.known.machine_ids())
    }
}

fn of_guests(facts: &Facts) -> Selection {
    Selection::any_of("task_id", bindings(facts).bound.iter().map(|bound| bound.vmid))
}

/// Which tasks need not be read again: those whose row hangs below the right virtual machine, or stays below a former one.
pub fn recorded(facts: &Facts) -> RecordedTasks {
    let bindings = bindings(facts);
    let owners: BTreeMap<ObjectId, &Bound<'_>> = bindings.bound.iter().map(|bound| (bound.id, bound)).collect();
    let is_owned = |row: &objects::TaskHistory| {
        let owner = row.virtual_machine.and_then(|machine| owners.get(&machine));
        owner.is_some_and(|bound| {
            row.vm_type.as_deref() == Some(bound.kind.as_str()) && row.task_id == Some(bound.vmid.to_string())
        })
    };
    let rows = facts.known.tasks.iter().map(|stored| &stored.object);
    let is_left = |row: &objects::TaskHistory| row.virtual_machine.is_some_and(|holder| stays(&bindings, holder, row));
    let done = rows.filter(|row| is_owned(row) || is_left(row));
    let endings = done.map(|row| {
        let ending = TaskEnding {
            at: row.end_time.as_deref().and_then(seconds),
            outcome: row.status.clone().unwrap_or_default(),
        };
        (row.upid.clone(), ending)
    });
    RecordedTasks {
        guests: bindings.bound.iter().map(|bound| bound.vmid).collect(),
        endings: endings.collect(),
        // The rows of guests that are named are known from all times.
        since: recent_since(facts).and(seconds(&facts.now)).map(recent_ending),
    }
}

/// Whether a node's archive could be read only in part. What lies behind the hole would be missed if the next reading
/// stopped where tasks are on record.
pub fn has_holes(facts: &Facts) -> bool {
    let offline = facts.cluster.nodes.iter().filter(|node| !node.is_online).count();
    facts.inventory.gaps::<inventory::Tasks>().len() > offline
}

/// How many tasks are no guest's, or a guest's that no virtual machine is known to stand for.
pub fn unowned(facts: &Facts) -> usize {
    let bindings = bindings(facts);
    let tasks = facts.inventory.items::<inventory::Tasks>();
    tasks.iter().filter(|task| owner(&bindings, task).is_none()).count()
}

/// How many tasks are of guests that several virtual machines claim to be.
pub fn disputed(facts: &Facts) -> usize {
    let bindings = bindings(facts);
    let is_disputed = |task: &&Task| task.guest().is_some_and(|vmid| bindings.disputed.contains(&vmid));
    let tasks = facts.inventory.items::<inventory::Tasks>();
    tasks.iter().filter(is_disputed).count()
}

/// Whether a task's row below `holder` stays there because `holder` claims to be the task's guest too.
fn stays(bindings: &Bindings<'_>, holder: ObjectId, task: &objects::TaskHistory) -> bool {
    let vmid = task.task_id.as_deref().and_then(|id| id.parse().ok()).map(Vmid);
    vmid.is_some_and(|vmid| bindings.is_former(holder, vmid))
}

/// Virtual machines that hold the row of a task which is another one's, unless it stays there.
pub fn holders(facts: &Facts) -> BTreeSet<ObjectId> {
    let owners: BTreeMap<String, Option<ObjectId>> = TaskHistory::desired(facts)
        .wanted
        .into_iter()
        .map(|wanted| (wanted.object.upid, wanted.object.virtual_machine))
        .collect();
    let bindings = bindings(facts);
    let rows = facts.known.tasks.iter().map(|stored| &stored.object);
    let is_elsewhere =
        |row: &&objects::TaskHistory| owners.get(&row.upid).is_some_and(|owner| *owner != row.virtual_machine);
    rows.filter(is_elsewhere)
        .filter_map(|row| row.virtual_machine.filter(|holder| !stays(&bindings, *holder, row)))
        .collect()
}

fn owner<'a>(bindings: &'a Bindings<'a>, task: &Task) -> Option<&'a Bound<'a>> {
    task.guest().and_then(|vmid| bindings.of(vmid))
}

/// Who else may have a right to the rows of tasks.
struct Rivals<'a> {
    /// The virtual machines that hold rows, by the task.
    holders: BTreeMap<&'a str, ObjectId>,
    /// The numbers of other endpoints' guests, by virtual machine.
    guests: BTreeMap<ObjectId, u32>,
    /// Virtual machines of which it is known what they stand for.
    known: BTreeSet<ObjectId>,
    /// The rows whose holders were asked about: those that were there before any was written.
    asked: BTreeSet<(&'a str, ObjectId)>,
}

impl<'a> Rivals<'a> {
    fn new(facts: &'a Facts, actual: &'a [Stored<objects::TaskHistory>]) -> Self {
        let states = facts.known.task_holders.iter().map(|stored| &stored.object);
        let others = states
            .clone()
            .filter(|state| state.endpoint_raw_id != Some(facts.endpoint.key.id.0));
        let own = bindings(facts).bound.into_iter().map(|bound| bound.id);
        Self {
            holders: held(actual).collect(),
            guests: others
                .filter_map(|state| Some((state.virtual_machine, state.vmid?)))
                .collect(),
            known: own.chain(states.map(|state| state.virtual_machine)).collect(),
            asked: held(&facts.known.tasks).collect(),
        }
    }

    /// The virtual machine that may have a right to the row of `wanted`, and why.
    fn of(&self, wanted: &objects::TaskHistory) -> Option<(ObjectId, &'static str)> {
        let (upid, holder) = self.holders.get_key_value(wanted.upid.as_str())?;
        if wanted.virtual_machine == Some(*holder) {
            return None;
        }
        let vmid = self.guests.get(holder).map(ToString::to_string);
        if vmid.is_some() && vmid == wanted.task_id {
            return Some((*holder, "a guest of the same number of another endpoint"));
        }
        let is_known = self.known.contains(holder) || self.asked.contains(&(*upid, *holder));
        (!is_known).then_some((*holder, "of which it is not known yet what it stands for"))
    }
}

/// The tasks of rows, with the virtual machines that hold them.
fn held(rows: &[Stored<objects::TaskHistory>]) -> impl Iterator<Item = (&str, ObjectId)> {
    let rows = rows.iter().map(|stored| &stored.object);
    rows.filter_map(|row| Some((row.upid.as_str(), row.virtual_machine?)))
}

impl Pass for TaskHistory {
    type Object = objects::TaskHistory;

    fn scope(facts: &Facts) -> Vec<Selection> {
        [recent(facts), older(facts)].concat()
    }

    fn at_hand(facts: &Facts) -> Option<Vec<Stored<objects::TaskHistory>>> {
        Some(facts.known.tasks.clone())
    }

    /// Where several nodes tell of one task, the latest telling holds; where they name several guests, none does.
    fn desired(facts: &Facts) -> Desired<objects::TaskHistory> {
        let bindings = bindings(facts);
        let mut told: BTreeMap<&str, (&Task, &Bound<'_>)> = BTreeMap::new();
        let mut disputed = BTreeSet::new();
        for task in facts.inventory.items::<inventory::Tasks>() {
            let (Some(upid), Some(bound)) = (task.upid.as_deref(), owner(&bindings, task)) else {
                continue;
            };
            let (best, first) = told.entry(upid).or_insert((task, bound));
            if first.id != bound.id {
                disputed.insert(upid);
            } else if (task.endtime, task.starttime) > (best.endtime, best.starttime) {
                *best = task;
            }
        }
        let only = &facts.options.only;
        disputed.retain(|upid| only.takes(Part::Task, upid));
        told.retain(|upid, _| only.takes(Part::Task, upid));
        let agreed = told.iter().filter(|(upid, _)| !disputed.contains(*upid));
        let mut desired = Desired::by_key(agreed.filter_map(|(_, (task, bound))| {
            let owner = TaskOwner {
                machine: bound.id,
                kind: bound.kind,
            };
            task_history(task, owner, &facts.now)
        }));
        for upid in disputed {
            desired.refuse(upid, "nodes tell of it as the task of several guests");
        }
        desired
    }

    /// A row that hangs below another virtual machine moves to the right one, unless that other one stands for a guest of
    /// the same number of another endpoint: then the task may well be that guest's. So it may where nobody has asked yet
    /// what that other one stands for, because the row has shown up since. One that a former virtual machine of the number
    /// holds is left there.
    fn settle(
        facts: &Facts,
        desired: Desired<objects::TaskHistory>,
        actual: &[Stored<objects::TaskHistory>],
    ) -> Desired<objects::TaskHistory> {
        let bindings = bindings(facts);
        let rivals = Rivals::new(facts, actual);
        let mut settled = Desired {
            wanted: Vec::with_capacity(desired.wanted.len()),
            ..desired
        };
        for wanted in desired.wanted {
            let holder = rivals.holders.get(wanted.object.upid.as_str()).copied();
            if let Some(holder) = holder.filter(|holder| stays(&bindings, *holder, &wanted.object)) {
                settled.leave(facts, &wanted.object.upid, holder);
                continue;
            }
            match rivals.of(&wanted.object) {
                Some((holder, why)) => {
                    let reason = format!("its row belongs to virtual machine {holder}, {why}");
                    settled.refuse(wanted.object.upid, reason);
                }
                None => settled.wanted.push(wanted),
            }
        }
        settled
    }

    fn policy(_facts: &Facts) -> Policy {
        let unchanging = [
            "node",
            "pid",
            "pstart",
            "task_id",
            "task_type",
            "username",
            "start_time",
            "description",
        ];
        unchanging
            .into_iter()
            .fold(Policy::default(), |policy, field| policy.update_if(field, false))
    }
}
