//! `verify`: reads an output again, all of it.

use std::process::ExitCode;

use anyhow::Context;
use wikitok_publish::VerifyReport;
use wikitok_store::Location;

use crate::arguments::Format;
use crate::error;
use crate::output::{self, printable, thousands};

pub(crate) async fn run(uri: &str, format: Format) -> anyhow::Result<ExitCode> {
    let location = Location::open(uri).context("cannot open the output")?;
    let report = wikitok_publish::verify(&location).await?;
    output::show(format, &report, text)?;
    Ok(if report.is_whole() { ExitCode::SUCCESS } else { ExitCode::from(error::FAILED) })
}

fn text(report: &VerifyReport) -> String {
    let totals = &report.totals;
    let problems = report.problems.iter();
    let problems =
        problems.map(|found| format!("✖ {}: {}", printable(&found.key), printable(&found.problem)));
    let verdict = if report.is_whole() { "✔ whole" } else { "✖ not whole" };
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
    output::lines(problems.chain([summary]))
}
