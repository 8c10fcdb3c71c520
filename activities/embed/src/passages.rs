//! A passage is a stretch of a text that the model reads whole; the passages of a text are all of it.
//!
//! They are cut one after the other, each at the last sentence end in the second half of what fits, or else
//! between words, and each begins so many word pieces before the end of the one before as are asked for. What lies
//! between passages are blanks. Only a window of the text is held in word pieces, however long it is.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use crate::word_pieces::WordPieces;

/// How texts are cut.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PassageOptions {
    /// Word pieces of a passage at most, `[CLS]`, `[SEP]` and those of the prefix among them.
    pub word_pieces: usize,
    /// Word pieces that a passage shares with the one before, less what is left of a word.
    pub overlap: usize,
}

/// Where a passage lies in its text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Passage {
    /// In bytes.
    pub bytes: Range<usize>,
    /// In characters.
    pub characters: Range<usize>,
}

/// Bytes of a text that are cut into word pieces at a time.
const STRETCH_BYTES: usize = 8 << 10;

/// The passages of a text, in their order. A text without any word piece is one passage, and an empty one.
pub(crate) struct Passages<'text> {
    word_pieces: Arc<WordPieces>,
    text: &'text str,
    /// Word pieces of a passage at most, without those that are added to each.
    room: usize,
    overlap: usize,
    /// Word pieces from the next passage on, where they lie in the text.
    window: VecDeque<Range<usize>>,
    /// How many of them were in the passage before.
    shared: usize,
    /// How many bytes of the text the window has taken.
    taken: usize,
    /// A place in bytes and in characters, from which later ones are counted.
    counted: (usize, usize),
    state: State,
}

#[derive(Eq, PartialEq)]
enum State {
    First,
    More,
    Done,
}

impl<'text> Passages<'text> {
    /// Prepares to cut a text into passages of `room` word pieces.
    pub(crate) fn new(word_pieces: Arc<WordPieces>, text: &'text str, room: usize, overlap: usize) -> Self {
        let window = VecDeque::new();
        Self {
            word_pieces,
            text,
            room,
            overlap,
            window,
            shared: 0,
            taken: 0,
            counted: (0, 0),
            state: State::First,
        }
    }

    fn advance(&mut self) -> tokenizers::Result<Option<Passage>> {
        if self.state == State::Done {
            return Ok(None);
        }
        self.fill()?;
        if self.window.is_empty() {
            let first = self.state == State::First;
            self.state = State::Done;
            return Ok(first.then_some(Passage { bytes: 0..0, characters: 0..0 }));
        }
        self.state = State::More;
        let mut count = self.fitting()?;
        if self.shared > 0 && !self.fits(count)? {
            // What comes next is one character of so many pieces that it must stand alone.
            self.window.drain(..self.shared);
            self.shared = 0;
            self.fill()?;
            count = self.fitting()?;
        }
        let bytes = self.window[0].start..self.window[count - 1].end;
        if count == self.window.len() {
            self.state = State::Done;
        } else {
            let start = self.next_start(count);
            self.window.drain(..start);
            self.shared = count - start;
        }
        Ok(Some(Passage { characters: self.characters(&bytes), bytes }))
    }

    /// Takes word pieces until there is one more than fits, or the text is at its end.
    fn fill(&mut self) -> tokenizers::Result<()> {
        while self.window.len() <= self.room && self.taken < self.text.len() {
            let from = self.taken;
            self.taken = stretch_end(self.text, from);
            let stretch = &self.text[from..self.taken];
            let places = whole_words(stretch, self.word_pieces.places(stretch)?);
            self.window.extend(places.into_iter().map(|place| from + place.start..from + place.end));
        }
        Ok(())
    }

    /// How many pieces of the window are the next passage.
    fn fitting(&self) -> tokenizers::Result<usize> {
        if self.window.len() <= self.room && self.fits(self.window.len())? {
            return Ok(self.window.len());
        }
        let most = self.window.len().min(self.room);
        let mut count = self.cut(most);
        // Where a word is parted, its halves may be more pieces than it was.
        while count > 1 && !self.fits(count)? {
            let fewer = self.cut(count - 1);
            if fewer >= count {
                break;
            }
            count = fewer;
        }
        Ok(count)
    }

    fn fits(&self, count: usize) -> tokenizers::Result<bool> {
        let passage = &self.text[self.window[0].start..self.window[count - 1].end];
        Ok(self.word_pieces.places(passage)?.len() <= self.room)
    }

    /// The best place to end, after so many pieces at most: a sentence's end, a word's, or any. Only a character of
    /// more pieces than that ends later.
    fn cut(&self, most: usize) -> usize {
        let least = (most / 2).max(self.shared) + 1;
        let second_half = || (least..=most).rev().filter(|&count| self.parts_characters(count));
        let sentence = second_half().find(|&count| self.ends_sentence(count));
        let word = || second_half().find(|&count| self.parts_words(count));
        let any = || (self.shared + 1..=most).rev().find(|&count| self.parts_characters(count));
        let beyond = most.max(self.shared + 1)..=self.window.len();
        let beyond = || beyond.clone().find(|&count| self.parts_characters(count));
        sentence.or_else(word).or_else(any).or_else(beyond).unwrap_or(most)
    }

