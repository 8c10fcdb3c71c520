//! Activities of the GPU queue.

#![allow(missing_docs, reason = "the SDK's macros make items that cannot be documented")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use wikitok_embed::{ALL_MINILM_L6_V2, Device, EmbedError, Embedder, EmbedderOptions, ModelIdentity};
use wikitok_publish::{
    EncodedPart, Format, PublishError, Text, TokensManifest, VectorCounts, VectorPartOptions,
    VectorPartWriter, VectorsInput, VectorsManifest,
};
use wikitok_store::{ErrorKind, Location};
use wikitok_workflows::contract::{EmbedPartInput, EmbeddedPart, Run};

use crate::committed;
use crate::failure::{Classified, failed, failure};
use crate::pulse::{self, Pulse};

/// Embeds. Holds the model, which is loaded once.
pub struct GpuActivities {
    embedder: Arc<Mutex<Embedder>>,
    identity: ModelIdentity,
    versions: BTreeMap<String, String>,
}

/// Embedding a part failed.
#[derive(Debug, thiserror::Error)]
enum PartError {
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
        // Which of several like devices it was makes no difference to the vectors.
        let device = match options.device {
            Device::Cuda(_) => "cuda".to_owned(),
            Device::Cpu => options.device.to_string(),
        };
        let loading = tokio::task::spawn_blocking(move || Embedder::load(&options)).await;
        let embedder = loading.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;
        let versions = BTreeMap::from([
            ("wikitok".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
            ("onnxruntime".to_owned(), embedder.runtime_version()),
            ("device".to_owned(), device),
        ]);
        let identity = embedder.identity().clone();
        Ok(Self { embedder: Arc::new(Mutex::new(embedder)), identity, versions })
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
        let fingerprint = self.check(&input.run)?;
        let output = Location::open(&input.run.output).map_err(failure)?;
        let tokens = pulse::alive(&context, tokens_of(&output, &input)).await?;
        let before = made_before(&output, &input, &tokens, &fingerprint);
        if let Some(vectors) = pulse::alive(&context, before).await? {
            tracing::info!(shard = input.shard, part = input.part, "already committed");
            return Ok(EmbeddedPart { vectors });
        }
        let prefix = input.run.configuration.embedding.as_ref().map(|asked| asked.passage_prefix.clone());
        let part = self.embed(&context, &output, &tokens, prefix.unwrap_or_default()).await?;
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
        };
        let commit = wikitok_publish::commit_vectors(&output, manifest, &part);
        pulse::alive(&context, async { commit.await.map_err(failure) }).await?;
        Ok(EmbeddedPart { vectors })
    }
}

impl GpuActivities {
    /// The run's fingerprint, once it is seen that this worker holds the run's model.
    fn check(&self, run: &Run) -> Result<String, ActivityError> {
        let asked = run.configuration.embedding.as_ref().zip(run.vectors_fingerprint.as_ref());
        let Some((asked, fingerprint)) = asked else {
            return Err(failed(ErrorKind::Bug, "the run asks for no vectors".to_owned()));
        };
        let settings = asked.settings_sha256.as_deref().unwrap_or(ALL_MINILM_L6_V2.settings_sha256);
        let held = (&self.identity.model_sha256, self.identity.settings_sha256.as_str());
        if (&asked.model_sha256, settings) == held {
            return Ok(fingerprint.clone());
        }
        let message = format!(
            "the run asks for the model `{}` with sha256 {} and settings {settings}, this worker holds `{}` with \
             {} and {}: start it with the same --model",
            asked.model, asked.model_sha256, self.identity.name, held.0, held.1
        );
        Err(failed(ErrorKind::BadConfiguration, message))
    }

    async fn embed(
        &self,
        context: &ActivityContext,
        output: &Location,
        tokens: &TokensManifest,
        prefix: String,
    ) -> Result<EncodedPart, ActivityError> {
        let bytes = match tokens.texts.as_ref().or(tokens.tokens.as_ref()) {
            Some(file) => {
                let reading = async { output.get(&file.key).await.map_err(failure) };
                Some(pulse::alive(context, reading).await?)
            }
            None => None,
        };
        let (embedder, dimensions) = (self.embedder.clone(), self.identity.dimensions);
        let work = move |pulse: &Arc<Pulse>| {
            let mut part = VectorPartWriter::new(VectorPartOptions::new(dimensions))?;
            if let Some(bytes) = bytes {
                let mut embedder = embedder.lock().unwrap_or_else(PoisonError::into_inner);
                if !embed_texts(pulse, &mut embedder, bytes, &prefix, &mut part)? {
                    return Ok(None);
                }
            }
            Ok::<_, PartError>(Some(part.finish()?))
        };
        pulse::blocking(context, work).await
    }
}

/// Texts embedded together: enough for batches of like length, few enough to hold in memory.
const TEXTS_AT_ONCE: usize = 2048;
/// The same in bytes, for texts that are out of the ordinary.
const BYTES_AT_ONCE: usize = 64 << 20;

/// Embeds all texts of a part in their order; false when it was asked to stop.
fn embed_texts(
    pulse: &Pulse,
    embedder: &mut Embedder,
    bytes: bytes::Bytes,
    prefix: &str,
    part: &mut VectorPartWriter,
) -> Result<bool, PartError> {
    let mut window: Vec<Text> = Vec::new();
    let mut done = 0;
    for batch in wikitok_publish::read_texts(bytes)? {
        let texts = batch?.into_iter();
        window.extend(texts.map(|text| Text { text: format!("{prefix}{}", text.text), ..text }));
        let held: usize = window.iter().map(|text| text.text.len()).sum();
        let full = window.len() >= TEXTS_AT_ONCE || held >= BYTES_AT_ONCE;
        if full && !embed_window(pulse, embedder, &mut window, &mut done, part)? {
            return Ok(false);
        }
    }
    embed_window(pulse, embedder, &mut window, &mut done, part)
}

fn embed_window(
    pulse: &Pulse,
    embedder: &mut Embedder,
    window: &mut Vec<Text>,
    done: &mut u64,
    part: &mut VectorPartWriter,
) -> Result<bool, PartError> {
    let texts: Vec<&str> = window.iter().map(|text| text.text.as_str()).collect();
    let mut progress = |texts: usize| {
        pulse.beat(*done + texts as u64);
        !pulse.stopped()
    };
    let vectors = match embedder.embed(&texts, &mut progress) {
        Ok(vectors) => vectors,
        Err(EmbedError::Cancelled) => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    for (text, vector) in window.iter().zip(vectors.outer_iter()) {
        let vector = vector.to_vec();
        part.push(text.page_id, &text.title, 0, &vector)?;
    }
    *done += window.len() as u64;
    window.clear();
    Ok(true)
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
