//! Activities touch the world for the workflows: they read, tokenize, embed and publish, and may fail.
//!
//! Each is a thin adapter: it turns its input into calls of the libraries beside it, which know nothing of
//! Temporal, runs what computes off the async threads, reports that it is alive, and turns an error into a
//! failure that says whether trying again makes sense.
//!
//! Every activity may run twice at the same time for the same part, after a server has been away for longer
//! than the heartbeat timeout. All of them write whole objects whose bytes depend on their input alone, so
//! that it does not matter which attempt was the last.

mod committed;
mod failure;
mod pulse;

#[cfg(feature = "cpu")]
mod cpu;
#[cfg(feature = "cpu")]
mod digest;
#[cfg(feature = "gpu")]
mod gpu;
#[cfg(feature = "cpu")]
mod mirror;
mod overlap;
#[cfg(feature = "cpu")]
pub mod plan;
pub mod queues;
#[cfg(feature = "cpu")]
mod range;
pub mod record;
#[cfg(feature = "cpu")]
mod seal;
#[cfg(feature = "cpu")]
mod tokenize;
#[cfg(feature = "gpu")]
mod windows;

#[cfg(feature = "cpu")]
pub use cpu::{CpuActivities, MirrorActivities};
#[cfg(feature = "gpu")]
pub use gpu::GpuActivities;
