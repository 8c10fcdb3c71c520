//! A range is the stretch of a shard that is read, retried and committed as one.
//!
//! Ranges are cut where it suits the compression, in the middle of lines. Which range a line belongs to is
//! decided so that the ranges of any cut give the same records in the same order as the uncut shard:
//!
//! - **bzip2**: a line belongs to the range that holds the byte before its first; the shard's first line to
//!   the first range. A document goes to the range of the line before it. So a range passes over its first
//!   line unless that is an action, and reads on, after its last line, to one more that may be a document.
//! - **gzip**: a range ends before the first action after the first place where decoding can resume. The
//!   next one resumes there and skips to that action.
//!
//! Blank lines are no lines in this sense.

use std::sync::Arc;

use crate::bzip2::Blocks;
use crate::gzip::{Checkpoint, Members};
use crate::records::{Action, Line, Lines, Pairing, Record, Wanted};
use crate::{BlockChain, ByteRange, DumpError, ReadAt};

/// Some editors put this before the first line of a file.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Which range to read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RangeInput {
    /// The bzip2 blocks that begin in a stretch of the shard.
    Blocks(ByteRange),
    /// A stretch of a gzip stream.
    Stream {
        /// Where it begins: what the range before gave, or `None` for the shard's beginning.
        start: Option<Checkpoint>,
        /// About how many compressed bytes to consume.
        consume_bytes: u64,
    },
}

/// What bounds a range's use of memory and time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RangeLimits {
    /// Longer lines are quarantined without being held.
    pub max_line_bytes: usize,
    /// A range that opens to more bytes is an error: it may be a decompression bomb.
    pub max_output_bytes: u64,
}

impl Default for RangeLimits {
    /// Lines of 96 MiB, the largest seen being 64 MB, and ranges of 4 GiB, a hundredfold of their usual input.
    fn default() -> Self {
        Self { max_line_bytes: 96 << 20, max_output_bytes: 4 << 30 }
    }
}

/// What is known of a range once all its records are read.
#[derive(Clone, Debug, PartialEq)]
pub struct RangeOutcome {
    /// How many records there were: articles, filtered and quarantined.
    pub documents: u64,
    /// How many bytes the range itself holds. Over all ranges of a shard: the shard's uncompressed size.
    pub uncompressed_bytes: u64,
    /// gzip: where the next range begins; `None` when this one reached the end of the shard.
    pub next: Option<Checkpoint>,
    /// bzip2: what [`crate::check_chain`] needs.
    pub chain: Option<BlockChain>,
}

/// Reads the records of one range.
pub struct RangeReader {
    decoder: Decoder,
    lines: Lines,
    ownership: Ownership,
    pairing: Pairing,
    documents: u64,
    state: State,
}

