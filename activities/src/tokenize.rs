//! Tokenizing a part: one range of a shard, read, tokenized and committed.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use wikitok_counts::Counts;
use wikitok_dump::{Article, BadRecord, Batch, DumpError, RangeLimits, RangeOutcome, Record};
use wikitok_publish::{
    EncodedPart, Format, MOST_TOKENS, PublishError, QuarantinePart, RangeIdentity, TextPartWriter,
    TokenFiles, TokenPartOptions, TokenPartWriter, TokenRow, TokensManifest,
};
use wikitok_store::{ErrorKind, Location};
use wikitok_tokenize::{Encoding, TokenizeError, Tokenizer};
use wikitok_workflows::contract::{TokenizePartInput, TokenizedPart};

use crate::committed;
use crate::failure::{Classified, failed, failure};
use crate::overlap::{self, Limits};
use crate::plan;
use crate::pulse::{self, Pulse};
use crate::range::{self, Next, Range};

/// Tokenizers, made when they are first asked for and kept: building one takes longer than a small part.
#[derive(Default)]
pub(crate) struct Tokenizers {
    made: Mutex<BTreeMap<String, Arc<Tokenizer>>>,
}

impl Tokenizers {
    fn get(&self, encoding: &str) -> Result<Arc<Tokenizer>, PartError> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tokenizer) = made.get(encoding) {
            return Ok(tokenizer.clone());
        }
        let tokenizer = Arc::new(Tokenizer::new(encoding.parse::<Encoding>()?)?);
        made.insert(encoding.to_owned(), tokenizer.clone());
        Ok(tokenizer)
    }
}

/// Making a part failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PartError {
    #[error(transparent)]
    Dump(#[from] DumpError),
    #[error(transparent)]
    Tokenize(#[from] TokenizeError),
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error(
        "{bad} of the first {documents} records are bad: this is not a dump, or not a whole one; first: {first}"
    )]
    TooManyBad { bad: u64, documents: u64, first: String },
}

/// A part may have so many bad records, whatever its size, before it is taken for damaged.
const BAD_RECORDS_ALLOWED: u64 = 1000;
/// Beyond them, one in so many.
const ONE_BAD_IN: u64 = 10;
/// Texts longer than this are tokenized one at a time.
const GIANT_BYTES: usize = 8 << 20;
/// About so many bytes of records go from thread to thread at a time, and so many are under way.
const BATCH_BYTES: usize = 512 << 10;
const BYTES_UNDER_WAY: usize = 4 << 20;
/// One thread decompresses at most as fast as so many parse and tokenize.
const MAX_WORKERS: usize = 4;

impl Classified for PartError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Dump(error) => error.kind(),
            Self::Tokenize(error) => error.kind(),
            Self::Publish(error) => error.kind(),
            Self::TooManyBad { .. } => ErrorKind::BadInput,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Dump(error) => error.retry_after(),
            _ => None,
        }
    }
}

/// What a range became, before it is stored.
struct Made {
    counts: Counts,
    tokens: EncodedPart,
    /// What the vectors are made of, when the tokens are kept without it.
    texts: Option<EncodedPart>,
    quarantine: QuarantinePart,
    identity: RangeIdentity,
    /// None when the limit ended the reading.
    outcome: Option<RangeOutcome>,
    engine: &'static str,
}

pub(crate) async fn part(
    context: &ActivityContext,
    tokenizers: Arc<Tokenizers>,
    input: TokenizePartInput,
) -> Result<TokenizedPart, ActivityError> {
    let output = Location::open(&input.run.output).map_err(failure)?;
    let opening = async {
        let source = plan::open_unchanged(&input.run, &input.shard).await?;
        range::open(source, &output, &input).await
    };
    let range = Arc::new(pulse::alive(context, opening).await?);
    if let Some(done) = made_before(context, &output, &input, range.clone()).await? {
        tracing::info!(shard = input.shard.name, part = input.part, "already committed");
        return Ok(done);
    }
    let asked = input.clone();
    let work = move |pulse: &Arc<Pulse>| match make(pulse, &range, &asked, &tokenizers) {
        Err(PartError::Dump(DumpError::Stopped)) => Ok(None),
        made => made,
    };
    let made = pulse::blocking(context, work).await?;
    let committing = async {
        // A file that changed while it was read has given us some of each.
        plan::open_unchanged(&input.run, &input.shard).await?;
        commit(&output, &input, made).await
    };
    pulse::alive(context, committing).await
}

