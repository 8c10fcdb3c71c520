//! Word pieces: the vocabulary ids of a text, as the model reads them.
//!
//! The model's `tokenizer.json` cuts texts at 128 word pieces and pads them to 128, while the model was
//! made for, and sentence-transformers cuts at, the `max_seq_length` of `sentence_bert_config.json`. Both
//! settings are replaced on loading and the result is checked: left alone, half of every long text would
//! be missing from its vector, and nothing would fail.

use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;

use tokenizers::normalizers::{Lowercase, Sequence};
use tokenizers::{ModelWrapper, NormalizerWrapper, PreTokenizerWrapper, Tokenizer, TruncationParams};

use crate::error::EmbedError;
use crate::model::{ModelFiles, require};

/// Bytes of a text that are tried first. In most scripts 256 word pieces take 400 to 1,500 bytes.
const FIRST_PREFIX_BYTES: usize = 4 << 10;
/// ASCII letters and digits that stay of a longer run of them.
const LONG_WORD: usize = 1000;

/// The model's tokenizer, cutting at the model's limit.
pub(crate) struct WordPieces {
    tokenizer: Tokenizer,
    /// The same without a limit and without `[CLS]` and `[SEP]`.
    endless: Tokenizer,
    limit: usize,
}

impl WordPieces {
    /// Reads the model's tokenizer, to cut texts at the model's limit.
    pub(crate) fn read(files: &ModelFiles) -> Result<Self, EmbedError> {
        let path = &files.tokenizer_path;
        let refuse = |reason: String| EmbedError::ModelFormat { path: path.clone(), reason };
        let mut tokenizer =
            Tokenizer::from_bytes(&files.tokenizer).map_err(|error| refuse(error.to_string()))?;
        check_kind(&tokenizer, path)?;
        lower_case(&mut tokenizer, files)?;
        Self::limited(tokenizer, files.identity.max_word_pieces).map_err(refuse)
    }

    /// A tokenizer that cuts at `limit`.
    pub(crate) fn limited(mut tokenizer: Tokenizer, limit: usize) -> Result<Self, String> {
        let truncation = TruncationParams { max_length: limit, ..TruncationParams::default() };
        tokenizer.with_padding(None).with_truncation(None).map_err(|error| error.to_string())?;
        let endless = tokenizer.clone();
        tokenizer.with_truncation(Some(truncation)).map_err(|error| error.to_string())?;
        let word_pieces = Self { tokenizer, endless, limit };
        word_pieces.check_limit()?;
        Ok(word_pieces)
    }

    /// Checks on a text that the limit is the one set, neither the file's own nor none.
    fn check_limit(&self) -> Result<(), String> {
        let long = self.encode(&"a ".repeat(self.limit + 1)).map_err(|error| error.to_string())?;
        let short = self.encode("a").map_err(|error| error.to_string())?;
        match (long.len(), short.len()) {
            (long, 3) if long == self.limit => Ok(()),
            (long, short) => Err(format!(
                "a long text gives {long} word pieces and one letter {short}, not {} and 3",
                self.limit
            )),
        }
    }

    /// The ids of the text, `[CLS]` first and `[SEP]` last, at most `limit` of them.
    ///
    /// Only as much of the text is read as they need. A cut at a blank cannot be seen in what lies before
    /// it: blanks end words, no normalisation or special token reaches over them, and every word is at
    /// least one piece. So once a prefix that ends before a blank fills the limit, the rest cannot matter.
    pub(crate) fn ids(&self, text: &str) -> tokenizers::Result<Vec<u32>> {
        self.ids_from_prefix(text, FIRST_PREFIX_BYTES)
    }

    fn ids_from_prefix(&self, text: &str, mut bytes: usize) -> tokenizers::Result<Vec<u32>> {
        let mut text = Cow::Borrowed(text);
        loop {
            let prefix = whole_words(&text, bytes);
            let ids = self.encode(prefix)?;
            if ids.len() >= self.limit || prefix.len() == text.len() {
                return Ok(ids);
            }
            bytes = bytes.saturating_mul(4);
            // Tens of megabytes without a blank would take the tokenizer gigabytes of memory.
            text = Cow::Owned(shorten_runs(&text));
        }
    }

    /// Where each word piece of a text lies in it, in bytes, without `[CLS]` and `[SEP]`. Holds all of them.
    pub(crate) fn places(&self, text: &str) -> tokenizers::Result<Vec<Range<usize>>> {
        let encoding = self.endless.encode(text, false)?;
        Ok(encoding.get_offsets().iter().map(|&(start, end)| start..end).collect())
    }

