//! A batch is some records in a row, found but not yet parsed.
//!
//! Finding records must follow the data; parsing them need not. A batch can be handed to another thread, so
//! that one decompresses while others parse.

use std::collections::VecDeque;
use std::sync::Arc;

use super::{Action, BadReason, BadRecord, Record, Wanted, document};
use crate::records::action::ActionKind;

/// What an entry costs beside its line: records of no bytes must not pile up uncounted.
const ENTRY_BYTES: usize = 128;

/// Some records in a row. Gives them one after the other, parsing each when it is asked for.
#[derive(Debug, Default)]
pub struct Batch {
    /// The lines of the documents that are left, from `at` on.
    lines: Vec<u8>,
    at: usize,
    entries: VecDeque<Entry>,
    wanted: Arc<Wanted>,
}

#[derive(Debug)]
enum Entry {
    Ready(Record),
    /// A line that is no action: the next `length` bytes.
    Document {
        offset: u64,
        action: Option<Action>,
        length: usize,
    },
}

impl Batch {
    /// An empty batch, in which the documents that are `wanted` are articles.
    pub(crate) fn wanting(wanted: Arc<Wanted>) -> Self {
        Self { wanted, ..Self::default() }
    }

    /// An empty batch in which the same documents are articles.
    pub(crate) fn another(&self) -> Self {
        Self::wanting(self.wanted.clone())
    }

    /// How many records are left.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none are left.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// About how much memory what is left takes.
    pub fn bytes(&self) -> usize {
        self.lines.len() - self.at + self.entries.len() * ENTRY_BYTES
    }

    /// Where the reader puts the next line, behind what is there.
    pub(crate) fn lines(&mut self) -> &mut Vec<u8> {
        &mut self.lines
    }

    pub(crate) fn push(&mut self, record: Record) {
        self.entries.push_back(Entry::Ready(record));
    }

    /// Takes the last `length` bytes of the lines as a document's.
    pub(crate) fn push_document(&mut self, offset: u64, action: Option<Action>, length: usize) {
        self.entries.push_back(Entry::Document { offset, action, length });
    }

    /// Makes room for other lines once all are given, and lets go of more memory than a usual batch needs.
    fn recycle(&mut self) {
        self.at = 0;
        self.lines.clear();
        self.lines.shrink_to(1 << 20);
    }
}

impl Iterator for Batch {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        let record = match self.entries.pop_front()? {
            Entry::Ready(record) => record,
            Entry::Document { offset, action, length } => {
                let line = &self.lines[self.at..self.at + length];
                self.at += length;
                read_document(offset, line, action, &self.wanted)
            }
        };
        if self.entries.is_empty() {
            self.recycle();
        }
        Some(record)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len(), Some(self.len()))
    }
}

fn read_document(offset: u64, line: &[u8], action: Option<Action>, wanted: &Wanted) -> Record {
    if let Some(Action { kind: ActionKind::Update, page_id }) = action {
        let message = "an update holds only what changed of a page".to_owned();
        return bad(offset, page_id, BadReason::PartialUpdate, message);
    }
    match document::read(line, action.and_then(|action| action.page_id), wanted) {
        Ok(Ok(article)) => Record::Article(article),
        Ok(Err(reason)) => Record::Filtered(reason),
        Err(document) => {
            // A whole document needs no action; one that lacks the page's id lacks the action too.
            let reason = match document.reason {
                BadReason::MissingPageId if action.is_none() => BadReason::DocumentWithoutAction,
                reason => reason,
            };
            bad(offset, document.page_id, reason, document.message)
        }
    }
}

pub(super) fn bad(offset: u64, page_id: Option<u64>, reason: BadReason, message: String) -> Record {
    Record::Quarantined(BadRecord { offset, page_id, reason, message })
}
