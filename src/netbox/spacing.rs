//! Requests that begin a little apart.
//!
//! A server with several processes that wait on one port gives connections that arrive in the same instant to the process
//! that wakes first. It then does one request after the other, while the others stand idle.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

/// Long enough that the process which got the request before is busy with it, too short to be felt.
const APART: Duration = Duration::from_millis(2);

/// Lets requests begin one by one, [`APART`].
#[derive(Debug, Default)]
pub(super) struct Spacing {
    // An async mutex: those that come meanwhile wait in order.
    next: Mutex<Option<Instant>>,
}

impl Spacing {
    /// Returns at once, unless another request began just now.
    pub(super) async fn begin(&self) {
        let mut next = self.next.lock().await;
        if let Some(next) = *next {
            sleep_until(next).await;
        }
        *next = Some(Instant::now() + APART);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_requests_that_come_together_are_kept_apart() {
        let spacing = Spacing::default();
        let start = Instant::now();
        let began = |()| async {
            spacing.begin().await;
            start.elapsed().as_millis()
        };
        assert_eq!(join_all([(), (), ()].map(began)).await, [0, 2, 4]);
        tokio::time::advance(APART).await;
        assert_eq!(began(()).await, 6);
    }
}
