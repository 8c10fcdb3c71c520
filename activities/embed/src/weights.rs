//! Weights: the numbers of the model, read from `model.safetensors` into tensors of ONNX Runtime.

use std::path::{Path, PathBuf};

use ort::memory::Allocator;
use ort::value::Tensor;
use safetensors::{Dtype, SafeTensors};

use crate::error::EmbedError;

/// The tensors of a `model.safetensors`, by name.
pub(crate) struct Weights<'bytes> {
    path: PathBuf,
    tensors: SafeTensors<'bytes>,
}

impl<'bytes> Weights<'bytes> {
    /// Reads the file's table of contents; the path is for messages.
    pub(crate) fn read(path: &Path, bytes: &'bytes [u8]) -> Result<Self, EmbedError> {
        let tensors = SafeTensors::deserialize(bytes)
            .map_err(|error| EmbedError::ModelFormat { path: path.to_owned(), reason: error.to_string() })?;
        Ok(Self { path: path.to_owned(), tensors })
    }

    /// A vector, or a matrix row by row, of the given shape.
    pub(crate) fn values(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, EmbedError> {
        let tensor = self.tensors.tensor(name).map_err(|_| self.refuse(name, shape, "missing".to_owned()))?;
        if tensor.dtype() != Dtype::F32 || tensor.shape() != shape {
            let found = format!("{} {:?}", tensor.dtype(), tensor.shape());
            return Err(self.refuse(name, shape, found));
        }
        let numbers = tensor.data().as_chunks::<4>().0;
        Ok(numbers.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect())
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

    fn refuse(&self, name: &str, shape: &[usize], found: String) -> EmbedError {
        EmbedError::UnsupportedModel {
            path: self.path.clone(),
            field: name.to_owned(),
            expected: format!("F32 {shape:?}"),
            found,
        }
    }
}

/// A tensor in memory of ONNX Runtime's own, which is what the graph editor takes.
pub(crate) fn tensor(shape: &[usize], values: &[f32]) -> ort::Result<Tensor<f32>> {
    let mut tensor = Tensor::new(&Allocator::default(), shape)?;
    tensor.extract_tensor_mut().1.copy_from_slice(values);
    Ok(tensor)
}
