//! The pipeline around the network: sentence-transformers' modules, where texts are cut, what is written
//! before them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::architecture::Bert;
use super::files::{read_json, read_json_if_there, require};
use super::pooling::Pooling;
use crate::error::EmbedError;

/// How texts become the network's input and its output a vector.
pub(crate) struct Pipeline {
    /// The folder of network and tokenizer.
    pub(crate) transformer: PathBuf,
    pub(crate) pooling: Pooling,
    pub(crate) normalized: bool,
    pub(crate) lower_case: bool,
    pub(crate) prompts: Prompts,
    pub(crate) tokenizer: TokenizerConfig,
    max_seq_length: Option<usize>,
}

/// What a model wants written before a text, from `config_sentence_transformers.json`; mostly nothing.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Prompts {
    /// Before a text that is to be found, as in `encode_document`.
    pub passage: String,
    /// Before a text that is looked for, as in `encode_query`.
    pub query: String,
}

/// One step of the pipeline, from `modules.json`.
#[derive(Deserialize)]
struct Module {
    path: String,
    #[serde(rename = "type")]
    class: String,
}

/// `sentence_bert_config.json`: where texts are cut.
#[derive(Default, Deserialize)]
struct SentenceBert {
    max_seq_length: Option<usize>,
    #[serde(default)]
    do_lower_case: bool,
}

/// `tokenizer_config.json`: a limit, which counts where no other is given, and once more what `tokenizer.json`
/// says.
#[derive(Default, Deserialize)]
pub(crate) struct TokenizerConfig {
    /// Where there is none, a number beyond all integers is written.
    model_max_length: Option<f64>,
    /// transformers believes this, and not the tokenizer's own setting.
    pub(crate) do_lower_case: Option<bool>,
}

/// `config_sentence_transformers.json`.
#[derive(Default, Deserialize)]
struct SentenceTransformers {
    #[serde(default)]
    prompts: BTreeMap<String, String>,
    default_prompt_name: Option<String>,
}

impl Pipeline {
    /// Reads the pipeline of the model in `directory`.
    pub(crate) fn read(directory: &Path) -> Result<Self, EmbedError> {
        let path = directory.join("modules.json");
        let modules: Vec<Module> = read_json(&path)?;
        let classes: Vec<&str> =
            modules.iter().filter_map(|module| module.class.rsplit('.').next()).collect();
        let known =
            matches!(classes[..], ["Transformer", "Pooling"] | ["Transformer", "Pooling", "Normalize"]);
        require(&path, "type", classes.join(", "), known, "Transformer, Pooling and perhaps Normalize")?;
        let transformer = directory.join(&modules[0].path);
        let sentence_bert: SentenceBert = read_json_if_there(&transformer.join("sentence_bert_config.json"))?;
        let prompts = read_json_if_there(&directory.join("config_sentence_transformers.json"))?;
        Ok(Self {
            pooling: read_pooling(&directory.join(&modules[1].path).join("config.json"))?,
            normalized: classes.len() == 3,
            lower_case: sentence_bert.do_lower_case,
            prompts: Prompts::of(&prompts),
            tokenizer: read_json_if_there(&transformer.join("tokenizer_config.json"))?,
            max_seq_length: sentence_bert.max_seq_length,
            transformer,
        })
    }

    /// How many word pieces of a text are read; where the pipeline does not say, what tokenizer and network allow.
    pub(crate) fn limit(&self, bert: &Bert) -> Result<usize, EmbedError> {
        let most = bert.max_position_embeddings;
        let (path, limit) = match self.max_seq_length {
            Some(limit) => ("sentence_bert_config.json", limit),
            None => ("tokenizer_config.json", self.tokenizer.limit().min(most)),
        };
        // Below 3 there is no room for a piece of the text between `[CLS]` and `[SEP]`.
        let fits = (3..=most).contains(&limit);
        require(&self.transformer.join(path), "max_seq_length", limit, fits, &format!("3 to {most}"))?;
        Ok(limit)
    }
}

