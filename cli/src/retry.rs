//! `retry`: runs again what did not end well, and only that.

use std::process::ExitCode;

use anyhow::Context;
use serde::Serialize;
use wikitok_dump::SnapshotQuery;
use wikitok_store::{Access, Location};
use wikitok_workflows::contract::{DumpInput, DumpProgress, Run, Status};

use crate::arguments::Format;
use crate::client::Temporal;
use crate::error::Hinted;
use crate::preflight::{self, Found};
use crate::{output, watch};

/// What `retry` without --watch says.
#[derive(Serialize)]
struct Retried {
    run_id: String,
    /// `retrying`, or `done` where there was nothing to do.
    status: &'static str,
    /// Shards that are run again.
    shards: u32,
    web_ui: String,
}

pub(crate) async fn run(
    id: &str,
    watching: bool,
    profile: Option<String>,
    format: Format,
) -> anyhow::Result<ExitCode> {
    let temporal = Temporal::from_environment(profile).await?;
    if watch::is_running(&temporal, id).await? {
        let hint = format!("it tries again by itself; see `wikitok-cli errors {id}`");
        return Err(Hinted::new(format!("`{id}` has not ended"), hint).into());
    }
    let (input, ended) = (temporal.input(id).await?, watch::last_progress(&temporal, id).await?);
    let Some(ended) = ended else {
        let hint = "`wikitok-cli start` with the same options goes on from what is committed";
        return Err(Hinted::new(format!("`{id}` did not say what it had done when it ended"), hint).into());
    };
    let sealed = sealed(&input.run).await?;
    let next = input_again(input, &ended, &sealed);
    let shards = next.done.again.count();
    // One that failed or was cancelled goes on, be it only with what comes after the shards.
    let nothing = shards == 0 && matches!(ended.status, Status::Done | Status::DoneWithQuarantine);
    if !nothing {
        temporal.start_with(next, id, true).await?;
    }
    if watching {
        return watch::until_end(&temporal, id, format).await;
    }
    let status = if nothing { "done" } else { "retrying" };
    let retried = Retried { run_id: id.to_owned(), status, shards, web_ui: temporal.link(id) };
    output::show(format, &retried, |retried| match retried.status {
        "done" => format!("{id}: there is nothing to try again"),
        _ => format!("{id}: {shards} shards are tried again\n  watch   wikitok-cli watch {id}"),
    })?;
    Ok(ExitCode::SUCCESS)
}

/// A sealed shard: its place, and what its manifest counts.
struct Sealed {
    place: u32,
    counts: wikitok_publish::Counts,
}

/// The sealed shards of a run.
async fn sealed(run: &Run) -> anyhow::Result<Vec<Sealed>> {
    let access = Access::from_environment().with_contact(run.contact.clone());
    let source = Location::open_with(&run.source, access).context("cannot use the run's source")?;
    let mirror = run.mirror.as_deref().map(Location::open).transpose();
    let mirror = mirror.context("cannot use the run's mirror")?;
    let output = Location::open(&run.output).context("cannot use the run's output")?;
    let query: SnapshotQuery = run.snapshot.parse()?;
    let Found { snapshot, .. } =
        preflight::resolve(&source, mirror.as_ref(), &query, &run.configuration).await?;
    let mut found = Vec::new();
    for (place, shard) in (0..).zip(&snapshot.shards) {
        let manifest = wikitok_publish::committed_shard(&output, &shard.name).await?;
        let ours = manifest.filter(|manifest| manifest.fingerprints.tokens == run.tokens_fingerprint);
        found.extend(ours.map(|manifest| Sealed { place, counts: manifest.counts }));
    }
    Ok(found)
}

