//! Overlap: one thread produces, some work, one consumes, all at once and in order.
//!
//! gzip gives its records one after the other, so a part that reads, tokenizes and writes on one thread uses one
//! core, however many there are. Here each step has threads of its own. What comes of it is what a plain loop
//! gives: everything is consumed in the order in which it was produced, and an error comes where it happened.
//! What is between producing and consuming is bounded in bytes.

use std::collections::{BTreeMap, VecDeque};
use std::ops::ControlFlow;
use std::panic;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// How much may be done at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Threads that work, beside the one that produces and the caller's, which consumes.
    pub(crate) workers: usize,
    /// Bytes between producing and consuming. One thing that has more passes alone.
    pub(crate) bytes: usize,
}

/// Consumes what `work` makes of what `produce` gives, until that gives nothing or `consume` breaks off.
///
/// `produce` says with each thing how many bytes it takes. The first error in the order of things ends it all.
pub(crate) fn in_order<I: Send, O: Send, E: Send>(
    limits: Limits,
    mut produce: impl FnMut() -> Result<Option<(I, usize)>, E> + Send,
    work: impl Fn(I) -> Result<O, E> + Sync,
    mut consume: impl FnMut(O) -> Result<ControlFlow<()>, E>,
) -> Result<(), E> {
    let line = Line::new(limits.bytes);
    thread::scope(|scope| {
        let mut threads = vec![scope.spawn(|| {
            let _end = EndOnPanic(&line);
            line.produce_all(&mut produce);
        })];
        for _ in 0..limits.workers.max(1) {
            threads.push(scope.spawn(|| {
                let _end = EndOnPanic(&line);
                line.work_all(&work);
            }));
        }
        let consumed = line.consume_all(&mut consume);
        for thread in threads {
            // A panic goes on with its own words; those of a scope say only that there was one.
            thread.join().unwrap_or_else(|panicked| panic::resume_unwind(panicked));
        }
        consumed
    })
}

/// The things that are neither waited for nor consumed yet. A number counts them as they were produced.
struct Line<I, O, E> {
    state: Mutex<State<I, O, E>>,
    /// Something has changed.
    changed: Condvar,
    max_bytes: usize,
}

struct State<I, O, E> {
    /// Waits for a worker.
    produced: VecDeque<(u64, I)>,
    /// Waits for those before it to be consumed.
    made: BTreeMap<u64, Result<O, E>>,
    /// The sizes of all that is not consumed, in order.
    sizes: VecDeque<usize>,
    next_produced: u64,
    next_consumed: u64,
    /// Nothing more will be produced.
    at_end: bool,
    /// Nothing more will be consumed.
    ended: bool,
}

impl<I, O, E> Line<I, O, E> {
    fn new(max_bytes: usize) -> Self {
        let state = State {
            produced: VecDeque::new(),
            made: BTreeMap::new(),
            sizes: VecDeque::new(),
            next_produced: 0,
            next_consumed: 0,
            at_end: false,
            ended: false,
        };
        Self { state: Mutex::new(state), changed: Condvar::new(), max_bytes }
    }

    fn produce_all(&self, produce: &mut impl FnMut() -> Result<Option<(I, usize)>, E>) {
        loop {
            // What is too much is not even read ahead: the next thing may be as large.
            if self.wait_until(|state| state.ended || state.bytes() < self.max_bytes).ended {
                return;
            }
            let produced = produce().transpose();
            let bytes = match &produced {
                Some(Ok((_, bytes))) => *bytes,
                Some(Err(_)) | None => 0,
            };
            let mut state = self.wait_until(|state| state.ended || state.has_room(bytes, self.max_bytes));
            if state.ended {
                return;
            }
            state.put(produced, bytes);
            let at_end = state.at_end;
            drop(state);
            self.changed.notify_all();
            if at_end {
                return;
            }
        }
    }

    fn work_all(&self, work: &impl Fn(I) -> Result<O, E>) {
        loop {
            let mut state =
                self.wait_until(|state| state.ended || state.at_end || !state.produced.is_empty());
            let next = state.produced.pop_front().filter(|_| !state.ended);
            drop(state);
            let Some((number, item)) = next else { return };
            let made = work(item);
            self.lock().made.insert(number, made);
            self.changed.notify_all();
        }
    }

    fn consume_all(&self, consume: &mut impl FnMut(O) -> Result<ControlFlow<()>, E>) -> Result<(), E> {
        // Also when the consumer panics, or returns early: the others must not wait for ever.
        let _end = EndOnDrop(self);
        while let Some(made) = self.take() {
            if consume(made?)?.is_break() {
                break;
            }
            self.let_go();
        }
        Ok(())
    }

    /// The next thing in order, once it is made; none at the end.
    fn take(&self) -> Option<Result<O, E>> {
        let mut state = self.wait_until(|state| {
            state.ended || state.made.contains_key(&state.next_consumed) || state.is_consumed()
        });
        let number = state.next_consumed;
        let made = state.made.remove(&number)?;
        state.next_consumed += 1;
        Some(made)
    }

    /// Makes room once what was taken is consumed.
    fn let_go(&self) {
        self.lock().sizes.pop_front();
        self.changed.notify_all();
    }

    fn wait_until(&self, holds: impl Fn(&State<I, O, E>) -> bool) -> MutexGuard<'_, State<I, O, E>> {
        let waited = self.changed.wait_while(self.lock(), |state| !holds(state));
        waited.unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, State<I, O, E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_all();
    }
}

impl<I, O, E> State<I, O, E> {
    /// What is not consumed yet.
    fn bytes(&self) -> usize {
        self.sizes.iter().sum()
    }

