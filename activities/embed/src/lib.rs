//! An embedder: texts in, one unit vector each out, equal to what sentence-transformers computes with
//! all-MiniLM-L6-v2.
//!
//! A text is cut into word pieces, the pieces of many texts are laid side by side in batches, the model
//! runs over each batch in ONNX Runtime, and the vectors of a text's pieces are averaged and scaled to
//! length one. Nothing is exported or converted beforehand: the model's graph is built in memory from its
//! own `model.safetensors`, of the operators that ONNX Runtime has fused for BERT.
//!
//! Vectors depend on the texts and the model alone: the batches are a function of the texts, and what
//! lies beside a text in its batch moves its vector by less than 1e-6. The number of threads changes no bit.
//!
//! On the processor each core runs batches of its own, longest first, over weights that all share. Calls from several
//! threads share the cores, so that some texts are cut into word pieces while others run through the model.
//!
//! ```no_run
//! use wikitok_embed::{Device, Embedder, EmbedderOptions, Precision};
//!
//! # fn main() -> Result<(), wikitok_embed::EmbedError> {
//! let embedder = Embedder::load(&EmbedderOptions {
//!     model_directory: ".wikitok/models/all-MiniLM-L6-v2".into(),
//!     runtime_library: ".wikitok/lib/libonnxruntime.so".into(),
//!     device: Device::Cpu,
//!     precision: Precision::Fp32,
//!     threads: 2,
//! })?;
//! let vectors = embedder.embed(&["Sofia is the capital of Bulgaria."], None, &|_done| true)?;
//! assert_eq!(vectors.dim(), (1, 384));
//! # Ok(())
//! # }
//! ```

mod batch;
mod device;
mod embedder;
mod error;
mod graph;
mod model;
mod network;
mod onnx;
mod onnx_file;
mod operators;
mod passages;
mod precision;
mod runtime;
mod share;
mod weights;
mod word_pieces;
mod work;

pub use device::{Device, ParseDeviceError};
pub use embedder::{Embedder, EmbedderOptions};
pub use error::EmbedError;
pub use model::{ALL_MINILM_L6_V2, KnownModel, ModelIdentity, Pooling, Prompts, inspect_model};
pub use passages::{Passage, PassageOptions};
pub use precision::{ParsePrecisionError, Precision};
