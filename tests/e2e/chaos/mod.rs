//! Nothing stops a run: each of these does something to it and compares what comes out with what an undisturbed run
//! gives, byte for byte, and total for total.
//!
//! Those that take minutes are ignored; `make chaos` runs them all.

mod bare;
mod clock;
mod commits;
mod hanging;
mod kills;
pub(crate) mod many_shards;
mod server;
mod signals;
mod storage;
