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
use crate::records::{Action, Batch, Line, Lines, Pairing, Record, Wanted, take_garbage, take_rest};
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
    /// Records of a range that begin behind so many bytes are passed over, which is one quarantined record: it
    /// may be a decompression bomb. The data is still read to its end, so that the next range can be found and
    /// checksums hold.
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
    /// Records that are found and not yet given.
    batch: Batch,
    documents: u64,
    state: State,
    max_output_bytes: u64,
    /// Records are passed over from here on.
    passes_over: bool,
    /// Comes after the records that were found before it.
    failed: Option<DumpError>,
}

/// Opens a range of a shard. Whether it is gzip or bzip2 must be known: see [`crate::sniff`].
pub fn open_range(
    source: Arc<dyn ReadAt>,
    input: &RangeInput,
    limits: RangeLimits,
) -> Result<RangeReader, DumpError> {
    let ownership = match input {
        RangeInput::Blocks(range) => Ownership::Blocks { starts_shard: range.from == 0, owns_any: false },
        RangeInput::Stream { start, .. } => Ownership::Stream { starts_shard: start.is_none() },
    };
    Ok(RangeReader {
        decoder: Decoder::open(source, input)?,
        lines: Lines::new(limits.max_line_bytes),
        ownership,
        pairing: Pairing::default(),
        batch: Batch::default(),
        documents: 0,
        state: State::Before,
        max_output_bytes: limits.max_output_bytes,
        passes_over: false,
        failed: None,
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
        self.batch = Batch::wanting(Arc::new(wanted));
        self
    }

    /// The next record; `None` once the range is read. An error means that the shard is damaged or could not
    /// be read, and that no record of the range may be used.
    #[expect(clippy::should_implement_trait, reason = "an iterator would go on after an error")]
    pub fn next(&mut self) -> Result<Option<Record>, DumpError> {
        loop {
            if let Some(record) = self.batch.next() {
                self.documents += 1;
                return Ok(Some(record));
            }
            if let Some(error) = self.failed.take() {
                return Err(error);
            }
            if !self.advance()? {
                return Ok(None);
            }
        }
    }

    /// The next records, of about `bytes` bytes together, to be parsed elsewhere; `None` once the range is read.
    /// As [`Self::next`] otherwise: what was found before an error comes before it.
    pub fn next_batch(&mut self, bytes: usize) -> Result<Option<Batch>, DumpError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        while self.batch.bytes() < bytes {
            match self.advance() {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) if self.batch.is_empty() => return Err(error),
                Err(error) => {
                    self.failed = Some(error);
                    break;
                }
            }
        }
        let next = self.batch.another();
        let batch = std::mem::replace(&mut self.batch, next);
        self.documents += batch.len() as u64;
        Ok(Some(batch).filter(|batch| !batch.is_empty()))
    }

    /// Has `watch` called for each chunk of data that is decompressed: there may be many between two records.
    /// When it gives `false`, reading ends with [`DumpError::Stopped`].
    pub fn watch(&mut self, watch: impl FnMut() -> bool + Send + 'static) {
        self.decoder.watch = Box::new(watch);
    }

    /// What there is to know of the range, after [`Self::next`] or [`Self::next_batch`] gave `None`.
    pub fn finish(self) -> Result<RangeOutcome, DumpError> {
        let State::Done { end, next } = self.state else { return Err(DumpError::NotAtEnd) };
        let (documents, mut outcome) = (self.documents, self.decoder.finish(end, next)?);
        outcome.documents = documents;
        Ok(outcome)
    }

    /// Reads on by a line; `false` once the range is read.
    fn advance(&mut self) -> Result<bool, DumpError> {
        match self.state {
            State::Before => self.begin()?,
            State::Reading => self.read_line()?,
            State::Done { .. } => return Ok(false),
        }
        Ok(true)
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
        let base = self.batch.lines().len();
        let Some(line) = self.lines.next_line(&mut self.decoder, self.batch.lines())? else {
            self.end();
            return Ok(());
        };
        if self.ownership.has_mark(line.start) && self.batch.lines()[base..].starts_with(BYTE_ORDER_MARK) {
            self.batch.lines().drain(base..base + BYTE_ORDER_MARK.len());
        }
        let content = &self.batch.lines()[base..];
        if !line.is_too_long && content.trim_ascii().is_empty() {
            self.batch.lines().truncate(base);
            return Ok(());
        }
        let action = Action::parse(content);
        let verdict = self.ownership.judge(line.start, action.is_some(), &self.decoder);
        self.take(base, line, action.filter(|_| !line.is_too_long), verdict);
        match verdict {
            Verdict::Take | Verdict::Pass => {}
            Verdict::TakeLast => self.end(),
            Verdict::Stop => self.stop(line.start),
        }
        Ok(())
    }

    /// Keeps the line that begins at `base` of the batch if it belongs to the range.
    fn take(&mut self, base: usize, line: Line, action: Option<Action>, verdict: Verdict) {
        let is_ours = matches!(verdict, Verdict::Take | Verdict::TakeLast);
        if is_ours && line.start >= self.max_output_bytes {
            self.batch.lines().truncate(base);
            return self.pass_over(line.start);
        }
        match action {
            None if is_ours && line.is_too_long => {
                self.pairing.take_too_long(line.start, line.length, &mut self.batch);
            }
            None if is_ours => {
                let length = self.batch.lines().len() - base;
                self.pairing.take_document(line.start, length, &mut self.batch);
            }
            _ => {
                self.batch.lines().truncate(base);
                if let Some(action) = action.filter(|_| is_ours) {
                    self.pairing.take_action(line.start, action, &mut self.batch);
                }
            }
        }
    }

    /// Passes over a record that lies behind the limit.
    fn pass_over(&mut self, offset: u64) {
        if !std::mem::replace(&mut self.passes_over, true) {
            self.pairing.flush(&mut self.batch);
            take_rest(offset, self.max_output_bytes, &mut self.batch);
        }
    }

    /// Ends the range at the action that begins at `start` and is the next range's.
    fn stop(&mut self, start: u64) {
        match self.ownership {
            Ownership::Blocks { .. } => self.end(),
            Ownership::Stream { .. } => {
                self.pairing.flush(&mut self.batch);
                self.state = State::Done { end: start, next: true };
            }
        }
    }

    /// Ends the range where its own data ends.
    fn end(&mut self) {
        self.pairing.flush(&mut self.batch);
        let end = self.decoder.own_end().unwrap_or(self.lines.position());
        if self.decoder.has_garbage() {
            take_garbage(end, &mut self.batch);
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

    /// Whether a byte order mark may stand before the line.
    fn has_mark(&self, start: u64) -> bool {
        let (Self::Blocks { starts_shard, .. } | Self::Stream { starts_shard }) = self;
        *starts_shard && start == 0
    }
}

/// Decompresses a range without looking into it: for whoever wants to know that a shard is whole.
pub struct RangeBytes {
    decoder: Decoder,
}

impl RangeBytes {
    /// Opens a range as [`open_range`] does.
    pub fn open(source: Arc<dyn ReadAt>, input: &RangeInput) -> Result<Self, DumpError> {
        Ok(Self { decoder: Decoder::open(source, input)? })
    }

    /// Puts the next bytes into `chunk`, in place of what is there; `false` at the end of the shard. Goes on
    /// behind the range for as long as it is asked.
    pub fn next_chunk(&mut self, chunk: &mut Vec<u8>) -> Result<bool, DumpError> {
        self.decoder.load(chunk)
    }
}

/// Called for each chunk of data; `false` stops the reading.
type Watch = Box<dyn FnMut() -> bool + Send>;

/// A range's decompressed data.
pub(crate) struct Decoder {
    data: Data,
    watch: Watch,
}

enum Data {
    Blocks(Box<Blocks>),
    Members(Box<Members>),
}

impl Decoder {
    fn open(source: Arc<dyn ReadAt>, input: &RangeInput) -> Result<Self, DumpError> {
        let data = match input {
            RangeInput::Blocks(range) => Data::Blocks(Box::new(Blocks::open(source, *range)?)),
            RangeInput::Stream { start, consume_bytes } => {
                Data::Members(Box::new(Members::open(source, start.as_ref(), *consume_bytes)))
            }
        };
        Ok(Self { data, watch: Box::new(|| true) })
    }

    /// Replaces `chunk` with the next bytes; leaves it empty and gives `false` at the end of the shard.
    pub(crate) fn load(&mut self, chunk: &mut Vec<u8>) -> Result<bool, DumpError> {
        if !(self.watch)() {
            return Err(DumpError::Stopped);
        }
        let has_more = match &mut self.data {
            Data::Blocks(blocks) => blocks.next_block(chunk)?,
            Data::Members(members) => members.next_chunk(chunk)?,
        };
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
