//! What guests' virtual machines are called.
//!
//! NetBox wants names to be unique per cluster, whatever the case; Proxmox does not. The guest with the lowest number
//! takes the bare name, the others get ` (2)`, ` (3)` and so on. A name that an operator gave stays, and so does that of a
//! guest which is listed without a name, because the cluster's statistics do not know it.

use std::collections::{BTreeMap, BTreeSet};

use super::{machines, prepared};
use crate::inventory::{Guest, Vmid};
use crate::mapping::names::clean;
use crate::netbox::objects::VirtualMachine;
use crate::reconcile::{ObjectId, Stored};
use crate::stages::Facts;

/// The longest name of a virtual machine in NetBox, in characters.
const NAME_MAX: usize = 64;

/// What a guest's virtual machine is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestName {
    /// Its name.
    pub name: String,
    /// The guest's own name.
    pub live: String,
    /// The number in its suffix; 1 where there is none.
    pub suffix: u32,
    /// Whether an operator gave the name.
    pub is_operators: bool,
}

impl GuestName {
    /// Whether the name is not the guest's own.
    pub fn is_resolved(&self) -> bool {
        self.is_operators || self.suffix > 1
    }
}

/// The names of all guests whose virtual machine can be written.
pub fn resolve(facts: &Facts) -> BTreeMap<Vmid, GuestName> {
    let machines = machines(facts);
    let last_names: BTreeMap<ObjectId, &str> = facts
        .known
        .machine_states
        .iter()
        .filter_map(|stored| Some((stored.object.virtual_machine, stored.object.name.as_deref()?)))
        .collect();
    let (mut used, mut names) = (Used::new(facts), BTreeMap::new());
    // First those that stay: none of them is there for another guest to take.
    for prepared in prepared(facts) {
        let Some(id) = prepared.matched.machine() else { continue };
        let Some(stored) = machines.get(&id) else { continue };
        used.release(&stored.object);
        let last = last_names.get(&id).copied().unwrap_or_default();
        let current = stored.object.name.as_deref().unwrap_or_default();
        let name = if prepared.matched.is_kept {
            Some(as_it_is(prepared.guest, current))
        } else {
            kept(prepared.guest, current, last)
        };
        if let Some(name) = name {
            used.take(prepared.matched.cluster, &name.name);
            names.insert(prepared.guest.vmid, name);
        }
    }
    for prepared in prepared(facts) {
        let cluster = prepared.matched.cluster;
        names.entry(prepared.guest.vmid).or_insert_with(|| {
            let name = used.pick(cluster, clean(&prepared.guest.label()));
            used.take(cluster, &name.name);
            name
        });
    }
    names
}

/// One warning for each guest that is listed without a name and called by its number.
pub fn stand_ins(facts: &Facts) -> Vec<String> {
    let nameless = prepared(facts).filter_map(|prepared| {
        let guest = prepared.guest;
        let is_told = guest.name.as_deref().is_some_and(|name| !name.trim().is_empty());
        let name = &facts.guests.names.get(&guest.vmid).filter(|_| !is_told)?.name;
        let is_stand_in = is_variant(name, &guest.stand_in_name());
        is_stand_in.then(|| {
            format!(
                "guest {} is listed without a name: its virtual machine is {name:?}",
                guest.vmid
            )
        })
    });
    nameless.collect()
}

/// The name that a virtual machine keeps: one that an operator gave, being neither the guest's own nor the `last` one that
/// the guest was seen with, which is that of nameless guests where it was seen with none; and whatever it has, where the
/// guest is listed without a name.
fn kept(guest: &Guest, stored: &str, last: &str) -> Option<GuestName> {
    let is_told = guest.name.is_some();
    let last = match last.trim() {
        "" => guest.stand_in_name(),
        last => last.to_owned(),
    };
    let is_guests = is_variant(stored, &clean(&guest.label())) || is_variant(stored, &last);
    let is_given_up = stored.is_empty() || is_told && is_guests;
    (!is_given_up).then(|| GuestName {
        is_operators: is_told,
        ..as_it_is(guest, stored)
    })
}

/// The name `stored` of a virtual machine that nobody is told of.
fn as_it_is(guest: &Guest, stored: &str) -> GuestName {
    GuestName {
        name: stored.to_owned(),
        live: clean(&guest.label()),
        suffix: 1,
        is_operators: false,
    }
}

/// The names that are taken, lower case, by cluster; how many virtual machines have each, since tenants may share one.
struct Used {
    counts: BTreeMap<(ObjectId, String), usize>,
}

impl Used {
    fn new(facts: &Facts) -> Self {
        let mut used = Self {
            counts: BTreeMap::new(),
        };
        for Stored { object, .. } in &facts.known.machines {
            if let (Some(cluster), Some(name)) = (object.cluster, object.name.as_deref()) {
                used.take(cluster, name);
            }
        }
        used
    }

    fn take(&mut self, cluster: ObjectId, name: &str) {
        *self.counts.entry((cluster, name.to_lowercase())).or_default() += 1;
    }

