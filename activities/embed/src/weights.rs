//! Weights: the numbers of the model, read one tensor after the other from `model.safetensors`.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};

use crate::error::EmbedError;
use crate::model::unreadable;

/// A table of contents longer than this belongs to another kind of file.
const LONGEST_HEADER: u64 = 16 << 20;

/// The tensors of a `model.safetensors`, by name. The file stays on disk: of the tensors one is held at a time.
pub(crate) struct Weights {
    path: PathBuf,
    file: File,
    metadata: Metadata,
    /// Where the tensors begin in the file.
    start: u64,
    /// What stands before every name: nothing, or `bert.` where the model was saved with a head.
    prefix: &'static str,
}

impl Weights {
    /// Opens the file and reads its table of contents.
    pub(crate) fn open(path: &Path) -> Result<Self, EmbedError> {
        let file = File::open(path).map_err(|source| unreadable(path, source))?;
        let (start, metadata) = read_metadata(&file, path)?;
        let prefixed = metadata.info("bert.embeddings.word_embeddings.weight").is_some();
        let prefix = if prefixed { "bert." } else { "" };
        Ok(Self { path: path.to_owned(), file, metadata, start, prefix })
    }

    /// A vector, or a matrix row by row, of the given shape.
    pub(crate) fn values(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, EmbedError> {
        let info = self.find(name).ok_or_else(|| self.refuse(name, shape, "missing".to_owned()))?;
        if info.shape != shape {
            return Err(self.refuse(name, shape, format!("{} {:?}", info.dtype, info.shape)));
        }
        let mut bytes = vec![0; info.data_offsets.1 - info.data_offsets.0];
        self.file
            .read_exact_at(&mut bytes, self.start + info.data_offsets.0 as u64)
            .map_err(|source| unreadable(&self.path, source))?;
        decode(info.dtype, &bytes).ok_or_else(|| self.refuse(name, shape, info.dtype.to_string()))
    }

    /// A linear layer's matrix turned from torch's `[outputs, inputs]` to `[inputs, outputs]`.
    pub(crate) fn transposed(
        &self,
        name: &str,
        [inputs, outputs]: [usize; 2],
    ) -> Result<Vec<f32>, EmbedError> {
        let values = self.values(name, &[outputs, inputs])?;
        Ok((0..inputs * outputs).map(|at| values[at % outputs * inputs + at / outputs]).collect())
    }

    /// A tensor by its name, or by the one that it has in files made from TensorFlow's.
    fn find(&self, name: &str) -> Option<&TensorInfo> {
        let named = |name: &str| self.metadata.info(&format!("{}{name}", self.prefix));
        let older = || {
            let scale = name.strip_suffix("LayerNorm.weight").map(|layer| format!("{layer}LayerNorm.gamma"));
            scale.or_else(|| Some(format!("{}LayerNorm.beta", name.strip_suffix("LayerNorm.bias")?)))
        };
        named(name).or_else(|| named(&older()?))
    }

    fn refuse(&self, name: &str, shape: &[usize], found: String) -> EmbedError {
        EmbedError::UnsupportedModel {
            path: self.path.clone(),
            field: format!("{}{name}", self.prefix),
            expected: format!("F32, F16 or BF16 {shape:?}"),
            found,
        }
    }
}

/// Where the tensors begin, and the table of contents, which must be that of the whole file.
fn read_metadata(file: &File, path: &Path) -> Result<(u64, Metadata), EmbedError> {
    let format = |reason: &str| EmbedError::ModelFormat { path: path.to_owned(), reason: reason.to_owned() };
    let mut length = [0; 8];
    file.read_exact_at(&mut length, 0).map_err(|_| format("has no table of contents"))?;
    let length = u64::from_le_bytes(length);
    if length > LONGEST_HEADER {
        return Err(format("has no table of contents"));
    }
    let mut header = vec![0; length as usize];
    file.read_exact_at(&mut header, 8).map_err(|_| format("ends inside its table of contents"))?;
    let metadata: Metadata = serde_json::from_slice(&header).map_err(|error| format(&error.to_string()))?;
    let start = 8 + length;
    let (found, expected) =
        (file.metadata().map_or(0, |metadata| metadata.len()), start + metadata.data_len() as u64);
    if found != expected {
        return Err(format(&format!("has {found} bytes, and {expected} by its table of contents")));
    }
    Ok((start, metadata))
}

/// Numbers as they are computed with; `None` for a type that is none of those that models come in.
fn decode(dtype: Dtype, bytes: &[u8]) -> Option<Vec<f32>> {
    let halves = || bytes.as_chunks::<2>().0.iter().copied();
    match dtype {
        Dtype::F32 => Some(bytes.as_chunks::<4>().0.iter().copied().map(f32::from_le_bytes).collect()),
        Dtype::F16 => Some(halves().map(|bytes| f16::from_le_bytes(bytes).to_f32()).collect()),
        Dtype::BF16 => Some(halves().map(|bytes| bf16::from_le_bytes(bytes).to_f32()).collect()),
        _ => None,
    }
}
