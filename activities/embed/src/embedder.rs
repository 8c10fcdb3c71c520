//! The embedder: a loaded model, ready to turn texts into vectors.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ndarray::Array2;

use crate::device::Device;
use crate::error::EmbedError;
use crate::model::{ModelFiles, ModelIdentity};
use crate::network::{self, Network};
use crate::operators;
use crate::passages::{Passage, PassageOptions, Passages};
use crate::precision::Precision;
use crate::runtime::Runtime;
use crate::share::Pool;
use crate::word_pieces::WordPieces;
use crate::work;

/// Padded word pieces of a batch on the processor: two texts of full length. What a batch touches then
/// stays in the caches: 1.3 to 1.9 times as fast as 8,192, see `benches/throughput.rs`.
const CPU_BATCH_WORD_PIECES: usize = 512;

/// Padded word pieces of a batch on a GPU, which wants many at a time. Not measured yet.
const CUDA_BATCH_WORD_PIECES: usize = 32 << 10;

/// `[CLS]` and `[SEP]`.
const ADDED_PIECES: usize = 2;

/// Passages of fewer word pieces than this say nothing.
pub(crate) const LEAST_ROOM: usize = 8;

/// Where the model and ONNX Runtime lie, and what they run on.
#[derive(Clone, Debug)]
pub struct EmbedderOptions {
    /// The model's folder, as sentence-transformers publishes it.
    pub model_directory: PathBuf,
    /// ONNX Runtime's shared library, `libonnxruntime.so`, 1.23 or later.
    pub runtime_library: PathBuf,
    /// What the model runs on.
    pub device: Device,
    /// In which numbers it is computed.
    pub precision: Precision,
    /// Cores of the processor that may be used; 0 is all of them.
    pub threads: usize,
}

/// A loaded model. Many threads may embed with it at once: together they use the cores that it was given.
pub struct Embedder {
    identity: ModelIdentity,
    runtime_version: String,
    device: Device,
    word_pieces: Arc<WordPieces>,
    /// What a thread must hold to compute on the processor.
    pub(crate) cores: Pool<()>,
    pub(crate) threads: usize,
    /// The model, as often as it runs side by side.
    pub(crate) networks: Pool<Network>,
    pub(crate) side_by_side: usize,
    /// What each of them computes on, of those that were given: none on a GPU.
    pub(crate) cores_of_a_network: usize,
    /// Padded word pieces of a batch that suit the device.
    suitable: usize,
    /// How many fit in memory, as far as is known.
    fits: AtomicUsize,
    /// For tests: batches of more padded word pieces fail as if memory ran out.
    pub(crate) memory: AtomicUsize,
}

impl Embedder {
    /// Loads the model, checks it, and runs it once.
    pub fn load(options: &EmbedderOptions) -> Result<Self, EmbedError> {
        if options.device != Device::Auto {
            return Self::load_on(options);
        }
        match Self::load_on(&EmbedderOptions { device: Device::Cuda(0), ..options.clone() }) {
            Err(error @ (EmbedError::DeviceUnavailable { .. } | EmbedError::PrecisionUnavailable { .. })) => {
                tracing::info!("`auto` is the processor: {error}");
                Self::load_on(&EmbedderOptions { device: Device::Cpu, ..options.clone() })
            }
            loaded => loaded,
        }
    }

    fn load_on(options: &EmbedderOptions) -> Result<Self, EmbedError> {
        check_precision(options)?;
        let files = ModelFiles::read(&options.model_directory)?;
        let word_pieces = WordPieces::read(&files)?;
        let runtime = Runtime::load(&options.runtime_library)?;
        let threads = match options.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        let networks = network::load(&files, &EmbedderOptions { threads, ..options.clone() }, &runtime)?;
        let embedder = Self {
            identity: files.identity,
            runtime_version: runtime.version,
            device: options.device,
            word_pieces: Arc::new(word_pieces),
            cores: Pool::new(vec![(); threads]),
            threads,
            side_by_side: networks.len(),
            cores_of_a_network: if options.device == Device::Cpu { threads / networks.len() } else { 0 },
            networks: Pool::new(networks),
            suitable: suitable_batch(options.device),
            fits: AtomicUsize::new(usize::MAX),
            memory: AtomicUsize::new(usize::MAX),
        };
        embedder.warm_up()?;
        Ok(embedder)
    }

    /// Runs the largest batch on every network, so that what they need is allocated, or seen to be missing, before
    /// there is work.
    fn warm_up(&self) -> Result<(), EmbedError> {
        let limit = self.identity.max_word_pieces;
        let texts = (self.batch_word_pieces(None) / limit).max(1) * self.side_by_side;
        self.embed(&vec!["a ".repeat(limit); texts], None, &|_| true).map(drop)
    }

    /// Lets batches of more padded word pieces fail as if memory ran out, for tests.
    #[doc(hidden)]
    pub fn set_memory(&self, word_pieces: usize) {
        self.memory.store(word_pieces, Ordering::Relaxed);
    }

    /// The padded word pieces of a batch where so many are asked for, or else of those that suit the device. No more
    /// than eight times these, so that a batch takes seconds, and fewer once memory has run out.
    pub fn batch_word_pieces(&self, asked: Option<usize>) -> usize {
        let asked = asked.unwrap_or(self.suitable).min(8 * self.suitable);
        asked.min(self.fits.load(Ordering::Relaxed))
    }

    /// So many padded word pieces did not fit in memory.
    pub(crate) fn did_not_fit(&self, word_pieces: usize) {
        self.fits.fetch_min(word_pieces / 2, Ordering::Relaxed);
    }

    /// Word pieces that the model reads of a text, `[CLS]` and `[SEP]` among them.
    pub fn count_word_pieces(&self, text: &str) -> Result<usize, EmbedError> {
        Ok(self.ids(0, text)?.len())
    }

    /// The word pieces of the text, which is the one at `row`.
    pub(crate) fn ids(&self, row: usize, text: &str) -> Result<Vec<u32>, EmbedError> {
        self.word_pieces.ids(text).map_err(|source| EmbedError::WordPieces { row, source })
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

    /// What it runs on: never [`Device::Auto`].
    pub fn device(&self) -> Device {
        self.device
    }

    /// The version of ONNX Runtime in use, such as `1.31.1`.
    pub fn runtime_version(&self) -> String {
        self.runtime_version.clone()
    }

    /// Gives one vector for each text, in the order of the texts: a row each, of length one if the model
    /// is one that normalises.
    ///
    /// A text without any word, such as the empty one, has a vector too. Batches are of `batch_word_pieces`, or of
    /// what suits the device; they decide the last bits, and vectors stay within 1e-6.
    ///
    /// `progress` is called from any thread with the number of texts done since the last call: after each batch, and
    /// with 0 now and then before the first. When it returns false, the work ends with [`EmbedError::Cancelled`].
    pub fn embed<S: AsRef<str> + Sync>(
        &self,
        texts: &[S],
        batch_word_pieces: Option<usize>,
        progress: &(dyn Fn(usize) -> bool + Sync),
    ) -> Result<Array2<f32>, EmbedError> {
        work::embed(self, texts, batch_word_pieces, progress)
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
        Device::Cpu | Device::Auto => CPU_BATCH_WORD_PIECES,
        Device::Cuda(_) => CUDA_BATCH_WORD_PIECES,
    }
}