    /// Whether a cut after so many pieces parts no character, as pieces of a Korean syllable would.
    fn parts_characters(&self, count: usize) -> bool {
        self.window.get(count).is_none_or(|next| next.start >= self.window[count - 1].end)
    }

    fn parts_words(&self, count: usize) -> bool {
        let Some(next) = self.window.get(count) else { return true };
        let between = &self.text[self.window[count - 1].end..next.start];
        between.contains(char::is_whitespace) || self.text[next.start..].starts_with(is_ideograph)
    }

    fn ends_sentence(&self, count: usize) -> bool {
        let Some(next) = self.window.get(count) else { return true };
        let (end, start) = (self.window[count - 1].end, next.start);
        let between = &self.text[end..start];
        if between.contains('\n') {
            return true;
        }
        let passage = self.text[self.window[0].start..end].trim_end_matches(CLOSING);
        passage.ends_with(FULL_STOPS) || (between.contains(char::is_whitespace) && passage.ends_with(STOPS))
    }

    /// The piece that the next passage begins with, once so many are taken: the first of a word.
    fn next_start(&self, count: usize) -> usize {
        // At least one piece is new in every passage.
        let overlap = self.overlap.min(count - 1);
        let first = count - overlap;
        let words = (first..count).find(|&at| self.parts_characters(at) && self.parts_words(at));
        words.or_else(|| (first..count).find(|&at| self.parts_characters(at))).unwrap_or(count)
    }

    /// A place in characters. Passages begin in the order of the text, so that each character is counted about once.
    fn characters(&mut self, bytes: &Range<usize>) -> Range<usize> {
        let (byte, character) = self.counted;
        let start = character + self.text[byte..bytes.start].chars().count();
        self.counted = (bytes.start, start);
        start..start + self.text[bytes.clone()].chars().count()
    }
}

impl Iterator for Passages<'_> {
    type Item = tokenizers::Result<Passage>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance().transpose()
    }
}

/// Gives characters that no word piece lies at, and no blank parts from one, to that piece. The normalizer drops some
/// marks and reorders others, so that a piece may lie at its neighbour.
fn whole_words(text: &str, mut places: Vec<Range<usize>>) -> Vec<Range<usize>> {
    for at in 0..=places.len() {
        let from = if at == 0 { 0 } else { places[at - 1].end };
        let to = places.get(at).map_or(text.len(), |place| place.start);
        let Some(between) = text.get(from..to) else { continue };
        let forth = between.split(char::is_whitespace).next().map_or(0, str::len);
        let back = between.rsplit(char::is_whitespace).next().map_or(0, str::len);
        if at > 0 {
            places[at - 1].end += forth;
        }
        if at < places.len() && (at == 0 || forth < between.len()) {
            places[at].start = to - back;
        }
    }
    places
}

/// Where the stretch from a place on ends: before a blank if there is one, else between any characters.
fn stretch_end(text: &str, from: usize) -> usize {
    let most = text.floor_char_boundary(from + STRETCH_BYTES);
    if most == text.len() {
        return most;
    }
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    match text.as_bytes()[from..most].iter().rposition(blank) {
        Some(at) if at > 0 => from + at,
        _ => most,
    }
}

/// Ends of sentences where a blank follows.
const STOPS: [char; 12] = ['.', '!', '?', '…', '؟', '۔', '։', '።', '፧', '་', '।', '॥'];
/// Ends of sentences in scripts without blanks between them.
const FULL_STOPS: [char; 6] = ['。', '！', '？', '｡', '．', '။'];
/// What may stand between the end of a sentence and the next.
const CLOSING: [char; 12] = ['"', '\'', ')', ']', '”', '’', '»', '」', '』', '）', '】', '›'];