/// The part, if it was committed before from these bytes with this configuration, whole and with what the
/// next one needs.
async fn made_before(
    context: &ActivityContext,
    output: &Location,
    input: &TokenizePartInput,
    range: Arc<Range>,
) -> Result<Option<TokenizedPart>, ActivityError> {
    let Some((manifest, next)) = pulse::alive(context, intact(output, input)).await? else { return Ok(None) };
    let identity = manifest.input.clone();
    let still = pulse::blocking(context, move |pulse| match range.is_still(&identity, || pulse.tick()) {
        Err(DumpError::Stopped) => Ok(None),
        still => still.map(Some),
    });
    let last = manifest.limit_reached || next.is_last(input.part, input.parts);
    Ok(still.await?.then_some(TokenizedPart { counts: manifest.counts, last }))
}

/// The manifest of the part and how the shard goes on, if all that it names is there, byte for byte.
async fn intact(
    output: &Location,
    input: &TokenizePartInput,
) -> Result<Option<(TokensManifest, Next)>, ActivityError> {
    let manifest = wikitok_publish::committed_tokens(output, &input.shard.name, input.part).await;
    let Some(manifest) = committed::readable(manifest)? else { return Ok(None) };
    if input.remake_quarantined && manifest.quarantine.is_some() {
        return Ok(None);
    }
    let Ok(next) = serde_json::from_value::<Next>(manifest.next.clone()) else { return Ok(None) };
    let same = manifest.fingerprint == input.run.tokens_fingerprint
        && manifest.snapshot == input.run.snapshot
        && manifest.limit == input.limit;
    let intact = same
        && files_intact(output, &manifest, &next).await?
        && texts_served(output, input, &manifest).await?;
    Ok(intact.then_some((manifest, next)))
}

async fn files_intact(
    output: &Location,
    manifest: &TokensManifest,
    next: &Next,
) -> Result<bool, ActivityError> {
    for file in manifest.tokens.iter().chain(&manifest.quarantine) {
        if !committed::is_intact(output, file).await? {
            return Ok(false);
        }
    }
    next.is_intact(output).await
}

/// Whether the vectors of the part can be made, or are: a part that keeps its texts only for them has none any
/// more once its shard is sealed.
async fn texts_served(
    output: &Location,
    input: &TokenizePartInput,
    manifest: &TokensManifest,
) -> Result<bool, ActivityError> {
    if !texts_apart(input) || manifest.tokens.is_none() {
        return Ok(true);
    }
    let Some(texts) = &manifest.texts else { return Ok(false) };
    Ok(committed::is_intact(output, texts).await?
        || committed::has_vectors(output, &input.run, manifest).await?)
}

/// Whether the run makes vectors and does not keep the texts that they are made of.
fn texts_apart(input: &TokenizePartInput) -> bool {
    input.run.vectors_fingerprint.is_some() && !input.run.configuration.keep_text
}

/// Reads and tokenizes the range. Nothing when it was asked to stop.
fn make(
    pulse: &Arc<Pulse>,
    range: &Range,
    input: &TokenizePartInput,
    tokenizers: &Tokenizers,
) -> Result<Option<Made>, PartError> {
    let tokenizer = tokenizers.get(&input.run.configuration.encoding)?;
    let limits = limits(input.run.configuration.range_bytes);
    let mut reader = wikitok_dump::open_range(range.source.clone(), &range.input, limits)?
        .wanting(plan::wanted(&input.run.configuration));
    // Nothing more is read for nobody, be it the rest of a bomb.
    let over = Arc::new(AtomicBool::new(false));
    let (watched, seen) = (pulse.clone(), over.clone());
    reader.watch(move || watched.tick() && !seen.load(Ordering::Relaxed));
    let mut part = Part::new(input)?;
    let mut ended = if input.limit == Some(0) { Ended::AtLimit } else { Ended::AtEnd };
    if ended == Ended::AtEnd {
        overlap::in_order(
            Limits { workers: cores().min(MAX_WORKERS), bytes: BYTES_UNDER_WAY },
            || Ok::<_, PartError>(reader.next_batch(BATCH_BYTES)?.map(sized)),
            |batch| Ok(batch.map(|record| Tokenized::new(record, &tokenizer, pulse)).collect::<Vec<_>>()),
            |records| {
                let taken = part.take_all(records, &tokenizer, pulse, input.limit, &mut ended);
                over.store(!matches!(taken, Ok(ControlFlow::Continue(()))), Ordering::Relaxed);
                taken
            },
        )?;
    }
    if ended == Ended::Stopped {
        return Ok(None);
    }
    let limit_reached = ended == Ended::AtLimit;
    let outcome = if limit_reached { None } else { Some(reader.finish()?) };
    if let Some(outcome) = &outcome {
        part.counts.uncompressed_bytes = outcome.uncompressed_bytes;
    }
    let identity = range.identity(outcome.as_ref(), || pulse.tick())?;
    Ok(Some(part.finish(identity, outcome, tokenizer.engine())?))
}

