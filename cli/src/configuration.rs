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

/// The model that is used unless another is asked for. A worker that holds another one refuses the work.
fn default_model() -> Embedding {
    Embedding {
        model: wikitok_worker::home::DEFAULT_MODEL.to_owned(),
        model_sha256: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db".to_owned(),
        max_word_pieces: 256,
    }
}

fn configuration(arguments: &StartArguments) -> Configuration {
    Configuration {
        encoding: arguments.encoding.to_string(),
        embedding: (!arguments.no_embed).then(default_model),
        limit: arguments.limit,
        range_bytes: arguments.range_bytes.unwrap_or(arguments.range_mb << 20),
    }
}

/// The run that the arguments ask for, and its id.
pub(crate) fn run(
    arguments: &StartArguments,
    snapshot: &Snapshot,
    source: &str,
    output: &str,
) -> (Run, String) {
    let configuration = configuration(arguments);
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
    let Embedding { model: _, model_sha256, max_word_pieces } = embedding;
    digest(&json!([VECTORS_FORMAT, tokens_fingerprint, model_sha256, max_word_pieces]))
}

fn digest(value: &serde_json::Value) -> String {
    wikitok_publish::hexadecimal(&Sha256::digest(value.to_string().as_bytes()))
}
