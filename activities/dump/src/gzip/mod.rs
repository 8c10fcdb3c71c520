//! gzip is one stream of deflate blocks in which every byte may refer to the 32 KiB before it.
//!
//! Nothing in it can be read without what comes before, so its ranges follow one another: each ends with a
//! [`Checkpoint`], from which the next begins. Between two deflate blocks the decoder's whole state is that
//! window of 32 KiB and a few bits (Mark Adler's `zran.c` explains it).

mod checkpoint;
mod header;
mod inflate;
mod members;

pub use checkpoint::Checkpoint;
pub(crate) use members::Members;

/// The name of the compression in messages.
const NAME: &str = "gzip";
/// How far back deflate refers.
const WINDOW_BYTES: usize = 32 << 10;
