//! Activities of the GPU queue.

#![allow(missing_docs, reason = "the SDK's macros make items that cannot be documented")]

use std::collections::BTreeMap;
use std::sync::Arc;

use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use wikitok_embed::{ALL_MINILM_L6_V2, Device, EmbedError, Embedder, EmbedderOptions, ModelIdentity};
use wikitok_publish::{
    EncodedPart, Format, PublishError, TokensManifest, VectorCounts, VectorElement, VectorPartOptions,
    VectorPartWriter, VectorsInput, VectorsManifest,
};
use wikitok_store::{ErrorKind, Location};
use wikitok_workflows::contract::{EmbedPartInput, EmbeddedPart, Embedding, Run};

use crate::committed;
use crate::failure::{Classified, failed, failure};
use crate::pulse::{self, Pulse};
use crate::windows;

/// Embeds. Holds the model, which is loaded once.
pub struct GpuActivities {
    embedder: Arc<Embedder>,
    identity: ModelIdentity,
    /// In which numbers the model is computed.
    precision: String,
    versions: BTreeMap<String, String>,
}

/// Embedding a part failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PartError {
    #[error(transparent)]
    Embed(#[from] EmbedError),
    #[error(transparent)]
    Publish(#[from] PublishError),
}

impl Classified for PartError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Embed(error) => error.kind(),
            Self::Publish(error) => error.kind(),
        }
    }
}

impl GpuActivities {
    /// Loads the model. Fails when it, the inference library or the device is not there.
    pub async fn load(options: EmbedderOptions) -> Result<Self, EmbedError> {
        let precision = options.precision.to_string();
        let loading = tokio::task::spawn_blocking(move || Embedder::load(&options)).await;
        let embedder = loading.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;
        // Which of several like devices it was makes no difference to the vectors.
        let device = match embedder.device() {
            Device::Cuda(_) => "cuda".to_owned(),
            device => device.to_string(),
        };
        let versions = BTreeMap::from([
            ("wikitok".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
            ("onnxruntime".to_owned(), embedder.runtime_version()),
            ("device".to_owned(), device),
        ]);
        let identity = embedder.identity().clone();
        Ok(Self { embedder: Arc::new(embedder), identity, precision, versions })
    }
}

#[activities]
impl GpuActivities {
    /// Embeds the articles of a part that is tokenized, and commits their vectors.
    ///
    /// Idempotence key: the sha256 of the token data and the fingerprint; vectors that are committed under
    /// them are not made again. Heartbeats the texts done. Fails for good when the worker holds another model
    /// than the run asks for.
    #[activity(name = "embed_part")]
    pub async fn embed_part(
        self: Arc<Self>,
        context: ActivityContext,
        input: EmbedPartInput,
    ) -> Result<EmbeddedPart, ActivityError> {
        let (asked, fingerprint) = self.check(&input.run)?;
        let output = Location::open(&input.run.output).map_err(failure)?;
        let tokens = pulse::alive(&context, tokens_of(&output, &input)).await?;
        let before = made_before(&output, &input, &tokens, &fingerprint);
        if let Some(vectors) = pulse::alive(&context, before).await? {
            tracing::info!(shard = input.shard, part = input.part, "already committed");
            return Ok(EmbeddedPart { vectors });
        }
        let part = self.embed(&context, &output, &tokens, asked).await?;
        let vectors = part.rows;
        let manifest = VectorsManifest {
            format: Format::Vectors,
            snapshot: input.run.snapshot.clone(),
            shard: input.shard.clone(),
            part: input.part,
            input: made_of(&tokens),
            fingerprint,
            versions: self.versions.clone(),
            counts: VectorCounts { vectors },
            vectors: None,
            normalized: self.identity.normalized,
        };
        let commit = wikitok_publish::commit_vectors(&output, manifest, &part);
        pulse::alive(&context, async { commit.await.map_err(failure) }).await?;
        Ok(EmbeddedPart { vectors })
    }
}

impl GpuActivities {
    /// What the run asks for and its fingerprint, once it is seen that this worker holds the run's model.
    fn check(&self, run: &Run) -> Result<(Embedding, String), ActivityError> {
        let asked = run.configuration.embedding.as_ref().zip(run.vectors_fingerprint.as_ref());
        let Some((asked, fingerprint)) = asked else {
            return Err(failed(ErrorKind::Bug, "the run asks for no vectors".to_owned()));
        };
        let settings = asked.settings_sha256.as_deref().unwrap_or(ALL_MINILM_L6_V2.settings_sha256);
        let wanted = (asked.model_sha256.as_str(), settings, asked.precision.as_str());
        let held = (
            self.identity.model_sha256.as_str(),
            self.identity.settings_sha256.as_str(),
            self.precision.as_str(),
        );
        if wanted == held {
            return Ok((asked.clone(), fingerprint.clone()));
        }
        let message = format!(
            "the run asks for the model `{}` with sha256 {}, settings {} and precision {}; this worker holds `{}` with \
             {}, {} and {}: start it with the same --model and --precision",
            asked.model, wanted.0, wanted.1, wanted.2, self.identity.name, held.0, held.1, held.2
        );
        Err(failed(ErrorKind::BadConfiguration, message))
    }

