//! The slots of a queue, to tell a moment at which no task is on its way to this worker.
//!
//! A server notes that a task is handed out, and then answers the poll that it is for. A worker that drops its poll in
//! between loses the task until its heartbeat timeout. A worker whose slots are all taken polls for nothing, so that is
//! when it should end; where there is work, it is so within moments.

use std::sync::Arc;
use std::time::Duration;

use temporalio_sdk::interceptors::{
    ActivityInboundInterceptor, ExecuteActivityInput, ExecuteActivityOutput, Next,
};
use tokio::sync::watch;

/// How many slots a queue has, and how many are taken.
#[derive(Clone, Debug)]
pub(crate) struct Slots {
    count: usize,
    taken: Arc<watch::Sender<usize>>,
}

impl Slots {
    pub(crate) fn new(count: usize) -> Self {
        Self { count, taken: Arc::default() }
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Waits until all are taken, but no longer than that.
    pub(crate) async fn all_taken(&self, at_most: Duration) {
        let mut taken = self.taken.subscribe();
        let all = taken.wait_for(|taken| *taken >= self.count);
        // Both outcomes are an answer: with free slots for that long, there was no work to be handed out.
        let _ = tokio::time::timeout(at_most, all).await;
    }
}

impl ActivityInboundInterceptor for Slots {
    fn execute_activity<'a>(
        &'a self,
        input: ExecuteActivityInput,
        next: Next<'a, ExecuteActivityInput, ExecuteActivityOutput<'a>>,
    ) -> ExecuteActivityOutput<'a> {
        Box::pin(async move {
            let _taken = Taken::by(&self.taken);
            next.run(input).await
        })
    }
}

struct Taken<'a>(&'a watch::Sender<usize>);

impl<'a> Taken<'a> {
    fn by(taken: &'a watch::Sender<usize>) -> Self {
        taken.send_modify(|taken| *taken += 1);
        Self(taken)
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|taken| *taken -= 1);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[tokio::test]
    async fn all_are_taken_when_the_last_one_is() {
        let slots = Slots::new(2);
        let _first = Taken::by(&slots.taken);
        let takes_the_last = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Taken::by(&slots.taken)
        };
        let never = Duration::from_hours(1);
        let (_last, ()) = tokio::join!(takes_the_last, slots.all_taken(never));
    }

    #[tokio::test]
    async fn free_slots_are_waited_for_no_longer_than_asked() {
        let slots = Slots::new(2);
        let (first, last) = (Taken::by(&slots.taken), Taken::by(&slots.taken));
        drop((first, last));
        let (begun, at_most) = (Instant::now(), Duration::from_millis(20));
        slots.all_taken(at_most).await;
        assert!(begun.elapsed() >= at_most);
    }
}
