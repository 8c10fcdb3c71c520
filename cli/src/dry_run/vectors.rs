//! Some articles, embedded as the run would.

use std::time::Instant;

use wikitok_embed::{Embedder, EmbedderOptions, PassageOptions};
use wikitok_workflows::contract::Embedding;

/// Passages that are embedded, of all that the texts have.
const PASSAGES: usize = 32;

/// What texts take to embed.
pub(super) struct Vectors {
    pub(super) texts: usize,
    pub(super) count: f64,
    /// In their files: numbers hardly compress.
    pub(super) bytes: f64,
    pub(super) seconds: f64,
}

impl Vectors {
    /// Embeds the texts, with the model that is here.
    pub(super) fn of(texts: &[String], asked: &Embedding, options: &EmbedderOptions) -> anyhow::Result<Self> {
        let embedder = Embedder::load(options)?;
        let passages = passages(&embedder, texts, asked)?;
        let count = passages.len();
        let some: Vec<_> = passages.iter().step_by(count.div_ceil(PASSAGES).max(1)).collect();
        let batch = asked.batch_word_pieces.map(|pieces| pieces as usize);
        let began = Instant::now();
        embedder.embed(&some, batch, &|_| true)?;
        let seconds = began.elapsed().as_secs_f64() * count as f64 / some.len().max(1) as f64;
        let number_bytes = if asked.vector_type == "f16" { 2 } else { 4 };
        let bytes = (count * embedder.identity().dimensions * number_bytes) as f64;
        Ok(Self { texts: texts.len(), count: count as f64, bytes, seconds })
    }

    /// Those of so many times the texts.
    pub(super) fn times(&self, times: f64) -> Self {
        let Self { texts, count, bytes, seconds } = *self;
        Self { texts, count: count * times, bytes: bytes * times, seconds: seconds * times }
    }
}

/// What there is a vector for.
fn passages(embedder: &Embedder, texts: &[String], asked: &Embedding) -> anyhow::Result<Vec<String>> {
    let prefix = &asked.passage_prefix;
    let Some(cut) = asked.passages else {
        return Ok(texts.iter().map(|text| format!("{prefix}{text}")).collect());
    };
    let options = PassageOptions { word_pieces: cut.word_pieces as usize, overlap: cut.overlap as usize };
    let mut passages = Vec::new();
    for (row, text) in texts.iter().enumerate() {
        for passage in embedder.passages(row, text, prefix, options)? {
            passages.push(format!("{prefix}{}", &text[passage?.bytes]));
        }
    }
    Ok(passages)
}
