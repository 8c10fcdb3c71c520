//! [`Tokenizer`]: an encoding, loaded.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use splintr::core::byte_pair_encode;
use splintr::{AnyTokenizer, Backend, PolicyError, SpecialMode};

use crate::splitter::{self, Splitter};
use crate::{Encoding, Stretches, TokenizeError};

/// How much text may pass before the engine must forget what it has cached.
///
/// The engine remembers the ids of pieces it has merged, in a table of fixed length whose entries grow to
/// the longest piece they have held. Words are short, but text without spaces is one piece: a hostile
/// dump could make each of thousands of entries a stretch long. What is cached is at most what has passed
/// since the last time: 5 bytes for each byte of text at worst, with room to grow twice that.
const FORGET_AFTER_BYTES: usize = 16 << 20;

/// An encoding, loaded. Made once and shared by threads.
pub struct Tokenizer {
    encoding: Encoding,
    engine: AnyTokenizer,
    splitter: Splitter,
    passed_bytes: AtomicUsize,
}

impl Tokenizer {
    /// Loads an encoding; the vocabulary is part of the binary. Takes some tens of milliseconds.
    pub fn new(encoding: Encoding) -> Result<Self, TokenizeError> {
        let engine = splintr::from_pretrained(encoding.name())
            .map_err(|source| TokenizeError::Vocabulary { encoding, source })?;
        let splitter = Splitter::new(encoding);
        Ok(Self { encoding, engine, splitter, passed_bytes: AtomicUsize::new(0) })
    }

    /// The encoding.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// The library that does the work and its version, which decide the ids: for manifests.
    pub fn engine(&self) -> &'static str {
        "splintr 0.22.0"
    }

    /// The ids of `text`, as tiktoken's `encode_ordinary` gives them.
    ///
    /// Special tokens are not known: `<|endoftext|>` is text. Takes time in proportion to the text, or
    /// little more where it has no spaces, and never panics.
    pub fn encode_ordinary(&self, text: &str) -> Result<Vec<u32>, TokenizeError> {
        let mut ids = Vec::new();
        for stretch in self.stretches(text) {
            let stretch = stretch?;
            if ids.is_empty() { ids = stretch } else { ids.extend(stretch) }
        }
        Ok(ids)
    }

    /// The same ids, a stretch of the text at a time: some ten milliseconds of work each, and some megabytes of
    /// memory, however long the text.
    pub fn stretches<'a>(&'a self, text: &'a str) -> Stretches<'a> {
        Stretches::new(self, text)
    }

    /// The ids of a stretch that the engine may split.
    pub(crate) fn encode_stretch(&self, text: &str) -> Result<Vec<u32>, TokenizeError> {
        if splitter::is_needed(text) {
            return self.encode_split(text);
        }
        self.forget_in_time(text.len());
        guarded(text.len(), || self.engine.encode_with(text, &SpecialMode::Ordinary))
    }

    /// The ids of a stretch that is split by tiktoken's rule.
    pub(crate) fn encode_split(&self, text: &str) -> Result<Vec<u32>, TokenizeError> {
        guarded(text.len(), || Ok(self.split(text).flat_map(|piece| self.merge(piece.as_bytes())).collect()))
    }

    /// The pieces of `text`, within which byte pairs are merged.
    pub(crate) fn split<'t>(&self, text: &'t str) -> impl Iterator<Item = &'t str> {
        self.splitter.split(text)
    }

    /// The ids of one piece, or of any part of one.
    pub(crate) fn encode_piece(&self, piece: &[u8]) -> Result<Vec<u32>, TokenizeError> {
        guarded(piece.len(), || Ok(self.merge(piece)))
    }

    pub(crate) fn merge(&self, piece: &[u8]) -> Vec<u32> {
        byte_pair_encode(piece, self.pairs().encoder())
    }

    /// What an id stands for; nothing for one that the encoding does not have.
    pub(crate) fn bytes_of(&self, id: u32) -> Option<&[u8]> {
        self.pairs().decoder().get(id)
    }

    /// The engine's vocabulary and merges.
    fn pairs(&self) -> &splintr::Tokenizer {
        match self.engine.backend() {
            Backend::Bpe(pairs) => pairs,
            _ => unreachable!("every encoding is one of byte pairs"),
        }
    }

    fn forget_in_time(&self, bytes: usize) {
        let passed = self.passed_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if passed >= FORGET_AFTER_BYTES {
            self.passed_bytes.store(0, Ordering::Relaxed);
            self.pairs().clear_cache();
        }
    }
}

/// Runs the engine. A panic in there would take the worker's thread, and on every retry again.
fn guarded(
    bytes: usize,
    encode: impl FnOnce() -> Result<Vec<u32>, PolicyError>,
) -> Result<Vec<u32>, TokenizeError> {
    let failed = |reason: String| TokenizeError::Text { bytes, reason };
    catch_unwind(AssertUnwindSafe(encode))
        .map_err(|_| failed("the engine panicked".to_owned()))?
        .map_err(|error| failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokenizers_are_shared_by_threads() {
        fn shared<T: Send + Sync>(_: &T) {}
        shared(&Tokenizer::new(Encoding::default()).unwrap());
    }

    #[test]
    fn the_engine_named_is_the_engine_built_in() {
        let lock = include_str!("../../../Cargo.lock");
        let tokenizer = Tokenizer::new(Encoding::default()).unwrap();
        let (name, version) = tokenizer.engine().split_once(' ').unwrap();
        assert!(lock.contains(&format!("name = \"{name}\"\nversion = \"{version}\"\n")));
    }

    /// Text without spaces is cached as one piece: a dump of nothing else must not fill the memory.
    #[test]
    fn what_is_cached_is_forgotten_in_time() {
        let tokenizer = Tokenizer::new(Encoding::default()).unwrap();
        let engine = tokenizer.pairs();
        let mut held = Vec::new();
        for round in 0..1200 {
            let text = format!("{}{}", "abcdefgh".repeat(round % 7 + 1), "qzjx".repeat((8 << 10) + round));
            tokenizer.encode_ordinary(&text).unwrap();
            held.push(engine.cache_len());
        }
        let limit = FORGET_AFTER_BYTES / (32 << 10);
        assert!(held.iter().any(|&pieces| pieces > 1), "the engine caches no more: drop the forgetting");
        assert!(held.iter().all(|&pieces| pieces <= limit + 1), "{held:?}");
    }
}
