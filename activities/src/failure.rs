//! From an error of a library to a failure in Temporal: the one place that decides what is tried again.

use std::error::Error;
use std::fmt::Write;

use temporalio_common::error::ApplicationFailure;
use temporalio_sdk::activities::ActivityError;
use wikitok_store::ErrorKind;

/// Errors that say what they mean for a retry.
pub(crate) trait Classified: Error + Send + Sync + 'static {
    /// What a retry would make of it.
    fn kind(&self) -> ErrorKind;
}

macro_rules! classified {
    ($($error:ty),+ $(,)?) => { $(impl Classified for $error {
        fn kind(&self) -> ErrorKind {
            <$error>::kind(self)
        }
    })+ };
}

classified!(wikitok_store::StoreError, wikitok_publish::PublishError);
#[cfg(feature = "cpu")]
classified!(wikitok_dump::DumpError, wikitok_tokenize::TokenizeError);
#[cfg(feature = "gpu")]
classified!(wikitok_embed::EmbedError);

/// The failure that an error becomes: its whole chain of causes as the message, its kind as the type, and
/// not retryable unless its kind is.
#[allow(clippy::needless_pass_by_value, reason = "it is what `map_err` hands over")]
pub(crate) fn failure(error: impl Classified) -> ActivityError {
    failed(error.kind(), chain(&error))
}

/// A failure in our own words.
pub(crate) fn failed(kind: ErrorKind, message: String) -> ActivityError {
    let failure = ApplicationFailure::builder(message)
        .type_name(type_name(kind).to_owned())
        .non_retryable(kind != ErrorKind::Retryable)
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