/// The input of the execution that tries again: what ended well stays counted, all else is run again. What a shard gives
/// under a limit depends on those before it, so there all shards from the first that did not end well on are run again;
/// parts that come out the same are recognised.
fn input_again(input: DumpInput, ended: &DumpProgress, sealed: &[Sealed]) -> DumpInput {
    let mut counts = ended.counts.clone();
    let mut again = ended.unfinished.clone();
    let mut shards_done = ended.shards_done;
    let sealed = sealed.iter().filter(|shard| shard.place < ended.shards_started);
    let bad =
        |shard: &&Sealed| shard.counts.quarantined_total() > 0 || ended.unfinished.contains(shard.place);
    let from = match input.run.configuration.limit {
        Some(_) => sealed.clone().filter(bad).map(|shard| shard.place).chain(ended.unfinished.first()).min(),
        None => None,
    };
    let is_again = |shard: &&Sealed| bad(shard) || from.is_some_and(|from| shard.place > from);
    // A shard that failed may have been sealed by an earlier run: then its counts are not in the sum.
    for shard in sealed.filter(is_again) {
        if !ended.unfinished.contains(shard.place) && !ended.again.contains(shard.place) {
            counts.subtract(&shard.counts);
            shards_done -= 1;
        }
        again.insert(shard.place);
    }
    let mut rest = ended.again.clone();
    while let Some(place) = rest.pop_first() {
        again.insert(place);
    }
    let done = DumpProgress {
        output: ended.output.clone(),
        shards: ended.shards,
        shards_started: ended.shards_started,
        shards_done,
        counts,
        again,
        before_ms: ended.before_ms + ended.ended_ms.saturating_sub(ended.started_ms),
        ..DumpProgress::default()
    };
    DumpInput { done, remake_quarantined: true, ..input }
}

#[cfg(test)]
mod tests {
    use wikitok_publish::Counts;
    use wikitok_workflows::contract::Places;

    use super::*;

    fn counts(articles: u64, bad: u64) -> Counts {
        let quarantined = (bad > 0).then(|| ("invalid_json".to_owned(), bad)).into_iter().collect();
        Counts { documents: articles + bad, articles, quarantined, ..Counts::default() }
    }

    fn input() -> DumpInput {
        let run = serde_json::json!({
            "snapshot": "enwiki-20260920", "layout": "current", "source": "/s", "output": "/o",
            "configuration": {"encoding": "cl100k_base", "range_bytes": 1}, "tokens_fingerprint": "f",
        });
        serde_json::from_value(serde_json::json!({ "run": run })).unwrap()
    }

    #[test]
    fn what_is_run_again_is_not_counted_twice() {
        let mut sum = counts(10, 0);
        sum.add(&counts(5, 2));
        let ended = DumpProgress {
            shards: 9,
            shards_started: 5,
            shards_done: 2,
            counts: sum,
            unfinished: [1, 3].into_iter().collect::<Places>(),
            started_ms: 1_000,
            ended_ms: 5_000,
            shards_failed: 2,
            ..DumpProgress::default()
        };
        let bad = |place| Sealed { place, counts: counts(5, 2) };
        let good = Sealed { place: 4, counts: counts(10, 0) };
        // Place 3 failed; its manifest is of an earlier run, as is that of place 7.
        let sealed = [bad(2), bad(3), good, bad(7)];
        let next = input_again(input(), &ended, &sealed).done;
        assert_eq!(next.counts, counts(10, 0));
        assert_eq!(next.again, [1, 2, 3].into_iter().collect::<Places>());
        assert_eq!((next.shards_done, next.shards_started, next.shards_failed), (1, 5, 0));
        assert_eq!((next.before_ms, next.started_ms), (4_000, 0));

        // What place 4 gave depends on what places 1 to 3 did.
        let mut limited = input();
        limited.run.configuration.limit = Some(17);
        let next = input_again(limited, &ended, &sealed).done;
        assert_eq!(next.counts, Counts::default());
        assert_eq!(next.again, [1, 2, 3, 4].into_iter().collect::<Places>());
        assert_eq!((next.shards_done, next.shards_started), (0, 5));
    }
}
