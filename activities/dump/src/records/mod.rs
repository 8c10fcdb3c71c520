//! A record is what a range gives: an article, a document left out for a good reason, or a bad one.
//!
//! Shards alternate between action lines, which name a page, and document lines, which hold it. Reading goes
//! by what a line is, not by whether it is odd or even, so that one missing line costs one record.

mod action;
mod batch;
mod document;
mod json;
mod lines;
mod pairing;

use serde::{Deserialize, Serialize};

pub(crate) use action::Action;
pub use batch::Batch;
pub(crate) use lines::{Line, Lines};
pub(crate) use pairing::{Pairing, take_garbage, take_rest};

/// One record of a shard.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// A page to be processed.
    Article(Article),
    /// A document that is in order and not wanted.
    Filtered(FilterReason),
    /// A record that cannot be processed.
    Quarantined(BadRecord),
}

/// Which documents are articles, among those that are no redirects and have text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Wanted {
    /// The namespaces they are in.
    pub namespaces: Vec<i64>,
    /// How many characters (Unicode scalar values) their text has at least.
    pub min_chars: u64,
}

impl Default for Wanted {
    /// The main namespace, and any text.
    fn default() -> Self {
        Self { namespaces: vec![0], min_chars: 0 }
    }
}

/// A page that was asked for, the main namespace's without more, that is no redirect and has text.
#[derive(Clone, Debug, PartialEq)]
pub struct Article {
    /// The page's id in its wiki.
    pub page_id: u64,
    /// The title as shown, with spaces.
    pub title: String,
    /// The revision whose text it is, when the dump says so and it is a number.
    pub revision_id: Option<u64>,
    /// When that revision was made, RFC 3339 as in the dump, when it is well-formed.
    pub timestamp: Option<String>,
    /// The plain text. Never blank.
    pub text: String,
}

/// Why a document is left out.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FilterReason {
    /// The page is outside of the namespaces asked for.
    Namespace,
    /// The page only points to another.
    Redirect,
    /// The text is missing, null, empty or blank.
    EmptyText,
    /// The text has fewer characters than asked for.
    TooShort,
    /// Not a document: an action that deletes a page.
    Deletion,
}

impl FilterReason {
    /// The reason as written in manifests.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Namespace => "namespace",
            Self::Redirect => "redirect",
            Self::EmptyText => "empty_text",
            Self::TooShort => "too_short",
            Self::Deletion => "deletion",
        }
    }
}

/// A record that cannot be processed: where it lies and why.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct BadRecord {
    /// Where its line begins, in uncompressed bytes from the first of this range's data.
    pub offset: u64,
    /// The page, when the document or its action says so.
    pub page_id: Option<u64>,
    /// Why.
    pub reason: BadReason,
    /// What exactly, without control characters and at most 200 bytes long.
    pub message: String,
}

/// Why a record cannot be processed.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BadReason {
    /// The line is not a JSON object.
    InvalidJson,
    /// A field that is needed is not UTF-8.
    InvalidUtf8,
    /// A document that neither follows an action nor says its page's id.
    DocumentWithoutAction,
    /// An action that is followed by no document.
    ActionWithoutDocument,
    /// A change of a page, which does not hold the whole page.
    PartialUpdate,
    /// The page's title is missing, blank or no string.
    MissingTitle,
    /// Neither document nor action say the page's id.
    MissingPageId,
    /// The document does not say its namespace.
    MissingNamespace,
    /// The text is there and is no string.
    TextNotAString,
    /// The line is longer than lines may be.
    RecordTooLong,
    /// After the end of the compressed data there are other bytes.
    TrailingGarbage,
    /// All records of a range from the one on that lies behind its limit.
    OutputLimit,
}

impl BadReason {
    /// The reason as written in manifests.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidJson => "invalid_json",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::DocumentWithoutAction => "document_without_action",
            Self::ActionWithoutDocument => "action_without_document",
            Self::PartialUpdate => "partial_update",
            Self::MissingTitle => "missing_title",
            Self::MissingPageId => "missing_page_id",
            Self::MissingNamespace => "missing_namespace",
            Self::TextNotAString => "text_not_a_string",
            Self::RecordTooLong => "record_too_long",
            Self::TrailingGarbage => "trailing_garbage",
            Self::OutputLimit => "output_limit",
        }
    }
}
