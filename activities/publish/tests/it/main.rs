//! What an output promises, tested on outputs in temporary directories.

#![allow(clippy::unwrap_used, reason = "a test that unwraps an error has failed")]

mod common;
mod nearest;
mod output;
mod parts;
mod sample;
mod verify;
