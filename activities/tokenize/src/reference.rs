//! The reference is `tiktoken-rs`: slower, older, and what our ids are held against.

use tiktoken_rs::CoreBPE;

use crate::Encoding;

/// Text longer than this may take the reference minutes, where it is one word.
const LONGEST_BYTES: usize = 256 << 10;

/// An encoding as `tiktoken-rs` has it.
pub struct Reference {
    encoder: &'static CoreBPE,
}

impl Reference {
    /// Loads an encoding.
    pub fn new(encoding: Encoding) -> Self {
        let encoder = match encoding {
            Encoding::Cl100kBase => tiktoken_rs::cl100k_base_singleton(),
            Encoding::O200kBase => tiktoken_rs::o200k_base_singleton(),
        };
        Self { encoder }
    }

    /// The ids of `text`, or `None` where it is so long that it might never come to an end.
    pub fn encode_ordinary(&self, text: &str) -> Option<Vec<u32>> {
        (text.len() <= LONGEST_BYTES).then(|| self.encoder.encode_ordinary(text))
    }
}
