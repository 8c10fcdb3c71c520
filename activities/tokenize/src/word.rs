//! A word without end: a piece of text in which the splitter finds no place to cut, of any length.
//!
//! Merging byte pairs takes some hundred bytes of memory for each byte of the word, so a word of tens of
//! megabytes is encoded in windows. What makes that exact is a property of byte-pair encoding: a sequence of
//! tokens is the encoding of its text if, and only if, each two neighbours are that of theirs
//! (<https://github.blog/ai-and-ml/llms/so-many-tokens-so-little-time-introducing-a-faster-more-flexible-byte-pair-tokenizer/>).
//! So the tokens of a window are those of the word up to near the window's end, where the cut may have changed
//! them. The last ones are given up, and the next window begins with the first of these. When it comes out the
//! same in there, all neighbours are neighbours within one window, and the whole is the encoding of the word.

use crate::{TokenizeError, Tokenizer};

/// How much of the word is encoded at once.
const WINDOW_BYTES: usize = 128 << 10;
/// How many tokens at a window's end are given up at first: a cut is seldom felt for more than two or three.
const GIVEN_UP: usize = 16;

/// The ids of a long word, window by window.
pub(crate) struct Windows<'a> {
    tokenizer: &'a Tokenizer,
    rest: &'a [u8],
    window_bytes: usize,
    /// The ids of `rest` up to the window's end, once they are known.
    ready: Option<Vec<u32>>,
}

impl<'a> Windows<'a> {
    pub(crate) fn new(tokenizer: &'a Tokenizer, word: &'a str) -> Self {
        Self::of(tokenizer, word, WINDOW_BYTES)
    }

    fn of(tokenizer: &'a Tokenizer, word: &'a str, window_bytes: usize) -> Self {
        Self { tokenizer, rest: word.as_bytes(), window_bytes, ready: None }
    }

    fn encode(&self, bytes: &[u8]) -> Result<Vec<u32>, TokenizeError> {
        self.tokenizer.encode_piece(bytes)
    }

    fn bytes_of(&self, id: u32) -> usize {
        self.tokenizer.bytes_of(id).map_or(0, <[u8]>::len)
    }

    fn window(&self, from: usize, bytes: usize) -> &'a [u8] {
        &self.rest[from..self.rest.len().min(from.saturating_add(bytes))]
    }

    /// The ids that are sure, and the window that goes on after them.
    ///
    /// A window that cannot be joined with the next one is made longer; at last it holds all of the word.
    fn advance(&mut self) -> Result<Vec<u32>, TokenizeError> {
        let mut bytes = self.window_bytes;
        let mut ids = match self.ready.take() {
            Some(ids) => ids,
            None => self.encode(self.window(0, bytes))?,
        };
        while bytes < self.rest.len() {
            let mut given_up = GIVEN_UP;
            while given_up < ids.len() {
                let keep = ids.len() - given_up;
                let kept: usize = ids[..keep].iter().map(|&id| self.bytes_of(id)).sum();
                let next = self.encode(self.window(kept, self.window_bytes))?;
                if next.first() == ids.get(keep) {
                    ids.truncate(keep);
                    self.rest = &self.rest[kept..];
                    self.ready = Some(next);
                    return Ok(ids);
                }
                given_up = given_up.saturating_mul(8);
            }
            bytes = bytes.saturating_mul(2);
            ids = self.encode(self.window(0, bytes))?;
        }
        self.rest = &[];
        Ok(ids)
    }
}

impl Iterator for Windows<'_> {
    type Item = Result<Vec<u32>, TokenizeError>;

    fn next(&mut self) -> Option<Self::Item> {
        (!self.rest.is_empty()).then(|| self.advance())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Encoding;

    fn in_windows(tokenizer: &Tokenizer, word: &str, window_bytes: usize) -> Vec<u32> {
        Windows::of(tokenizer, word, window_bytes).flat_map(Result::unwrap).collect()
    }

    fn tokenizers() -> [Tokenizer; 2] {
        Encoding::ALL.map(|encoding| Tokenizer::new(encoding).unwrap())
    }

    #[test]
    fn a_word_in_windows_is_the_word() {
        let tokenizers = tokenizers();
        let unit = prop_oneof![
            "[a-z]{1,12}",
            "[a-eé漢字กは]{1,9}",
            "[ \t\n]{1,5}",
            "[!-/]{1,6}",
            "\\PC{1,5}",
            "x|xy|  |=|漢",
        ];
        let word = prop_oneof![
            (unit.clone(), 1usize..400).prop_map(|(unit, times)| unit.repeat(times)),
            (unit.clone(), unit.clone(), 1usize..100, 1usize..100)
                .prop_map(|(a, b, m, n)| a.repeat(m) + &b.repeat(n)),
            proptest::collection::vec(unit, 1..150).prop_map(|units| units.concat()),
        ];
        proptest!(ProptestConfig::with_cases(1024), |(word in word, window in 40usize..300)| {
            for tokenizer in &tokenizers {
                let whole = tokenizer.merge(word.as_bytes());
                prop_assert_eq!(in_windows(tokenizer, &word, window), whole);
            }
        });
    }

    /// What the property that windows rest on presumes of a vocabulary.
    #[test]
    fn every_token_is_the_encoding_of_itself() {
        for tokenizer in tokenizers() {
            for id in 0..200_000 {
                let Some(bytes) = tokenizer.bytes_of(id) else { continue };
                assert_eq!(tokenizer.merge(bytes), [id], "{bytes:?}");
            }
        }
    }
}