/// Real dumps open to 5 to 12 times their size: what opens to more than 128 times is a bomb.
fn limits(range_bytes: u64) -> RangeLimits {
    let limits = RangeLimits::default();
    RangeLimits { max_output_bytes: limits.max_output_bytes.max(range_bytes.saturating_mul(128)), ..limits }
}

/// How the reading of a range ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Ended {
    AtEnd,
    AtLimit,
    Stopped,
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn sized(batch: Batch) -> (Batch, usize) {
    let bytes = batch.bytes();
    (batch, bytes)
}

/// A record, with its ids if it is an article that is no giant.
struct Tokenized {
    record: Record,
    ids: Option<Result<Vec<u32>, TokenizeError>>,
}

impl Tokenized {
    fn new(record: Record, tokenizer: &Tokenizer, pulse: &Pulse) -> Self {
        let ids = match &record {
            Record::Article(article) if article.text.len() <= GIANT_BYTES => {
                Some(encode(&article.text, tokenizer, pulse))
            }
            _ => None,
        };
        Self { record, ids }
    }
}

/// The ids of a text, or some of them when it was asked to stop or there are too many.
fn encode(text: &str, tokenizer: &Tokenizer, pulse: &Pulse) -> Result<Vec<u32>, TokenizeError> {
    let mut ids = Vec::new();
    for stretch in tokenizer.stretches(text) {
        let stretch = stretch?;
        if ids.is_empty() {
            ids = stretch;
        } else {
            ids.extend(stretch);
        }
        if !pulse.tick() || ids.len() > MOST_TOKENS {
            break;
        }
    }
    Ok(ids)
}

/// A part in the making.
struct Part {
    shard: String,
    number: u32,
    counts: Counts,
    tokens: TokenPartWriter,
    texts: Option<TextPartWriter>,
    /// The quarantine file so far.
    bad: Vec<u8>,
}

impl Part {
    fn new(input: &TokenizePartInput) -> Result<Self, PublishError> {
        Ok(Self {
            shard: input.shard.name.clone(),
            number: input.part,
            counts: Counts::default(),
            tokens: TokenPartWriter::new(TokenPartOptions {
                keep_text: input.run.configuration.keep_text,
                ..TokenPartOptions::default()
            })?,
            texts: texts_apart(input).then(TextPartWriter::new).transpose()?,
            bad: Vec::new(),
        })
    }

