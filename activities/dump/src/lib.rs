//! A dump is what Wikipedia's search index holds, written out: one wiki at one date, in one or more shards.
//!
//! This crate finds a snapshot at a source ([`resolve`]) and reads one range of one shard into records
//! ([`open_range`]). A shard is cut into ranges so that a failure costs little: however it is cut, the
//! ranges together give the same records in the same order.
//!
//! ```text
//! snapshot ─▶ shard ─▶ range ─▶ blocks ─▶ lines ─▶ records
//! ```
//!
//! Reading is synchronous and bound by the processor: call it where blocking is allowed. Memory is bounded by
//! one line, one block and one chunk of input, whatever the shard's size.

mod bzip2;
mod chain;
mod error;
mod gzip;
mod plan;
mod range;
mod records;
mod snapshot;
mod source;
mod window;

pub use chain::{BlockChain, CrcFold, check_chain};
pub use error::DumpError;
pub use gzip::Checkpoint;
pub use plan::{ByteRange, Compression, RangePlan, plan_ranges, sniff};
pub use range::{RangeBytes, RangeInput, RangeLimits, RangeOutcome, RangeReader, open_range};
pub use records::{Article, BadReason, BadRecord, Batch, FilterReason, Record, Wanted};
pub use snapshot::{
    Index, Layout, ListedSnapshot, ShardFile, ShardSelection, Snapshot, SnapshotQuery, home, resolve,
    snapshots, wikis,
};
pub use source::{LocationObject, ReadAt};
