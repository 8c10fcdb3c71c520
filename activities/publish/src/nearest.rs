//! The passages nearest to a query, by exact search over all vectors.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::ops::Range;

use arrow_array::types::{UInt32Type, UInt64Type};
use arrow_array::{RecordBatch, UInt32Array};
use bytes::Bytes;
use wikitok_store::Location;

use crate::read::{Batches, numbers, strings, vectors};
use crate::vectors::{CHAR_END, CHAR_START};
use crate::{PublishError, keys};

/// A passage and how near it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// The page.
    pub page_id: u64,
    /// Its title.
    pub title: String,
    /// The passage within the page.
    pub passage: u32,
    /// The cosine of the angle between the query and the passage: 1 is the same direction.
    pub score: f32,
    /// Its characters in the text, where the output has them: where articles are cut into passages.
    pub characters: Option<Range<u32>>,
    /// The shard that the page is in.
    pub shard: String,
    /// The part of the shard.
    pub part: u32,
}

/// The text of each passage, in the order of the hits; `None` where the output does not say which it is, or holds no
/// text.
pub async fn passage_texts(output: &Location, hits: &[Hit]) -> Result<Vec<Option<String>>, PublishError> {
    let mut texts = vec![None; hits.len()];
    let parts: BTreeSet<(&str, u32)> = hits.iter().map(|hit| (hit.shard.as_str(), hit.part)).collect();
    for (shard, part) in parts {
        let of_part = |(_, hit): &(usize, &Hit)| (hit.shard.as_str(), hit.part) == (shard, part);
        let wanted = hits.iter().enumerate().filter(of_part).map(|(at, hit)| (at, hit.clone()));
        let wanted: Vec<(usize, Hit)> = wanted.collect();
        if wanted.iter().all(|(_, hit)| hit.characters.is_none()) {
            continue;
        }
        let bytes = output.get(&keys::tokens(shard, part)?).await?;
        for (at, text) in blocking(move || texts_of(bytes, &wanted)).await? {
            texts[at] = Some(text);
        }
    }
    Ok(texts)
}

/// Of two pages with one id in a part, the first whose text reaches that far is taken.
fn texts_of(bytes: Bytes, wanted: &[(usize, Hit)]) -> Result<Vec<(usize, String)>, PublishError> {
    let batches = match crate::read_texts(bytes) {
        Err(PublishError::NoColumn { .. }) => return Ok(Vec::new()),
        batches => batches?,
    };
    let mut found = BTreeMap::new();
    for batch in batches {
        for text in batch? {
            for (at, hit) in wanted.iter().filter(|(_, hit)| hit.page_id == text.page_id) {
                if let Some(cut) = hit.characters.as_ref().and_then(|range| cut(&text.text, range)) {
                    found.entry(*at).or_insert(cut);
                }
            }
        }
    }
    Ok(found.into_iter().collect())
}

fn cut(text: &str, characters: &Range<u32>) -> Option<String> {
    let count = characters.len();
    let cut: String = text.chars().skip(characters.start as usize).take(count).collect();
    (cut.chars().count() == count).then_some(cut)
}

/// The `k` passages nearest to `query`, the nearest first, equals by page id and passage.
///
/// Every vector under `vectors/` is compared: exact, and linear in their number. One part is held at a
/// time. A vector of zeros is at a right angle to everything.
pub async fn nearest(output: &Location, query: &[f32], k: usize) -> Result<Vec<Hit>, PublishError> {
    let mut best = Best::new(unit(query)?, k);
    for object in output.list("vectors").await? {
        let Some((shard, part)) = keys::part_of_vectors(&object.key) else { continue };
        let (shard, bytes) = (shard.to_owned(), output.get(&object.key).await?);
        best = blocking(move || best.with_part(&shard, part, bytes)).await?;
    }
    Ok(best.into_hits())
}

/// Runs what takes long off the asynchronous threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PublishError> + Send + 'static,
) -> Result<T, PublishError> {
    tokio::task::spawn_blocking(work).await.map_err(|source| PublishError::Thread { source })?
}

fn unit(query: &[f32]) -> Result<Vec<f32>, PublishError> {
    let norm = dot(query, query).sqrt();
    if !norm.is_finite() || norm == 0.0 {
        let reason = "is zero or not finite".to_owned();
        return Err(PublishError::BadQuery { reason });
    }
    Ok(query.iter().map(|number| number / norm).collect())
}

/// The rows of a part, with the passages' places if it has them.
fn open(bytes: Bytes) -> Result<Batches, PublishError> {
    let columns = ["page_id", "title", "passage", "embedding", CHAR_START, CHAR_END];
    match Batches::open(bytes.clone(), "vectors", &columns) {
        Err(PublishError::NoColumn { column: CHAR_START }) => Batches::open(bytes, "vectors", &columns[..4]),
        opened => opened,
    }
}

/// Starts and ends of the passages of a batch, in characters.
type Places<'a> = (&'a UInt32Array, &'a UInt32Array);

