//! Tells storage that is slow from storage that is stuck: it counts what it does for a task.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

tokio::task_local! {
    static CURRENT: Progress;
}

/// A count that grows while storage works for a task: with every operation of a [`crate::Location`] that ends, well or
/// not, every attempt of one, and every piece of what is long.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<AtomicU64>);

impl Progress {
    /// How far it is. Says something only beside an earlier look.
    pub fn steps(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Waits for `work`, and counts what storage does for it in this task.
    pub async fn of<T>(&self, work: impl Future<Output = T>) -> T {
        CURRENT.scope(self.clone(), work).await
    }

    /// The same for work that blocks its thread.
    pub(crate) fn of_blocking<T>(&self, work: impl FnOnce() -> T) -> T {
        CURRENT.sync_scope(self.clone(), work)
    }

    /// That of the task at work, to be handed to a task or a thread that it starts; a new one where nobody counts.
    pub fn current() -> Self {
        CURRENT.try_with(Self::clone).unwrap_or_default()
    }
}

/// One step further in what this task waits for. Does nothing where nobody counts.
pub fn step() {
    let _ = CURRENT.try_with(|progress| progress.0.fetch_add(1, Ordering::Relaxed));
}

/// Waits for a part of what this task waits for: a step, however it ends.
pub(crate) async fn stepping<T>(work: impl Future<Output = T>) -> T {
    let done = work.await;
    step();
    done
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use super::*;
    use crate::Location;

    #[tokio::test]
    async fn what_storage_does_is_counted_and_what_it_does_not_is_not() {
        let (location, progress) = (Location::in_memory(), Progress::default());
        progress.of(async { location.put("key", Bytes::from("text")).await.unwrap() }).await;
        let after_a_write = progress.steps();
        assert!(after_a_write > 0);
        let stuck = progress.of(std::future::pending::<()>());
        assert!(tokio::time::timeout(Duration::from_millis(50), stuck).await.is_err());
        assert_eq!(progress.steps(), after_a_write);
        // The work of others is no progress of ours.
        location.get("key").await.unwrap();
        assert_eq!(progress.steps(), after_a_write);
    }

    #[tokio::test]
    async fn every_piece_of_a_large_object_counts() {
        let (location, progress) = (Location::in_memory(), Progress::default());
        progress.of(async { location.put("large", Bytes::from(vec![0; 80 << 20])).await.unwrap() }).await;
        assert!(progress.steps() >= 10, "{}", progress.steps());
    }
}