/// Opens a range of a shard. Whether it is gzip or bzip2 must be known: see [`crate::sniff`].
pub fn open_range(
    source: Arc<dyn ReadAt>,
    input: &RangeInput,
    limits: RangeLimits,
) -> Result<RangeReader, DumpError> {
    let (data, ownership) = match input {
        RangeInput::Blocks(range) => {
            let ownership = Ownership::Blocks { starts_shard: range.from == 0, owns_any: false };
            (Data::Blocks(Box::new(Blocks::open(source, *range)?)), ownership)
        }
        RangeInput::Stream { start, consume_bytes } => {
            let members = Members::open(source, start.as_ref(), *consume_bytes);
            (Data::Members(Box::new(members)), Ownership::Stream { starts_shard: start.is_none() })
        }
    };
    Ok(RangeReader {
        decoder: Decoder { data, max_output_bytes: limits.max_output_bytes },
        lines: Lines::new(limits.max_line_bytes),
        ownership,
        pairing: Pairing::default(),
        documents: 0,
        state: State::Before,
    })
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum State {
    /// Nothing is read yet.
    Before,
    /// In the middle of the range, or of an error.
    Reading,
    /// All lines are read. `end` is where the range ends.
    Done { end: u64, next: bool },
}

impl RangeReader {
    /// The same range, of which these documents are the articles.
    #[must_use]
    pub fn wanting(mut self, wanted: Wanted) -> Self {
        self.pairing.want(wanted);
        self
    }

    /// The next record; `None` once the range is read. An error means that the shard is damaged or could not
    /// be read, and that no record of the range may be used.
    #[expect(clippy::should_implement_trait, reason = "an iterator would go on after an error")]
    pub fn next(&mut self) -> Result<Option<Record>, DumpError> {
        loop {
            if let Some(record) = self.pairing.next() {
                self.documents += 1;
                return Ok(Some(record));
            }
            match self.state {
                State::Before => self.begin()?,
                State::Reading => self.read_line()?,
                State::Done { .. } => return Ok(None),
            }
        }
    }

    /// What there is to know of the range, after [`Self::next`] gave `None`.
    pub fn finish(self) -> Result<RangeOutcome, DumpError> {
        let State::Done { end, next } = self.state else { return Err(DumpError::NotAtEnd) };
        let (documents, mut outcome) = (self.documents, self.decoder.finish(end, next)?);
        outcome.documents = documents;
        Ok(outcome)
    }

    fn begin(&mut self) -> Result<(), DumpError> {
        self.state = State::Reading;
        let skip = self.decoder.skip();
        if skip > 0 && !self.lines.skip(&mut self.decoder, skip)? {
            return Err(DumpError::BadCheckpoint { problem: "it lies behind the end of the shard" });
        }
        let starts_inside = matches!(self.ownership, Ownership::Blocks { starts_shard: false, .. });
        if starts_inside && !self.lines.skip_line_end(&mut self.decoder)? {
            self.end();
        }
        Ok(())
    }

    fn read_line(&mut self) -> Result<(), DumpError> {
        if !self.ownership.wants(self.lines.position(), &self.decoder) {
            self.end();
            return Ok(());
        }
        let Some(mut line) = self.lines.next_line(&mut self.decoder)? else {
            self.end();
            return Ok(());
        };
        self.ownership.strip_mark(&mut line);
        if line.content.is_ok_and(|bytes| bytes.trim_ascii().is_empty()) {
            return Ok(());
        }
        let action = line.content.ok().and_then(Action::parse);
        let (start, verdict) =
            (line.start, self.ownership.judge(line.start, action.is_some(), &self.decoder));
        if matches!(verdict, Verdict::Take | Verdict::TakeLast) {
            match action {
                Some(action) => self.pairing.take_action(start, action),
                None => self.pairing.take_document(&line),
            }
        }
        match verdict {
            Verdict::Take | Verdict::Pass => {}
            Verdict::TakeLast => self.end(),
            Verdict::Stop => self.stop(start),
        }
        Ok(())
    }

    /// Ends the range at the action that begins at `start` and is the next range's.
    fn stop(&mut self, start: u64) {
        match self.ownership {
            Ownership::Blocks { .. } => self.end(),
            Ownership::Stream { .. } => {
                self.pairing.flush();
                self.state = State::Done { end: start, next: true };
            }
        }
    }

    /// Ends the range where its own data ends.
    fn end(&mut self) {
        self.pairing.flush();
        let end = self.decoder.own_end().unwrap_or(self.lines.position());
        if self.decoder.has_garbage() {
            self.pairing.take_garbage(end);
        }
        self.state = State::Done { end, next: false };
    }
}

/// What to do with a line.
#[derive(Clone, Copy)]
enum Verdict {
    /// It belongs to this range.
    Take,
    /// It belongs to this range, and no line after it does.
    TakeLast,
    /// It belongs to the range before.
    Pass,
    /// It belongs to the range after.
    Stop,
}

/// Which lines belong to the range.
enum Ownership {
    Blocks { starts_shard: bool, owns_any: bool },
    Stream { starts_shard: bool },
}

impl Ownership {
    /// Whether the line that begins at `start` could belong to the range.
    fn wants(&self, start: u64, decoder: &Decoder) -> bool {
        match self {
            Self::Stream { .. } => true,
            Self::Blocks { starts_shard, owns_any } => {
                *starts_shard || *owns_any || decoder.own_end().is_none_or(|end| start <= end)
            }
        }
    }

    fn judge(&mut self, start: u64, is_action: bool, decoder: &Decoder) -> Verdict {
        match self {
            Self::Stream { .. } if is_action && start > 0 && decoder.can_end_before(start) => Verdict::Stop,
            Self::Stream { .. } => Verdict::Take,
            Self::Blocks { starts_shard, owns_any } => {
                let is_first = !std::mem::replace(owns_any, true) && !*starts_shard;
                let is_owned = decoder.own_end().is_none_or(|end| start <= end);
                match (is_owned, is_action) {
                    (true, false) if is_first => Verdict::Pass,
                    (true, _) => Verdict::Take,
                    (false, false) => Verdict::TakeLast,
                    (false, true) => Verdict::Stop,
                }
            }
        }
    }

    fn strip_mark(&self, line: &mut Line<'_>) {
        let (Self::Blocks { starts_shard, .. } | Self::Stream { starts_shard }) = self;
        if *starts_shard && line.start == 0 {
            line.content = line.content.map(|bytes| bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes));
        }
    }
}

