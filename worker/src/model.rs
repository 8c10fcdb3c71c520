//! The model as it is asked for: a directory, or a model of the Hugging Face hub by its name.

use std::path::{Path, PathBuf};

use wikitok_hub::{Hub, HubError, ModelId};

use crate::home;

/// The directory of a model: the one that is named, that of a model of the hub, which is fetched if it is not there, or
/// by default the one in the home. A directory of this name goes before a model of the hub.
pub async fn model_directory(asked: Option<&Path>) -> Result<PathBuf, HubError> {
    let Some(asked) = asked else { return Ok(home::model()) };
    match asked.to_str().and_then(|name| name.parse::<ModelId>().ok()) {
        Some(id) if !asked.exists() => Hub::from_environment().model(&id).await,
        _ => Ok(asked.to_owned()),
    }
}