    fn has_room(&self, bytes: usize, max_bytes: usize) -> bool {
        self.sizes.is_empty() || self.bytes() + bytes <= max_bytes
    }

    fn put(&mut self, produced: Option<Result<(I, usize), E>>, bytes: usize) {
        self.at_end = !matches!(produced, Some(Ok(_)));
        let number = self.next_produced;
        match produced {
            Some(Ok((item, _))) => self.produced.push_back((number, item)),
            // It takes its place behind what was produced before it.
            Some(Err(error)) => drop(self.made.insert(number, Err(error))),
            None => return,
        }
        self.next_produced += 1;
        self.sizes.push_back(bytes);
    }

    fn is_consumed(&self) -> bool {
        self.at_end && self.next_consumed == self.next_produced
    }
}

/// Ends the line when the consumer leaves, however it does.
struct EndOnDrop<'a, I, O, E>(&'a Line<I, O, E>);

impl<I, O, E> Drop for EndOnDrop<'_, I, O, E> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Ends the line when a thread panics: what it had in hand will never be made.
struct EndOnPanic<'a, I, O, E>(&'a Line<I, O, E>);

impl<I, O, E> Drop for EndOnPanic<'_, I, O, E> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const LIMITS: Limits = Limits { workers: 3, bytes: 10 };

    /// Numbers from 0, each of so many bytes.
    fn numbers(count: u64, bytes: usize) -> impl FnMut() -> Result<Option<(u64, usize)>, u64> + Send {
        let mut numbers = 0..count;
        move || Ok(numbers.next().map(|number| (number, bytes)))
    }

    /// Takes longer for some numbers than for others.
    #[expect(clippy::unnecessary_wraps, reason = "work may fail")]
    fn square(number: u64) -> Result<u64, u64> {
        for _ in 0..number % 7 {
            thread::yield_now();
        }
        Ok(number * number)
    }

    #[test]
    fn things_come_in_the_order_in_which_they_were_produced() {
        for bytes in [0, 1, 4, 11] {
            let mut squares = Vec::new();
            in_order(LIMITS, numbers(500, bytes), square, |square| {
                squares.push(square);
                Ok(ControlFlow::Continue(()))
            })
            .unwrap();
            assert_eq!(squares, (0..500).map(|number| number * number).collect::<Vec<_>>());
        }
    }

    #[test]
    fn workers_work_at_the_same_time() {
        let together = Barrier::new(LIMITS.workers);
        let work = |number: u64| {
            together.wait();
            Ok::<_, u64>(number)
        };
        in_order(LIMITS, numbers(30, 1), work, |_| Ok(ControlFlow::Continue(()))).unwrap();
    }

    #[test]
    fn bytes_in_flight_are_bounded() {
        let (in_flight, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let work = |number: u64| {
            most.fetch_max(in_flight.fetch_add(4, Ordering::SeqCst) + 4, Ordering::SeqCst);
            square(number)
        };
        in_order(LIMITS, numbers(500, 4), work, |_| {
            in_flight.fetch_sub(4, Ordering::SeqCst);
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
        assert!((4..=LIMITS.bytes + 4).contains(&most.into_inner()));
    }

    #[test]
    fn beside_what_is_too_much_nothing_is_held() {
        let produced = AtomicUsize::new(0);
        let mut next = numbers(200, 11);
        let produce = || {
            let next = next();
            produced.fetch_add(1, Ordering::SeqCst);
            next
        };
        let mut consumed = 0;
        in_order(LIMITS, produce, square, |_| {
            consumed += 1;
            thread::yield_now();
            assert_eq!(produced.load(Ordering::SeqCst), consumed);
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
        assert_eq!(consumed, 200);
    }

    #[test]
    fn an_error_comes_where_it_happened_and_ends_all() {
        let mut produced = 0;
        let produce = || {
            produced += 1;
            if produced > 100 { Err(100) } else { Ok(Some((produced - 1, 1))) }
        };
        let work = |number: u64| if number == 200 { Err(number) } else { square(number) };
        let mut consumed = 0;
        let ended = in_order(LIMITS, produce, work, |_| {
            consumed += 1;
            Ok(ControlFlow::Continue(()))
        });
        assert_eq!((ended, consumed), (Err(100), 100));

        let work = |number: u64| if number >= 50 { Err(number) } else { square(number) };
        let mut consumed = 0;
        let ended = in_order(LIMITS, numbers(u64::MAX, 1), work, |_| {
            consumed += 1;
            Ok(ControlFlow::Continue(()))
        });
        assert_eq!((ended, consumed), (Err(50), 50));
    }

    #[test]
    fn breaking_off_ends_all() {
        let mut consumed = 0;
        in_order(LIMITS, numbers(u64::MAX, 1), square, |_| {
            consumed += 1;
            Ok(if consumed == 20 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })
        .unwrap();
        assert_eq!(consumed, 20);
    }

    #[test]
    fn a_panic_anywhere_is_a_panic_of_the_whole() {
        let on = |step: &'static str, number: u64| assert!(step != "panics" || number < 30, "as asked");
        for (produces, works, consumes) in [("panics", "", ""), ("", "panics", ""), ("", "", "panics")] {
            let mut next = numbers(u64::MAX, 1);
            let produce = move || {
                let next = next()?;
                on(produces, next.map_or(0, |(number, _)| number));
                Ok(next)
            };
            let work = |number| {
                on(works, number);
                Ok::<u64, u64>(number)
            };
            let consume = |number| {
                on(consumes, number);
                Ok(ControlFlow::Continue(()))
            };
            let ended = catch_unwind(AssertUnwindSafe(|| in_order(LIMITS, produce, work, consume)));
            assert_eq!(ended.unwrap_err().downcast_ref::<&str>(), Some(&"as asked"));
        }
    }
}