/// A range's decompressed data.
pub(crate) struct Decoder {
    data: Data,
    max_output_bytes: u64,
}

enum Data {
    Blocks(Box<Blocks>),
    Members(Box<Members>),
}

impl Decoder {
    /// Replaces `chunk` with the next bytes; leaves it empty and gives `false` at the end of the shard.
    pub(crate) fn load(&mut self, chunk: &mut Vec<u8>) -> Result<bool, DumpError> {
        let (has_more, produced) = match &mut self.data {
            Data::Blocks(blocks) => (blocks.next_block(chunk)?, blocks.produced()),
            Data::Members(members) => (members.next_chunk(chunk)?, members.produced()),
        };
        if produced > self.max_output_bytes {
            return Err(DumpError::OutputLimit { limit: self.max_output_bytes });
        }
        if !has_more {
            chunk.clear();
        }
        Ok(has_more)
    }

    /// Whether `position` lies behind the range's own data.
    pub(crate) fn is_past_own(&self, position: u64) -> bool {
        self.own_end().is_some_and(|end| position >= end)
    }

    /// Size of the range's own data, where it is known before all records are read.
    fn own_end(&self) -> Option<u64> {
        match &self.data {
            Data::Blocks(blocks) => blocks.own_end(),
            Data::Members(_) => None,
        }
    }

    fn skip(&self) -> u64 {
        match &self.data {
            Data::Blocks(_) => 0,
            Data::Members(members) => members.skip(),
        }
    }

    fn can_end_before(&self, start: u64) -> bool {
        match &self.data {
            Data::Blocks(_) => false,
            Data::Members(members) => {
                members.boundary().is_some_and(|boundary| start + members.skip() >= boundary)
            }
        }
    }

    fn has_garbage(&self) -> bool {
        match &self.data {
            Data::Blocks(blocks) => blocks.has_garbage(),
            Data::Members(members) => members.has_garbage(),
        }
    }

    fn finish(self, end: u64, has_next: bool) -> Result<RangeOutcome, DumpError> {
        let mut outcome = RangeOutcome { documents: 0, uncompressed_bytes: end, next: None, chain: None };
        match self.data {
            Data::Blocks(blocks) => outcome.chain = Some(blocks.into_chain()),
            Data::Members(members) if has_next => {
                let start = end + members.skip();
                outcome.next = Some(members.into_checkpoint(start).ok_or(DumpError::NotAtEnd)?);
            }
            Data::Members(_) => {}
        }
        Ok(outcome)
    }
}
