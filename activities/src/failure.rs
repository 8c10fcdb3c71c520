//! From an error of a library to a failure in Temporal: the one place that decides what is tried again.

use std::error::Error;
use std::fmt::Write;
use std::time::Duration;

use temporalio_common::error::ApplicationFailure;
use temporalio_sdk::activities::ActivityError;
use wikitok_store::ErrorKind;

/// Errors that say what they mean for a retry.
pub(crate) trait Classified: Error + Send + Sync + 'static {
    /// What a retry would make of it.
    fn kind(&self) -> ErrorKind;

    /// How long to wait before a retry, where the other side said so.
    fn retry_after(&self) -> Option<Duration> {
        None
    }
}

macro_rules! classified {
    ($($error:ty $({ $waits:ident })?),+ $(,)?) => { $(impl Classified for $error {
        fn kind(&self) -> ErrorKind {
            <$error>::kind(self)
        }
        $(fn $waits(&self) -> Option<Duration> {
            <$error>::$waits(self)
        })?
    })+ };
}

classified!(wikitok_store::StoreError { retry_after }, wikitok_publish::PublishError);
#[cfg(feature = "cpu")]
classified!(wikitok_dump::DumpError { retry_after }, wikitok_tokenize::TokenizeError);
#[cfg(feature = "gpu")]
classified!(wikitok_embed::EmbedError);

/// The failure that an error becomes: its whole chain of causes as the message, its kind as the type, and
/// not retryable unless its kind is.
#[allow(clippy::needless_pass_by_value, reason = "it is what `map_err` hands over")]
pub(crate) fn failure(error: impl Classified) -> ActivityError {
    told(error.kind(), chain(&error), error.retry_after())
}

/// A failure in our own words.
pub(crate) fn failed(kind: ErrorKind, message: String) -> ActivityError {
    told(kind, message, None)
}

/// A wait that a server asks for is Temporal's to keep: it holds no slot meanwhile, and whichever worker comes
/// next knows of it.
fn told(kind: ErrorKind, message: String, retry_after: Option<Duration>) -> ActivityError {
    let failure = ApplicationFailure::builder(message)
        .type_name(type_name(kind).to_owned())
        .non_retryable(kind != ErrorKind::Retryable)
        .maybe_next_retry_delay(retry_after)
        .build();
    failure.into()
}

fn type_name(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Retryable => "temporary",
        ErrorKind::BadInput => "bad_input",
        ErrorKind::BadConfiguration => "bad_configuration",
        ErrorKind::Bug => "bug",
    }
}

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        // Wrappers that print their cause would say it twice.
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            write!(text, ": {cause_text}").expect("writing to a string cannot fail");
        }
        next = cause.source();
    }
    text
}
