//! The programs as users run them, against a real Temporal server and the real model.
//!
//! `tools/test` builds the programs, starts one server with workers for the suite, and says where it is in
//! `TEMPORAL_ADDRESS`. Tests that kill their server or workers start their own.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::print_stderr, reason = "what a test says is read when it fails")]

mod cancel;
mod chaos;
mod commands;
mod control;
mod edge;
mod embedding;
mod harness;
mod history;
mod kill;
mod layouts;
mod memory;
mod mistakes;
mod nginx;
mod options;
mod processes;
mod readers;
mod record;
mod reset;
mod safety;
mod scene;
mod sources;
mod versions;
