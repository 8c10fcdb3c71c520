//! The network's shape, from `config.json`.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::files::{read_json, require};
use crate::error::EmbedError;

/// A BERT with absolute positions: its dimensions and its activation.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Bert {
    #[serde(rename = "hidden_act")]
    pub(crate) activation: Activation,
    pub(crate) hidden_size: usize,
    pub(crate) intermediate_size: usize,
    #[serde(default = "usual_epsilon")]
    pub(crate) layer_norm_eps: f32,
    pub(crate) max_position_embeddings: usize,
    pub(crate) num_attention_heads: usize,
    pub(crate) num_hidden_layers: usize,
    #[serde(default = "two")]
    pub(crate) type_vocab_size: usize,
    pub(crate) vocab_size: usize,
}

/// The function between the two matrices of a layer.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) enum Activation {
    /// With the error function.
    #[serde(rename = "gelu", alias = "gelu_python")]
    Gelu,
    /// With the hyperbolic tangent in its place, by several names.
    #[serde(rename = "gelu_new", alias = "gelu_fast", alias = "gelu_pytorch_tanh")]
    GeluTanh,
}

/// What says that it is another kind of network.
#[derive(Deserialize)]
struct Kind {
    #[serde(default)]
    model_type: String,
    #[serde(default = "gelu")]
    hidden_act: String,
    #[serde(default = "absolute")]
    position_embedding_type: String,
    #[serde(default)]
    is_decoder: bool,
}

fn usual_epsilon() -> f32 {
    1e-12
}

fn two() -> usize {
    2
}

fn gelu() -> String {
    "gelu".to_owned()
}

/// What BERT's configuration means when it does not say.
fn absolute() -> String {
    "absolute".to_owned()
}

const ACTIVATIONS: [&str; 5] = ["gelu", "gelu_python", "gelu_new", "gelu_fast", "gelu_pytorch_tanh"];

impl Bert {
    /// Reads the shape of the model in `folder`, and refuses all that is not BERT.
    pub(crate) fn read(folder: &Path) -> Result<Self, EmbedError> {
        let path = folder.join("config.json");
        let kind: Kind = read_json(&path)?;
        require(&path, "model_type", &kind.model_type, kind.model_type == "bert", "bert")?;
        let position = &kind.position_embedding_type;
        require(&path, "position_embedding_type", position, position == "absolute", "absolute")?;
        let known = ACTIVATIONS.contains(&kind.hidden_act.as_str());
        require(&path, "hidden_act", &kind.hidden_act, known, &format!("one of {}", ACTIVATIONS.join(", ")))?;
        require(&path, "is_decoder", kind.is_decoder, !kind.is_decoder, "false")?;
        let adapter = folder.join("adapter_config.json");
        require(&adapter, "adapter", "there", !adapter.exists(), "merged into the weights")?;
        let bert: Self = read_json(&path)?;
        bert.check(&path)?;
        Ok(bert)
    }

    fn check(&self, path: &Path) -> Result<(), EmbedError> {
        let heads = self.num_attention_heads;
        let divides = heads > 0 && self.hidden_size.is_multiple_of(heads);
        require(path, "num_attention_heads", heads, divides, "a divisor of `hidden_size`")?;
        let layers = self.num_hidden_layers;
        require(path, "num_hidden_layers", layers, layers > 0, "1 or more")?;
        require(path, "type_vocab_size", self.type_vocab_size, self.type_vocab_size > 0, "1 or more")
    }
}
