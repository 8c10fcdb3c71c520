//! Names by which a run and its pieces are known in Temporal: task queues, workflow ids, search attributes.

use temporalio_common::search_attributes::SearchAttributeKey;

/// Task queue of the workflows themselves.
pub const WORKFLOW_QUEUE: &str = "wikitok-workflow";
/// Task queue of the activities that read, tokenize and publish.
pub const CPU_QUEUE: &str = "wikitok-cpu";
/// Task queue of the activities that copy shards from a source into a mirror.
pub const MIRROR_QUEUE: &str = "wikitok-mirror";
/// Task queue of the activities that embed.
pub const GPU_QUEUE: &str = "wikitok-gpu";

/// Search attribute: the wiki, e.g. `enwiki`.
pub const WIKI: SearchAttributeKey<String> = SearchAttributeKey::keyword("WikitokWiki");
/// Search attribute: the snapshot, e.g. `enwiki-20260920`.
pub const SNAPSHOT: SearchAttributeKey<String> = SearchAttributeKey::keyword("WikitokSnapshot");
/// Search attribute: [`crate::contract::Status`] in words.
pub const STATUS: SearchAttributeKey<String> = SearchAttributeKey::keyword("WikitokStatus");
/// The names of all three, as they must be registered in a namespace, each a keyword.
pub const SEARCH_ATTRIBUTES: [&str; 3] = ["WikitokWiki", "WikitokSnapshot", "WikitokStatus"];

/// The id of a run: `wikitok/<snapshot>/<fingerprint>`, where the fingerprint is of everything that makes it
/// this run: configuration, source and output.
pub fn run_id(snapshot: &str, fingerprint: &str) -> String {
    let short: String = fingerprint.chars().take(12).collect();
    format!("wikitok/{snapshot}/{short}")
}

/// The wiki of a snapshot: `enwiki` of `enwiki-20260920`.
pub fn wiki(snapshot: &str) -> &str {
    snapshot.split_once('-').map_or(snapshot, |(wiki, _)| wiki)
}

/// The id of the child that does one shard of a run: `<run id>/<shard>`.
pub fn shard_id(run_id: &str, shard: &str) -> String {
    format!("{run_id}/{shard}")
}

/// The id of the run that a shard is done for, by the id of the child that does it; none for a shard that is done
/// by itself.
pub(crate) fn run_of_shard<'a>(id: &'a str, shard: &str) -> Option<&'a str> {
    id.strip_suffix(shard)?.strip_suffix('/').filter(|run| !run.is_empty())
}
