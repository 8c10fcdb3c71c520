//! Stored histories of every workflow are replayed by today's code: a run that an earlier version began must
//! go on under this one.
//!
//! A history is saved with `cargo run --example save-history`. Those of released versions are never changed.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};

use temporalio_client::WorkflowHistory;
use temporalio_sdk::workflow_replayer::{WorkflowReplayer, WorkflowReplayerOptions};
use wikitok_workflows::{DumpWorkflow, ShardWorkflow};

fn histories() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/histories");
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    files
}

async fn replay(history: &[u8]) -> Result<(), String> {
    let options = WorkflowReplayerOptions::new()
        .register_workflow::<DumpWorkflow>()
        .unwrap()
        .register_workflow::<ShardWorkflow>()
        .unwrap()
        .build();
    let replayer = WorkflowReplayer::new(options).unwrap();
    let history = WorkflowHistory::from_json(history).unwrap();
    replayer.replay_workflow(history).await.map(drop).map_err(|error| format!("{error:?}"))
}

#[tokio::test]
async fn every_stored_history_replays() {
    let files = histories();
    let names: Vec<String> = files.iter().map(|f| f.file_stem().unwrap().to_string_lossy().into()).collect();
    for workflow in [
        "dump-0",
        "dump-cancelled",
        "dump-failed",
        "dump-given-up",
        "dump-given-up-early",
        "dump-retried",
        "dump-steered",
        "shard-bzip2",
        "shard-continued",
        "shard-gzip",
        "shard-steered",
    ] {
        assert!(
            names.iter().any(|name| name.starts_with(workflow)),
            "no history of `{workflow}` in {names:?}"
        );
    }
    for file in files {
        let replayed = replay(&std::fs::read(&file).unwrap()).await;
        assert_eq!(replayed, Ok(()), "{}", file.display());
    }
}

#[tokio::test]
async fn a_history_that_the_code_would_not_make_is_noticed() {
    let file = histories().into_iter().find(|file| file.to_string_lossy().contains("shard-bzip2")).unwrap();
    let history = std::fs::read_to_string(file).unwrap().replace("\"seal_shard\"", "\"another_activity\"");
    assert!(replay(history.as_bytes()).await.is_err());
}
