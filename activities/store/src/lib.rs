//! A location is a directory or bucket prefix, named by a URI, in which objects are read and written whole.
//!
//! Everything that wikitok reads from a source or leaves in an output passes through [`Location`], so that
//! a dump on a laptop's disk and one in a bucket are the same to the rest of the code. Writes are atomic:
//! a reader sees the old object, the new one, or none, never a part of one, whatever dies in between.

mod error;
mod local;
mod location;

pub use error::{ErrorKind, StoreError};
pub use location::{Location, ObjectInfo};
