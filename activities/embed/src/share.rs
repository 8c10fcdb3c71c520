//! Sharing: jobs that several threads take in turn, each of which holds a core while it computes.
//!
//! However many texts are worked on at once, no more threads compute than there are cores to use: the others wait
//! for one. So calls from several threads share the cores, and none of them waits for a thread that has none.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::error::EmbedError;

/// Things that are lent to one thread at a time: cores, or sessions.
pub(crate) struct Pool<T> {
    idle: Mutex<Vec<T>>,
    given_back: Condvar,
}

impl<T> Pool<T> {
    pub(crate) fn new(things: impl IntoIterator<Item = T>) -> Self {
        Self { idle: Mutex::new(things.into_iter().collect()), given_back: Condvar::new() }
    }

    /// Takes one, once there is one.
    pub(crate) fn take(&self) -> Lent<'_, T> {
        let idle = self.given_back.wait_while(locked(&self.idle), |idle| idle.is_empty());
        let thing = idle.unwrap_or_else(PoisonError::into_inner).pop();
        Lent { pool: self, thing }
    }
}

impl Pool<()> {
    /// Takes so many, one after the other. Only for one thread at a time, or two would wait for each other's.
    pub(crate) fn take_many(&self, count: usize) -> Vec<Lent<'_, ()>> {
        (0..count).map(|_| self.take()).collect()
    }
}

/// What is lent; it is given back when this is dropped, after a panic, too.
pub(crate) struct Lent<'a, T> {
    pool: &'a Pool<T>,
    thing: Option<T>,
}

impl<T> Lent<'_, T> {
    pub(crate) fn get(&mut self) -> &mut T {
        self.thing.as_mut().expect("it is held until this is dropped")
    }
}

impl<T> Drop for Lent<'_, T> {
    fn drop(&mut self) {
        locked(&self.pool.idle).extend(self.thing.take());
        self.pool.given_back.notify_one();
    }
}

/// Does jobs on several threads, the first ones first. A job may leave others, which are next. The first failure is
/// the last job begun.
pub(crate) fn among<J: Send>(
    threads: usize,
    jobs: impl IntoIterator<Item = J>,
    work: impl Fn(J) -> Result<Vec<J>, EmbedError> + Sync,
) -> Result<(), EmbedError> {
    let waiting = Mutex::new(jobs.into_iter().collect::<VecDeque<J>>());
    let failure = Mutex::new(None);
    let take_turns = || {
        loop {
            let Some(job) = locked(&waiting).pop_front() else { return };
            match work(job) {
                Ok(left) => left.into_iter().rev().for_each(|job| locked(&waiting).push_front(job)),
                Err(error) => {
                    locked(&waiting).clear();
                    locked(&failure).get_or_insert(error);
                }
            }
        }
    };
    let threads = threads.min(locked(&waiting).len());
    thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(take_turns);
        }
        take_turns();
    });
    failure.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}

pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail anywhere")]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn every_job_is_done_once_and_what_it_leaves_too() {
        for threads in [1, 3, 8] {
            let done = Mutex::new(Vec::new());
            among(threads, 0..50_u32, |job| {
                locked(&done).push(job);
                Ok(if job < 10 { vec![job + 100, job + 200] } else { Vec::new() })
            })
            .unwrap();
            let mut done = done.into_inner().unwrap();
            done.sort_unstable();
            assert_eq!(done, (0..50).chain(100..110).chain(200..210).collect::<Vec<_>>());
        }
    }

    #[test]
    fn one_thread_does_jobs_in_their_order_and_what_a_job_leaves_next() {
        let done = Mutex::new(Vec::new());
        among(1, [1, 2, 3], |job| {
            locked(&done).push(job);
            Ok(if job == 2 { vec![20, 21] } else { Vec::new() })
        })
        .unwrap();
        assert_eq!(done.into_inner().unwrap(), [1, 2, 20, 21, 3]);
    }

    #[test]
    fn threads_work_at_the_same_time() {
        let together = Barrier::new(3);
        among(3, 0..30, |_| {
            together.wait();
            Ok(Vec::new())
        })
        .unwrap();
    }

    #[test]
    fn a_failure_ends_all() {
        let begun = AtomicUsize::new(0);
        let ended = among(1, 0..100, |job| {
            begun.fetch_add(1, Ordering::SeqCst);
            if job == 7 { Err(EmbedError::Cancelled) } else { Ok(Vec::new()) }
        });
        assert!(matches!(ended, Err(EmbedError::Cancelled)));
        assert_eq!(begun.into_inner(), 8);
    }

    #[test]
    fn no_more_are_lent_than_there_are() {
        let pool = Pool::new(["one", "two"]);
        let (held, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        among(8, 0..200, |_| {
            let mut lent = pool.take();
            assert_eq!(lent.get().len(), 3);
            most.fetch_max(held.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            thread::yield_now();
            held.fetch_sub(1, Ordering::SeqCst);
            Ok(Vec::new())
        })
        .unwrap();
        assert!(most.into_inner() <= 2);
        assert_eq!(locked(&pool.idle).len(), 2);
    }

    #[test]
    fn what_a_panicking_thread_held_is_given_back() {
        let pool = Pool::new([0]);
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let _lent = pool.take();
            panic!("as asked");
        }));
        assert!(panicked.is_err());
        assert_eq!(*pool.take().get(), 0);
    }
}
