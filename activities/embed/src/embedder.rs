//! The embedder: a loaded model, ready to turn texts into vectors.

use std::collections::VecDeque;
use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use ndarray::{Array2, ArrayView1, ArrayViewMut1};

use crate::batch::{self, Batch};
use crate::device::Device;
use crate::error::EmbedError;
use crate::model::{ModelFiles, ModelIdentity};
use crate::network::Network;
use crate::operators;
use crate::passages::{Passage, PassageOptions, Passages};
use crate::precision::Precision;
use crate::runtime::Runtime;
use crate::word_pieces::WordPieces;

/// Padded word pieces of a batch on the processor: two texts of full length. What a batch touches then
/// stays in the caches: 1.3 to 1.9 times as fast as 8,192, see `benches/throughput.rs`.
const CPU_BATCH_WORD_PIECES: usize = 512;

/// Padded word pieces of a batch on a GPU, which wants many at a time. Not measured yet.
const CUDA_BATCH_WORD_PIECES: usize = 8 << 10;

/// `[CLS]` and `[SEP]`.
const ADDED_PIECES: usize = 2;

/// Passages of fewer word pieces than this say nothing.
const LEAST_ROOM: usize = 8;

/// Texts that are cut into word pieces between two calls of `progress`.
const TEXTS_BETWEEN_CALLS: usize = 256;

/// Where the model and ONNX Runtime lie, and what they run on.
#[derive(Clone, Debug)]
pub struct EmbedderOptions {
    /// The model's folder, as sentence-transformers publishes it.
    pub model_directory: PathBuf,
    /// ONNX Runtime's shared library, `libonnxruntime.so`, 1.22 or later.
    pub runtime_library: PathBuf,
    /// What the model runs on.
    pub device: Device,
    /// In which numbers it is computed.
    pub precision: Precision,
    /// Threads of the processor for one batch; 0 is one for each core.
    pub threads: usize,
}

/// A loaded model.
pub struct Embedder {
    identity: ModelIdentity,
    runtime_version: String,
    network: Network,
    word_pieces: Arc<WordPieces>,
    /// Padded word pieces of a batch that suit the device.
    suitable: usize,
    /// Those that were asked for instead.
    asked: Option<usize>,
    /// How many fit in memory, as far as is known.
    fits: usize,
    /// For tests: batches of more padded word pieces fail as if memory ran out.
    memory: usize,
}

impl Embedder {
    /// Loads the model, checks it, and runs it once.
    pub fn load(options: &EmbedderOptions) -> Result<Self, EmbedError> {
        check_precision(options)?;
        let files = ModelFiles::read(&options.model_directory)?;
        let word_pieces = WordPieces::read(&files)?;
        let runtime = Runtime::load(&options.runtime_library)?;
        let builder = runtime.session_builder(options.device, options.threads)?;
        let network = Network::load(&files, options, builder)?;
        let mut embedder = Self {
            identity: files.identity,
            runtime_version: runtime.version,
            network,
            word_pieces: Arc::new(word_pieces),
            suitable: suitable_batch(options.device),
            asked: None,
            fits: usize::MAX,
            memory: usize::MAX,
        };
        embedder.warm_up()?;
        Ok(embedder)
    }

    /// Runs the largest batch, so that what it needs is allocated, or seen to be missing, before there is work.
    fn warm_up(&mut self) -> Result<(), EmbedError> {
        let limit = self.identity.max_word_pieces;
        let texts = vec!["a ".repeat(limit); (self.batch_word_pieces() / limit).max(1)];
        self.embed(&texts, &mut |_| true).map(drop)
    }

    /// Lets batches of more padded word pieces fail as if memory ran out, for tests.
    #[doc(hidden)]
    pub fn set_memory(&mut self, word_pieces: usize) {
        self.memory = word_pieces;
    }

    /// The padded word pieces of a batch in use: fewer than at first once memory has run out.
    pub fn batch_word_pieces(&self) -> usize {
        self.asked.unwrap_or(self.suitable).min(self.fits)
    }

