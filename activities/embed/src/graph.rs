//! The graph: the network as ONNX Runtime runs it, built in memory from the model's weights.
//!
//! BERT is made of the operators that ONNX Runtime has fused for it (domain `com.microsoft`), so no
//! export and no optimiser pass is needed:
//!
//! ```text
//! input_ids ─▶ EmbedLayerNormalization ─▶ layer × n ─▶ MatMul with pooling ─▶ pooled
//!
//! layer:  x ─▶ Attention ─▶ MatMul ─▶ SkipLayerNormalization ─▶ y
//!         y ─▶ MatMul ─▶ BiasGelu ─▶ MatMul ─▶ SkipLayerNormalization
//! ```
//!
//! Pooling is one product: `pooling` holds the weight of each piece, for the mean 1/n at the n pieces of a
//! text, and 0 at its padding. Only the greatest value of each dimension is no sum: then `pooling` is added,
//! far below 0 at the padding, and the greatest is taken.
//!
//! Sessions made of one graph share its weights, packed for the processor once.
//!
//! In fp16 all tensors between the inputs and the pooling are of 16 bits, and attention is told the length of each
//! text in place of a mask; on the processor the same graph can be run. In other precisions on the processor
//! `SkipLayerNormalization` is an operator of our own ([`crate::operators`]), and so in int8 are the products
//! with weights; attention, which ONNX Runtime then cannot fuse with its product, is `MultiHeadAttention` on the
//! product's three parts.

use std::sync::Arc;

use half::f16;
use ort::operator::OperatorDomain;
use ort::session::Session;
use ort::session::builder::{PrepackedWeights, SessionBuilder};
use ort::value::{DynValue, Tensor};

use crate::device::Device;
use crate::embedder::EmbedderOptions;
use crate::error::EmbedError;
use crate::model::{Activation, Bert, Pooling};
use crate::onnx::{Attribute, Dimension, Model, Type};
use crate::operators::residual::Residual;
use crate::operators::{self, ByRow, int8};
use crate::precision::Precision;
use crate::weights::Weights;

/// Word piece ids, `[texts, word pieces]`, int32.
pub(crate) const INPUT_IDS: &str = "input_ids";
/// 1 at a word piece, 0 at padding, `[texts, word pieces]`, int32.
pub(crate) const ATTENTION_MASK: &str = "attention_mask";
/// What [`Pooling::weights`] gives for each word piece: `[texts, 1, word pieces]`, or for [`Pooling::Max`]
/// `[texts, word pieces, 1]`.
pub(crate) const POOLING: &str = "pooling";
/// The vector of each text, `[texts, 1, hidden]`.
pub(crate) const POOLED: &str = "pooled";

/// Word pieces of each text, `[texts]`, int32: what the embeddings make of the mask.
const LENGTHS: &str = "embedded.mask_index";

/// ONNX's own domain, and the version whose operators are meant.
const ONNX: (&str, u64) = ("", 17);
/// The domain of the operators that ONNX Runtime has fused.
const MICROSOFT: (&str, u64) = ("com.microsoft", 1);

/// A network that is ready to be made sessions of.
pub(crate) struct Graph {
    bytes: Vec<u8>,
    operators: Arc<OperatorDomain>,
    /// Constants that all sessions use where they are; on the processor alone.
    shared: Vec<(String, Arc<DynValue>)>,
    /// The same, packed; not all operators of 16 bits can share what they pack.
    packed: Option<PrepackedWeights>,
}

