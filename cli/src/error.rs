//! Errors as the user sees them: what is wrong, and what to do about it.

use std::io::Write;

use wikitok_dump::DumpError;
use wikitok_embed::EmbedError;
use wikitok_hub::HubError;
use wikitok_publish::PublishError;
use wikitok_store::StoreError;
use wikitok_worker::{ConnectError, RunError};

/// Exit code of a command or run that failed.
pub(crate) const FAILED: u8 = 2;
/// Exit code of a run that ended with records in quarantine.
pub(crate) const QUARANTINED: u8 = 1;

/// An error in our own words, with what to do about it.
#[derive(Debug)]
pub(crate) struct Hinted {
    message: String,
    hint: String,
}

impl Hinted {
    pub(crate) fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into() }
    }
}

impl std::fmt::Display for Hinted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Hinted {}

/// Prints an error with its causes, and its hint where there is one, to stderr.
pub(crate) fn print(error: &anyhow::Error) {
    let mut stderr = std::io::stderr().lock();
    // There is nowhere left to report that stderr is closed.
    let _ = writeln!(stderr, "error: {}", describe(error));
    if let Some(hint) = error.chain().find_map(hint) {
        let _ = writeln!(stderr, "hint: {hint}");
    }
}

/// The chain of causes in one line, without those that only repeat the one above them.
pub(crate) fn describe(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.ends_with(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

/// What the user can do about the error, where it knows.
pub(crate) fn hint(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    if let Some(error) = error.downcast_ref::<Hinted>() {
        return Some(error.hint.clone());
    }
    if let Some(error) = error.downcast_ref::<ConnectError>() {
        return error.hint();
    }
    if let Some(error) = error.downcast_ref::<DumpError>() {
        return error.hint();
    }
    if let Some(error) = error.downcast_ref::<StoreError>() {
        return error.hint();
    }
    if let Some(error) = error.downcast_ref::<EmbedError>() {
        return error.hint();
    }
    if let Some(error) = error.downcast_ref::<HubError>() {
        return error.hint();
    }
    if let Some(RunError::Embedder(error)) = error.downcast_ref::<RunError>() {
        return error.hint();
    }
    error.downcast_ref::<PublishError>().and_then(|error| match error {
        PublishError::Store(error) => error.hint(),
        _ => None,
    })
}