    /// Asks for batches of so many padded word pieces, or again for those that suit the device. A part of what
    /// decides the last bits: vectors stay within 1e-6.
    pub fn set_batch_word_pieces(&mut self, asked: Option<usize>) {
        self.asked = asked;
    }

    /// Word pieces that the model reads of a text, `[CLS]` and `[SEP]` among them.
    pub fn count_word_pieces(&self, text: &str) -> Result<usize, EmbedError> {
        let ids = self.word_pieces.ids(text);
        Ok(ids.map_err(|source| EmbedError::WordPieces { row: 0, source })?.len())
    }

    /// Cuts a text into passages, each of which with `prefix` before it the model reads whole.
    ///
    /// `row` is the text's position, for the failure's message. Fails, too, when the options leave no room.
    pub fn passages<'text>(
        &self,
        row: usize,
        text: &'text str,
        prefix: &str,
        options: PassageOptions,
    ) -> Result<impl Iterator<Item = Result<Passage, EmbedError>> + use<'text>, EmbedError> {
        let room = self.room(prefix, options)?;
        let passages = Passages::new(self.word_pieces.clone(), text, room, options.overlap);
        Ok(passages.map(move |passage| passage.map_err(|source| EmbedError::WordPieces { row, source })))
    }

    /// Word pieces of a passage that are its own.
    fn room(&self, prefix: &str, options: PassageOptions) -> Result<usize, EmbedError> {
        let of_prefix = self.word_pieces.places(prefix);
        let of_prefix = of_prefix.map_err(|source| EmbedError::WordPieces { row: 0, source })?.len();
        let limit = self.identity.max_word_pieces;
        let room = options.word_pieces.saturating_sub(ADDED_PIECES + of_prefix);
        if options.word_pieces <= limit && options.overlap * 2 <= room && room >= LEAST_ROOM {
            return Ok(room);
        }
        Err(EmbedError::PassageOptions {
            word_pieces: options.word_pieces,
            overlap: options.overlap,
            limit,
            room,
        })
    }

    /// The model in use.
    pub fn identity(&self) -> &ModelIdentity {
        &self.identity
    }

    /// The version of ONNX Runtime in use, such as `1.31.1`.
    pub fn runtime_version(&self) -> String {
        self.runtime_version.clone()
    }

    /// Gives one vector for each text, in the order of the texts: a row each, of length one if the model
    /// is one that normalises.
    ///
    /// A text without any word, such as the empty one, has a vector too. `progress` is called with the
    /// number of texts done after each batch, and now and then before the first; when it returns false,
    /// the work ends with [`EmbedError::Cancelled`].
    pub fn embed<S: AsRef<str>>(
        &mut self,
        texts: &[S],
        progress: &mut dyn FnMut(usize) -> bool,
    ) -> Result<Array2<f32>, EmbedError> {
        let word_pieces = self.cut_into_word_pieces(texts, progress)?;
        let lengths: Vec<usize> = word_pieces.iter().map(Vec::len).collect();
        let mut vectors = Array2::zeros((texts.len(), self.identity.dimensions));
        let mut done = 0;
        let mut batches = VecDeque::from(batch::cut(&lengths, self.batch_word_pieces()));
        while let Some(batch) = batches.pop_front() {
            match self.embed_batch(&batch, &word_pieces, &mut vectors) {
                Err(error) if batch.rows.len() > 1 && error.is_out_of_memory() => {
                    let [first, second] = self.halve(batch, &lengths, &error);
                    batches.push_front(second);
                    batches.push_front(first);
                }
                outcome => {
                    outcome?;
                    done += batch.rows.len();
                    report(progress, done)?;
                }
            }
        }
        Ok(vectors)
    }

    fn cut_into_word_pieces<S: AsRef<str>>(
        &self,
        texts: &[S],
        progress: &mut dyn FnMut(usize) -> bool,
    ) -> Result<Vec<Vec<u32>>, EmbedError> {
        let mut word_pieces = Vec::with_capacity(texts.len());
        for (row, text) in texts.iter().enumerate() {
            if row % TEXTS_BETWEEN_CALLS == TEXTS_BETWEEN_CALLS - 1 {
                report(progress, 0)?;
            }
            let ids = self.word_pieces.ids(text.as_ref());
            word_pieces.push(ids.map_err(|source| EmbedError::WordPieces { row, source })?);
        }
        Ok(word_pieces)
    }

    /// Two batches of one that did not fit in memory; those to come are cut no larger.
    fn halve(&mut self, batch: Batch, lengths: &[usize], error: &EmbedError) -> [Batch; 2] {
        let padded = batch.rows.len() * batch.longest;
        self.fits = self.fits.min(padded / 2);
        tracing::warn!(
            error = error.source().map(ToString::to_string),
            "memory ran out at {padded} word pieces: batches are halved to {}",
            self.batch_word_pieces()
        );
        batch.halves(lengths)
    }

    fn embed_batch(
        &mut self,
        batch: &Batch,
        word_pieces: &[Vec<u32>],
        vectors: &mut Array2<f32>,
    ) -> Result<(), EmbedError> {
        let (rows, longest) = (batch.rows.len(), batch.longest);
        let fail = |source| EmbedError::Inference { rows, word_pieces: longest, source };
        if rows * longest > self.memory {
            return Err(fail(ort::Error::new("Failed to allocate memory, as a test asked for")));
        }
        let pooled = self.network.run(batch, word_pieces).map_err(fail)?;
        let finish = if self.identity.normalized { normalize } else { copy };
        for (&row, vector) in batch.rows.iter().zip(pooled.rows()) {
            finish(&vector, vectors.row_mut(row)).ok_or(EmbedError::NotFinite { row })?;
        }
        Ok(())
    }
}

