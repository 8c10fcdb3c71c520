//! Environment variables that wikitok reads, all of them. A flag wins over its variable.
//!
//! The connection to Temporal is configured by Temporal's own: `TEMPORAL_ADDRESS`, `TEMPORAL_NAMESPACE`,
//! `TEMPORAL_API_KEY`, `TEMPORAL_TLS_*`, `TEMPORAL_PROFILE`, `TEMPORAL_CONFIG_FILE`.

/// Directory with what wikitok needs beside its own binaries: `bin/temporal`, `lib/libonnxruntime.so`,
/// `models/`. Without it: the nearest `.wikitok` at or above the current directory or the binary's, or
/// `~/.local/share/wikitok`.
pub const HOME: &str = "WIKITOK_HOME";
/// Directory of the embedding model. Default: `models/all-MiniLM-L6-v2` in the home.
pub const MODEL: &str = "WIKITOK_MODEL";
/// The ONNX Runtime shared library. Default: `lib/libonnxruntime.so` in the home.
pub const ONNXRUNTIME: &str = "WIKITOK_ONNXRUNTIME";
/// The `temporal` program that `dev` and `--local` start. Default: `bin/temporal` in the home, then `PATH`.
pub const TEMPORAL: &str = "WIKITOK_TEMPORAL";
/// In which numbers the model is computed: `fp32`, `fp16` or `int8`.
pub const PRECISION: &str = "WIKITOK_PRECISION";
/// What runs the model: `cpu`, `cuda`, `cuda:N` or `auto`.
pub const DEVICE: &str = "WIKITOK_DEVICE";
/// An e-mail address or a URL at which the operators of a web server with dumps reach you.
pub const CONTACT: &str = "WIKITOK_CONTACT";
/// What is logged to stderr, as a `tracing` filter, e.g. `info` or `wikitok=debug`.
pub const LOG: &str = "WIKITOK_LOG";
/// The key with which everything that Temporal stores of a run is encrypted, but ids: 64 hexadecimal digits. Every
/// worker and command needs the same. A file is better: [`ENCRYPTION_KEY_FILE`].
pub const ENCRYPTION_KEY: &str = "WIKITOK_ENCRYPTION_KEY";
/// The file that holds that key.
pub const ENCRYPTION_KEY_FILE: &str = "WIKITOK_ENCRYPTION_KEY_FILE";
/// The name of the deployment that a worker is of, as Temporal's worker controller sets it.
pub const DEPLOYMENT_NAME: &str = "TEMPORAL_DEPLOYMENT_NAME";
/// The version of the deployment that a worker is of, as Temporal's worker controller sets it.
pub const BUILD_ID: &str = "TEMPORAL_WORKER_BUILD_ID";
/// What becomes of runs when a newer version of the workers is there: `pinned` or `auto-upgrade`.
pub const VERSIONING: &str = "WIKITOK_VERSIONING";
/// Address of the Temporal Web UI that links are made with. Default: that of the development server.
pub const UI: &str = "WIKITOK_UI";
