//! From the command line to what identifies a run: its configuration and its fingerprints.

use serde_json::json;
use sha2::{Digest, Sha256};
use wikitok_activities::plan;
use wikitok_dump::Snapshot;
use wikitok_workflows::contract::{Configuration, Embedding, Pace, Run};
use wikitok_workflows::names;

use crate::arguments::StartArguments;

/// What of the code decides the bytes of the token data, beside the configuration. Raised when documents are
/// chosen, cut or written in another way.
const TOKENS_FORMAT: &str = "tokens/1";
/// The same for the vectors: batching, pooling, normalisation, what is written.
const VECTORS_FORMAT: &str = "vectors/1";
/// The same for where passages are cut.
const PASSAGES_FORMAT: &str = "passages/1";

fn configuration(arguments: &StartArguments, embedding: Option<Embedding>) -> Configuration {
    Configuration {
        encoding: arguments.encoding.to_string(),
        embedding,
        limit: arguments.limit,
        range_bytes: arguments.range_bytes.unwrap_or(arguments.range_mb << 20),
    }
}

/// The run that the arguments ask for, and its id.
pub(crate) fn run(
    arguments: &StartArguments,
    embedding: Option<Embedding>,
    snapshot: &Snapshot,
    source: &str,
    output: &str,
) -> (Run, String) {
    let configuration = configuration(arguments, embedding);
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
        pace: Pace { heartbeat_seconds: arguments.heartbeat_timeout, ..Pace::default() },
    };
    let fingerprint =
        digest(&json!([run.layout, run.source, run.output, run.tokens_fingerprint, run.vectors_fingerprint]));
    let id = names::run_id(&run.snapshot, &fingerprint);
    (run, id)
}

fn tokens_fingerprint(configuration: &Configuration) -> String {
    let Configuration { encoding, embedding: _, limit, range_bytes } = configuration;
    digest(&json!([TOKENS_FORMAT, encoding, limit, range_bytes]))
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
    } = embedding;
    let mut all =
        vec![json!(VECTORS_FORMAT), json!(tokens_fingerprint), json!(model_sha256), json!(max_word_pieces)];
    // What is as it always was is left out, so that fingerprints of before there was a choice hold.
    all.extend(settings_sha256.as_ref().map(|sha256| json!(["settings", sha256])));
    all.extend((!passage_prefix.is_empty()).then(|| json!(["prefix", passage_prefix])));
    all.extend((precision != "fp32").then(|| json!(["precision", precision])));
    all.extend((vector_type != "f32").then(|| json!(["type", vector_type])));
    all.extend(passages.map(|cut| json!(["passages", PASSAGES_FORMAT, cut.word_pieces, cut.overlap])));
    digest(&json!(all))
}

fn digest(value: &serde_json::Value) -> String {
    wikitok_publish::hexadecimal(&Sha256::digest(value.to_string().as_bytes()))
}

#[cfg(test)]
mod tests {
    use wikitok_workflows::contract::PassageCut;

    use super::*;

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
