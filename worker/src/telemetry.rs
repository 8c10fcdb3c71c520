//! Logs go to stderr: for people when it is a terminal, as JSON lines when asked for.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use crate::environment;

/// Starts logging. `default` is the filter without `WIKITOK_LOG`.
pub fn start(default: &str, json: bool) {
    let filter = EnvFilter::try_from_env(environment::LOG).unwrap_or_else(|_| EnvFilter::new(default));
    let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(colour);
    if json {
        logs.json().init();
    } else {
        logs.compact().with_target(false).init();
    }
}