fn check_precision(options: &EmbedderOptions) -> Result<(), EmbedError> {
    let reason = match (options.precision, options.device) {
        (Precision::Int8, Device::Cuda(_)) => "it is for processors, and a GPU has `fp16`",
        (Precision::Int8, Device::Cpu) if !operators::int8::is_available() => {
            "this processor has no AVX-512 VNNI"
        }
        _ => return Ok(()),
    };
    Err(EmbedError::PrecisionUnavailable { precision: options.precision, reason: reason.to_owned() })
}

fn suitable_batch(device: Device) -> usize {
    match device {
        Device::Cpu => CPU_BATCH_WORD_PIECES,
        Device::Cuda(_) => CUDA_BATCH_WORD_PIECES,
    }
}

fn report(progress: &mut dyn FnMut(usize) -> bool, done: usize) -> Result<(), EmbedError> {
    if progress(done) { Ok(()) } else { Err(EmbedError::Cancelled) }
}

/// Writes the vector scaled to length one; `None` if its length is not a finite number.
fn normalize(vector: &ArrayView1<'_, f32>, mut target: ArrayViewMut1<'_, f32>) -> Option<()> {
    let squares: f64 = vector.iter().map(|&value| f64::from(value).powi(2)).sum();
    // As in PyTorch's `normalize`, a vector of zeros stays one.
    let length = squares.sqrt().max(1e-12);
    target.zip_mut_with(vector, |target, &value| *target = (f64::from(value) / length) as f32);
    squares.is_finite().then_some(())
}

/// Writes the vector as it is; `None` if it is not made of finite numbers.
fn copy(vector: &ArrayView1<'_, f32>, mut target: ArrayViewMut1<'_, f32>) -> Option<()> {
    target.assign(vector);
    vector.iter().all(|value| value.is_finite()).then_some(())
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn vectors_are_scaled_to_length_one() {
        let mut target = array![0.0, 0.0];
        assert_eq!(normalize(&array![3.0, -4.0].view(), target.view_mut()), Some(()));
        assert_eq!(target, array![0.6, -0.8]);
        assert_eq!(normalize(&array![0.0, 0.0].view(), target.view_mut()), Some(()));
        assert_eq!(target, array![0.0, 0.0]);
    }

    #[test]
    fn a_vector_that_is_not_finite_is_refused() {
        let mut target = array![0.0, 0.0];
        for finish in [normalize, copy] {
            assert_eq!(finish(&array![f32::NAN, 1.0].view(), target.view_mut()), None);
            assert_eq!(finish(&array![f32::INFINITY, 1.0].view(), target.view_mut()), None);
        }
    }
}
