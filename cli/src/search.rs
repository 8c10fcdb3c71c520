//! `search`: the articles nearest in meaning to some words.

use std::process::ExitCode;

use anyhow::Context;
use serde::Serialize;
use wikitok_embed::{Device, Embedder, EmbedderOptions};
use wikitok_store::Location;
use wikitok_worker::home;
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
    url: String,
}

pub(crate) async fn run(arguments: &SearchArguments, format: Format) -> anyhow::Result<ExitCode> {
    let location = Location::open(&arguments.output).context("cannot open the output")?;
    let owner = wikitok_publish::read_owner(&location).await?;
    let owner = owner.ok_or_else(|| no_vectors(location.uri(), "is not the output of a run"))?;
    if owner.vectors_fingerprint.is_none() {
        return Err(no_vectors(location.uri(), "was made without vectors"));
    }
    let words = arguments.words.clone();
    let query = tokio::task::spawn_blocking(move || embed(&words)).await??;
    let hits = wikitok_publish::nearest(&location, &query, usize::from(arguments.k)).await?;
    let wiki = names::wiki(&owner.snapshot);
    let found: Vec<Found> = hits
        .into_iter()
        .enumerate()
        .map(|(index, hit)| Found {
            rank: index + 1,
            score: hit.score,
            page_id: hit.page_id,
            title: hit.title,
            passage: hit.passage,
            url: address(wiki, hit.page_id),
        })
        .collect();
    output::show(format, &found, |found| {
        output::lines(
            found.iter().map(|hit| {
                format!("{:>3}  {:.3}  {}  {}", hit.rank, hit.score, printable(&hit.title), hit.url)
            }),
        )
    })?;
    Ok(ExitCode::SUCCESS)
}

fn embed(words: &str) -> anyhow::Result<Vec<f32>> {
    let mut embedder = Embedder::load(&EmbedderOptions {
        model_directory: home::model(),
        runtime_library: home::onnxruntime(),
        device: Device::Cpu,
        threads: 1,
    })?;
    let vectors = embedder.embed(&[words], &mut |_| true)?;
    Ok(vectors.row(0).to_vec())
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