    async fn embed(
        &self,
        context: &ActivityContext,
        output: &Location,
        tokens: &TokensManifest,
        asked: Embedding,
    ) -> Result<EncodedPart, ActivityError> {
        let bytes = match tokens.texts.as_ref().or(tokens.tokens.as_ref()) {
            Some(file) => Some(pulse::alive(context, committed::get(output, file)).await?),
            None => None,
        };
        let options = part_options(&asked, self.identity.dimensions)?;
        let embedder = self.embedder.clone();
        let work = move |pulse: &Arc<Pulse>| {
            let mut part = VectorPartWriter::new(options)?;
            if let Some(bytes) = bytes {
                match windows::embed(pulse, &embedder, &asked, bytes, &mut part) {
                    Err(PartError::Embed(EmbedError::Cancelled)) => return Ok(None),
                    outcome => outcome?,
                }
            }
            Ok::<_, PartError>(Some(part.finish()?))
        };
        pulse::blocking(context, work).await
    }
}

fn part_options(asked: &Embedding, dimensions: usize) -> Result<VectorPartOptions, ActivityError> {
    let element = match asked.vector_type.as_str() {
        "f32" => VectorElement::F32,
        "f16" => VectorElement::F16,
        other => {
            return Err(failed(ErrorKind::BadConfiguration, format!("no vector type is called `{other}`")));
        }
    };
    Ok(VectorPartOptions { element, places: asked.passages.is_some(), ..VectorPartOptions::new(dimensions) })
}

async fn tokens_of(output: &Location, input: &EmbedPartInput) -> Result<TokensManifest, ActivityError> {
    let manifest = wikitok_publish::committed_tokens(output, &input.shard, input.part).await;
    let missing =
        || failed(ErrorKind::BadInput, format!("part {} of `{}` has no tokens", input.part, input.shard));
    manifest.map_err(failure)?.ok_or_else(missing)
}

fn made_of(tokens: &TokensManifest) -> VectorsInput {
    VectorsInput { tokens_sha256: tokens.tokens.as_ref().map(|file| file.sha256.clone()) }
}

/// How many vectors are there already, if they were made of these tokens with this configuration.
async fn made_before(
    output: &Location,
    input: &EmbedPartInput,
    tokens: &TokensManifest,
    fingerprint: &str,
) -> Result<Option<u64>, ActivityError> {
    let manifest = wikitok_publish::committed_vectors(output, &input.shard, input.part).await;
    let Some(manifest) = committed::readable(manifest)? else { return Ok(None) };
    let same = manifest.fingerprint == fingerprint && manifest.input == made_of(tokens);
    let there = match &manifest.vectors {
        Some(file) => committed::is_intact(output, file).await?,
        None => true,
    };
    Ok((same && there).then_some(manifest.counts.vectors))
}
