//! `wikitok-cli`: starts runs, watches them, and looks at what they left.
//!
//! Data goes to stdout, as text or as JSON; logs and progress go to stderr. Errors are printed here and only
//! here. Exit codes: 0 done, 1 done with quarantined records, 2 failed.

mod arguments;
mod client;
mod configuration;
mod control;
mod dev;
mod doctor;
mod dry_run;
mod embedding;
mod error;
mod errors;
mod events;
mod invocation;
mod output;
mod preflight;
mod report;
mod retry;
mod search;
mod server;
mod snapshots;
mod start;
mod stop;
mod verify;
mod watch;
mod workers;

use std::process::ExitCode;

use clap::Parser;

use crate::arguments::{Arguments, Command};

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    wikitok_worker::telemetry::start("warn,temporalio_sdk_core=error,temporalio_client=error", false);
    match run(&arguments).await {
        Ok(code) => code,
        Err(error) => {
            error::print(&error);
            ExitCode::from(error::FAILED)
        }
    }
}

async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let (profile, format) = (arguments.profile.clone(), arguments.format);
    match &arguments.command {
        Command::Start(start) => start::run(start, profile, format).await,
        Command::Watch { run } => watch::command(run, profile, format).await,
        Command::Status { run } => watch::status(run, profile, format).await,
        Command::List => watch::list(profile, format).await,
        Command::Pause { run } => control::pause(run, profile, format).await,
        Command::Resume { run } => control::resume(run, profile, format).await,
        Command::Scale { run, shards_in_flight } => {
            control::scale(run, *shards_in_flight, profile, format).await
        }
        Command::Cancel { run } => control::cancel(run, profile, format).await,
        Command::Errors { run } => errors::run(run, profile, format).await,
        Command::Events { run, follow, save } => events::run(run, *follow, *save, profile, format).await,
        Command::Retry { run, watch } => retry::run(run, *watch, profile, format).await,
        Command::Verify { output, sample } => verify::run(output, *sample, format).await,
        Command::Search(search) => search::run(search, format).await,
        Command::Snapshots(snapshots) => snapshots::run(snapshots, format).await,
        Command::Doctor(doctor) => doctor::run(doctor, profile, format).await,
        Command::Dev(dev) => dev::run(dev).await,
    }
}
