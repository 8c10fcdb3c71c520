//! The hub: models of the Hugging Face hub by their names, in the cache that its own tools use.
//!
//! A model is named `organisation/name`, or `organisation/name@revision` with a branch, a tag or a commit. Whatever it is
//! named, what is used is one commit: the hub says which a branch stands for, and files are asked for by commit. They
//! lie where `huggingface_hub` looks for them and puts them, so that what either has fetched serves both:
//!
//! ```text
//! $HF_HOME/hub/models--organisation--name/refs/main                   the commit that `main` stood for
//!                                         snapshots/COMMIT/FILE       links to
//!                                         blobs/ETAG                  the files
//! ```
//!
//! Weights are fetched last, so that a snapshot with weights is whole and needs no network. `HF_ENDPOINT`,
//! `HF_HUB_CACHE`, `HF_HUB_OFFLINE` and `HF_TOKEN` are respected as well.

mod cache;
mod client;
mod error;
mod id;

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};

pub use error::HubError;
pub use id::{ModelId, ParseModelIdError};

use cache::Cache;
use client::{Client, Revision};

const ENDPOINT: &str = "https://huggingface.co";

/// Where models are asked for, and where they are kept.
pub struct Hub {
    endpoint: String,
    cache: PathBuf,
    offline: bool,
    token: Option<Token>,
}

/// A secret: it can be sent, and not printed.
struct Token(String);

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(…)")
    }
}

impl Hub {
    /// The hub as the environment has it.
    pub fn from_environment() -> Self {
        let set = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        let directory = |name: &str| set(name).map(PathBuf::from);
        let home = || directory("HF_HOME").unwrap_or_else(default_home);
        let offline = set("HF_HUB_OFFLINE").map(|value| value.to_uppercase());
        Self {
            endpoint: set("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.to_owned()),
            cache: directory("HF_HUB_CACHE").unwrap_or_else(|| home().join("hub")),
            offline: offline.is_some_and(|value| ["1", "ON", "YES", "TRUE"].contains(&value.as_str())),
            token: set("HF_TOKEN").map(Token),
        }
    }

    /// A hub of one's own, with a cache of its own.
    pub fn new(endpoint: &str, cache: &Path, offline: bool) -> Self {
        Self { endpoint: endpoint.to_owned(), cache: cache.to_owned(), offline, token: None }
    }

    /// The directory with the model's files, which are fetched if they are not there.
    pub async fn model(&self, id: &ModelId) -> Result<PathBuf, HubError> {
        let cache = Cache::of(&self.cache, id);
        if self.offline {
            // What is missing beside the weights is named by who reads the model.
            let snapshot = cache.snapshot(id.revision());
            return snapshot.ok_or_else(|| HubError::Offline { id: id.clone(), cache: self.cache.clone() });
        }
        if let Some(snapshot) = cache.whole_snapshot(id.revision()).filter(|_| id.is_pinned()) {
            return Ok(snapshot);
        }
        let client = Client::new(&self.endpoint, self.token.as_ref())?;
        let revision = client.revision(id).await?;
        if let Some(snapshot) = cache.whole_snapshot(&revision.sha) {
            cache.remember(id.revision(), &revision.sha)?;
            return Ok(snapshot);
        }
        for file in wanted(id, &revision)? {
            if !cache.has(&revision.sha, file) {
                client.fetch(id, &revision.sha, file, &cache).await?;
            }
        }
        cache.remember(id.revision(), &revision.sha)?;
        Ok(cache.directory(&revision.sha))
    }
}

/// Where the hub's own tools keep things.
fn default_home() -> PathBuf {
    let directory = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let user = || directory("HOME").unwrap_or_default().join(".cache");
    directory("XDG_CACHE_HOME").unwrap_or_else(user).join("huggingface")
}

/// Weights that a model can be run with, in the order of preference.
const WEIGHTS: [&str; 3] = ["model.safetensors", "model.onnx", "onnx/model.onnx"];

/// The files of a model that say how it is run, and then its weights.
fn wanted<'a>(id: &ModelId, revision: &'a Revision) -> Result<Vec<&'a str>, HubError> {
    let files =
        || revision.siblings.iter().map(|file| file.rfilename.as_str()).filter(|file| is_inside(file));
    let weights = WEIGHTS.iter().find_map(|weights| files().find(|file| file == weights));
    let weights = weights.ok_or_else(|| HubError::NoWeights { id: id.clone() })?;
    let mut wanted: Vec<&str> = files().filter(|file| is_setting(file)).collect();
    wanted.push(weights);
    Ok(wanted)
}

/// JSON beside the weights, and of the steps of the pipeline, such as `1_Pooling/config.json`.
fn is_setting(file: &str) -> bool {
    match file.split_once('/') {
        None => Path::new(file).extension().is_some_and(|extension| extension == "json"),
        Some((step, file)) => file == "config.json" && step.starts_with(|c: char| c.is_ascii_digit()),
    }
}

/// A name that cannot lead out of the snapshot.
fn is_inside(file: &str) -> bool {
    !file.is_empty() && file.split('/').all(|step| !["", ".", ".."].contains(&step)) && !file.contains('\\')
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail anywhere")]
mod tests {
    use super::*;
    use client::Sibling;

    fn revision(files: &[&str]) -> Revision {
        let siblings = files.iter().map(|file| Sibling { rfilename: (*file).to_owned() }).collect();
        Revision { sha: "0".repeat(40), siblings }
    }

    #[test]
    fn settings_come_first_and_weights_last() {
        let files = [
            "model.safetensors",
            "README.md",
            "config.json",
            "1_Pooling/config.json",
            "onnx/model.onnx",
            "openvino/config.json",
            "../escape.json",
            "modules.json",
            "train/x.json",
        ];
        let id = "a/b".parse().unwrap();
        let revision = revision(&files);
        let wanted = wanted(&id, &revision).unwrap();
        assert_eq!(wanted, ["config.json", "1_Pooling/config.json", "modules.json", "model.safetensors"]);
    }

    #[test]
    fn a_model_without_weights_is_refused() {
        let id = "a/b".parse().unwrap();
        let error = wanted(&id, &revision(&["config.json", "pytorch_model.bin"])).unwrap_err();
        assert!(
            error.to_string().contains("`a/b`") && error.to_string().contains("model.safetensors"),
            "{error}"
        );
    }

    #[test]
    fn tokens_are_not_printed() {
        let hub = Hub {
            token: Some(Token("hf_secret".to_owned())),
            ..Hub::new("http://x", Path::new("/x"), false)
        };
        assert_eq!(hub.token.as_ref().map(|token| format!("{token:?}")), Some("Token(…)".to_owned()));
    }
}
