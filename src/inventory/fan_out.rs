//! Many calls side by side.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use tokio::sync::Semaphore;

use super::Reader;

/// How many calls may be under way at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// To all nodes together.
    pub(super) all: usize,
    /// To one node.
    pub(super) node: usize,
}

impl Limits {
    /// As many to one node as the session lets through.
    pub(super) fn of(reader: &Reader<'_>) -> Self {
        Self {
            all: reader.concurrency,
            node: reader.session.endpoint().max_parallel,
        }
    }

    /// How many may be under way to each of `nodes` nodes: one of several leaves a place to the others, unless there is
    /// only one place.
    fn each_of(self, nodes: usize) -> usize {
        let most = if nodes > 1 {
            self.all.saturating_sub(1)
        } else {
            self.all
        };
        self.node.min(most).max(1)
    }
}

/// Makes one call per place, and returns each place with its answer in the order of `places`.
///
/// Each `node` has a queue of its own, so that a slow one keeps nobody on another waiting; in a queue, a slow call takes
/// its own turn only.
pub(super) async fn fan_out<P, T, F>(
    places: Vec<P>,
    limits: Limits,
    node: impl Fn(&P) -> &str,
    call: impl Fn(P) -> F,
) -> Vec<(P, T)>
where
    P: Clone,
    F: Future<Output = T>,
{
    let mut queues: BTreeMap<&str, Vec<(usize, P)>> = BTreeMap::new();
    for (number, place) in places.iter().enumerate() {
        queues.entry(node(place)).or_default().push((number, place.clone()));
    }
    let each = limits.each_of(queues.len());
    let all = Semaphore::new(limits.all.clamp(1, Semaphore::MAX_PERMITS));
    let (all, call) = (&all, &call);
    let asked = queues.into_values().map(|queue| {
        let calls = queue.into_iter().map(|(number, place)| async move {
            let _turn = all.acquire().await;
            (number, call(place).await)
        });
        let queue = stream::iter(calls).buffer_unordered(each);
        queue.collect::<Vec<_>>()
    });
    let mut answers: Vec<_> = join_all(asked).await.into_iter().flatten().collect();
    answers.sort_unstable_by_key(|(number, _)| *number);
    let answers = answers.into_iter().map(|(_, answer)| answer);
    places.into_iter().zip(answers).collect()
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::HashMap;

    use super::*;

    /// How many calls are under way to a node, or to all of them, and how many were at most.
    #[derive(Default)]
    struct Count {
        open: usize,
        peak: usize,
    }

    impl Count {
        fn begin(&mut self) {
            self.open += 1;
            self.peak = self.peak.max(self.open);
        }
    }

    #[tokio::test]
    async fn calls_stay_within_both_limits_and_answers_keep_their_order() {
        for (nodes, all, node, expected) in [
            (2, 8, 3, (3, 6)),
            (2, 4, 3, (3, 4)),
            (2, 4, 9, (3, 4)),
            (1, 4, 9, (4, 4)),
            (2, 1, 3, (1, 1)),
            (3, 0, 0, (1, 1)),
            (3, usize::MAX, 4, (4, 12)),
        ] {
            let places: Vec<(String, usize)> = (0..30)
                .map(|number| (format!("pve{}", number % nodes), number))
                .collect();
            let counts = RefCell::new(HashMap::<String, Count>::new());
            let counted = |name: &str| {
                let mut counts = counts.borrow_mut();
                counts.entry(name.to_owned()).or_default().begin();
            };
            let ended = |name: &str| {
                counts.borrow_mut().get_mut(name).unwrap().open -= 1;
            };
            let answers = fan_out(
                places.clone(),
                Limits { all, node },
                |(node, _)| node.as_str(),
                |(node, number)| async move {
                    ["all", node.as_str()].into_iter().for_each(counted);
                    for _ in 0..=number % 4 {
                        tokio::task::yield_now().await;
                    }
                    ["all", node.as_str()].into_iter().for_each(ended);
                    number
                },
            );
            let told: Vec<_> = answers
                .await
                .into_iter()
                .map(|(place, answer)| (place.1, answer))
                .collect();
            assert_eq!(told, (0..30).map(|number| (number, number)).collect::<Vec<_>>());
            let counts = counts.into_inner();
            let peaks = (counts["pve0"].peak, counts["all"].peak);
            assert_eq!(peaks, expected, "{nodes} nodes, {all} calls, {node} to a node");
        }
    }
}
