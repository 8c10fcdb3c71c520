//! [`Tokenizer`]: an encoding, loaded.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use splintr::core::byte_pair_encode;
use splintr::{AnyTokenizer, Backend, PolicyError, SpecialMode};

use crate::splitter::{self, Splitter};
use crate::{Encoding, TokenizeError};

/// How much text may pass before the engine must forget what it has cached.
///
/// The engine remembers the ids of pieces it has merged, in a table of fixed length whose entries grow to
/// the longest piece they have held. Words are short, but text without spaces is one piece: a hostile
/// dump could make each of thousands of entries megabytes long. What is cached is at most what has passed
/// since the last time: 5 bytes for each byte of text at worst, with room to grow twice that.
const FORGET_AFTER_BYTES: usize = 32 << 20;

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
        self.forget_in_time(text.len());
        let failed = |reason: String| TokenizeError::Text { bytes: text.len(), reason };
        // A panic in the engine would take the worker's thread, and on every retry again.
        catch_unwind(AssertUnwindSafe(|| self.encode(text)))
            .map_err(|_| failed("the engine panicked".to_owned()))?
            .map_err(|error| failed(error.to_string()))
    }

    fn encode(&self, text: &str) -> Result<Vec<u32>, PolicyError> {
        match self.engine.backend() {
            Backend::Bpe(engine) if splitter::is_needed(text) => {
                let merge = |piece: &str| byte_pair_encode(piece.as_bytes(), engine.encoder());
                Ok(self.splitter.split(text).flat_map(merge).collect())
            }
            _ => self.engine.encode_with(text, &SpecialMode::Ordinary),
        }
    }

    fn forget_in_time(&self, bytes: usize) {
        let passed = self.passed_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if passed >= FORGET_AFTER_BYTES {
            self.passed_bytes.store(0, Ordering::Relaxed);
            if let Backend::Bpe(engine) = self.engine.backend() {
                engine.clear_cache();
            }
        }
    }
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
        let Backend::Bpe(engine) = tokenizer.engine.backend() else { panic!("a byte-pair backend") };
        let mut text = "qzjx".repeat(1 << 18);
        let mut held = Vec::new();
        for round in 0..80u8 {
            text.insert(0, char::from(b'a' + round % 26));
            tokenizer.encode_ordinary(&text).unwrap();
            held.push(engine.cache_len());
        }
        let limit = FORGET_AFTER_BYTES >> 20;
        assert!(held.iter().any(|&pieces| pieces > 1), "the engine caches no more: drop the forgetting");
        assert!(held.iter().all(|&pieces| pieces <= limit + 1), "{held:?}");
    }
}
