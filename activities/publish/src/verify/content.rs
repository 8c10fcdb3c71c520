//! What must be true inside a data file, whatever wrote it.

use arrow_array::RecordBatch;
use arrow_array::types::{UInt32Type, UInt64Type};
use arrow_schema::DataType;
use bytes::Bytes;

use crate::PublishError;
use crate::nearest::dot;
use crate::read::{Batches, lists, numbers, strings, vectors};

/// What is wrong with a file.
#[derive(Debug)]
pub(super) struct Wrong(pub(super) String);

impl From<PublishError> for Wrong {
    fn from(error: PublishError) -> Self {
        let source = std::error::Error::source(&error);
        Self(source.map_or_else(|| format!("is damaged: {error}"), |source| format!("is damaged: {source}")))
    }
}

/// How far the length of a vector may be from 1.
const NORM_TOLERANCE: f32 = 1e-4;
/// The same where some hundred numbers were rounded to 16 bits.
const NORM_TOLERANCE_F16: f32 = 5e-4;

/// Checks a token file; returns its page ids.
pub(super) fn check_tokens(bytes: Bytes, rows: u64, tokens: u64, characters: u64) -> Result<Vec<u64>, Wrong> {
    let mut sum = TokenSum::default();
    for batch in open_tokens(bytes)? {
        sum.add(&batch?)?;
    }
    equal("rows", sum.page_ids.len() as u64, rows)?;
    equal("tokens", sum.tokens, tokens)?;
    equal("characters", sum.characters, characters)?;
    Ok(sum.page_ids)
}

/// The text is there only where it was to be kept.
fn open_tokens(bytes: Bytes) -> Result<Batches, PublishError> {
    let columns = ["page_id", "tokens", "token_count", "char_count", "text"];
    match Batches::open(bytes.clone(), "tokens", &columns) {
        Err(PublishError::NoColumn { column: "text" }) => Batches::open(bytes, "tokens", &columns[..4]),
        opened => opened,
    }
}

#[derive(Default)]
struct TokenSum {
    page_ids: Vec<u64>,
    tokens: u64,
    characters: u64,
}

impl TokenSum {
    fn add(&mut self, batch: &RecordBatch) -> Result<(), Wrong> {
        let page_ids = numbers::<UInt64Type>(batch, "page_id")?;
        let token_counts = numbers::<UInt32Type>(batch, "token_count")?;
        let char_counts = numbers::<UInt32Type>(batch, "char_count")?;
        let tokens = lists(batch, "tokens")?;
        for row in 0..batch.num_rows() {
            let page_id = page_ids.value(row);
            let (counted, found) = (token_counts.value(row), tokens.value_length(row) as u32);
            row_equal(page_id, "token ids", u64::from(found), u64::from(counted))?;
            self.tokens += u64::from(found);
            self.characters += u64::from(char_counts.value(row));
            self.page_ids.push(page_id);
        }
        check_characters(batch)
    }
}

fn check_characters(batch: &RecordBatch) -> Result<(), Wrong> {
    if batch.column_by_name("text").is_none() {
        return Ok(());
    }
    let page_ids = numbers::<UInt64Type>(batch, "page_id")?;
    let char_counts = numbers::<UInt32Type>(batch, "char_count")?;
    let texts = strings(batch, "text")?;
    for row in 0..batch.num_rows() {
        let found = texts.value(row).chars().count() as u64;
        row_equal(page_ids.value(row), "characters", found, u64::from(char_counts.value(row)))?;
    }
    Ok(())
}

/// Checks a vector file, and that it has the passages of `page_ids` in their order, where those are known.
pub(super) fn check_vectors(
    bytes: Bytes,
    rows: u64,
    normalized: bool,
    page_ids: Option<&[u64]>,
) -> Result<(), Wrong> {
    let mut sum = VectorSum { normalized, ..VectorSum::default() };
    for batch in Batches::open(bytes, "vectors", &["page_id", "passage", "embedding"])? {
        sum.add(&batch?)?;
    }
    equal("rows", sum.rows, rows)?;
    if page_ids.is_some_and(|page_ids| page_ids != sum.page_ids) {
        return Err(Wrong("does not have the pages of its tokens in their order".to_owned()));
    }
    Ok(())
}

#[derive(Default)]
struct VectorSum {
    /// Whether vectors must be of length one.
    normalized: bool,
    rows: u64,
    page_ids: Vec<u64>,
    /// The passage that comes next, if it is of the last page.
    next: u32,
}

impl VectorSum {
    fn add(&mut self, batch: &RecordBatch) -> Result<(), Wrong> {
        let page_ids = numbers::<UInt64Type>(batch, "page_id")?;
        let passages = numbers::<UInt32Type>(batch, "passage")?;
        let (lists, values) = vectors(batch, "embedding")?;
        let tolerance = self.normalized.then(|| match lists.value_type() {
            DataType::Float16 => NORM_TOLERANCE_F16,
            _ => NORM_TOLERANCE,
        });
        for (row, vector) in values.chunks_exact(lists.value_length().max(1) as usize).enumerate() {
            let (page_id, passage) = (page_ids.value(row), passages.value(row));
            check_length(page_id, passage, tolerance, vector)?;
            self.follow(page_id, passage)?;
        }
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    /// Passage 0 begins a page; any other goes on with the last. Two pages in a row may have the same id.
    fn follow(&mut self, page_id: u64, passage: u32) -> Result<(), Wrong> {
        if passage == 0 {
            self.page_ids.push(page_id);
        } else if passage != self.next || self.page_ids.last() != Some(&page_id) {
            return Err(Wrong(format!("has passage {passage} of page {page_id} out of order")));
        }
        self.next = passage + 1;
        Ok(())
    }
}

/// Without a tolerance, vectors may have any length.
fn check_length(page_id: u64, passage: u32, tolerance: Option<f32>, vector: &[f32]) -> Result<(), Wrong> {
    let norm = dot(vector, vector).sqrt();
    if tolerance.map_or(norm.is_finite(), |tolerance| (norm - 1.0).abs() <= tolerance) {
        return Ok(());
    }
    Err(Wrong(format!("has a vector of length {norm} instead of 1: page {page_id}, passage {passage}")))
}

/// Checks a quarantine file: a JSON object on each line.
pub(super) fn check_quarantine(bytes: &[u8], rows: u64) -> Result<(), Wrong> {
    let lines = bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    let mut found = 0;
    for line in lines {
        found += 1;
        let object: Result<serde::de::IgnoredAny, _> = serde_json::from_slice(line);
        object.map_err(|error| Wrong(format!("has no JSON on line {found}: {error}")))?;
    }
    equal("lines", found, rows)
}

fn equal(what: &str, found: u64, expected: u64) -> Result<(), Wrong> {
    if found == expected {
        return Ok(());
    }
    Err(Wrong(format!("has {found} {what} instead of {expected}")))
}

fn row_equal(page_id: u64, what: &str, found: u64, expected: u64) -> Result<(), Wrong> {
    equal(what, found, expected).map_err(|Wrong(problem)| Wrong(format!("{problem}: page {page_id}")))
}
