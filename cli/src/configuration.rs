//! From the command line to what identifies a run: its configuration and its fingerprints.

use serde_json::json;
use sha2::{Digest, Sha256};
use wikitok_activities::plan;
use wikitok_dump::Snapshot;
use wikitok_store::Location;
use wikitok_workflows::contract::{Bounds, Configuration, Embedding, Pace, Run};
use wikitok_workflows::names;

use crate::arguments::{Answer, StartArguments};
use crate::error::Hinted;

/// What of the code decides the bytes of the token data, beside the configuration. Raised when documents are
/// chosen, cut or written in another way.
const TOKENS_FORMAT: &str = "tokens/1";
/// The same for the vectors: batching, pooling, normalisation, what is written.
const VECTORS_FORMAT: &str = "vectors/1";
/// The same for where passages are cut.
const PASSAGES_FORMAT: &str = "passages/1";

/// The configuration that the arguments ask for.
pub(crate) fn configuration(
    arguments: &StartArguments,
    embedding: Option<Embedding>,
) -> anyhow::Result<Configuration> {
    Ok(Configuration {
        encoding: arguments.encoding.to_string(),
        embedding,
        limit: arguments.limit,
        range_bytes: arguments.range_bytes.unwrap_or(arguments.range_mb << 20),
        shards: arguments.shards.as_ref().map(ToString::to_string),
        namespaces: namespaces(&arguments.namespace)?,
        min_chars: arguments.min_chars,
        keep_text: arguments.keep_text == Answer::Yes,
    })
}

/// The namespaces of the general index that are asked for; none for articles.
fn namespaces(asked: &[i64]) -> anyhow::Result<Vec<i64>> {
    let mut namespaces = asked.to_vec();
    namespaces.sort_unstable();
    namespaces.dedup();
    match namespaces[..] {
        [0] => Ok(Vec::new()),
        [0, ..] => {
            let message = "articles (namespace 0) lie in another index than other pages";
            Err(Hinted::new(message, "make two runs, each with an --output of its own").into())
        }
        _ => Ok(namespaces),
    }
}

/// The run that the arguments ask for, and its id.
pub(crate) fn run(
    arguments: &StartArguments,
    configuration: Configuration,
    snapshot: &Snapshot,
    source: &str,
    mirror: Option<&Location>,
    output: &str,
) -> (Run, String) {
    let tokens_fingerprint = tokens_fingerprint(&configuration);
    let vectors_fingerprint =
        configuration.embedding.as_ref().map(|embedding| vectors_fingerprint(&tokens_fingerprint, embedding));
    let run = Run {
        snapshot: snapshot.name(),
        layout: plan::layout(snapshot).to_owned(),
        source: source.to_owned(),
        output: output.to_owned(),
        configuration,
        tokens_fingerprint,
        vectors_fingerprint,
        pace: Pace {
            shards_in_flight: arguments.shards_in_flight,
            backlog_parts: arguments.max_backlog_parts,
            heartbeat_seconds: arguments.heartbeat_timeout,
            longest_history: arguments.longest_history,
            ..Pace::default()
        },
        bounds: Bounds {
            max_quarantined: arguments.max_quarantined,
            max_failed_shards: arguments.max_failed_shards,
        },
        mirror: mirror.map(|mirror| mirror.uri().to_owned()),
        contact: arguments.source.contact.clone(),
    };
    let mut identity =
        vec![json!(run.layout), json!(run.source), json!(run.output), json!(run.tokens_fingerprint)];
    identity.push(json!(run.vectors_fingerprint));
    identity.extend(run.mirror.as_ref().map(|mirror| json!(["mirror", mirror])));
    let fingerprint = digest(&json!(identity));
    let id = names::run_id(&run.snapshot, &fingerprint);
    (run, id)
}

fn tokens_fingerprint(configuration: &Configuration) -> String {
    let Configuration {
        encoding,
        embedding: _,
        limit,
        range_bytes,
        shards,
        namespaces,
        min_chars,
        keep_text,
    } = configuration;
    let mut decides = vec![json!(TOKENS_FORMAT), json!(encoding), json!(limit), json!(range_bytes)];
    // What is not asked for is left out, so that runs from before it could be asked for are still the same.
    let mut ask = |name: &str, value: serde_json::Value, asked: bool| {
        decides.extend(asked.then(|| json!([name, value])));
    };
    ask("shards", json!(shards), shards.is_some());
    ask("namespaces", json!(namespaces), !namespaces.is_empty());
    ask("min_chars", json!(min_chars), *min_chars > 0);
    ask("keep_text", json!(keep_text), !keep_text);
    digest(&json!(decides))
}

