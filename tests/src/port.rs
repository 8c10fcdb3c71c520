//! Ports for servers that are told where to listen.

use std::hash::{BuildHasher, RandomState};
use std::net::TcpListener;

/// Below what systems give to connections that go out: a port from there may be taken between finding and using it.
const FIRST: u16 = 15_000;
const COUNT: u64 = 17_000;

/// A port of this machine that nobody listens on, another one each time.
pub fn free_port() -> u16 {
    let any = || FIRST + (RandomState::new().hash_one(()) % COUNT) as u16;
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    std::iter::repeat_with(any).find(is_free).unwrap()
}
