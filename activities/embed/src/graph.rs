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

use ort::editor::{Graph, Model, Node, ONNX_DOMAIN, Opset};
use ort::operator::Attribute;
use ort::session::Session;
use ort::session::builder::SessionBuilder;
use ort::value::{Outlet, Shape, SymbolicDimensions, TensorElementType, ValueType};

use crate::error::EmbedError;
use crate::model::{Activation, Bert, Pooling};
use crate::weights::{Weights, tensor};

/// Word piece ids, `[texts, word pieces]`, int32.
pub(crate) const INPUT_IDS: &str = "input_ids";
/// 1 at a word piece, 0 at padding, `[texts, word pieces]`, int32.
pub(crate) const ATTENTION_MASK: &str = "attention_mask";
/// What [`Pooling::weights`] gives for each word piece: `[texts, 1, word pieces]`, or for [`Pooling::Max`]
/// `[texts, word pieces, 1]`.
pub(crate) const POOLING: &str = "pooling";
/// The vector of each text, `[texts, 1, hidden]`.
pub(crate) const POOLED: &str = "pooled";

const MICROSOFT_DOMAIN: &str = "com.microsoft";

/// Builds the network and makes it ready to run.
pub(crate) fn session(
    shape: &Bert,
    pooling: Pooling,
    weights: &Weights,
    options: &SessionBuilder,
) -> Result<Session, EmbedError> {
    let mut network = Network { graph: Graph::new()?, shape, weights };
    network.declare(pooling)?;
    let mut hidden = network.embeddings()?;
    for layer in 0..shape.num_hidden_layers {
        hidden = network.layer(layer, &hidden)?;
    }
    network.pool(pooling, &hidden)?;
    let mut model = Model::new([Opset::new(ONNX_DOMAIN, 17)?, Opset::new(MICROSOFT_DOMAIN, 1)?])?;
    model.set_graph(network.graph)?;
    Ok(model.into_session(options)?)
}

/// The graph under construction. A tensor is named after the step that makes it.
struct Network<'model> {
    graph: Graph,
    shape: &'model Bert,
    weights: &'model Weights,
}

