//! Workflows decide what is done next and in what order; they touch nothing themselves.
//!
//! A [`DumpWorkflow`] is one run: it plans a snapshot, starts a [`ShardWorkflow`] child for each of its shards,
//! a bounded number at a time, and publishes the result. A shard workflow runs the tokenize and embed
//! activities of its parts. Only references, ranges and counts pass through here; the data goes from storage
//! to storage inside the activities. Runs listen to the signals `pause` and `resume` and the update `scale`.
//!
//! This crate is deterministic: no I/O, clock, randomness or thread, and no future that wakes itself. What it
//! waits for are activities, children and messages.

pub mod activities;
mod bound;
pub mod contract;
mod details;
mod dump;
mod failure;
pub mod names;
mod options;
mod places;
mod shard;
mod shards;
mod window;

pub use dump::DumpWorkflow;
pub use failure::{BOUND_PASSED, SHARDS_FAILED, root_cause};
pub use shard::ShardWorkflow;