fn vectors_fingerprint(tokens_fingerprint: &str, embedding: &Embedding) -> String {
    let Embedding {
        model: _,
        model_sha256,
        max_word_pieces,
        settings_sha256,
        passage_prefix,
        precision,
        vector_type,
        passages,
        batch_word_pieces,
    } = embedding;
    let mut all =
        vec![json!(VECTORS_FORMAT), json!(tokens_fingerprint), json!(model_sha256), json!(max_word_pieces)];
    // What is as it always was is left out, so that fingerprints of before there was a choice hold.
    all.extend(settings_sha256.as_ref().map(|sha256| json!(["settings", sha256])));
    all.extend((!passage_prefix.is_empty()).then(|| json!(["prefix", passage_prefix])));
    all.extend((precision != "fp32").then(|| json!(["precision", precision])));
    all.extend((vector_type != "f32").then(|| json!(["type", vector_type])));
    all.extend(passages.map(|cut| json!(["passages", PASSAGES_FORMAT, cut.word_pieces, cut.overlap])));
    all.extend(batch_word_pieces.map(|budget| json!(["batch", budget])));
    digest(&json!(all))
}

fn digest(value: &serde_json::Value) -> String {
    hex::encode(Sha256::digest(value.to_string().as_bytes()))
}

#[cfg(test)]
mod tests {
    use wikitok_workflows::contract::PassageCut;

    use super::*;

    fn plain() -> Configuration {
        Configuration {
            encoding: "cl100k_base".to_owned(),
            embedding: None,
            limit: None,
            range_bytes: 32 << 20,
            shards: None,
            namespaces: Vec::new(),
            min_chars: 0,
            keep_text: true,
        }
    }

    /// A run that was started before an option existed must be found again, and its output accepted.
    #[test]
    fn the_fingerprint_of_a_plain_run_never_changes() {
        let before = digest(&json!([TOKENS_FORMAT, "cl100k_base", null, 32 << 20]));
        assert_eq!(tokens_fingerprint(&plain()), before);
        let stored =
            json!({"encoding": "cl100k_base", "embedding": null, "limit": null, "range_bytes": 32 << 20});
        assert_eq!(serde_json::to_value(plain()).unwrap(), stored);
        assert_eq!(serde_json::from_value::<Configuration>(stored).unwrap(), plain());
    }

    #[test]
    fn whatever_changes_the_output_changes_the_fingerprint() {
        let others = [
            plain(),
            Configuration { shards: Some("0-3".to_owned()), ..plain() },
            Configuration { namespaces: vec![3], ..plain() },
            Configuration { min_chars: 3, ..plain() },
            Configuration { keep_text: false, ..plain() },
            Configuration { limit: Some(3), ..plain() },
        ];
        let fingerprints: std::collections::BTreeSet<String> =
            others.iter().map(tokens_fingerprint).collect();
        assert_eq!(fingerprints.len(), others.len());
    }

    #[test]
    fn namespaces_of_both_indexes_are_two_runs() {
        assert_eq!(namespaces(&[]).unwrap(), [0; 0]);
        assert_eq!(namespaces(&[0, 0]).unwrap(), [0; 0]);
        assert_eq!(namespaces(&[14, 1, 14]).unwrap(), [1, 14]);
        assert!(namespaces(&[0, 1]).is_err());
    }

    fn embedding() -> Embedding {
        Embedding {
            model: "all-MiniLM-L6-v2".to_owned(),
            model_sha256: "53aa".to_owned(),
            max_word_pieces: 256,
            settings_sha256: None,
            passage_prefix: String::new(),
            precision: "fp32".to_owned(),
            vector_type: "f32".to_owned(),
            passages: None,
            batch_word_pieces: None,
        }
    }

    /// What `run.json` and histories held before there was a choice, and must hold still.
    #[test]
    fn the_default_is_written_as_it_always_was() {
        let before = json!({"model": "all-MiniLM-L6-v2", "model_sha256": "53aa", "max_word_pieces": 256});
        assert_eq!(serde_json::to_value(embedding()).unwrap(), before);
        assert_eq!(serde_json::from_value::<Embedding>(before).unwrap(), embedding());
    }

    /// Outputs of before there was a choice must be known again.
    #[test]
    fn the_default_has_the_fingerprint_that_it_always_had() {
        let before = digest(&json!([VECTORS_FORMAT, "t", "53aa", 256]));
        assert_eq!(vectors_fingerprint("t", &embedding()), before);
    }

    #[test]
    fn whatever_decides_vectors_decides_the_fingerprint() {
        let others = [
            Embedding { model_sha256: "54".to_owned(), ..embedding() },
            Embedding { max_word_pieces: 128, ..embedding() },
            Embedding { settings_sha256: Some("1".to_owned()), ..embedding() },
            Embedding { passage_prefix: "passage: ".to_owned(), ..embedding() },
            Embedding { precision: "int8".to_owned(), ..embedding() },
            Embedding { vector_type: "f16".to_owned(), ..embedding() },
            Embedding { passages: Some(PassageCut { word_pieces: 256, overlap: 0 }), ..embedding() },
            Embedding { passages: Some(PassageCut { word_pieces: 256, overlap: 32 }), ..embedding() },
            Embedding { batch_word_pieces: Some(2048), ..embedding() },
        ];
        let mut fingerprints: Vec<_> =
            others.iter().chain([&embedding()]).map(|other| vectors_fingerprint("t", other)).collect();
        fingerprints.sort();
        fingerprints.dedup();
        assert_eq!(fingerprints.len(), others.len() + 1);
        assert_eq!(
            vectors_fingerprint("t", &Embedding { model: "another name".to_owned(), ..embedding() }),
            vectors_fingerprint("t", &embedding())
        );
    }
}