/// Scripts in which every character is a word to the tokenizer, see `BertNormalizer`.
fn is_ideograph(c: char) -> bool {
    matches!(u32::from(c), 0x3400..=0x4dbf | 0x4e00..=0x9fff | 0xf900..=0xfaff | 0x2_0000..=0x2_fa1f)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use proptest::prelude::*;
    use tokenizers::Tokenizer;

    use super::*;
    use crate::embedder::LEAST_ROOM;

    fn word_pieces() -> Arc<WordPieces> {
        let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/models");
        let json = fs::read(models.join("uncased/tokenizer.json")).unwrap();
        Arc::new(WordPieces::limited(Tokenizer::from_bytes(json).unwrap(), 48).unwrap())
    }

    fn cut(word_pieces: &Arc<WordPieces>, text: &str, room: usize, overlap: usize) -> Vec<Passage> {
        Passages::new(word_pieces.clone(), text, room, overlap).map(Result::unwrap).collect()
    }

    fn cut_texts<'text>(
        word_pieces: &Arc<WordPieces>,
        text: &'text str,
        room: usize,
        overlap: usize,
    ) -> Vec<&'text str> {
        cut(word_pieces, text, room, overlap).into_iter().map(|passage| &text[passage.bytes]).collect()
    }

    /// What must hold for every text.
    fn assert_whole(word_pieces: &Arc<WordPieces>, text: &str, room: usize, overlap: usize) {
        let passages = cut(word_pieces, text, room, overlap);
        assert!(!passages.is_empty());
        let mut reached = 0;
        for (at, passage) in passages.iter().enumerate() {
            let inside = &text[passage.bytes.clone()];
            let by_characters: String =
                text.chars().skip(passage.characters.start).take(passage.characters.len()).collect();
            assert_eq!(inside, by_characters, "offsets cut the text exactly");
            // One character of many pieces stands alone, with what the normalizer drops beside it.
            let counts = |c: &char| !word_pieces.places(&c.to_string()).unwrap().is_empty();
            let alone = || inside.chars().filter(counts).count() == 1;
            assert!(word_pieces.places(inside).unwrap().len() <= room.max(1) || alone(), "{inside:?}");
            if passage.bytes.start > reached {
                let lost = &text[reached..passage.bytes.start];
                assert!(word_pieces.places(lost).unwrap().is_empty(), "{lost:?} is in no passage");
            }
            assert!(
                passage.bytes.end > reached || (at == 0 && inside.is_empty()),
                "each brings something new"
            );
            let shared = &text[passage.bytes.start.min(reached)..reached];
            // A word that is parted may be more pieces than it was as a whole.
            let parted =
                shared.split(char::is_whitespace).map(|word| word.chars().count()).max().unwrap_or(0);
            assert!(word_pieces.places(shared).unwrap().len() <= overlap + parted, "{shared:?} is shared");
            reached = passage.bytes.end;
        }
        assert!(word_pieces.places(&text[reached..]).unwrap().is_empty(), "nothing is lost at the end");
    }

    #[test]
    fn sentences_stay_whole_where_they_fit() {
        let word_pieces = word_pieces();
        let text = "a b c. a b c d e. a b! a b c d e f g h";
        assert_eq!(cut_texts(&word_pieces, text, 11, 0), ["a b c. a b c d e.", "a b! a b c d e f g h"]);
        let quoted = "a b \"c.\" a b c. a b c";
        assert_eq!(cut_texts(&word_pieces, quoted, 7, 0), ["a b \"c.\"", "a b c. a b c"]);
        let ideographs = "日本。日本日本。日";
        assert_eq!(cut_texts(&word_pieces, ideographs, 5, 0), ["日本。", "日本日本。", "日"]);
    }

    #[test]
    fn words_stay_whole_where_sentences_do_not() {
        let word_pieces = word_pieces();
        let text = "a b c d e f g h i j k";
        assert_eq!(cut_texts(&word_pieces, text, 4, 0), ["a b c d", "e f g h", "i j k"]);
        assert_eq!(
            cut_texts(&word_pieces, text, 4, 2),
            ["a b c d", "c d e f", "e f g h", "g h i j", "i j k"]
        );
    }

    /// The normalizer puts the second mark first, and drops only that one.
    #[test]
    fn marks_that_change_places_are_not_lost() {
        for text in ["\u{1e008}\u{2d7f}", "a \u{1e008}\u{2d7f} b", "국\u{301}."] {
            assert_whole(&word_pieces(), text, 1, 0);
        }
    }

    #[test]
    fn offsets_are_of_characters() {
        let passages = cut(&word_pieces(), "é ü à ñ", 2, 0);
        assert_eq!(passages[1], Passage { bytes: 6..11, characters: 4..7 });
    }

    #[test]
    fn a_text_without_words_is_one_empty_passage() {
        for text in ["", " ", "\n\t ", "\0"] {
            assert_eq!(cut(&word_pieces(), text, 10, 2), [Passage { bytes: 0..0, characters: 0..0 }]);
        }
    }

    #[test]
    fn endless_words_are_cut_in_bounded_stretches() {
        let word_pieces = word_pieces();
        for unit in ["x", "ก", "漢", "e\u{301}", "한", "\u{301}", "👩‍👩‍👧"] {
            let text = unit.repeat(40_000 / unit.len());
            assert_whole(&word_pieces, &text, 20, 5);
            let longest =
                cut(&word_pieces, &text, 20, 5).into_iter().map(|passage| passage.bytes.len()).max();
            assert!(longest.unwrap() <= 21 * STRETCH_BYTES);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn any_text_is_cut_whole(text in "[a-e .!?\\n]{0,200}|\\PC{0,80}|[а-я ،؟।กขค漢字。한국어é\\u{301}İß\"'.\\t ]{0,120}",
                room in LEAST_ROOM..28, overlap in 0_usize..9) {
            assert_whole(&word_pieces(), &text, room, overlap.min(room / 2));
        }

        #[test]
        fn words_of_one_piece_are_shared_as_asked(count in 1_usize..80, room in 2_usize..12, overlap in 0_usize..6) {
            let overlap = overlap.min(room / 2);
            let text = "a ".repeat(count);
            let passages = cut(&word_pieces(), &text, room, overlap);
            for pair in passages.windows(2) {
                let shared = pair[0].bytes.end.saturating_sub(pair[1].bytes.start).div_ceil(2);
                prop_assert_eq!(shared, overlap);
            }
        }
    }
}
