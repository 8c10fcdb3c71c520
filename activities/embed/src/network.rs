//! The network: a model in ONNX Runtime, from a batch of word pieces to a vector for each text.

use ndarray::Array2;
use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::session::{IoBinding, Session};
use ort::value::Tensor;

use crate::batch::Batch;
use crate::device::Device;
use crate::embedder::EmbedderOptions;
use crate::error::EmbedError;
use crate::graph::{self, Graph};
use crate::model::{ModelFiles, NetworkFile, Pooling, require};
use crate::onnx_file::OnnxFile;
use crate::precision::Precision;
use crate::runtime::Runtime;
use crate::weights::Weights;

/// A network ready to run.
pub(crate) enum Network {
    /// Built here of weights, pooling included.
    Built(Box<Built>),
    /// As a file holds it.
    File(OnnxFile),
}

/// Loads the network as often as it is to run side by side: on the processor once for each core. That is faster than
/// many threads for one batch, which wait for one another after every step.
///
/// A file, which has weights of its own for each time, and a GPU are loaded once.
pub(crate) fn load(
    files: &ModelFiles,
    options: &EmbedderOptions,
    runtime: &Runtime,
) -> Result<Vec<Network>, EmbedError> {
    let pooling = files.identity.pooling;
    match &files.network {
        NetworkFile::Safetensors(path) => {
            let graph = Graph::build(&files.bert, pooling, options, &Weights::open(path)?)?;
            let side_by_side = if options.device == Device::Cpu { options.threads } else { 1 };
            let build = |_| {
                let builder = runtime.session_builder(options.device, options.threads / side_by_side)?;
                let session = graph.session(builder).map_err(|error| unavailable(options.device, error))?;
                Ok(Network::Built(Box::new(Built::new(session, pooling, options.device)?)))
            };
            (0..side_by_side).map(build).collect()
        }
        NetworkFile::Onnx(path) => {
            let precision = options.precision;
            let own = precision == Precision::Fp32;
            require(path, "precision", "that of the file", own, &format!("{precision}"))?;
            let mut builder = runtime.session_builder(options.device, options.threads)?;
            Ok(vec![Network::File(OnnxFile::load(path, pooling, &mut builder)?)])
        }
    }
}

/// Why a network that was built here cannot be set up: on a GPU, it is the GPU.
fn unavailable(device: Device, error: ort::Error) -> EmbedError {
    match device {
        Device::Cuda(_) => EmbedError::DeviceUnavailable { device, reason: error.message().to_owned() },
        Device::Cpu | Device::Auto => error.into(),
    }
}

impl Network {
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
    binding: IoBinding,
    /// Where batches are laid out: memory that the device reads by itself.
    memory: Allocator,
    /// Where vectors are written.
    result: MemoryInfo<'static>,
    pooling: Pooling,
}

impl Built {
    fn new(session: Session, pooling: Pooling, device: Device) -> ort::Result<Self> {
        let (memory, result) = match device {
            Device::Cpu | Device::Auto => (Allocator::default(), MemoryInfo::default()),
            Device::Cuda(_) => (Allocator::new(&session, pinned()?)?, pinned()?),
        };
        let binding = session.create_binding()?;
        Ok(Self { session, binding, memory, result, pooling })
    }

    fn run(&mut self, batch: &Batch, word_pieces: &[Vec<u32>]) -> ort::Result<Array2<f32>> {
        let inputs = Inputs::lay_out(&self.memory, self.pooling, batch, word_pieces)?;
        self.binding.bind_input(graph::INPUT_IDS, &inputs.ids)?;
        self.binding.bind_input(graph::ATTENTION_MASK, &inputs.mask)?;
        self.binding.bind_input(graph::POOLING, &inputs.pooling)?;
        // Bound anew, or the next batch would have to be of the shape of the last.
        self.binding.bind_output_to_device(graph::POOLED, &self.result)?;
        let outputs = self.session.run_binding(&self.binding)?;
        let pooled = outputs[graph::POOLED].try_extract_array::<f32>()?;
        let (texts, dimensions) = (batch.rows.len(), pooled.len() / batch.rows.len());
        Ok(pooled.to_shape((texts, dimensions)).expect("the vector of each text is whole").to_owned())
    }
}

/// Memory of the processor that stays in its place, so that a GPU copies from and to it without help.
fn pinned() -> ort::Result<MemoryInfo<'static>> {
    MemoryInfo::new(AllocationDevice::CUDA_PINNED, 0, AllocatorType::Device, MemoryType::CPUInput)
}

/// A batch as the graph takes it; see the names in [`graph`].
struct Inputs {
    ids: Tensor<i32>,
    mask: Tensor<i32>,
    pooling: Tensor<f32>,
}

impl Inputs {
    fn lay_out(
        memory: &Allocator,
        pooling: Pooling,
        batch: &Batch,
        word_pieces: &[Vec<u32>],
    ) -> ort::Result<Self> {
        let (texts, pieces) = (batch.rows.len(), batch.longest);
        let of_pooling = if pooling == Pooling::Max { [texts, pieces, 1] } else { [texts, 1, pieces] };
        let mut inputs = Self {
            ids: Tensor::new(memory, [texts, pieces])?,
            mask: Tensor::new(memory, [texts, pieces])?,
            pooling: Tensor::new(memory, of_pooling)?,
        };
        let (_, ids) = inputs.ids.extract_tensor_mut();
        let (_, mask) = inputs.mask.extract_tensor_mut();
        let (_, weights) = inputs.pooling.extract_tensor_mut();
        let places = ids.chunks_mut(pieces).zip(mask.chunks_mut(pieces)).zip(weights.chunks_mut(pieces));
        for (&text, ((ids, mask), weights)) in batch.rows.iter().zip(places) {
            fill(&word_pieces[text], pooling, ids, mask, weights);
        }
        Ok(inputs)
    }
}

/// Lays out one text in its row of each input, padding included.
fn fill(text: &[u32], pooling: Pooling, ids: &mut [i32], mask: &mut [i32], weights: &mut [f32]) {
    let padding = ids.len() - text.len();
    // The padding's id is never seen behind the mask: 0 is `[PAD]`, and any other would do.
    let padded = text.iter().map(|&id| id as i32).chain(std::iter::repeat_n(0, padding));
    ids.iter_mut().zip(padded).for_each(|(target, id)| *target = id);
    mask[..text.len()].fill(1);
    mask[text.len()..].fill(0);
    let pooled = pooling.weights(text.len(), padding);
    weights.iter_mut().zip(pooled).for_each(|(target, weight)| *target = weight);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_has_no_weight() {
        let (mut ids, mut mask, mut weights) = ([9; 4], [9; 4], [9.0; 4]);
        fill(&[1, 2, 3, 4], Pooling::Mean, &mut ids, &mut mask, &mut weights);
        assert_eq!((ids, mask, weights), ([1, 2, 3, 4], [1; 4], [0.25; 4]));
        fill(&[7, 8], Pooling::Mean, &mut ids, &mut mask, &mut weights);
        assert_eq!((ids, mask, weights), ([7, 8, 0, 0], [1, 1, 0, 0], [0.5, 0.5, 0.0, 0.0]));
    }
}