    fn encode(&self, text: &str) -> tokenizers::Result<Vec<u32>> {
        Ok(self.tokenizer.encode_fast(text, true)?.get_ids().to_vec())
    }
}

/// Checks that texts are cut as BERT's are: [`WordPieces::ids`] and [`shorten_runs`] rely on it.
fn check_kind(tokenizer: &Tokenizer, path: &Path) -> Result<(), EmbedError> {
    let longest = match tokenizer.get_model() {
        ModelWrapper::WordPiece(model) => Some(model.max_input_chars_per_word),
        _ => None,
    };
    require(path, "model", "of another type", longest.is_some(), "WordPiece")?;
    let longest = longest.unwrap_or_default();
    require(path, "max_input_chars_per_word", longest, longest < LONG_WORD, &format!("under {LONG_WORD}"))?;
    let normalizer = matches!(tokenizer.get_normalizer(), Some(NormalizerWrapper::BertNormalizer(_)));
    require(path, "normalizer", "another", normalizer, "BertNormalizer")?;
    let words = matches!(tokenizer.get_pre_tokenizer(), Some(PreTokenizerWrapper::BertPreTokenizer(_)));
    require(path, "pre_tokenizer", "another", words, "BertPreTokenizer")?;
    for token in tokenizer.get_added_tokens_decoder().values() {
        let joined = !token.content.contains(char::is_whitespace);
        require(path, "added_tokens", &token.content, joined, "without blanks")?;
    }
    Ok(())
}

/// Lower-cases before all else, as sentence-transformers does for a pipeline with `do_lower_case`, unless the
/// tokenizer does it.
fn lower_case(tokenizer: &mut Tokenizer, files: &ModelFiles) -> Result<(), EmbedError> {
    let Some(NormalizerWrapper::BertNormalizer(bert)) = tokenizer.get_normalizer() else { return Ok(()) };
    let (own, path) = (bert.lowercase, &files.tokenizer_path);
    let agreed = files.tokenizer_lower_case.is_none_or(|configured| configured == own);
    require(path, "lowercase", own, agreed, "otherwise, as `tokenizer_config.json` has it")?;
    if files.lower_case && !own {
        let bert = NormalizerWrapper::BertNormalizer(*bert);
        let sequence = Sequence::new(vec![Lowercase.into(), bert]);
        tokenizer
            .with_normalizer(Some(sequence))
            .map_err(|error| EmbedError::ModelFormat { path: path.clone(), reason: error.to_string() })?;
    }
    Ok(())
}

/// A text of the same word pieces without its longest runs: of blanks the first stays, and of ASCII letters and
/// digits so many that the word is still longer than the 100 characters from which it is `[UNK]`.
fn shorten_runs(text: &str) -> String {
    let mut run = (0, None);
    let keep = |c: char| {
        let kind = match c {
            ' ' | '\t' | '\n' | '\r' => Some((1, ' ')),
            c if c.is_ascii_alphanumeric() => Some((LONG_WORD, 'a')),
            _ => None,
        };
        run = if kind == run.1 { (run.0 + 1, kind) } else { (1, kind) };
        kind.is_none_or(|(longest, _)| run.0 <= longest)
    };
    let mut shortened = text.to_owned();
    shortened.retain(keep);
    shortened
}

