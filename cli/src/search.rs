//! `search`: the articles nearest in meaning to some words.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use serde::Serialize;
use wikitok_embed::{ALL_MINILM_L6_V2, Device, Embedder, EmbedderOptions, ModelIdentity, Precision};
use wikitok_store::Location;
use wikitok_worker::home;
use wikitok_workflows::contract::{Configuration, Embedding};
use wikitok_workflows::names;

use crate::arguments::{Format, SearchArguments};
use crate::error::Hinted;
use crate::output::{self, printable};

/// An article that was found.
#[derive(Serialize)]
struct Found {
    rank: usize,
    score: f32,
    page_id: u64,
    title: String,
    passage: u32,
    /// The characters that the passage is of, where articles were cut into passages.
    #[serde(skip_serializing_if = "Option::is_none")]
    characters: Option<[u32; 2]>,
    /// Their text.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    url: String,
}

/// Characters of a passage that are shown to people.
const SHOWN: usize = 240;

pub(crate) async fn run(arguments: &SearchArguments, format: Format) -> anyhow::Result<ExitCode> {
    let location = Location::open(&arguments.output).context("cannot open the output")?;
    let owner = wikitok_publish::read_owner(&location).await?;
    let owner = owner.ok_or_else(|| no_vectors(location.uri(), "is not the output of a run"))?;
    if owner.vectors_fingerprint.is_none() {
        return Err(no_vectors(location.uri(), "was made without vectors"));
    }
    let asked: Configuration = serde_json::from_value(owner.configuration.clone())
        .context("cannot read the output's configuration")?;
    let query = arguments.query().await?;
    let query = tokio::task::spawn_blocking(move || query.embed(asked.embedding.as_ref())).await??;
    let hits = wikitok_publish::nearest(&location, &query, usize::from(arguments.k)).await?;
    let wiki = names::wiki(&owner.snapshot);
    let texts = wikitok_publish::passage_texts(&location, &hits).await?;
    let found: Vec<Found> = hits
        .into_iter()
        .zip(texts)
        .enumerate()
        .map(|(index, (hit, text))| Found {
            rank: index + 1,
            score: hit.score,
            page_id: hit.page_id,
            title: hit.title,
            passage: hit.passage,
            characters: hit.characters.map(|characters| [characters.start, characters.end]),
            text,
            url: address(wiki, hit.page_id),
        })
        .collect();
    output::show(format, &found, |found| output::lines(found.iter().map(line)))?;
    Ok(ExitCode::SUCCESS)
}

fn line(hit: &Found) -> String {
    let line = format!("{:>3}  {:.3}  {}  {}", hit.rank, hit.score, printable(&hit.title), hit.url);
    match &hit.text {
        Some(text) => {
            let shown: String = text.chars().take(SHOWN).collect();
            let rest = if shown.len() < text.len() { " …" } else { "" };
            format!("{line}\n     {}{rest}", printable(&shown.replace('\n', " ")))
        }
        None => line,
    }
}

/// What is looked for, and the model that reads it.
struct Query {
    words: String,
    prefix: Option<String>,
    model_directory: PathBuf,
}

impl SearchArguments {
    async fn query(&self) -> anyhow::Result<Query> {
        Ok(Query {
            words: self.words.clone(),
            prefix: self.query_prefix.clone(),
            model_directory: wikitok_worker::model_directory(self.model.as_deref()).await?,
        })
    }
}

impl Query {
    /// The vector of the words, by the model that the output was made with.
    fn embed(self, made_with: Option<&Embedding>) -> anyhow::Result<Vec<f32>> {
        let embedder = Embedder::load(&EmbedderOptions {
            model_directory: self.model_directory,
            runtime_library: home::onnxruntime(),
            device: Device::Cpu,
            precision: Precision::Fp32,
            threads: 1,
        })?;
        if let Some(made_with) = made_with {
            check_model(embedder.identity(), made_with)?;
        }
        let prefix = self.prefix.unwrap_or_else(|| embedder.identity().prompts.query.clone());
        let vectors = embedder.embed(&[prefix + &self.words], None, &|_| true)?;
        Ok(vectors.row(0).to_vec())
    }
}

fn check_model(identity: &ModelIdentity, made_with: &Embedding) -> anyhow::Result<()> {
    let settings = made_with.settings_sha256.as_deref().unwrap_or(ALL_MINILM_L6_V2.settings_sha256);
    if (identity.model_sha256.as_str(), identity.settings_sha256.as_str())
        == (&made_with.model_sha256, settings)
    {
        return Ok(());
    }
    let message = format!(
        "the output was made with the model `{}` of sha256 {}, and this is `{}` with {}",
        made_with.model, made_with.model_sha256, identity.name, identity.model_sha256
    );
    Err(Hinted::new(message, "give the directory of the output's model as --model").into())
}

/// Where the article can be read. Names of wikis end in their project; languages have `-` where names have `_`.
fn address(wiki: &str, page_id: u64) -> String {
    let projects = [
        ("wiktionary", "wiktionary"),
        ("wikibooks", "wikibooks"),
        ("wikinews", "wikinews"),
        ("wikiquote", "wikiquote"),
        ("wikisource", "wikisource"),
        ("wikiversity", "wikiversity"),
        ("wikivoyage", "wikivoyage"),
        ("wiki", "wikipedia"),
    ];
    let found = projects.iter().find_map(|(end, domain)| Some((wiki.strip_suffix(end)?, domain)));
    let (language, domain) = found.unwrap_or((wiki, &"wikipedia"));
    format!("https://{}.{domain}.org/?curid={page_id}", language.replace('_', "-"))
}

fn no_vectors(uri: &str, why: &str) -> anyhow::Error {
    Hinted::new(
        format!("`{uri}` {why}"),
        "search needs the --output of a run that was started without --no-embed",
    )
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn articles_have_an_address() {
        assert_eq!(address("enwiki", 12), "https://en.wikipedia.org/?curid=12");
        assert_eq!(address("dewiktionary", 3), "https://de.wiktionary.org/?curid=3");
        assert_eq!(address("zh_yuewiki", 1), "https://zh-yue.wikipedia.org/?curid=1");
    }
}
