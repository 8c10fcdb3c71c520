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
use crate::runtime::{self, Runtime};
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
                let builder = runtime::all_on_the_device(options.device, builder)?;
                let session = graph.session(builder).map_err(|error| unavailable(options.device, error))?;
                Ok(Network::Built(Box::new(Built::new(session, pooling, options.device)?)))
            };
            (0..side_by_side).map(build).collect()
        }
        NetworkFile::Onnx(path) => {
            let precision = options.precision;
            let own = precision == Precision::Fp32;
            require(path, "precision", "that of the file", own, &format!("{precision}"))?;
            // Of an export, ONNX Runtime leaves the steps to the processor that are about shapes.
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
            Device::Cuda(index) => (Allocator::new(&session, pinned(index)?)?, pinned(index)?),
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
fn pinned(index: u32) -> ort::Result<MemoryInfo<'static>> {
    let index = index.cast_signed();
    MemoryInfo::new(AllocationDevice::CUDA_PINNED, index, AllocatorType::Device, MemoryType::CPUInput)
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
#[allow(clippy::unwrap_used, reason = "a test may fail anywhere")]
mod tests {
    use std::path::Path;

    use super::*;

    /// The graph that a GPU is given, run on the processor.
    #[test]
    fn the_graph_of_a_gpu_gives_the_vectors_of_the_processors() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let home = std::env::var_os("WIKITOK_HOME").map_or_else(|| root.join(".wikitok"), Into::into);
        let options = EmbedderOptions {
            model_directory: root.join("tests/data/models/uncased"),
            runtime_library: home.join("lib/libonnxruntime.so"),
            device: Device::Cpu,
            precision: Precision::Fp32,
            threads: 1,
        };
        let files = ModelFiles::read(&options.model_directory).unwrap();
        let NetworkFile::Safetensors(weights) = &files.network else { panic!("weights are there") };
        let weights = Weights::open(weights).unwrap();
        let runtime = Runtime::load(&options.runtime_library).unwrap();
        let (word_pieces, batch) =
            ([vec![2, 7, 9, 8, 3], vec![2, 5, 3]], Batch { rows: vec![0, 1], longest: 5 });
        for pooling in [Pooling::Mean, Pooling::Cls, Pooling::Max] {
            let pooled = |device| {
                let options = EmbedderOptions { device, ..options.clone() };
                let graph = Graph::build(&files.bert, pooling, &options, &weights).unwrap();
                let session = graph.session(runtime.session_builder(Device::Cpu, 1).unwrap()).unwrap();
                let mut network = Built::new(session, pooling, Device::Cpu).unwrap();
                network.run(&batch, &word_pieces).unwrap()
            };
            let (processor, gpu) = (pooled(Device::Cpu), pooled(Device::Cuda(0)));
            let difference = (&processor - &gpu).iter().fold(0_f32, |most, value| most.max(value.abs()));
            assert!(difference < 1e-5, "{pooling:?} differs by {difference:e}");
        }
    }

    #[test]
    fn padding_has_no_weight() {
        let (mut ids, mut mask, mut weights) = ([9; 4], [9; 4], [9.0; 4]);
        fill(&[1, 2, 3, 4], Pooling::Mean, &mut ids, &mut mask, &mut weights);
        assert_eq!((ids, mask, weights), ([1, 2, 3, 4], [1; 4], [0.25; 4]));
        fill(&[7, 8], Pooling::Mean, &mut ids, &mut mask, &mut weights);
        assert_eq!((ids, mask, weights), ([7, 8, 0, 0], [1, 1, 0, 0], [0.5, 0.5, 0.0, 0.0]));
    }
}
