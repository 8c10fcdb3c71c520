//! A window: the texts that are embedded together, articles or passages of them.
//!
//! There are enough of them for batches of like length, and few enough to hold in memory. While one window runs
//! through the model, the next is read and cut into passages and word pieces, and the last is written. Windows follow
//! from the texts alone, and so do the batches and the bits of the vectors.

use std::iter::Enumerate;
use std::ops::{ControlFlow, Range};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use wikitok_embed::{EmbedError, Embedder, Passage, PassageOptions};
use wikitok_publish::{PassageKey, PublishError, Text, TextBatches, VectorPartWriter};
use wikitok_workflows::contract::Embedding;

use crate::gpu::PartError;
use crate::overlap::{self, Limits};
use crate::pulse::Pulse;

/// Texts in a window. An article of more passages goes on in the next.
const TEXTS: usize = 2048;
/// The same in bytes, for texts that are out of the ordinary.
const BYTES: usize = 64 << 20;
/// Two windows share the model: while the last batches of one run, the next has word pieces to cut.
const IN_FLIGHT: Limits = Limits { workers: 2, bytes: BYTES };

/// Embeds all texts of a part in their order, and writes their vectors. Cancelled when the pulse stops.
pub(crate) fn embed(
    pulse: &Pulse,
    embedder: &Embedder,
    asked: &Embedding,
    tokens: Bytes,
    part: &mut VectorPartWriter,
) -> Result<(), PartError> {
    let mut reader = Reader {
        pulse,
        embedder,
        asked,
        batches: wikitok_publish::read_texts(tokens)?,
        row: 0,
        ahead: Vec::new().into_iter(),
        cut: None,
    };
    let budget = asked.batch_word_pieces.map(|budget| budget as usize);
    let done = AtomicU64::new(0);
    let progress = |texts: usize| {
        pulse.beat(done.fetch_add(texts as u64, Ordering::Relaxed) + texts as u64);
        !pulse.stopped()
    };
    let work = |window: Window| {
        let vectors = embedder.embed(&window.texts, budget, &progress)?;
        Ok((window, vectors))
    };
    overlap::in_order(
        IN_FLIGHT,
        || reader.next_window(),
        work,
        |(window, vectors)| {
            for (key, vector) in window.keys.iter().zip(vectors.outer_iter()) {
                let Key { page_id, title, passage, characters } = key;
                let characters = characters.clone();
                let key = PassageKey { page_id: *page_id, title, passage: *passage, characters };
                part.push(&key, &vector.to_vec())?;
            }
            Ok(ControlFlow::Continue(()))
        },
    )
}

/// Texts, and what their vectors are of.
#[derive(Default)]
struct Window {
    texts: Vec<String>,
    keys: Vec<Key>,
    bytes: usize,
}

struct Key {
    page_id: u64,
    title: String,
    passage: u32,
    characters: Range<u32>,
}

impl Key {
    /// Those of a passage.
    fn and_text(prefix: &str, text: &Text, number: usize, passage: Passage) -> (Self, String) {
        let Passage { bytes, characters } = passage;
        let characters = characters.start as u32..characters.end as u32;
        let key =
            Self { page_id: text.page_id, title: text.title.clone(), passage: number as u32, characters };
        (key, format!("{prefix}{}", &text.text[bytes]))
    }
}

impl Window {
    fn push(&mut self, key: Key, text: String) {
        // Titles are not bounded, either.
        self.bytes += text.len() + key.title.len();
        self.texts.push(text);
        self.keys.push(key);
    }

    fn is_full(&self) -> bool {
        self.texts.len() >= TEXTS || self.bytes >= BYTES
    }
}

/// Reads a part's texts into windows.
struct Reader<'a> {
    pulse: &'a Pulse,
    embedder: &'a Embedder,
    asked: &'a Embedding,
    batches: TextBatches,
    /// Texts read so far.
    row: usize,
    /// Texts that are decoded and in no window yet.
    ahead: std::vec::IntoIter<Text>,
    /// The text whose passages come next.
    cut: Option<Cut>,
}

/// A text, and those of its passages that are in no window yet.
struct Cut {
    text: Text,
    passages: Enumerate<std::vec::IntoIter<Passage>>,
}

impl Reader<'_> {
    /// The next window and its bytes, if there are texts left.
    fn next_window(&mut self) -> Result<Option<(Window, usize)>, PartError> {
        let mut window = Window::default();
        while !window.is_full() {
            if let Some(cut) = &mut self.cut
                && let Some((number, passage)) = cut.passages.next()
            {
                let (key, text) = Key::and_text(&self.asked.passage_prefix, &cut.text, number, passage);
                window.push(key, text);
                continue;
            }
            let Some(text) = self.next_text()? else { break };
            self.begin(text, &mut window)?;
            self.row += 1;
        }
        let bytes = window.bytes;
        Ok((!window.texts.is_empty()).then_some((window, bytes)))
    }

    fn next_text(&mut self) -> Result<Option<Text>, PublishError> {
        loop {
            if let Some(text) = self.ahead.next() {
                return Ok(Some(text));
            }
            let Some(batch) = self.batches.next() else { return Ok(None) };
            self.ahead = batch?.into_iter();
        }
    }

    /// Adds a text whole, or cuts it into passages.
    fn begin(&mut self, text: Text, window: &mut Window) -> Result<(), PartError> {
        self.keep_alive()?;
        let prefix = &self.asked.passage_prefix;
        let Some(cut) = self.asked.passages else {
            let key = Key { page_id: text.page_id, title: text.title, passage: 0, characters: 0..0 };
            window.push(key, if prefix.is_empty() { text.text } else { format!("{prefix}{}", text.text) });
            return Ok(());
        };
        let options = PassageOptions { word_pieces: cut.word_pieces as usize, overlap: cut.overlap as usize };
        let mut passages = Vec::new();
        for passage in self.embedder.passages(self.row, &text.text, prefix, options)? {
            self.keep_alive()?;
            passages.push(passage?);
        }
        self.cut = Some(Cut { text, passages: passages.into_iter().enumerate() });
        Ok(())
    }

    fn keep_alive(&self) -> Result<(), EmbedError> {
        if self.pulse.tick() { Ok(()) } else { Err(EmbedError::Cancelled) }
    }
}
