//! Details are what Temporal's Web UI shows of a workflow as its current state, in Markdown. They cost no event.

use crate::contract::{DumpProgress, Pace, ShardProgress};

/// Where a run stands: what is wrong first.
pub(crate) fn of_run(progress: &DumpProgress) -> String {
    let mut lines = Vec::new();
    lines.extend(progress.given_up.as_ref().map(|why| format!("**given up**: {why}")));
    for queue in &progress.without_worker {
        lines.push(format!("**waiting for a worker**: nobody polls `{queue}`"));
    }
    if progress.paused {
        lines.push("**paused**: no new part is started until `resume`".to_owned());
    }
    lines.push(format!(
        "{} of {} shards done, {} at work, {} failed",
        progress.shards_done,
        progress.shards,
        progress.in_flight.len(),
        progress.shards_failed
    ));
    lines.extend(
        progress
            .failed
            .iter()
            .map(|failed| format!("- `{}` ({}): {}", failed.shard, failed.reason, failed.message)),
    );
    lines.join("\n\n")
}

/// Where a shard stands: what it waits for first.
pub(crate) fn of_shard(progress: &ShardProgress, pace: &Pace) -> String {
    let mut lines = Vec::new();
    if progress.waits_for_vectors {
        lines.push(format!(
            "**waiting for vectors**: {} parts wait for them, and no more may (`--max-backlog-parts`)",
            pace.backlog_parts
        ));
    }
    if progress.paused {
        lines.push("**paused**: no new part is started until `resume`".to_owned());
    }
    let parts = progress.parts.map_or_else(String::new, |parts| format!(" of {parts}"));
    lines.push(format!(
        "{}{parts} parts tokenized, {} with vectors; {} articles",
        progress.parts_tokenized, progress.parts_embedded, progress.counts.articles
    ));
    lines.join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::ShardFailure;

    #[test]
    fn what_is_wrong_comes_first() {
        let failure = ShardFailure {
            shard: "enwiki_content-20260920-00003".to_owned(),
            reason: "bad_input".to_owned(),
            message: "cut off".to_owned(),
        };
        let progress = DumpProgress {
            given_up: Some("2 shards failed".to_owned()),
            without_worker: vec!["wikitok-gpu".to_owned()],
            shards: 9,
            failed: vec![failure],
            shards_failed: 2,
            ..DumpProgress::default()
        };
        let lines: Vec<String> = of_run(&progress).split("\n\n").map(str::to_owned).collect();
        assert_eq!(lines[0], "**given up**: 2 shards failed");
        assert_eq!(lines[1], "**waiting for a worker**: nobody polls `wikitok-gpu`");
        assert!(lines[3].contains("`enwiki_content-20260920-00003` (bad_input): cut off"), "{lines:?}");
    }

    #[test]
    fn a_shard_says_what_it_waits_for() {
        let progress = ShardProgress { waits_for_vectors: true, parts: Some(20), ..ShardProgress::default() };
        let text = of_shard(&progress, &Pace::default());
        assert!(text.starts_with("**waiting for vectors**: 16 parts"), "{text}");
        assert!(text.contains("0 of 20 parts tokenized"), "{text}");
    }
}
