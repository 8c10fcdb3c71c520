//! Pairing joins actions with the documents that follow them.

use super::action::ActionKind;
use super::batch::{Batch, bad};
use super::{Action, BadReason, FilterReason};

/// The action that waits for its document. Records that are ready go to a batch.
#[derive(Default)]
pub(crate) struct Pairing {
    pending: Option<(u64, Action)>,
}

impl Pairing {
    /// Takes an action line that begins at `offset`.
    pub(crate) fn take_action(&mut self, offset: u64, action: Action, batch: &mut Batch) {
        self.flush(batch);
        match action.kind {
            ActionKind::Delete => batch.push(super::Record::Filtered(FilterReason::Deletion)),
            ActionKind::Index | ActionKind::Update => self.pending = Some((offset, action)),
        }
    }

    /// Takes any other line, of which `batch` holds the bytes.
    pub(crate) fn take_document(&mut self, offset: u64, length: usize, batch: &mut Batch) {
        batch.push_document(offset, self.take_pending(), length);
    }

    /// Takes a line of `length` bytes, more than are held.
    pub(crate) fn take_too_long(&mut self, offset: u64, length: u64, batch: &mut Batch) {
        let page_id = self.take_pending().and_then(|action| action.page_id);
        let message = format!("the line has {length} bytes");
        batch.push(bad(offset, page_id, BadReason::RecordTooLong, message));
    }

    /// Ends the waiting for a document.
    pub(crate) fn flush(&mut self, batch: &mut Batch) {
        if let Some((offset, action)) = self.pending.take() {
            let message = "the next line is an action too, or there is none".to_owned();
            batch.push(bad(offset, action.page_id, BadReason::ActionWithoutDocument, message));
        }
    }

    fn take_pending(&mut self) -> Option<Action> {
        self.pending.take().map(|(_, action)| action)
    }
}

/// Puts bytes after the end of the data where bad records go.
pub(crate) fn take_garbage(offset: u64, batch: &mut Batch) {
    let message = "the compressed data is followed by bytes that are none".to_owned();
    batch.push(bad(offset, None, BadReason::TrailingGarbage, message));
}

/// Takes all that lies behind the limit of a range as one record.
pub(crate) fn take_rest(offset: u64, limit: u64, batch: &mut Batch) {
    let message = format!("the range opens to more than {limit} bytes: the records behind are passed over");
    batch.push(bad(offset, None, BadReason::OutputLimit, message));
}
