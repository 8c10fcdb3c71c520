//! An ONNX file: a network that someone exported, run as it is.
//!
//! Exports differ in what they take and give. Known are those of Optimum and of `PyTorch`: ids, mask and
//! perhaps segments of 64 bits in; out come the vectors of the word pieces, which are pooled here, or else
//! the vector of each text.

use std::path::Path;

use ndarray::{Array2, Axis, Ix2, Ix3, s};
use ort::session::builder::SessionBuilder;
use ort::session::{Session, SessionInputValue};
use ort::value::{Outlet, Tensor, TensorElementType, ValueType};

use crate::batch::Batch;
use crate::error::EmbedError;
use crate::model::{Pooling, require};

/// A session of the file, and how to talk to it.
pub(crate) struct OnnxFile {
    session: Session,
    pooling: Pooling,
    inputs: Vec<Input>,
    output: &'static str,
}

/// What a file may ask for.
#[derive(Clone, Copy)]
enum Input {
    Ids,
    Mask,
    /// The segment of each piece: all of a text is segment 0.
    Segments,
}

const INPUTS: &str = "`input_ids`, `attention_mask` or `token_type_ids`, of int64";
/// What a file may give; of several the first here is used.
const OUTPUTS: [&str; 3] = ["token_embeddings", "last_hidden_state", "sentence_embedding"];

impl OnnxFile {
    /// Loads the file.
    pub(crate) fn load(
        path: &Path,
        pooling: Pooling,
        options: &mut SessionBuilder,
    ) -> Result<Self, EmbedError> {
        let session = options.commit_from_file(path)?;
        let mut inputs = Vec::new();
        for input in session.inputs() {
            let known = Input::of(input);
            require(path, "an input", describe(input), known.is_some(), INPUTS)?;
            inputs.extend(known);
        }
        let given: Vec<&str> = session.outputs().iter().map(Outlet::name).collect();
        let output = OUTPUTS.into_iter().find(|output| given.contains(output));
        require(
            path,
            "outputs",
            given.join(", "),
            output.is_some(),
            &format!("with {}", OUTPUTS.join(" or ")),
        )?;
        let output = output.unwrap_or_default();
        Ok(Self { session, pooling, inputs, output })
    }

    /// See [`crate::network::Network::run`].
    pub(crate) fn run(&mut self, batch: &Batch, word_pieces: &[Vec<u32>]) -> ort::Result<Array2<f32>> {
        let inputs = self.inputs.iter().map(|input| input.lay_out(batch, word_pieces));
        let inputs: Vec<SessionInputValue<'_>> = inputs.collect::<ort::Result<_>>()?;
        let outputs = self.session.run(inputs.as_slice())?;
        let output = outputs[self.output].try_extract_array::<f32>()?;
        if output.ndim() == 2 {
            return Ok(output.into_dimensionality::<Ix2>().map_err(ort::Error::wrap)?.to_owned());
        }
        let pieces = output.into_dimensionality::<Ix3>().map_err(ort::Error::wrap)?;
        let mut pooled = Array2::zeros((batch.rows.len(), pieces.len_of(Axis(2))));
        for (row, &text) in batch.rows.iter().enumerate() {
            let vector = self.pooling.pool(&pieces.slice(s![row, ..word_pieces[text].len(), ..]));
            pooled.row_mut(row).assign(&vector);
        }
        Ok(pooled)
    }
}

impl Input {
    fn of(outlet: &Outlet) -> Option<Self> {
        let long = matches!(outlet.dtype(), ValueType::Tensor { ty: TensorElementType::Int64, .. });
        match outlet.name() {
            "input_ids" => Some(Self::Ids),
            "attention_mask" => Some(Self::Mask),
            "token_type_ids" => Some(Self::Segments),
            _ => None,
        }
        .filter(|_| long)
    }

    fn lay_out(self, batch: &Batch, word_pieces: &[Vec<u32>]) -> ort::Result<SessionInputValue<'static>> {
        let mut values = Array2::<i64>::zeros((batch.rows.len(), batch.longest));
        for (mut row, &text) in values.rows_mut().into_iter().zip(&batch.rows) {
            for (target, &id) in row.iter_mut().zip(&word_pieces[text]) {
                *target = match self {
                    Self::Ids => id.into(),
                    Self::Mask => 1,
                    Self::Segments => 0,
                };
            }
        }
        Ok(Tensor::from_array(values)?.into())
    }
}

fn describe(outlet: &Outlet) -> String {
    format!("{}: {}", outlet.name(), outlet.dtype())
}
