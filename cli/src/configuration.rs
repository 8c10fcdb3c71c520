//! From the command line to what identifies a run: its configuration and its fingerprints.

use serde_json::json;
use sha2::{Digest, Sha256};
use wikitok_activities::plan;
use wikitok_dump::Snapshot;
use wikitok_store::Location;
use wikitok_workflows::contract::{Configuration, Embedding, Pace, Run};
use wikitok_workflows::names;

use crate::arguments::{Answer, StartArguments};
use crate::error::Hinted;

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

/// The configuration that the arguments ask for.
pub(crate) fn configuration(arguments: &StartArguments) -> anyhow::Result<Configuration> {
    Ok(Configuration {
        encoding: arguments.encoding.to_string(),
        embedding: (!arguments.no_embed).then(default_model),
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
        mirror: mirror.map(|mirror| mirror.uri().to_owned()),
        contact: arguments.source.contact.clone(),
        pace: Pace { heartbeat_seconds: arguments.heartbeat_timeout, ..Pace::default() },
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
    let Embedding { model: _, model_sha256, max_word_pieces } = embedding;
    digest(&json!([VECTORS_FORMAT, tokens_fingerprint, model_sha256, max_word_pieces]))
}

fn digest(value: &serde_json::Value) -> String {
    wikitok_publish::hexadecimal(&Sha256::digest(value.to_string().as_bytes()))
}

#[cfg(test)]
mod tests {
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
}
