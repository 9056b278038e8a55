//! Many calls side by side.

use futures_util::{StreamExt, stream};

/// Makes one call per place, at most `limit` at once, and returns each place with its answer in the order of `places`.
pub(super) async fn fan_out<P, T, F>(places: Vec<P>, limit: usize, call: impl Fn(P) -> F) -> Vec<(P, T)>
where
    P: Clone,
    F: Future<Output = T>,
{
    stream::iter(places)
        .map(|place| {
            let answer = call(place.clone());
            async move { (place, answer.await) }
        })
        .buffered(limit.max(1))
        .collect()
        .await
}