    fn release(&mut self, machine: &VirtualMachine) {
        if let (Some(cluster), Some(name)) = (machine.cluster, machine.name.as_deref())
            && let Some(count) = self.counts.get_mut(&(cluster, name.to_lowercase()))
        {
            *count = count.saturating_sub(1);
        }
    }

    fn is_free(&self, cluster: ObjectId, name: &str) -> bool {
        self.counts
            .get(&(cluster, name.to_lowercase()))
            .is_none_or(|count| *count == 0)
    }

    fn pick(&self, cluster: ObjectId, live: String) -> GuestName {
        let (suffix, name) = variants(&live)
            .find(|(_, name)| self.is_free(cluster, name))
            .unwrap_or_else(|| (1, fit(&live, "")));
        GuestName {
            name,
            live,
            suffix,
            is_operators: false,
        }
    }
}

/// `base`, `base (2)`, `base (3)` and so on, each with its number.
fn variants(base: &str) -> impl Iterator<Item = (u32, String)> {
    (1..u32::MAX).map(|number| match number {
        1 => (1, fit(base, "")),
        _ => (number, fit(base, &format!(" ({number})"))),
    })
}

/// `base` and `suffix`, the base cut so that NetBox takes both.
fn fit(base: &str, suffix: &str) -> String {
    let room = NAME_MAX.saturating_sub(suffix.chars().count());
    let base: String = base.chars().take(room).collect();
    format!("{}{suffix}", base.trim_end())
}

/// Whether `name` is `base`, or `base` with a number in parentheses.
pub(super) fn is_variant(name: &str, base: &str) -> bool {
    let suffix = name.rsplit_once(" (").and_then(|(_, rest)| {
        let digits = rest.strip_suffix(')')?;
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| format!(" ({digits})"))
    });
    let same = |suffix: &str| name.to_lowercase() == fit(base, suffix).to_lowercase();
    same("") || suffix.is_some_and(|suffix| same(&suffix))
}

/// Virtual machines that have to give up their name before others are written, and the name that they get meanwhile.
///
/// NetBox works off a request in an order of its own, so a name must be free before the request that takes it. A virtual
/// machine gets its new name at once where that is free; otherwise one that nobody has or will have, and that the next
/// run would still take for one of the guest's own.
pub(super) fn freed(facts: &Facts) -> Vec<(ObjectId, String)> {
    let machines = machines(facts);
    let mut held: BTreeSet<(ObjectId, String)> = facts
        .known
        .machines
        .iter()
        .filter_map(|stored| Some((stored.object.cluster?, stored.object.name.as_deref()?.to_lowercase())))
        .collect();
    let mut wanted = BTreeSet::new();
    let mut renamed = Vec::new();
    for prepared in prepared(facts) {
        let Some(name) = facts.guests.names.get(&prepared.guest.vmid) else {
            continue;
        };
        let target = (prepared.matched.cluster, name.name.to_lowercase());
        let current = prepared
            .matched
            .machine()
            .and_then(|id| Some((id, machines.get(&id)?.object.name.as_deref()?.to_lowercase())));
        match current {
            Some((_, current)) if current == target.1 => {}
            Some((id, current)) => {
                renamed.push((id, (target.0, current), name));
                wanted.insert(target);
            }
            None => {
                wanted.insert(target);
            }
        }
    }
    let mut freed = Vec::new();
    for (id, current, name) in renamed.into_iter().filter(|(_, current, _)| wanted.contains(current)) {
        let cluster = current.0;
        let is_held = held.contains(&(cluster, name.name.to_lowercase()));
        let meanwhile = if is_held {
            let is_nobodys = |name: &String| {
                let key = (cluster, name.to_lowercase());
                !held.contains(&key) && !wanted.contains(&key)
            };
            variants(&name.live).map(|(_, name)| name).skip(1).find(is_nobodys)
        } else {
            Some(name.name.clone())
        };
        if let Some(meanwhile) = meanwhile {
            held.insert((cluster, meanwhile.to_lowercase()));
            freed.push((id, meanwhile));
        }
    }
    freed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variant_is_the_name_itself_or_with_a_number() {
        let long = "x".repeat(70);
        for (name, base, expected) in [
            ("web", "web", true),
            ("WEB (3)", "web", true),
            ("web (x)", "web", false),
            ("web ()", "web", false),
            ("web2", "web", false),
            ("web (2) (3)", "web (2)", true),
            ("web (2)", "web (2)", true),
            (&"x".repeat(64), &long, true),
            (&format!("{} (2)", "x".repeat(60)), &long, true),
            (&format!("{} (2)", "x".repeat(59)), &long, false),
        ] {
            assert_eq!(is_variant(name, base), expected, "{name:?} of {base:?}");
        }
    }

    #[test]
    fn long_name_is_cut_so_that_its_suffix_fits() {
        let long = "x".repeat(70);
        let names: Vec<String> = variants(&long).take(2).map(|(_, name)| name).collect();
        assert_eq!(names, ["x".repeat(64), format!("{} (2)", "x".repeat(60))]);
    }
}
