//! Activities of the GPU queue.

#![allow(missing_docs, reason = "the SDK's macros make items that cannot be documented")]

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use wikitok_embed::{
    ALL_MINILM_L6_V2, Device, EmbedError, Embedder, EmbedderOptions, ModelIdentity, Passage, PassageOptions,
};
use wikitok_publish::{
    EncodedPart, Format, PassageKey, PublishError, Text, TokensManifest, VectorCounts, VectorElement,
    VectorPartOptions, VectorPartWriter, VectorsInput, VectorsManifest,
};
use wikitok_store::{ErrorKind, Location};
use wikitok_workflows::contract::{EmbedPartInput, EmbeddedPart, Embedding, Run};

use crate::committed;
use crate::failure::{Classified, failed, failure};
use crate::pulse::{self, Pulse};

/// Embeds. Holds the model, which is loaded once.
pub struct GpuActivities {
    embedder: Arc<Mutex<Embedder>>,
    identity: ModelIdentity,
    /// In which numbers the model is computed.
    precision: String,
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
        let precision = options.precision.to_string();
        let loading = tokio::task::spawn_blocking(move || Embedder::load(&options)).await;
        let embedder = loading.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;
        let versions = BTreeMap::from([
            ("wikitok".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
            ("onnxruntime".to_owned(), embedder.runtime_version()),
            ("device".to_owned(), device),
        ]);
        let identity = embedder.identity().clone();
        Ok(Self { embedder: Arc::new(Mutex::new(embedder)), identity, precision, versions })
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
            Some(file) => {
                let reading = async { output.get(&file.key).await.map_err(failure) };
                Some(pulse::alive(context, reading).await?)
            }
            None => None,
        };
        let options = part_options(&asked, self.identity.dimensions)?;
        let embedder = self.embedder.clone();
        let work = move |pulse: &Arc<Pulse>| {
            let mut part = VectorPartWriter::new(options)?;
            if let Some(bytes) = bytes {
                let mut embedder = embedder.lock().unwrap_or_else(PoisonError::into_inner);
                embedder.set_batch_word_pieces(asked.batch_word_pieces.map(|budget| budget as usize));
                let window = Window::new(&mut embedder, &asked, &mut part);
                if !window.embed_part(pulse, bytes)? {
                    return Ok(None);
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

/// Texts embedded together: enough for batches of like length, few enough to hold in memory.
const TEXTS_AT_ONCE: usize = 2048;
/// The same in bytes, for texts that are out of the ordinary.
const BYTES_AT_ONCE: usize = 64 << 20;

/// The texts that are embedded together: articles, or passages of them.
struct Window<'a> {
    embedder: &'a mut Embedder,
    asked: &'a Embedding,
    part: &'a mut VectorPartWriter,
    waiting: Vec<Waiting>,
    bytes: usize,
    /// Texts that are done.
    done: u64,
}

/// A text that waits for its vector.
struct Waiting {
    page_id: u64,
    title: String,
    passage: u32,
    characters: Range<u32>,
    /// What the model reads, prefix and all.
    text: String,
}

impl<'a> Window<'a> {
    fn new(embedder: &'a mut Embedder, asked: &'a Embedding, part: &'a mut VectorPartWriter) -> Self {
        Self { embedder, asked, part, waiting: Vec::new(), bytes: 0, done: 0 }
    }

    /// Embeds all texts of a part in their order; false when it was asked to stop.
    fn embed_part(mut self, pulse: &Pulse, tokens: bytes::Bytes) -> Result<bool, PartError> {
        for (row, text) in wikitok_publish::read_texts(tokens)?.flat_map(one_by_one).enumerate() {
            if !self.add(pulse, row, &text?)? {
                return Ok(false);
            }
        }
        self.flush(pulse)
    }

    /// Adds a text, whole or in passages.
    fn add(&mut self, pulse: &Pulse, row: usize, text: &Text) -> Result<bool, PartError> {
        let Some(cut) = self.asked.passages else {
            return self.push(pulse, text, 0, 0..0, &text.text);
        };
        let options = PassageOptions { word_pieces: cut.word_pieces as usize, overlap: cut.overlap as usize };
        let passages = self.embedder.passages(row, &text.text, &self.asked.passage_prefix, options)?;
        for (number, passage) in passages.enumerate() {
            let Passage { bytes, characters } = passage?;
            let characters = characters.start as u32..characters.end as u32;
            if !self.push(pulse, text, number as u32, characters, &text.text[bytes])? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn push(
        &mut self,
        pulse: &Pulse,
        of: &Text,
        passage: u32,
        characters: Range<u32>,
        text: &str,
    ) -> Result<bool, PartError> {
        let text = format!("{}{text}", self.asked.passage_prefix);
        self.bytes += text.len();
        let title = of.title.clone();
        self.waiting.push(Waiting { page_id: of.page_id, title, passage, characters, text });
        let full = self.waiting.len() >= TEXTS_AT_ONCE || self.bytes >= BYTES_AT_ONCE;
        if full { self.flush(pulse) } else { Ok(true) }
    }

    /// Embeds and writes what waits; false when it was asked to stop.
    fn flush(&mut self, pulse: &Pulse) -> Result<bool, PartError> {
        let texts: Vec<&str> = self.waiting.iter().map(|waiting| waiting.text.as_str()).collect();
        let done = self.done;
        let mut progress = |texts: usize| {
            pulse.beat(done + texts as u64);
            !pulse.stopped()
        };
        let vectors = match self.embedder.embed(&texts, &mut progress) {
            Ok(vectors) => vectors,
            Err(EmbedError::Cancelled) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        for (waiting, vector) in self.waiting.iter().zip(vectors.outer_iter()) {
            let Waiting { page_id, title, passage, characters, .. } = waiting;
            let characters = characters.clone();
            let key = PassageKey { page_id: *page_id, title, passage: *passage, characters };
            self.part.push(&key, &vector.to_vec())?;
        }
        self.done += self.waiting.len() as u64;
        self.waiting.clear();
        self.bytes = 0;
        Ok(true)
    }
}

/// The texts of a batch, or why there are none.
fn one_by_one(batch: Result<Vec<Text>, PublishError>) -> Vec<Result<Text, PublishError>> {
    match batch {
        Ok(texts) => texts.into_iter().map(Ok).collect(),
        Err(error) => vec![Err(error)],
    }
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