    /// Takes records until the limit is reached or it was asked to stop, which `ended` says.
    fn take_all(
        &mut self,
        records: Vec<Tokenized>,
        tokenizer: &Tokenizer,
        pulse: &Pulse,
        limit: Option<u64>,
        ended: &mut Ended,
    ) -> Result<ControlFlow<()>, PartError> {
        for record in records {
            self.take(record, tokenizer, pulse)?;
            self.check_budget()?;
            if pulse.stopped() {
                *ended = Ended::Stopped;
                return Ok(ControlFlow::Break(()));
            }
            if limit.is_some_and(|limit| self.counts.articles >= limit) {
                *ended = Ended::AtLimit;
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn take(&mut self, made: Tokenized, tokenizer: &Tokenizer, pulse: &Pulse) -> Result<(), PartError> {
        self.counts.documents += 1;
        pulse.beat(self.counts.documents);
        match made.record {
            Record::Article(article) => {
                let _alone = made.ids.is_none().then(|| wait_for_giants(pulse)).flatten();
                let ids = made.ids.unwrap_or_else(|| encode(&article.text, tokenizer, pulse));
                self.take_article(article, ids)?;
            }
            Record::Filtered(reason) => {
                *self.counts.filtered.entry(reason.as_str().to_owned()).or_default() += 1;
            }
            Record::Quarantined(BadRecord { offset, page_id, reason, message }) => {
                self.quarantine(reason.as_str(), Some(offset), page_id, &message);
            }
        }
        Ok(())
    }

    /// Writes an article, or quarantines it when it is the article itself that cannot be written.
    fn take_article(
        &mut self,
        article: Article,
        ids: Result<Vec<u32>, TokenizeError>,
    ) -> Result<(), PartError> {
        let page_id = article.page_id;
        match ids.map_err(PartError::from).and_then(|ids| self.write(article, ids)) {
            Ok(()) => self.counts.articles += 1,
            Err(error) if error.kind() == ErrorKind::BadInput => {
                self.quarantine("cannot_be_written", None, Some(page_id), &error.to_string());
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn write(&mut self, article: Article, tokens: Vec<u32>) -> Result<(), PartError> {
        let mut row = TokenRow {
            page_id: article.page_id,
            title: article.title,
            revision_id: article.revision_id,
            timestamp: article.timestamp,
            text: article.text,
            tokens,
        };
        if let Some(texts) = &mut self.texts {
            // A row that is refused must be in neither.
            self.tokens.check(&row)?;
            row.text = texts.push(row.page_id, &row.title, row.text)?;
        }
        Ok(self.tokens.push(row)?)
    }

    /// One bad record never ends a run, but a flood of them does.
    fn check_budget(&self) -> Result<(), PartError> {
        let (bad, documents) = (self.counts.quarantined_total(), self.counts.documents);
        if bad <= BAD_RECORDS_ALLOWED || bad * ONE_BAD_IN <= documents {
            return Ok(());
        }
        let first = self.bad.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let first = String::from_utf8_lossy(first).into_owned();
        Err(PartError::TooManyBad { bad, documents, first })
    }

    /// `offset` counts decompressed bytes from the start of the part's range.
    fn quarantine(&mut self, reason: &str, offset: Option<u64>, page_id: Option<u64>, message: &str) {
        let line = json!({
            "shard": self.shard,
            "part": self.number,
            "offset": offset,
            "page_id": page_id,
            "reason": reason,
            "message": message,
        });
        self.bad.extend(line.to_string().into_bytes());
        self.bad.push(b'\n');
        *self.counts.quarantined.entry(reason.to_owned()).or_default() += 1;
    }

    fn finish(
        mut self,
        identity: RangeIdentity,
        outcome: Option<RangeOutcome>,
        engine: &'static str,
    ) -> Result<Made, PublishError> {
        self.counts.tokens = self.tokens.tokens();
        self.counts.characters = self.tokens.characters();
        let rows = self.counts.quarantined_total();
        let quarantine = QuarantinePart { bytes: Bytes::from(self.bad), rows };
        let tokens = self.tokens.finish()?;
        let texts = self.texts.map(TextPartWriter::finish).transpose()?;
        Ok(Made { counts: self.counts, tokens, texts, quarantine, identity, outcome, engine })
    }
}

/// Texts that take much of a worker's memory take it one after the other, whatever the number of slots.
///
/// Who is asked to stop does not wait: nothing of what it makes is kept.
fn wait_for_giants(pulse: &Pulse) -> Option<MutexGuard<'static, ()>> {
    static GIANTS: Mutex<()> = Mutex::new(());
    loop {
        match GIANTS.try_lock() {
            Ok(alone) => return Some(alone),
            Err(TryLockError::Poisoned(alone)) => return Some(alone.into_inner()),
            Err(TryLockError::WouldBlock) if !pulse.tick() => return None,
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

async fn commit(
    output: &Location,
    input: &TokenizePartInput,
    made: Made,
) -> Result<TokenizedPart, ActivityError> {
    let (next, checkpoint) = range::hand_over(input, made.outcome.as_ref())?;
    let limit_reached = made.outcome.is_none();
    let last = limit_reached || next.is_last(input.part, input.parts);
    let next = serde_json::to_value(next).map_err(|error| failed(ErrorKind::Bug, error.to_string()))?;
    let manifest = TokensManifest {
        format: Format::Tokens,
        snapshot: input.run.snapshot.clone(),
        shard: input.shard.name.clone(),
        part: input.part,
        input: made.identity,
        fingerprint: input.run.tokens_fingerprint.clone(),
        versions: versions("tokenizer", made.engine),
        counts: made.counts.clone(),
        tokens: None,
        quarantine: None,
        texts: None,
        limit: input.limit,
        limit_reached,
        next,
    };
    let Made { tokens, quarantine, texts, .. } = made;
    let files = TokenFiles { tokens, quarantine, texts, checkpoint };
    wikitok_publish::commit_tokens(output, manifest, &files).await.map_err(failure)?;
    Ok(TokenizedPart { counts: made.counts, last })
}

fn versions(what: &str, version: &str) -> BTreeMap<String, String> {
    let wikitok = ("wikitok".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
    BTreeMap::from([wikitok, (what.to_owned(), version.to_owned())])
}
