//! A stretch is a piece of a text that is encoded on its own, so that the longest text needs no more memory and
//! no more time between two signs of life than a short one.
//!
//! Most texts are one stretch. A longer one is cut where tiktoken's rule for splitting text is sure to end a
//! piece, whatever comes before and after. Where a text has no such place for long, it is split by the rule
//! itself, and a single word that is too long for that is encoded in [`crate::word`]'s windows.

use std::sync::LazyLock;

use regex::Regex;

use crate::word::Windows;
use crate::{TokenizeError, Tokenizer};

/// About so much text is encoded at once.
const STRETCH_BYTES: usize = 64 << 10;

/// Where both encodings' rules are sure to cut: behind the last of the letters or digits in a row.
///
/// No alternative of the rules looks back, and those that take letters or digits take nothing after them but
/// a contraction, which begins with an apostrophe; marks count as letters in one of the rules. So a piece ends
/// there, and what follows is split as if it began the text.
static CUT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\p{L}([^\p{L}\p{M}'])|\p{N}([^\p{N}])").expect("the rule is a regular expression")
});

/// The ids of a text, stretch by stretch. See [`Tokenizer::stretches`].
pub struct Stretches<'a> {
    tokenizer: &'a Tokenizer,
    rest: &'a str,
    /// Bytes of `rest` up to the next place that can be cut; they are split by the rule, piece by piece.
    uncut: usize,
    /// The word that is being encoded in windows.
    word: Option<Windows<'a>>,
}

impl<'a> Stretches<'a> {
    pub(crate) fn new(tokenizer: &'a Tokenizer, text: &'a str) -> Self {
        Self { tokenizer, rest: text, uncut: 0, word: None }
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        taken
    }

    fn next_window(&mut self) -> Option<Result<Vec<u32>, TokenizeError>> {
        let window = self.word.as_mut()?.next();
        if window.is_none() {
            self.word = None;
        }
        window
    }

    /// The next pieces by the rule, up to a stretch of them, or to a word that needs windows.
    fn next_pieces(&mut self) -> Result<Vec<u32>, TokenizeError> {
        let mut pieces = 0;
        let mut longest = 0;
        for piece in self.tokenizer.split(&self.rest[..self.uncut]) {
            longest = piece.len();
            if longest > STRETCH_BYTES || pieces + longest > STRETCH_BYTES {
                break;
            }
            pieces += longest;
        }
        self.uncut -= if pieces == 0 { longest } else { pieces };
        if pieces > 0 {
            return self.tokenizer.encode_split(self.take(pieces));
        }
        self.word = Some(Windows::new(self.tokenizer, self.take(longest)));
        Ok(Vec::new())
    }
}

impl Iterator for Stretches<'_> {
    type Item = Result<Vec<u32>, TokenizeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(window) = self.next_window() {
            return Some(window);
        }
        if self.uncut == 0 {
            let end = end_of_stretch(self.rest, STRETCH_BYTES);
            if end <= 2 * STRETCH_BYTES {
                let stretch = self.take(end);
                return (end > 0).then(|| self.tokenizer.encode_stretch(stretch));
            }
            self.uncut = end;
        }
        Some(self.next_pieces())
    }
}

/// The first place from `bytes` on at which the text can be cut; its end where there is none.
fn end_of_stretch(text: &str, bytes: usize) -> usize {
    if text.len() <= bytes {
        return text.len();
    }
    let from = text.floor_char_boundary(bytes);
    let cut = CUT.captures(&text[from..]);
    let after = cut.and_then(|cut| cut.get(1).or_else(|| cut.get(2)));
    after.map_or(text.len(), |after| from + after.start())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Encoding;
    use crate::splitter::Splitter;

    /// Characters of every kind that the rules tell apart.
    const CHARACTERS: &str = r"[a-cA-CſéЖ漢กは'’\u{301}\u{93f}0-3٣½ \u{a0}\t\r\n!/\-。😀\u{200d}]{0,40}";

    /// The claim that cutting rests on: the pieces on both sides of a cut are those of the whole text.
    #[test]
    fn a_cut_is_where_a_piece_ends() {
        let splitters = Encoding::ALL.map(Splitter::new);
        proptest!(ProptestConfig::with_cases(4096), |(text in CHARACTERS, from in 0usize..40)| {
            let cut = end_of_stretch(&text, from);
            for splitter in &splitters {
                let whole: Vec<&str> = splitter.split(&text).collect();
                let (left, right) = text.split_at(cut);
                let halves: Vec<&str> = splitter.split(left).chain(splitter.split(right)).collect();
                prop_assert_eq!(whole, halves, "{:?} cut at {}", text, cut);
            }
        });
    }

    /// Long enough for every way that a text can take: cuts, words in windows, pieces in between.
    #[test]
    fn a_text_in_stretches_is_the_text() {
        for tokenizer in Encoding::ALL.map(|encoding| Tokenizer::new(encoding).unwrap()) {
            for unit in ["A word, 12. ", "!? ", "漢", "\u{a0} \n", "it'ſ 'tis ", "x", "-", "'s", "! \t\t"] {
                let text = format!("Aha: {}, and on", unit.repeat(700_000 / unit.len()));
                let whole: Vec<u32> =
                    tokenizer.split(&text).flat_map(|piece| tokenizer.merge(piece.as_bytes())).collect();
                assert!(tokenizer.encode_ordinary(&text).unwrap() == whole, "{unit:?}");
                let longest = tokenizer.stretches(&text).map(|ids| ids.unwrap().len()).max();
                assert!(longest.unwrap() <= 4 * STRETCH_BYTES, "{unit:?}: {longest:?} ids at once");
            }
        }
    }

    #[test]
    fn texts_of_every_script_can_be_cut() {
        for sentence in [
            "It is, 'tis.",
            "это так. ",
            "これは本です。",
            "هذا كتاب ",
            "यह एक किताब है ",
            "นี่คือ 1 เล่ม",
            "12,5 ",
        ] {
            let text = sentence.repeat(200);
            assert!(end_of_stretch(&text, 1000) < 1100, "{sentence}");
        }
        assert_eq!(end_of_stretch("no", 1000), 2);
        assert_eq!(end_of_stretch(&"!".repeat(100), 10), 100);
    }
}
