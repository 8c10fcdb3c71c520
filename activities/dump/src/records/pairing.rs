//! Pairing joins actions with the documents that follow them.

use std::collections::VecDeque;

use super::action::ActionKind;
use super::document;
use super::{Action, BadReason, BadRecord, FilterReason, Line, Record, Wanted};

/// The action that waits for its document, and records that are ready.
#[derive(Default)]
pub(crate) struct Pairing {
    pending: Option<(u64, Action)>,
    ready: VecDeque<Record>,
    wanted: Wanted,
}

impl Pairing {
    /// Has only these documents count as articles.
    pub(crate) fn want(&mut self, wanted: Wanted) {
        self.wanted = wanted;
    }

    /// The next record that is ready.
    pub(crate) fn next(&mut self) -> Option<Record> {
        self.ready.pop_front()
    }

    /// Takes an action line that begins at `offset`.
    pub(crate) fn take_action(&mut self, offset: u64, action: Action) {
        self.flush();
        match action.kind {
            ActionKind::Delete => self.ready.push_back(Record::Filtered(FilterReason::Deletion)),
            ActionKind::Index | ActionKind::Update => self.pending = Some((offset, action)),
        }
    }

    /// Takes any other line.
    pub(crate) fn take_document(&mut self, line: &Line<'_>) {
        let action = self.pending.take().map(|(_, action)| action);
        let record = match line.content {
            Ok(bytes) => read_document(line.start, bytes, action, &self.wanted),
            Err(length) => {
                let message = format!("the line has {length} bytes");
                bad(line.start, action.and_then(|a| a.page_id), BadReason::RecordTooLong, message)
            }
        };
        self.ready.push_back(record);
    }

    /// Ends the waiting for a document.
    pub(crate) fn flush(&mut self) {
        if let Some((offset, action)) = self.pending.take() {
            let message = "the next line is an action too, or there is none".to_owned();
            let record = bad(offset, action.page_id, BadReason::ActionWithoutDocument, message);
            self.ready.push_back(record);
        }
    }

    /// Takes bytes after the end of the data.
    pub(crate) fn take_garbage(&mut self, offset: u64) {
        let message = "the compressed data is followed by bytes that are none".to_owned();
        self.ready.push_back(bad(offset, None, BadReason::TrailingGarbage, message));
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

fn bad(offset: u64, page_id: Option<u64>, reason: BadReason, message: String) -> Record {
    Record::Quarantined(BadRecord { offset, page_id, reason, message })
}