impl TokenizerConfig {
    fn limit(&self) -> usize {
        // Beyond all integers, the conversion stops at the greatest.
        self.model_max_length.map_or(usize::MAX, |limit| limit as usize)
    }
}

impl Prompts {
    fn of(config: &SentenceTransformers) -> Self {
        let default = config.default_prompt_name.as_ref();
        let first = |names: &[&str]| {
            let named = names.iter().find_map(|name| config.prompts.get(*name));
            let prompt = named.or_else(|| config.prompts.get(default?));
            prompt.cloned().unwrap_or_default()
        };
        Self { passage: first(&["document", "passage", "corpus"]), query: first(&["query"]) }
    }
}

fn read_pooling(path: &Path) -> Result<Pooling, EmbedError> {
    let settings: BTreeMap<String, Value> = read_json(path)?;
    let included = settings.get("include_prompt").is_none_or(|value| *value == true);
    require(path, "include_prompt", "false", included, "true")?;
    let modes = match settings.get("pooling_mode") {
        Some(mode) => named_modes(mode),
        None => flagged_modes(&settings),
    };
    let single =
        if let [mode] = &modes[..] { serde_json::from_value(mode.as_str().into()).ok() } else { None };
    require(path, "pooling_mode", modes.join(", "), single.is_some(), MODES)?;
    Ok(single.unwrap_or_default())
}

const MODES: &str = "one of cls, max, mean, mean_sqrt_len_tokens, weightedmean, lasttoken";

/// Since sentence-transformers 5.4: one name, or several.
fn named_modes(mode: &Value) -> Vec<String> {
    let modes = mode.as_array().map_or_else(|| vec![mode.clone()], Clone::clone);
    modes.iter().map(|mode| mode.as_str().map_or_else(|| mode.to_string(), str::to_owned)).collect()
}

/// Before that: a flag for each; without any it was the mean.
fn flagged_modes(settings: &BTreeMap<String, Value>) -> Vec<String> {
    let flags = settings.iter().filter(|(_, on)| **on == true);
    let modes: Vec<_> = flags.filter_map(|(key, _)| flagged_mode(key)).collect();
    if modes.is_empty() { vec!["mean".to_owned()] } else { modes }
}

fn flagged_mode(key: &str) -> Option<String> {
    let mode = key.strip_prefix("pooling_mode_")?;
    let known = match mode {
        "cls_token" => "cls",
        "mean_tokens" => "mean",
        "max_tokens" => "max",
        "weightedmean_tokens" => "weightedmean",
        other => other,
    };
    Some(known.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_are_those_of_encode_document_and_encode_query() {
        let prompts = |json: &str| Prompts::of(&serde_json::from_str(json).unwrap());
        let of =
            |passage: &str, query: &str| Prompts { passage: passage.to_owned(), query: query.to_owned() };
        assert_eq!(prompts("{}"), of("", ""));
        assert_eq!(prompts(r#"{"prompts": {"query": "q: ", "passage": "p: "}}"#), of("p: ", "q: "));
        assert_eq!(prompts(r#"{"prompts": {"x": "x: "}, "default_prompt_name": "x"}"#), of("x: ", "x: "));
        assert_eq!(prompts(r#"{"prompts": {"x": "x: "}, "default_prompt_name": null}"#), of("", ""));
    }

    #[test]
    fn flags_of_pooling_have_names() {
        let modes = |json: &str| flagged_modes(&serde_json::from_str(json).unwrap());
        for (flag, mode) in [
            ("cls_token", "cls"),
            ("max_tokens", "max"),
            ("mean_tokens", "mean"),
            ("mean_sqrt_len_tokens", "mean_sqrt_len_tokens"),
            ("weightedmean_tokens", "weightedmean"),
            ("lasttoken", "lasttoken"),
        ] {
            let json = format!(r#"{{"pooling_mode_{flag}": true, "pooling_mode_other": false}}"#);
            assert_eq!(modes(&json), [mode]);
        }
        assert_eq!(modes(r#"{"word_embedding_dimension": 384}"#), ["mean"]);
        let both = r#"{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": true}"#;
        assert_eq!(modes(both), ["cls", "mean"]);
    }
}
