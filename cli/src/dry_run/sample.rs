//! The beginning of the first shard, read, tokenized, written and, where the model is here, embedded, on this machine
//! and now.

use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;
use wikitok_activities::plan;
use wikitok_dump::{ByteRange, Compression, RangeInput, RangeLimits, ReadAt, Record};
use wikitok_embed::EmbedderOptions;
use wikitok_publish::{TokenPartOptions, TokenPartWriter, TokenRow};
use wikitok_tokenize::Tokenizer;
use wikitok_workflows::contract::Run;

use super::vectors::Vectors;
use crate::output::thousands;

/// Compressed bytes of the sample: some seconds of work.
const SAMPLE_BYTES: u64 = 4 << 20;
/// Articles of it that are embedded.
const SAMPLE_TEXTS: usize = 24;

/// What the run would take, all of it, by the sample.
#[derive(Serialize)]
pub(super) struct Estimate {
    pub(super) articles: u64,
    pub(super) tokens: u64,
    /// Of vectors only where the model could be tried.
    pub(super) output_bytes: u64,
    /// Seconds of one core like one of this machine.
    pub(super) cpu_seconds: f64,
    /// Vectors, where the model could be tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) vectors: Option<u64>,
    /// Seconds of embedding on this machine's device, with all its cores; none where it could not be tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) embed_seconds: Option<f64>,
    /// What the estimate rests on.
    pub(super) rests_on: String,
}

/// What the beginning of the first shard gave.
pub(super) struct Sample {
    compressed_bytes: u64,
    articles: u64,
    tokens: u64,
    part_bytes: u64,
    cpu_seconds: f64,
    /// What some articles of it take to embed; none where the model could not be tried, and why.
    vectors: Result<Vectors, String>,
}

impl Sample {
    pub(super) fn take(
        source: Arc<dyn ReadAt>,
        compression: Compression,
        run: &Run,
        embedder: &EmbedderOptions,
    ) -> anyhow::Result<Self> {
        let bytes = SAMPLE_BYTES.min(source.len());
        let range = match compression {
            Compression::Bzip2 => RangeInput::Blocks(ByteRange { from: 0, to: bytes }),
            Compression::Gzip => RangeInput::Stream { start: None, consume_bytes: bytes },
        };
        let tokenizer = Tokenizer::new(run.configuration.encoding.parse()?)?;
        let options =
            TokenPartOptions { keep_text: run.configuration.keep_text, ..TokenPartOptions::default() };
        let (mut part, mut texts, mut articles) = (TokenPartWriter::new(options)?, Vec::new(), 0);
        let began = Instant::now();
        let mut reader = wikitok_dump::open_range(source, &range, RangeLimits::default())?
            .wanting(plan::wanted(&run.configuration));
        while let Some(record) = reader.next()? {
            let Record::Article(article) = record else { continue };
            articles += 1;
            let tokens = tokenizer.encode_ordinary(&article.text)?;
            if texts.len() < SAMPLE_TEXTS {
                texts.push(article.text.clone());
            }
            let (page_id, title, text) = (article.page_id, article.title, article.text);
            let (revision_id, timestamp) = (article.revision_id, article.timestamp);
            part.push(TokenRow { page_id, title, revision_id, timestamp, text, tokens })?;
        }
        let (tokens, part) = (part.tokens(), part.finish()?);
        let cpu_seconds = began.elapsed().as_secs_f64();
        let vectors = match &run.configuration.embedding {
            Some(_) if texts.is_empty() => Err("no article is in the sample".to_owned()),
            Some(asked) => Vectors::of(&texts, asked, embedder).map_err(|error| format!("{error:#}")),
            None => Err("no vectors are asked for".to_owned()),
        };
        let part_bytes = part.content.len();
        Ok(Self { compressed_bytes: bytes, articles, tokens, part_bytes, cpu_seconds, vectors })
    }

    /// The whole, if all of it is like the sample; of a limit, the share that it leaves.
    pub(super) fn estimate(&self, bytes: u64, run: &Run) -> Estimate {
        let whole = bytes as f64 / self.compressed_bytes.max(1) as f64;
        let articles = self.articles as f64 * whole;
        let share = match run.configuration.limit {
            Some(limit) if articles > 0.0 => (limit as f64 / articles).min(1.0),
            _ => 1.0,
        };
        let times = whole * share;
        let articles = articles * share;
        let vectors = self.vectors.as_ref().ok().map(|sample| sample.times(articles / sample.texts as f64));
        let vector_bytes = vectors.as_ref().map_or(0.0, |vectors| vectors.bytes);
        Estimate {
            articles: articles.round() as u64,
            tokens: (self.tokens as f64 * times) as u64,
            output_bytes: (self.part_bytes as f64 * times + vector_bytes) as u64,
            cpu_seconds: (self.cpu_seconds * times).round(),
            vectors: vectors.as_ref().map(|vectors| vectors.count.round() as u64),
            embed_seconds: vectors.map(|vectors| vectors.seconds.round()),
            rests_on: self.rests_on(run),
        }
    }

    fn rests_on(&self, run: &Run) -> String {
        let embedded = match &self.vectors {
            Ok(vectors) => format!("; {} of them embedded", vectors.texts),
            Err(why) if run.configuration.embedding.is_some() => format!("; vectors are not counted: {why}"),
            Err(_) => String::new(),
        };
        format!(
            "the first {:.1} MB of the first shard, {} articles, read, tokenized and written on one core of this \
             machine{embedded}",
            self.compressed_bytes as f64 / 1e6,
            thousands(self.articles)
        )
    }
}
