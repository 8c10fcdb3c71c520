//! A window is a set of futures in flight, each under a key, polled in the order of their keys.
//!
//! The sets of the `futures` crate wake themselves, which the SDK takes for non-determinism and answers by
//! failing the workflow task: `FuturesUnordered` always, `join_all` from 31 futures on.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::task::Poll;

use futures::future::{Fuse, FutureExt, LocalBoxFuture};

/// Futures in flight, by key.
pub(crate) struct Window<T> {
    slots: BTreeMap<u32, LocalBoxFuture<'static, T>>,
}

impl<T> Window<T> {
    pub(crate) fn new() -> Self {
        Self { slots: BTreeMap::new() }
    }

    pub(crate) fn push(&mut self, key: u32, future: impl Future<Output = T> + 'static) {
        self.slots.insert(key, future.boxed_local());
    }

    pub(crate) fn len(&self) -> u32 {
        self.slots.len() as u32
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The next future to finish, and its key. Never resolves while the window is empty.
    pub(crate) fn next(&mut self) -> Fuse<impl Future<Output = (u32, T)> + Unpin + '_> {
        poll_fn(|context| {
            let ready = self.slots.iter_mut().find_map(|(key, future)| match future.poll_unpin(context) {
                Poll::Ready(output) => Some((*key, output)),
                Poll::Pending => None,
            });
            match ready {
                Some((key, output)) => {
                    self.slots.remove(&key);
                    Poll::Ready((key, output))
                }
                None => Poll::Pending,
            }
        })
        .fuse()
    }
}
