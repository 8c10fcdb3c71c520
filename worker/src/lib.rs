//! A worker polls task queues and does what they ask, until it is told to stop.
//!
//! This library is the worker without its command line, so that `wikitok-cli dev` and `--local` can run
//! workers inside their own process. It only wires: workflows come from `wikitok-workflows`, activities from
//! `wikitok-activities`, the connection from Temporal's own configuration.

mod connection;
pub mod environment;
pub mod home;
#[cfg(feature = "gpu")]
mod model;
mod queue;
mod run;
pub mod telemetry;

pub use connection::{ConnectError, Connector};
#[cfg(feature = "gpu")]
pub use model::model_directory;
pub use queue::Queue;
pub use run::{RunError, WorkerConfig, Workers};
