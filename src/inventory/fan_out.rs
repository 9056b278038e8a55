//! Many calls side by side.

use futures_util::{StreamExt, stream};

/// Makes one call per place, at most `limit` at once, and returns each place with its answer in the order of `places`. A
/// slow one takes its own place only: those after it do not wait for it.
pub(super) async fn fan_out<P, T, F>(places: Vec<P>, limit: usize, call: impl Fn(P) -> F) -> Vec<(P, T)>
where
    P: Clone,
    F: Future<Output = T>,
{
    let numbered = stream::iter(places.into_iter().enumerate());
    let calls = numbered.map(|(number, place)| {
        let answer = call(place.clone());
        async move { (number, place, answer.await) }
    });
    let mut answers: Vec<_> = calls.buffer_unordered(limit.max(1)).collect().await;
    answers.sort_unstable_by_key(|(number, ..)| *number);
    answers.into_iter().map(|(_, place, answer)| (place, answer)).collect()
}
