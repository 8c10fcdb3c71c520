//! A location is a place, named by a URI, in which objects are read and written whole: a directory, a prefix
//! in a bucket, or, to read from, a directory on a web server.
//!
//! Everything that wikitok reads from a source or leaves in an output passes through [`Location`], so that
//! a dump on a laptop's disk and one in a bucket are the same to the rest of the code. Writes are atomic:
//! a reader sees the old object, the new one, or none, never a part of one, whatever dies in between.

mod access;
mod backend;
mod bucket;
mod content;
mod directory;
mod error;
mod failpoints;
mod local;
mod location;
mod objects;
mod partial;
mod pieces;
pub mod progress;
mod tls;
mod uri;
mod web;

pub use access::Access;
pub use content::Content;
pub use error::{ErrorKind, StoreError};
pub use location::{Entry, Growing, Location, ObjectInfo, is_public_server};
pub use tls::install as install_tls;
