//! A small output to test on: two shards of two parts, one part with a bad record, one without articles.

use std::collections::BTreeMap;
use std::ops::Deref;

use bytes::Bytes;
use serde_json::json;
use tempfile::TempDir;
use wikitok_publish::{
    Counts, EncodedPart, Format, PassageKey, QuarantinePart, RangeIdentity, RunOwner, TokenFiles,
    TokenPartOptions, TokenPartWriter, TokenRow, TokensManifest, VectorCounts, VectorPartOptions,
    VectorPartWriter, VectorsInput, VectorsManifest, commit_tokens, commit_vectors, publish_run, seal_shard,
};
use wikitok_store::Location;

pub(crate) const SNAPSHOT: &str = "enwiki-20260920";
pub(crate) const SHARDS: [&str; 2] = ["enwiki_content-20260920-00000", "enwiki_content-20260920-00001"];

/// Names of the first `count` shards of a snapshot of three.
pub(crate) fn shards(count: usize) -> Vec<String> {
    SHARDS.iter().chain(&["enwiki_content-20260920-00002"]).take(count).map(ToString::to_string).collect()
}
pub(crate) const DIMENSION: usize = 4;

/// A location that is removed with it.
pub(crate) struct Output {
    _directory: TempDir,
    location: Location,
}

impl Deref for Output {
    type Target = Location;

    fn deref(&self) -> &Location {
        &self.location
    }
}

pub(crate) async fn empty() -> Output {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let location = Location::create(&directory.path().to_string_lossy()).await.expect("it can be made");
    Output { _directory: directory, location }
}

/// A whole output, published.
pub(crate) async fn published() -> Output {
    let output = empty().await;
    write_run(&output).await;
    output
}

pub(crate) async fn write_run(output: &Location) {
    wikitok_publish::claim(output, &owner("a")).await.unwrap();
    for shard in SHARDS {
        write_shard(output, shard, "a").await;
    }
    publish_run(output, &owner("a"), &shards(2)).await.unwrap();
}

pub(crate) fn owner(fingerprint: &str) -> RunOwner {
    RunOwner {
        format: Format::Owner,
        snapshot: SNAPSHOT.to_owned(),
        layout: "cirrus_search_index".to_owned(),
        configuration: json!({ "encoding": "cl100k_base", "namespaces": [0] }),
        tokens_fingerprint: fingerprint.to_owned(),
        vectors_fingerprint: Some(format!("{fingerprint}-vectors")),
    }
}

/// Two parts: the first with three articles and a bad record, the second with none at all.
pub(crate) async fn write_shard(output: &Location, shard: &str, fingerprint: &str) {
    for part in 0..2 {
        let rows = if part == 0 { rows(shard) } else { Vec::new() };
        let bad = if part == 0 { quarantine() } else { QuarantinePart::default() };
        let manifest = tokens_manifest(shard, part, fingerprint, &rows, bad.rows);
        let manifest = commit_tokens(output, manifest, &files(&token_part(&rows), &bad)).await.unwrap();
        let vectors = vectors_manifest(&manifest);
        commit_vectors(output, vectors, &vector_part(&rows)).await.unwrap();
    }
    seal_shard(output, SNAPSHOT, shard, 2, true).await.unwrap();
}

/// The same page twice, as real dumps have it, and one page of two passages.
pub(crate) fn rows(shard: &str) -> Vec<TokenRow> {
    let first = if shard == SHARDS[0] { 10 } else { 20 };
    let row = |page_id, text: &str, tokens: &[u32]| TokenRow {
        page_id,
        title: format!("Page {page_id}"),
        revision_id: Some(page_id * 100),
        timestamp: Some("2026-09-20T01:02:03Z".to_owned()),
        text: text.to_owned(),
        tokens: tokens.to_vec(),
    };
    vec![row(first, "hello world", &[15339, 1917]), row(first, "ä", &[2926]), row(first + 1, "", &[])]
}

pub(crate) fn quarantine() -> QuarantinePart {
    QuarantinePart { bytes: Bytes::from_static(b"{\"reason\":\"not-json\",\"offset\":7}\n"), rows: 1 }
}

pub(crate) fn files(tokens: &EncodedPart, quarantine: &QuarantinePart) -> TokenFiles {
    TokenFiles { tokens: tokens.clone(), quarantine: quarantine.clone(), texts: None, checkpoint: None }
}

pub(crate) fn token_part(rows: &[TokenRow]) -> EncodedPart {
    let mut writer = TokenPartWriter::new(TokenPartOptions::default()).unwrap();
    for row in rows {
        writer.push(row.clone()).unwrap();
    }
    writer.finish().unwrap()
}

/// One passage for each row, two for the first: unit vectors along the axes.
pub(crate) fn vector_part(rows: &[TokenRow]) -> EncodedPart {
    let mut writer = VectorPartWriter::new(VectorPartOptions::new(DIMENSION)).unwrap();
    for (number, row) in rows.iter().enumerate() {
        writer.push(&PassageKey::new(row.page_id, &row.title, 0), &axis(number)).unwrap();
        if number == 0 {
            writer.push(&PassageKey::new(row.page_id, &row.title, 1), &axis(3)).unwrap();
        }
    }
    writer.finish().unwrap()
}

pub(crate) fn axis(number: usize) -> [f32; DIMENSION] {
    let mut vector = [0.0; DIMENSION];
    vector[number % DIMENSION] = 1.0;
    vector
}

pub(crate) fn tokens_manifest(
    shard: &str,
    part: u32,
    fingerprint: &str,
    rows: &[TokenRow],
    bad: u64,
) -> TokensManifest {
    let articles = rows.len() as u64;
    TokensManifest {
        format: Format::Tokens,
        snapshot: SNAPSHOT.to_owned(),
        shard: shard.to_owned(),
        part,
        input: RangeIdentity {
            file: format!("{shard}.json.bz2"),
            file_bytes: 2_000,
            from: u64::from(part) * 1_000,
            to: u64::from(part + 1) * 1_000,
            read_to: None,
            sha256: "00".repeat(32),
        },
        fingerprint: fingerprint.to_owned(),
        versions: BTreeMap::from([("tokenizer".to_owned(), "test 1".to_owned())]),
        counts: Counts {
            documents: articles + bad + 1,
            articles,
            filtered: BTreeMap::from([("redirect".to_owned(), 1)]),
            quarantined: if bad > 0 {
                BTreeMap::from([("not-json".to_owned(), bad)])
            } else {
                BTreeMap::new()
            },
            tokens: rows.iter().map(|row| row.tokens.len() as u64).sum(),
            characters: rows.iter().map(|row| row.text.chars().count() as u64).sum(),
            vectors: 0,
            uncompressed_bytes: 5_000,
        },
        tokens: None,
        quarantine: None,
        texts: None,
        limit: None,
        limit_reached: false,
        next: json!({ "block": part + 1 }),
    }
}

pub(crate) fn vectors_manifest(tokens: &TokensManifest) -> VectorsManifest {
    let vectors = if tokens.counts.articles > 0 { tokens.counts.articles + 1 } else { 0 };
    VectorsManifest {
        format: Format::Vectors,
        snapshot: tokens.snapshot.clone(),
        shard: tokens.shard.clone(),
        part: tokens.part,
        input: VectorsInput { tokens_sha256: tokens.tokens.as_ref().map(|file| file.sha256.clone()) },
        fingerprint: format!("{}-vectors", tokens.fingerprint),
        versions: BTreeMap::from([("model".to_owned(), "axes 1".to_owned())]),
        counts: VectorCounts { vectors },
        vectors: None,
        normalized: true,
    }
}
