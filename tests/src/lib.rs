//! Servers that the tests of several crates stand up: one like the public dump server, one of S3, and a proxy that
//! breaks connections to any.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::missing_panics_doc, reason = "a test that cannot go on fails")]

mod dump_server;
mod port;
mod proxy;
mod s3_server;

use std::path::PathBuf;
use std::time::{Duration, Instant};

pub use dump_server::{DumpServer, Fault, Seen};
pub use port::free_port;
pub use proxy::Proxy;
pub use s3_server::S3Server;

/// What `tools/fetch` fetched.
fn fetched() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(".wikitok")
}

/// Waits until something holds; fails when it does not within a minute.
pub fn wait_until(what: &str, holds: impl FnMut() -> bool) {
    wait_until_within(Duration::from_mins(1), what, holds);
}

/// Waits until something holds; fails when it does not in time.
pub fn wait_until_within(limit: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < limit, "waited {limit:?} until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
