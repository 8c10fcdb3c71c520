//! `snapshots`: what lies at a source.

use std::process::ExitCode;

use anyhow::Context;
use wikitok_dump::{Layout, ListedSnapshot};

use crate::arguments::{Format, SnapshotsArguments};
use crate::output;

pub(crate) async fn run(arguments: &SnapshotsArguments, format: Format) -> anyhow::Result<ExitCode> {
    let source = arguments.source.open().context("cannot use --source")?;
    let snapshots = wikitok_dump::snapshots(&source, arguments.wiki.as_deref()).await?;
    output::show(format, &snapshots, |snapshots| table(snapshots))?;
    Ok(ExitCode::SUCCESS)
}

fn table(snapshots: &[ListedSnapshot]) -> String {
    if snapshots.is_empty() {
        return "no snapshots".to_owned();
    }
    let width = snapshots.iter().map(|snapshot| snapshot.wiki.len()).max().unwrap_or_default() + 9;
    output::lines(snapshots.iter().map(|snapshot| line(snapshot, width)))
}

fn line(snapshot: &ListedSnapshot, width: usize) -> String {
    let ListedSnapshot { wiki, date, layout, shards, bytes, complete } = snapshot;
    let layout = match layout {
        Layout::Legacy => "legacy",
        Layout::Current => "current",
    };
    let state = if *complete { "complete" } else { "unfinished" };
    let (name, bytes) = (format!("{wiki}-{date}"), output::thousands(*bytes));
    format!("{name:width$}  {layout:7}  {state:10}  {shards:>5} shards  {bytes:>15} bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_stand_below_each_other() {
        let snapshot = |wiki: &str, layout, shards, bytes, complete| ListedSnapshot {
            wiki: wiki.to_owned(),
            date: "20260920".to_owned(),
            layout,
            shards,
            bytes,
            complete,
        };
        let table = table(&[
            snapshot("enwiki", Layout::Current, 66, 40_920_000_000, false),
            snapshot("zh_yuewiki", Layout::Legacy, 1, 7, true),
        ]);
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(lines[0].len(), lines[1].len(), "{table}");
        assert!(lines[0].contains("unfinished") && lines[0].contains("40,920,000,000 bytes"), "{table}");
    }
}