impl Network<'_> {
    fn declare(&mut self, pooling: Pooling) -> ort::Result<()> {
        let (int, float) = (TensorElementType::Int32, TensorElementType::Float32);
        let hidden = self.shape.hidden_size as i64;
        self.graph.set_inputs([
            outlet(INPUT_IDS, int, &[-1, -1]),
            outlet(ATTENTION_MASK, int, &[-1, -1]),
            outlet(POOLING, float, if pooling == Pooling::Max { &[-1, -1, 1] } else { &[-1, 1, -1] }),
        ])?;
        self.graph.set_outputs([outlet(POOLED, float, &[-1, 1, hidden])])
    }

    /// Adds up the embeddings of pieces, positions and segments, and normalises.
    fn embeddings(&mut self) -> Result<String, EmbedError> {
        let hidden = self.shape.hidden_size;
        let words = self.copy("embeddings.word_embeddings.weight", &[self.shape.vocab_size, hidden])?;
        let positions = self.positions()?;
        let scale = self.copy("embeddings.LayerNorm.weight", &[hidden])?;
        let shift = self.copy("embeddings.LayerNorm.bias", &[hidden])?;
        let inputs = [INPUT_IDS, "", &words, &positions, "", &scale, &shift];
        let epsilon = [("epsilon", self.shape.layer_norm_eps)];
        let outputs = ["embedded", "embedded.mask_index"];
        self.node("EmbedLayerNormalization", "embeddings", &inputs, &outputs, &[], &epsilon)?;
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
        self.constant("positions", &shape, &positions)
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
        let heads = [("num_heads", self.shape.num_attention_heads as i64)];
        let inputs = [input, &weight, &bias, ATTENTION_MASK];
        self.node("Attention", &output, &inputs, &[&output], &heads, &[])?;
        Ok(output)
    }

    /// Query, key and value side by side: a matrix `[hidden, 3 · hidden]` and a bias `[3 · hidden]`.
    fn packed_attention(&mut self, prefix: &str) -> Result<(String, String), EmbedError> {
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
        let weight = self.constant(&format!("{prefix}.attention.weight"), &[hidden, 3 * hidden], &packed)?;
        let bias = self.constant(&format!("{prefix}.attention.bias"), &[3 * hidden], &bias)?;
        Ok((weight, bias))
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
        self.node(operator, &output, &[&product, &bias], &[&output], &[], &[])?;
        Ok(output)
    }

    /// Linear, then the sum with `skipped`, normalised.
    fn residual(&mut self, prefix: &str, input: &str, skipped: &str) -> Result<String, EmbedError> {
        let hidden = self.shape.hidden_size;
        let inputs = if prefix.ends_with("attention.output") { hidden } else { self.shape.intermediate_size };
        let product = self.linear(&format!("{prefix}.dense"), input, [inputs, hidden])?;
        let bias = self.copy(&format!("{prefix}.dense.bias"), &[hidden])?;
        let scale = self.copy(&format!("{prefix}.LayerNorm.weight"), &[hidden])?;
        let shift = self.copy(&format!("{prefix}.LayerNorm.bias"), &[hidden])?;
        let inputs = [product.as_str(), skipped, &scale, &shift, &bias];
        let epsilon = [("epsilon", self.shape.layer_norm_eps)];
        self.node("SkipLayerNormalization", prefix, &inputs, &[prefix], &[], &epsilon)?;
        Ok(prefix.to_owned())
    }

    /// The product with a linear layer's matrix; its bias is added by the operator that follows.
    fn linear(&mut self, prefix: &str, input: &str, shape: [usize; 2]) -> Result<String, EmbedError> {
        let values = self.weights.transposed(&format!("{prefix}.weight"), shape)?;
        let matrix = self.constant(&format!("{prefix}.matrix"), &shape, &values)?;
        self.matmul(input, &matrix, prefix)?;
        Ok(prefix.to_owned())
    }

    fn matmul(&mut self, left: &str, right: &str, output: &str) -> ort::Result<()> {
        let node = Node::new("MatMul", ONNX_DOMAIN, output, [left, right], [output], [])?;
        self.graph.add_node(node)
    }

    fn pool(&mut self, pooling: Pooling, hidden: &str) -> ort::Result<()> {
        if pooling != Pooling::Max {
            return self.matmul(POOLING, hidden, POOLED);
        }
        self.graph.add_node(Node::new("Add", ONNX_DOMAIN, "masked", [hidden, POOLING], ["masked"], [])?)?;
        let axis = Attribute::new("axes", &[1_i64][..])?;
        self.graph.add_node(Node::new("ReduceMax", ONNX_DOMAIN, POOLED, ["masked"], [POOLED], [axis])?)
    }

    /// Adds a tensor of the model as it is.
    fn copy(&mut self, name: &str, shape: &[usize]) -> Result<String, EmbedError> {
        let values = self.weights.values(name, shape)?;
        self.constant(name, shape, &values)
    }

    fn constant(&mut self, name: &str, shape: &[usize], values: &[f32]) -> Result<String, EmbedError> {
        self.graph.add_initializer(name, tensor(shape, values)?, false)?;
        Ok(name.to_owned())
    }

    /// Adds a fused operator.
    fn node(
        &mut self,
        operator: &str,
        name: &str,
        inputs: &[&str],
        outputs: &[&str],
        integers: &[(&str, i64)],
        floats: &[(&str, f32)],
    ) -> ort::Result<()> {
        let integers = integers.iter().map(|&(key, value)| Attribute::new(key, value));
        let floats = floats.iter().map(|&(key, value)| Attribute::new(key, value));
        let attributes = integers.chain(floats).collect::<ort::Result<Vec<_>>>()?;
        self.graph.add_node(Node::new(operator, MICROSOFT_DOMAIN, name, inputs, outputs, attributes)?)
    }
}

fn outlet(name: &str, ty: TensorElementType, shape: &[i64]) -> Outlet {
    let dimension_symbols = SymbolicDimensions::empty(shape.len());
    let shape = Shape::new(shape.iter().copied());
    Outlet::new(name, ValueType::Tensor { ty, shape, dimension_symbols })
}
