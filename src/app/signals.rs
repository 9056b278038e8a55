//! The signals that ask to stop.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Error;

/// SIGTERM, from supervisors, and SIGINT, from the terminal.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Listens from now on, so that no signal ends the process in its own way.
    ///
    /// # Errors
    ///
    /// [`Error::Signals`].
    pub fn listen() -> Result<Self, Error> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).map_err(Error::Signals)?,
            interrupt: signal(SignalKind::interrupt()).map_err(Error::Signals)?,
        })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
