//! A sample is some articles of an output, spread evenly over it, to be held against a second opinion.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{UInt32Type, UInt64Type};
use bytes::Bytes;
use wikitok_store::Location;

use crate::commit::{committed_shard, read_run};
use crate::nearest::blocking;
use crate::read::{Batches, lists, numbers, strings};
use crate::{FileEntry, Problem, PublishError, keys};

/// An article of a sample.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SampledArticle {
    /// The page.
    pub page_id: u64,
    /// Its text.
    pub text: String,
    /// The token ids that the output has for it.
    pub tokens: Vec<u32>,
}

/// Says what is wrong with an article, if anything is.
pub type Judge = Arc<dyn Fn(&SampledArticle) -> Option<String> + Send + Sync>;

/// What came of a sample.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Sample {
    /// Articles that were judged.
    pub articles: u64,
    /// What is wrong with some of them.
    pub problems: Vec<Problem>,
}

/// Has `judge` look at `articles` articles of a published output, or at all when there are not so many.
///
/// One file is held at a time, and only files with an article of the sample are read. The output must have been
/// written with its texts.
pub async fn sample(output: &Location, articles: u64, judge: Judge) -> Result<Sample, PublishError> {
    let run = read_run(output).await?.ok_or_else(|| PublishError::Missing { key: keys::RUN.to_owned() })?;
    let every = Every::of(run.counts.articles, articles);
    let (mut sample, mut before) = (Sample::default(), 0);
    for shard in &run.shards {
        let manifest = committed_shard(output, &shard.shard).await?;
        let manifest = manifest.ok_or_else(|| PublishError::Missing { key: shard.shard.clone() })?;
        for file in manifest.files.into_iter().filter(|file| keys::is_tokens(&file.key)) {
            let rows = every.within(before, file.rows);
            before += file.rows;
            if !rows.is_empty() {
                let bytes = output.get(&file.key).await?;
                sample.take(look(bytes, file, rows, judge.clone()).await?);
            }
        }
    }
    Ok(sample)
}

impl Sample {
    fn take(&mut self, more: Self) {
        self.articles += more.articles;
        self.problems.extend(more.problems);
    }
}

/// Every so manieth of a number of articles.
#[derive(Clone, Copy)]
struct Every {
    articles: u64,
    wanted: u64,
}

impl Every {
    fn of(articles: u64, wanted: u64) -> Self {
        Self { articles, wanted: wanted.min(articles) }
    }

    /// Which rows of a file are in the sample, when `before` articles lie before it.
    fn within(self, before: u64, rows: u64) -> Vec<u64> {
        let chosen = (0..self.wanted)
            .map(|number| (u128::from(number) * u128::from(self.articles) / u128::from(self.wanted)) as u64);
        chosen
            .skip_while(|&row| row < before)
            .take_while(|&row| row < before + rows)
            .map(|row| row - before)
            .collect()
    }
}

async fn look(bytes: Bytes, file: FileEntry, rows: Vec<u64>, judge: Judge) -> Result<Sample, PublishError> {
    blocking(move || {
        let (mut sample, mut first, mut rows) = (Sample::default(), 0, rows.into_iter().peekable());
        for batch in Batches::open(bytes, "tokens", &["page_id", "text", "tokens"])? {
            let batch = batch?;
            let (page_ids, texts) = (numbers::<UInt64Type>(&batch, "page_id")?, strings(&batch, "text")?);
            let tokens = lists(&batch, "tokens")?;
            let end = first + batch.num_rows() as u64;
            while let Some(row) = rows.next_if(|&row| row < end) {
                let row = (row - first) as usize;
                let article = SampledArticle {
                    page_id: page_ids.value(row),
                    text: texts.value(row).to_owned(),
                    tokens: tokens.value(row).as_primitive::<UInt32Type>().values().to_vec(),
                };
                sample.articles += 1;
                let problem = judge(&article);
                sample.problems.extend(problem.map(|problem| Problem { key: file.key.clone(), problem }));
            }
            first = end;
        }
        Ok(sample)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_spread_evenly_and_as_large_as_asked() {
        for (articles, wanted) in [(100, 10), (7, 3), (5, 9), (1, 1), (0, 4), (1_000_003, 50)] {
            let every = Every::of(articles, wanted);
            let rows = every.within(0, articles);
            assert_eq!(rows.len() as u64, wanted.min(articles));
            assert!(rows.is_sorted_by(|a, b| a < b));
            let half = articles / 2;
            let mut halves = every.within(0, half);
            halves.extend(every.within(half, articles - half).into_iter().map(|row| row + half));
            assert_eq!(halves, rows);
        }
    }
}