impl Graph {
    /// Builds the network.
    pub(crate) fn build(
        shape: &Bert,
        pooling: Pooling,
        options: &EmbedderOptions,
        weights: &Weights,
    ) -> Result<Self, EmbedError> {
        let (precision, on_processor) = (options.precision, options.device == Device::Cpu);
        let mut network = Network {
            model: Model::new(&[ONNX, MICROSOFT, (operators::DOMAIN, 1)]),
            // Ours are for the processor, and in 32 bits.
            ours: on_processor && precision != Precision::Fp16,
            operators: Vec::new(),
            shared: on_processor.then(Vec::new),
            shape,
            precision,
            weights,
        };
        network.declare(pooling);
        let mut hidden = network.embeddings()?;
        for layer in 0..shape.num_hidden_layers {
            hidden = network.layer(layer, &hidden)?;
        }
        network.pool(pooling, hidden);
        let mut operators = OperatorDomain::new(operators::DOMAIN)?;
        for (name, operator) in network.operators {
            operators = operators::add(operators, &name, operator)?;
        }
        #[expect(
            clippy::arc_with_non_send_sync,
            reason = "sessions want it so, and all are made by one thread"
        )]
        let operators = Arc::new(operators);
        let shared = network.shared.unwrap_or_default();
        let bytes = network.model.into_bytes();
        let packed = (on_processor && precision != Precision::Fp16).then(PrepackedWeights::new);
        Ok(Self { bytes, operators, shared, packed })
    }

    /// Makes a session.
    pub(crate) fn session(&self, builder: SessionBuilder) -> ort::Result<Session> {
        let mut builder = builder.with_operators(self.operators.clone())?;
        if let Some(packed) = &self.packed {
            builder = builder.with_prepacked_weights(packed)?;
        }
        for (name, value) in &self.shared {
            builder = builder.with_initializer(name, value.clone())?;
        }
        builder.commit_from_memory(&self.bytes)
    }
}

/// The network under construction. A tensor is named after the step that makes it.
struct Network<'model> {
    model: Model,
    /// Whether operators of our own are used where they are faster.
    ours: bool,
    /// Operators of our own, by their names.
    operators: Vec<(String, Arc<dyn ByRow>)>,
    /// Constants for all sessions, if they share them.
    shared: Option<Vec<(String, Arc<DynValue>)>>,
    shape: &'model Bert,
    precision: Precision,
    weights: &'model Weights,
}

