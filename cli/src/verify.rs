//! `verify`: reads an output again, all of it.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use serde::Serialize;
use wikitok_publish::{Sample, SampledArticle, VerifyReport};
use wikitok_store::Location;
use wikitok_tokenize::{Encoding, Reference};

use crate::arguments::Format;
use crate::error;
use crate::output::{self, printable, thousands};

/// What `verify` found.
#[derive(Serialize)]
struct Report {
    whole: bool,
    #[serde(flatten)]
    found: VerifyReport,
    /// Articles whose ids were compared with those of `tiktoken-rs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    sampled: Option<u64>,
}

pub(crate) async fn run(uri: &str, articles: Option<u64>, format: Format) -> anyhow::Result<ExitCode> {
    let location = Location::open(uri).context("cannot open the output")?;
    let mut found = wikitok_publish::verify(&location).await?;
    let mut sampled = None;
    // Of an output that is not whole there may be nothing to take a sample of.
    if let Some(articles) = articles.filter(|_| found.is_whole()) {
        let sample = sample(&location, articles).await?;
        found.problems.extend(sample.problems);
        sampled = Some(sample.articles);
    }
    let report = Report { whole: found.is_whole(), found, sampled };
    output::show(format, &report, text)?;
    Ok(if report.whole { ExitCode::SUCCESS } else { ExitCode::from(error::FAILED) })
}

async fn sample(location: &Location, articles: u64) -> anyhow::Result<Sample> {
    let owner = wikitok_publish::read_owner(location).await?.context("the output has no `run.json`")?;
    let Some(encoding) = owner.configuration["encoding"].as_str() else {
        bail!("`run.json` names no encoding");
    };
    let reference = Reference::new(encoding.parse::<Encoding>()?);
    let judge = Arc::new(move |article: &SampledArticle| compare(&reference, article));
    Ok(wikitok_publish::sample(location, articles, judge).await?)
}

fn compare(reference: &Reference, article: &SampledArticle) -> Option<String> {
    let expected = reference.encode_ordinary(&article.text)?;
    let first = expected.iter().zip(&article.tokens).position(|(expected, found)| expected != found);
    let differs = first.is_some() || expected.len() != article.tokens.len();
    differs.then(|| {
        let at = first.unwrap_or(expected.len().min(article.tokens.len()));
        format!("page {} has other ids than `tiktoken-rs` gives from token {at} on", article.page_id)
    })
}

fn text(report: &Report) -> String {
    let totals = &report.found.totals;
    let problems = report.found.problems.iter();
    let problems =
        problems.map(|found| format!("✖ {}: {}", printable(&found.key), printable(&found.problem)));
    let verdict = if report.whole { "✔ whole" } else { "✖ not whole" };
    let summary = format!(
        "{verdict}: {} shards, {} parts, {} files, {:.1} MB, {} articles, {} tokens, {} vectors",
        totals.shards,
        totals.parts,
        totals.files,
        totals.bytes as f64 / 1e6,
        thousands(totals.counts.articles),
        thousands(totals.counts.tokens),
        thousands(totals.counts.vectors),
    );
    let sampled =
        report.sampled.map(|articles| format!("{} articles compared with tiktoken-rs", thousands(articles)));
    output::lines(problems.chain([summary]).chain(sampled))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_ids_than_the_references_are_named() {
        let reference = Reference::new(Encoding::Cl100kBase);
        let article = |tokens: &[u32]| SampledArticle {
            page_id: 7,
            text: "hello world".to_owned(),
            tokens: tokens.to_vec(),
        };
        assert_eq!(compare(&reference, &article(&[15339, 1917])), None);
        for (tokens, at) in [(&[15339, 1918][..], 1), (&[15339], 1), (&[15339, 1917, 0], 2), (&[], 0)] {
            let problem = compare(&reference, &article(tokens)).unwrap();
            assert!(
                problem.starts_with("page 7 ") && problem.ends_with(&format!("token {at} on")),
                "{problem}"
            );
        }
    }
}