/// The longest prefix of at most so many bytes that ends before a blank; all of a shorter text.
///
/// Only the blanks that every step of the tokenizer takes for one are used: it drops other control
/// characters, such as the form feed, and joins what they part.
fn whole_words(text: &str, bytes: usize) -> &str {
    if text.len() <= bytes {
        return text;
    }
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    let end = text.as_bytes()[..bytes].iter().rposition(blank).unwrap_or(0);
    &text[..end]
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use proptest::prelude::*;

    use super::*;

    const LIMIT: usize = 256;

    /// So low that a cut of any of the first bytes can be the one that decides the last piece.
    const LOW_LIMIT: usize = 5;

    /// The fetched model's tokenizer.
    fn fetched() -> Tokenizer {
        let home = std::env::var_os("WIKITOK_HOME")
            .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.wikitok"), PathBuf::from);
        let path = home.join("models/all-MiniLM-L6-v2/tokenizer.json");
        let json = fs::read(&path)
            .unwrap_or_else(|error| panic!("`{}`: {error}: run `tools/fetch`", path.display()));
        Tokenizer::from_bytes(json).unwrap()
    }

    fn word_pieces(limit: usize) -> WordPieces {
        WordPieces::limited(fetched(), limit).unwrap()
    }

    fn texts(path: &Path) -> Vec<String> {
        let lines = fs::read_to_string(path).unwrap();
        let lines = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        lines.map(|line| line["text"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn runs_can_be_shortened_without_being_seen() {
        let word_pieces = word_pieces(LIMIT);
        let runs =
            ["a".repeat(5000), "9".repeat(1001), " ".repeat(3000), "\t \n".repeat(900), "Ab3".repeat(2000)];
        for run in &runs {
            for text in
                [run.clone(), format!("one {run} two"), format!("é{run}é, x"), format!("{run}-{run}日{run}.")]
            {
                let shortened = shorten_runs(&text);
                assert!(shortened.len() < text.len().max(4 * LONG_WORD), "{} bytes", shortened.len());
                assert_eq!(word_pieces.encode(&shortened).unwrap(), word_pieces.encode(&text).unwrap());
            }
        }
        let long = "x".repeat(50_000_000);
        assert_eq!(word_pieces.ids(&long).unwrap(), word_pieces.encode(&"x".repeat(200)).unwrap());
    }

    /// Compares what prefixes of the given sizes give with what the whole text gives.
    fn assert_prefixes_suffice(word_pieces: &WordPieces, text: &str, sizes: impl IntoIterator<Item = usize>) {
        let whole = word_pieces.encode(text).unwrap();
        assert!((2..=word_pieces.limit).contains(&whole.len()));
        for bytes in sizes {
            let ids = word_pieces.ids_from_prefix(text, bytes).unwrap();
            assert_eq!(ids, whole, "{bytes} bytes of {text:.60?}");
        }
    }

    #[test]
    fn the_files_own_cut_at_128_is_noticed() {
        let word_pieces = WordPieces { tokenizer: fetched(), endless: fetched(), limit: LIMIT };
        let error = word_pieces.check_limit().unwrap_err();
        assert_eq!(error, "a long text gives 128 word pieces and one letter 128, not 256 and 3");
    }

    #[test]
    fn prefixes_suffice_for_real_texts() {
        let word_pieces = word_pieces(LIMIT);
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut texts = texts(&root.join("tests/data/sample/minilm_texts.jsonl"));
        let oracle = root.join("../shared/oracle/minilm_texts.jsonl");
        if oracle.exists() {
            texts.extend(self::texts(&oracle));
        }
        texts.push(texts.concat());
        texts.push(texts.join("\n"));
        for text in &texts {
            assert_prefixes_suffice(&word_pieces, text, [1, 100, 300, 800, FIRST_PREFIX_BYTES]);
        }
    }

    #[test]
    fn prefixes_suffice_for_hostile_texts() {
        let (high, low) = (word_pieces(LIMIT), word_pieces(LOW_LIMIT));
        for unit in
            ["x", "漢", "漢 ", "ก็", "e\u{301}", " \u{301}", "\0 ", "[SEP]", "[SE P]", "a\u{c}b ", "\u{a0}"]
        {
            for text in [unit.repeat(10_000), format!("{} and then words", unit.repeat(10_000))] {
                assert_prefixes_suffice(&high, &text, [1, 100, FIRST_PREFIX_BYTES]);
            }
            assert_prefixes_suffice(&low, &unit.repeat(50), 1..60);
        }
    }

    #[test]
    fn prefixes_suffice_for_any_text() {
        let low = word_pieces(LOW_LIMIT);
        let alphabet = r"[ \t\r\n\x0c\x00\u{a0}\u{85}\u{2028}\u{301}\u{323}SEP\[\]a-dİΣς漢ก.,]{0,80}";
        proptest!(ProptestConfig::with_cases(512), |(text in alphabet)| {
            assert_prefixes_suffice(&low, &text, 1..60);
        });
    }

    #[test]
    fn prefixes_end_before_a_blank() {
        assert_eq!(whole_words("one two three", 9), "one two");
        assert_eq!(whole_words("one two three", 8), "one two");
        assert_eq!(whole_words("one two three", 7), "one");
        assert_eq!(whole_words("one two three", 13), "one two three");
        assert_eq!(whole_words("однадва три", 5), "");
        assert_eq!(whole_words("one\u{c}two three", 6), "");
        assert_eq!(whole_words("", 4), "");
    }
}
