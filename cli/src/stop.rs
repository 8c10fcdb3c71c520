//! The wish to end: SIGTERM, or SIGINT by Ctrl-C.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Hears the signals from when it is made, so that one that arrives while something starts is not lost.
pub(crate) struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    pub(crate) fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits until somebody wants us to end.
    pub(crate) async fn asked(&mut self) {
        tokio::select! { _ = self.terminate.recv() => {}, _ = self.interrupt.recv() => {} }
    }

    /// Waits for `work`; gives it up, and has nothing, when somebody wants us to end.
    pub(crate) async fn unless_asked<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! { done = work => Some(done), () = self.asked() => None }
    }
}
