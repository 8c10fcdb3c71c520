//! The network: a model in ONNX Runtime, from a batch of word pieces to a vector for each text.

use ndarray::{Array2, Array3, s};
use ort::session::Session;
use ort::session::builder::SessionBuilder;
use ort::value::TensorRef;

use crate::batch::Batch;
use crate::embedder::EmbedderOptions;
use crate::error::EmbedError;
use crate::graph;
use crate::model::{ModelFiles, NetworkFile, Pooling, require};
use crate::onnx_file::OnnxFile;
use crate::precision::Precision;
use crate::weights::Weights;

/// A network ready to run.
pub(crate) enum Network {
    /// Built here of weights, pooling included.
    Built(Built),
    /// As a file holds it.
    File(OnnxFile),
}

impl Network {
    /// Builds the network, or loads the file that holds it.
    pub(crate) fn load(
        files: &ModelFiles,
        options: &EmbedderOptions,
        mut builder: SessionBuilder,
    ) -> Result<Self, EmbedError> {
        let pooling = files.identity.pooling;
        match &files.network {
            NetworkFile::Safetensors(path) => {
                let weights = Weights::open(path)?;
                let session = graph::session(&files.bert, pooling, options, &weights, builder)?;
                Ok(Self::Built(Built { session, pooling }))
            }
            NetworkFile::Onnx(path) => {
                let precision = options.precision;
                let own = precision == Precision::Fp32;
                require(path, "precision", "that of the file", own, &format!("{precision}"))?;
                Ok(Self::File(OnnxFile::load(path, pooling, &mut builder)?))
            }
        }
    }

    /// The pooled vector of each text of the batch, a row each. `word_pieces` are those of all texts.
    pub(crate) fn run(&mut self, batch: &Batch, word_pieces: &[Vec<u32>]) -> ort::Result<Array2<f32>> {
        match self {
            Self::Built(network) => network.run(batch, word_pieces),
            Self::File(network) => network.run(batch, word_pieces),
        }
    }
}

/// A network built by [`graph`].
pub(crate) struct Built {
    session: Session,
    pooling: Pooling,
}

impl Built {
    fn run(&mut self, batch: &Batch, word_pieces: &[Vec<u32>]) -> ort::Result<Array2<f32>> {
        let inputs = Inputs::lay_out(self.pooling, batch, word_pieces);
        let outputs = self.session.run(ort::inputs! {
            graph::INPUT_IDS => TensorRef::from_array_view(&inputs.ids)?,
            graph::ATTENTION_MASK => TensorRef::from_array_view(&inputs.mask)?,
            graph::POOLING => TensorRef::from_array_view(&inputs.pooling)?,
        })?;
        let pooled = outputs[graph::POOLED].try_extract_array::<f32>()?;
        let (texts, dimensions) = (batch.rows.len(), pooled.len() / batch.rows.len());
        Ok(pooled.to_shape((texts, dimensions)).expect("the vector of each text is whole").to_owned())
    }
}

/// A batch as the graph takes it; see the names in [`graph`].
struct Inputs {
    ids: Array2<i32>,
    mask: Array2<i32>,
    pooling: Array3<f32>,
}

impl Inputs {
    fn lay_out(pooling: Pooling, batch: &Batch, word_pieces: &[Vec<u32>]) -> Self {
        let shape @ (texts, pieces) = (batch.rows.len(), batch.longest);
        let mut inputs = Self {
            // The padding's id is never seen behind the mask: 0 is `[PAD]`, and any other would do.
            ids: Array2::zeros(shape),
            mask: Array2::zeros(shape),
            pooling: Array3::zeros(if pooling == Pooling::Max {
                (texts, pieces, 1)
            } else {
                (texts, 1, pieces)
            }),
        };
        for (row, &text) in batch.rows.iter().enumerate() {
            inputs.fill(row, pooling, &word_pieces[text]);
        }
        inputs
    }

    fn fill(&mut self, row: usize, pooling: Pooling, ids: &[u32]) {
        let length = ids.len();
        for (target, &id) in self.ids.row_mut(row).iter_mut().zip(ids) {
            *target = id as i32;
        }
        self.mask.slice_mut(s![row, ..length]).fill(1);
        let weights = pooling.weights(length, self.ids.ncols() - length);
        for (target, weight) in self.pooling.slice_mut(s![row, .., ..]).iter_mut().zip(weights) {
            *target = weight;
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn padding_has_no_weight() {
        let batch = Batch { rows: vec![1, 0], longest: 4 };
        let inputs = Inputs::lay_out(Pooling::Mean, &batch, &[vec![7, 8], vec![1, 2, 3, 4]]);
        assert_eq!(inputs.ids, array![[1, 2, 3, 4], [7, 8, 0, 0]]);
        assert_eq!(inputs.mask, array![[1, 1, 1, 1], [1, 1, 0, 0]]);
        assert_eq!(inputs.pooling, array![[[0.25, 0.25, 0.25, 0.25]], [[0.5, 0.5, 0.0, 0.0]]]);
    }
}
