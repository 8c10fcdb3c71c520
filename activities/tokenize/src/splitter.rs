//! A splitter cuts text into the pieces within which byte pairs are merged, by tiktoken's own rule.
//!
//! The engine has splitters of its own, many times faster, and equal but for one corner: tiktoken takes a
//! contraction such as `'s` in either case, and by Unicode's case folding `ſ` (U+017F, the long s of old
//! prints) is an `s`. So `'ſ` ends a piece in tiktoken, which the engine does not know. Text that has it is
//! split here instead.

use regex::Regex;

use crate::Encoding;

/// What the engine splits otherwise than tiktoken.
const LONG_S_CONTRACTION: &str = "'ſ";

/// <https://github.com/openai/tiktoken/blob/0.14.0/tiktoken_ext/openai_public.py>, up to the white space.
const CL100K: &str = concat!(
    r"\A(?:(?i:'s|'t|'re|'ve|'m|'ll|'d)",
    r"|[^\r\n\p{L}\p{N}]?\p{L}+",
    r"|\p{N}{1,3}",
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*",
    r"|\s*[\r\n]+)",
);
const O200K: &str = concat!(
    r"\A(?:[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"|\p{N}{1,3}",
    r"| ?[^\s\p{L}\p{N}]+[\r\n/]*",
    r"|\s*[\r\n]+)",
);

/// Whether the engine's own splitter would not do for `text`.
pub(crate) fn is_needed(text: &str) -> bool {
    text.contains(LONG_S_CONTRACTION)
}

/// The rule of an encoding, compiled.
pub(crate) struct Splitter {
    rule: Regex,
}

impl Splitter {
    pub(crate) fn new(encoding: Encoding) -> Self {
        let rule = match encoding {
            Encoding::Cl100kBase => CL100K,
            Encoding::O200kBase => O200K,
        };
        Self { rule: Regex::new(rule).expect("the rule is a regular expression") }
    }

    /// The pieces of `text`, in order; together they are the text.
    pub(crate) fn split<'t>(&self, mut text: &'t str) -> impl Iterator<Item = &'t str> {
        std::iter::from_fn(move || {
            let end = self.rule.find(text).map_or_else(|| white_space(text), |piece| piece.end());
            let (piece, rest) = text.split_at(end);
            text = rest;
            (end > 0).then_some(piece)
        })
    }
}

/// The rule's last resort, `\s+(?!\S)|\s+`: all white space up to the end, or all but the last, or the one.
fn white_space(text: &str) -> usize {
    let rest = text.trim_start();
    let end = text.len() - rest.len();
    let last = text[..end].chars().next_back().map_or(0, char::len_utf8);
    if rest.is_empty() || end == last { end } else { end - last }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(encoding: Encoding, text: &str) -> Vec<&str> {
        Splitter::new(encoding).split(text).collect()
    }

    #[test]
    fn the_long_s_is_an_s() {
        assert_eq!(pieces(Encoding::O200kBase, "'s'ſ'Sh"), ["'s'ſ", "'Sh"]);
        assert_eq!(pieces(Encoding::Cl100kBase, "it'ſhe"), ["it", "'ſ", "he"]);
    }

    #[test]
    fn white_space_leaves_one_for_the_word() {
        for encoding in Encoding::ALL {
            assert_eq!(
                pieces(encoding, "a   b \t!  \n c  "),
                ["a", "  ", " b", " ", "\t", "!", "  \n", " c", "  "]
            );
            assert_eq!(pieces(encoding, ""), [""; 0]);
        }
    }
}