fn places(batch: &RecordBatch) -> Result<Option<Places<'_>>, PublishError> {
    if batch.column_by_name(CHAR_START).is_none() {
        return Ok(None);
    }
    Ok(Some((numbers::<UInt32Type>(batch, CHAR_START)?, numbers::<UInt32Type>(batch, CHAR_END)?)))
}

/// The best hits so far; the worst of them on top of the heap.
struct Best {
    query: Vec<f32>,
    k: usize,
    heap: BinaryHeap<Reverse<Ranked>>,
}

impl Best {
    fn new(query: Vec<f32>, k: usize) -> Self {
        Self { query, k, heap: BinaryHeap::new() }
    }

    fn with_part(mut self, shard: &str, part: u32, bytes: Bytes) -> Result<Self, PublishError> {
        for batch in open(bytes)? {
            self.add_batch(shard, part, &batch?)?;
        }
        Ok(self)
    }

    fn add_batch(&mut self, shard: &str, part: u32, batch: &RecordBatch) -> Result<(), PublishError> {
        let page_ids = numbers::<UInt64Type>(batch, "page_id")?;
        let passages = numbers::<UInt32Type>(batch, "passage")?;
        let titles = strings(batch, "title")?;
        let places = places(batch)?;
        let (lists, values) = vectors(batch, "embedding")?;
        self.check_dimension(lists.value_length() as usize)?;
        for (row, vector) in values.chunks_exact(self.query.len()).enumerate() {
            let score = cosine(&self.query, vector);
            self.offer(score, page_ids.value(row), passages.value(row), || Hit {
                page_id: page_ids.value(row),
                title: titles.value(row).to_owned(),
                passage: passages.value(row),
                score,
                characters: places.map(|(starts, ends)| starts.value(row)..ends.value(row)),
                shard: shard.to_owned(),
                part,
            });
        }
        Ok(())
    }

    fn check_dimension(&self, dimension: usize) -> Result<(), PublishError> {
        if dimension == self.query.len() {
            return Ok(());
        }
        let reason = format!("has {} numbers, but those in the output have {dimension}", self.query.len());
        Err(PublishError::BadQuery { reason })
    }

    /// Keeps a hit if it is among the best; only then is it made.
    fn offer(&mut self, score: f32, page_id: u64, passage: u32, hit: impl FnOnce() -> Hit) {
        if self.heap.len() == self.k {
            let Some(Reverse(worst)) = self.heap.peek() else { return };
            let worst = &worst.0;
            if order((worst.score, worst.page_id, worst.passage), (score, page_id, passage)).is_ge() {
                return;
            }
            self.heap.pop();
        }
        self.heap.push(Reverse(Ranked(hit())));
    }

    fn into_hits(self) -> Vec<Hit> {
        self.heap.into_sorted_vec().into_iter().map(|Reverse(Ranked(hit))| hit).collect()
    }
}

/// A hit that is greater the better it is.
struct Ranked(Hit);

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        let (a, b) = (&self.0, &other.0);
        order((a.score, a.page_id, a.passage), (b.score, b.page_id, b.passage))
            .then_with(|| b.shard.cmp(&a.shard))
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ranked {}

/// Greater is better: a greater score, then a smaller page id, then an earlier passage.
fn order(a: (f32, u64, u32), b: (f32, u64, u32)) -> Ordering {
    a.0.total_cmp(&b.0).then_with(|| b.1.cmp(&a.1)).then_with(|| b.2.cmp(&a.2))
}

fn cosine(unit_query: &[f32], vector: &[f32]) -> f32 {
    let norm = dot(vector, vector).sqrt();
    if norm == 0.0 { 0.0 } else { (dot(unit_query, vector) / norm).clamp(-1.0, 1.0) }
}

/// Eight sums side by side, which the compiler keeps in one register.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 8];
    let (a, b) = (a.chunks(8), b.chunks(8));
    for (a, b) in a.zip(b) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hits(scores: &[(f32, u64)], k: usize) -> Vec<u64> {
        let mut best = Best::new(vec![1.0], k);
        for &(score, page_id) in scores {
            let (title, shard) = (String::new(), String::new());
            let hit = || Hit { page_id, title, passage: 0, score, characters: None, shard, part: 0 };
            best.offer(score, page_id, 0, hit);
        }
        best.into_hits().into_iter().map(|hit| hit.page_id).collect()
    }

    #[test]
    fn the_best_come_first_and_equals_by_page_id() {
        let scores = [(0.5, 9), (0.9, 3), (0.5, 2), (0.1, 1), (0.5, 4)];
        assert_eq!(hits(&scores, 3), [3, 2, 4]);
        assert_eq!(hits(&scores, 10), [3, 2, 4, 9, 1]);
        assert_eq!(hits(&scores, 0), [0u64; 0]);
    }

    #[test]
    fn products_of_any_length_are_summed() {
        let numbers: Vec<f32> = (0u8..19).map(f32::from).collect();
        assert!((dot(&numbers, &numbers) - 2109.0).abs() < 1e-3);
    }
}