impl Network<'_> {
    fn declare(&mut self, pooling: Pooling) {
        use Dimension::{Any, Fixed};
        self.model.input(INPUT_IDS, Type::Int32, &[Any, Any]);
        self.model.input(ATTENTION_MASK, Type::Int32, &[Any, Any]);
        let of_max = pooling == Pooling::Max;
        self.model.input(
            POOLING,
            Type::Float,
            &if of_max { [Any, Any, Fixed(1)] } else { [Any, Fixed(1), Any] },
        );
        self.model.output(POOLED, Type::Float, &[Any, Fixed(1), Fixed(self.shape.hidden_size)]);
    }

    /// Adds up the embeddings of pieces, positions and segments, and normalises.
    fn embeddings(&mut self) -> Result<String, EmbedError> {
        let hidden = self.shape.hidden_size;
        let words = self.copy("embeddings.word_embeddings.weight", &[self.shape.vocab_size, hidden])?;
        let positions = self.positions()?;
        let scale = self.copy("embeddings.LayerNorm.weight", &[hidden])?;
        let shift = self.copy("embeddings.LayerNorm.bias", &[hidden])?;
        let inputs = [INPUT_IDS, "", &words, &positions, "", &scale, &shift, ATTENTION_MASK];
        let inputs = if self.ours { &inputs[..7] } else { &inputs };
        let outputs = ["embedded", LENGTHS];
        self.fused("EmbedLayerNormalization", inputs, &outputs, &[self.epsilon()]);
        Ok("embedded".to_owned())
    }

    /// The embeddings of the positions with that of segment 0 added: all of a text is segment 0.
    fn positions(&mut self) -> Result<String, EmbedError> {
        let Bert { hidden_size, max_position_embeddings, type_vocab_size, .. } = *self.shape;
        let shape = [max_position_embeddings, hidden_size];
        let mut positions = self.weights.values("embeddings.position_embeddings.weight", &shape)?;
        let segments = "embeddings.token_type_embeddings.weight";
        let segments = self.weights.values(segments, &[type_vocab_size, hidden_size])?;
        for (at, value) in positions.iter_mut().enumerate() {
            *value += segments[at % hidden_size];
        }
        self.constant("positions", &shape, positions)
    }

    /// One encoder layer, from `input` to the name of its output.
    fn layer(&mut self, layer: usize, input: &str) -> Result<String, EmbedError> {
        let prefix = format!("encoder.layer.{layer}");
        let attended = self.attention(&prefix, input)?;
        let middle = self.residual(&format!("{prefix}.attention.output"), &attended, input)?;
        let expanded = self.expansion(&format!("{prefix}.intermediate"), &middle)?;
        self.residual(&format!("{prefix}.output"), &expanded, &middle)
    }

    fn attention(&mut self, prefix: &str, input: &str) -> Result<String, EmbedError> {
        let (weight, bias) = self.packed_attention(prefix)?;
        let output = format!("{prefix}.attention");
        let bias = self.constant(&format!("{output}.bias"), &[bias.len()], bias)?;
        let heads = [("num_heads", Attribute::Integer(self.shape.num_attention_heads as i64))];
        let shape = [self.shape.hidden_size, 3 * self.shape.hidden_size];
        let packed = format!("{output}.packed");
        if self.precision == Precision::Int8 {
            self.product(&packed, input, shape, weight)?;
            let [query, key, value] = &self.split(&packed, ["query", "key", "value"]);
            let inputs = [query, key, value, &bias, ATTENTION_MASK];
            self.fused("MultiHeadAttention", &inputs, &[&output], &heads);
        } else {
            let weight = self.constant(&packed, &shape, weight)?;
            let mask = if self.ours { ATTENTION_MASK } else { LENGTHS };
            self.fused("Attention", &[input, &weight, &bias, mask], &[&output], &heads);
        }
        Ok(output)
    }

    /// Cuts the last dimension into equal parts of the size of a vector.
    fn split<const PARTS: usize>(&mut self, input: &str, parts: [&str; PARTS]) -> [String; PARTS] {
        let sizes = format!("{input}.sizes");
        self.model.integers(&sizes, &[self.shape.hidden_size as i64; PARTS]);
        let parts = parts.map(|part| format!("{input}.{part}"));
        let outputs = parts.each_ref().map(String::as_str);
        self.plain("Split", &[input, &sizes], &outputs, &[("axis", Attribute::Integer(2))]);
        parts
    }

    /// Query, key and value side by side: a matrix `[hidden, 3 · hidden]` and a bias `[3 · hidden]`.
    fn packed_attention(&self, prefix: &str) -> Result<(Vec<f32>, Vec<f32>), EmbedError> {
        let hidden = self.shape.hidden_size;
        let (mut matrices, mut bias) = (Vec::new(), Vec::new());
        for part in ["query", "key", "value"] {
            let name = format!("{prefix}.attention.self.{part}");
            matrices.push(self.weights.transposed(&format!("{name}.weight"), [hidden, hidden])?);
            bias.extend(self.weights.values(&format!("{name}.bias"), &[hidden])?);
        }
        let mut packed = Vec::with_capacity(3 * hidden * hidden);
        for row in 0..hidden {
            for matrix in &matrices {
                packed.extend_from_slice(&matrix[row * hidden..][..hidden]);
            }
        }
        Ok((packed, bias))
    }

    /// The wide layer: linear, then GELU.
    fn expansion(&mut self, prefix: &str, input: &str) -> Result<String, EmbedError> {
        let Bert { hidden_size, intermediate_size, .. } = *self.shape;
        let product = self.linear(&format!("{prefix}.dense"), input, [hidden_size, intermediate_size])?;
        let bias = self.copy(&format!("{prefix}.dense.bias"), &[intermediate_size])?;
        let output = format!("{prefix}.gelu");
        let operator = match self.shape.activation {
            Activation::Gelu => "BiasGelu",
            Activation::GeluTanh => "FastGelu",
        };
        self.fused(operator, &[&product, &bias], &[&output], &[]);
        Ok(output)
    }

    /// Linear, then the sum with `skipped`, normalised.
    fn residual(&mut self, prefix: &str, input: &str, skipped: &str) -> Result<String, EmbedError> {
        let hidden = self.shape.hidden_size;
        let inputs = if prefix.ends_with("attention.output") { hidden } else { self.shape.intermediate_size };
        let product = self.linear(&format!("{prefix}.dense"), input, [inputs, hidden])?;
        let names =
            ["dense.bias", "LayerNorm.weight", "LayerNorm.bias"].map(|name| format!("{prefix}.{name}"));
        let [bias, scale, shift] = &names;
        if self.ours {
            let values = |name| self.weights.values(name, &[hidden]);
            let (bias, scale, shift) = (values(bias)?, values(scale)?, values(shift)?);
            let epsilon = self.shape.layer_norm_eps;
            let operator = Residual { widths: [hidden; 2], bias, scale, shift, epsilon };
            self.own(prefix, &[&product, skipped], Arc::new(operator));
            return Ok(prefix.to_owned());
        }
        for name in &names {
            self.copy(name, &[hidden])?;
        }
        let inputs = [product.as_str(), skipped, scale, shift, bias];
        self.fused("SkipLayerNormalization", &inputs, &[prefix], &[self.epsilon()]);
        Ok(prefix.to_owned())
    }

    /// The product with a linear layer's matrix; its bias is added by the operator that follows.
    fn linear(&mut self, prefix: &str, input: &str, shape: [usize; 2]) -> Result<String, EmbedError> {
        let values = self.weights.transposed(&format!("{prefix}.weight"), shape)?;
        self.product(prefix, input, shape, values)?;
        Ok(prefix.to_owned())
    }

    /// The product with a matrix, under its name.
    fn product(
        &mut self,
        name: &str,
        input: &str,
        shape: [usize; 2],
        values: Vec<f32>,
    ) -> Result<(), EmbedError> {
        if self.precision == Precision::Int8 {
            self.own(name, &[input], Arc::new(int8::Matrix::new(&values, shape)));
        } else {
            let matrix = self.constant(&format!("{name}.matrix"), &shape, values)?;
            self.plain("MatMul", &[input, &matrix], &[name], &[]);
        }
        Ok(())
    }

    fn pool(&mut self, pooling: Pooling, hidden: String) {
        let hidden = self.widened(hidden);
        if pooling == Pooling::Max {
            self.plain("Add", &[&hidden, POOLING], &["masked"], &[]);
            self.plain("ReduceMax", &["masked"], &[POOLED], &[("axes", Attribute::Integers(&[1]))]);
        } else {
            self.plain("MatMul", &[POOLING, &hidden], &[POOLED], &[]);
        }
    }

    /// In 32 bits, in which sums over many pieces are computed.
    fn widened(&mut self, input: String) -> String {
        if self.precision != Precision::Fp16 {
            return input;
        }
        let output = format!("{input}.widened");
        self.plain("Cast", &[&input], &[&output], &[("to", Attribute::Integer(Type::Float as i64))]);
        output
    }

    fn epsilon(&self) -> (&'static str, Attribute) {
        ("epsilon", Attribute::Float(self.shape.layer_norm_eps))
    }

    /// Adds a tensor of the model as it is.
    fn copy(&mut self, name: &str, shape: &[usize]) -> Result<String, EmbedError> {
        let values = self.weights.values(name, shape)?;
        self.constant(name, shape, values)
    }

    fn constant(&mut self, name: &str, shape: &[usize], values: Vec<f32>) -> Result<String, EmbedError> {
        let half = self.precision == Precision::Fp16;
        if half {
            self.model.halves(name, shape, &values);
        } else {
            self.model.floats(name, shape, &values);
        }
        if let Some(shared) = &mut self.shared {
            let value = if half {
                let halves: Vec<f16> = values.into_iter().map(f16::from_f32).collect();
                Tensor::from_array((shape, halves))?.into_dyn()
            } else {
                Tensor::from_array((shape, values))?.into_dyn()
            };
            shared.push((name.to_owned(), Arc::new(value)));
        }
        Ok(name.to_owned())
    }

    /// Adds an operator of our own, under the name of its output.
    fn own(&mut self, name: &str, inputs: &[&str], operator: Arc<dyn ByRow>) {
        self.model.node((operators::DOMAIN, name), inputs, &[name], &[]);
        self.operators.push((name.to_owned(), operator));
    }

    /// Adds an operator of ONNX's own.
    fn plain(&mut self, operator: &str, inputs: &[&str], outputs: &[&str], attributes: &[(&str, Attribute)]) {
        self.model.node((ONNX.0, operator), inputs, outputs, attributes);
    }

    /// Adds a fused operator.
    fn fused(&mut self, operator: &str, inputs: &[&str], outputs: &[&str], attributes: &[(&str, Attribute)]) {
        self.model.node((MICROSOFT.0, operator), inputs, outputs, attributes);
    }
}
