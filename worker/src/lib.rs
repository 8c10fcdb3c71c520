//! A worker polls task queues and does what they ask, until it is told to stop.
//!
//! This library is the worker without its command line, so that `wikitok-cli dev` and `--local` can run
//! workers inside their own process. It only wires: workflows come from `wikitok-workflows`, activities from
//! `wikitok-activities`, the connection from Temporal's own configuration.

mod connection;
mod deployment;
mod encryption;
pub mod environment;
pub mod home;
#[cfg(feature = "gpu")]
mod model;
mod queue;
mod run;
mod slots;
pub mod telemetry;

pub use connection::{ConnectError, Connector, REFUSED_HINT, is_refusal};
pub use deployment::{Deployment, HalfADeployment, Versioning};
pub use encryption::{Encryption, EncryptionError};
#[cfg(feature = "gpu")]
pub use model::model_directory;
pub use queue::Queue;
pub use run::{RunError, WorkerConfig, Workers};

/// Of every program that has workers in it. The C library's keeps what other threads have freed: with it, workers had
/// a fifth to two thirds more memory resident, and more with every part (`make bench`, `tests/e2e/memory.rs`).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
