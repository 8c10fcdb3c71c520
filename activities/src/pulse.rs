//! A pulse shows that work off the async threads is alive, and tells it to stop.
//!
//! Work that computes must not run on the async threads: it would starve the heartbeats of every activity in
//! the process. It runs on a blocking thread and counts what it has done; a heartbeat is sent only when that
//! count has moved, so that work which hangs is noticed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use temporalio_sdk::activities::{ActivityContext, ActivityError};
use wikitok_store::progress::Progress;
use wikitok_workflows::contract::Beat;

use crate::failure::{Classified, failed, failure};

const LOOK_EVERY: Duration = Duration::from_millis(500);
/// What is nearly done may still be done after a cancellation, and then counts.
const DONE_WITHIN: Duration = Duration::from_secs(1);

/// Shared by the work, which counts, and the activity, which tells Temporal.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    ticks: AtomicU64,
    done: AtomicU64,
    stop: AtomicBool,
}

impl Pulse {
    /// Says that the work is alive and `done` things are done.
    pub(crate) fn beat(&self, done: u64) {
        self.done.store(done, Ordering::Relaxed);
        self.ticks.fetch_add(1, Ordering::Relaxed);
    }

    /// Says that the work is alive, though nothing more is done; false when it should stop.
    pub(crate) fn tick(&self) -> bool {
        self.ticks.fetch_add(1, Ordering::Relaxed);
        !self.stopped()
    }

    /// The work should stop as soon as it can.
    pub(crate) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Stops work that nobody waits for any more: its attempt is over, and another one may be at work.
struct StopOnDrop(Arc<Pulse>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }
}

/// Makes one task of what an activity does: storage that moves for a part of it moves for all of it.
#[cfg(feature = "cpu")]
pub(crate) async fn whole<T>(work: impl Future<Output = T>) -> T {
    Progress::default().of(work).await
}

/// Waits for storage, and heartbeats for as long as that moves. Gives up soon after a cancellation: what storage does not
/// finish then was not done.
pub(crate) async fn alive<T>(
    context: &ActivityContext,
    work: impl Future<Output = Result<T, ActivityError>>,
) -> Result<T, ActivityError> {
    alive_at(context, &AtomicU64::new(0), work).await
}

/// The same for work that counts what it has `done`.
pub(crate) async fn alive_at<T>(
    context: &ActivityContext,
    done: &AtomicU64,
    work: impl Future<Output = Result<T, ActivityError>>,
) -> Result<T, ActivityError> {
    let progress = Progress::current();
    let work = progress.of(work);
    tokio::pin!(work);
    let mut look = tokio::time::interval(LOOK_EVERY);
    let cancelled = async {
        context.cancelled().await;
        tokio::time::sleep(DONE_WITHIN).await;
    };
    tokio::pin!(cancelled);
    let mut reported = None;
    loop {
        tokio::select! {
            ended = &mut work => return ended,
            () = &mut cancelled => return Err(ActivityError::cancelled()),
            _ = look.tick() => {
                let steps = Some(progress.steps());
                if steps != reported {
                    reported = steps;
                    context.record_heartbeat(Beat { done: done.load(Ordering::Relaxed) }).await?;
                }
            }
        }
    }
}

/// Runs `work` on a blocking thread, and heartbeats for as long as it moves, or storage does for the [task](whole) that it
/// is a part of. Work that was asked to stop returns nothing.
pub(crate) async fn blocking<T: Send + 'static, E: Classified>(
    context: &ActivityContext,
    work: impl FnOnce(&Arc<Pulse>) -> Result<Option<T>, E> + Send + 'static,
) -> Result<T, ActivityError> {
    let pulse = Arc::new(Pulse::default());
    let (shared, progress) = (pulse.clone(), Progress::current());
    let _stop = StopOnDrop(pulse.clone());
    let mut working = tokio::task::spawn_blocking(move || work(&shared));
    let mut look = tokio::time::interval(LOOK_EVERY);
    let mut reported = (0, 0);
    loop {
        tokio::select! {
            ended = &mut working => return match ended {
                Ok(Ok(Some(value))) => Ok(value),
                Ok(Ok(None)) => Err(ActivityError::cancelled()),
                Ok(Err(error)) => Err(failure(error)),
                Err(panic) => Err(failed(wikitok_store::ErrorKind::Bug, format!("the work broke off: {panic}"))),
            },
            _ = look.tick() => {
                let moved = (pulse.ticks.load(Ordering::Relaxed), progress.steps());
                if moved != reported {
                    reported = moved;
                    context.record_heartbeat(Beat { done: pulse.done.load(Ordering::Relaxed) }).await?;
                }
            }
            () = context.cancelled(), if !pulse.stopped() => pulse.stop.store(true, Ordering::Relaxed),
        }
    }
}
