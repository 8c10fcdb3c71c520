//! Models are fetched from a server that answers as the hub does, once, and then taken from the cache.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

use sha2::{Digest, Sha256};
use wikitok_hub::{Hub, HubError, ModelId};
use wikitok_store::ErrorKind;

const COMMIT: &str = "8b3219a92973c328a8e22fadcfa821b5dc75636a";

/// A server with one model, which notes what it is asked for.
struct Server {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Serves these files; those whose names end in `.safetensors` are kept apart, as the hub keeps large ones.
    fn start(files: &[(&str, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let files: BTreeMap<String, String> =
            files.iter().map(|&(name, text)| (name.to_owned(), text.to_owned())).collect();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let noted = asked.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                answer(&stream.unwrap(), &files, &noted);
            }
        });
        Self { address, asked }
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    fn hub(&self, cache: &Path, offline: bool) -> Hub {
        Hub::new(&self.address, cache, offline)
    }
}

fn answer(mut stream: &TcpStream, files: &BTreeMap<String, String>, asked: &Mutex<Vec<String>>) {
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    let request = lines.next().unwrap();
    lines.take_while(|line| !line.is_empty()).for_each(drop);
    let [method, path, _] = request.split(' ').collect::<Vec<_>>()[..] else { panic!("{request}") };
    asked.lock().unwrap().push(format!("{method} {path}"));
    let (status, headers, body) = reply(path, files);
    let shown = if method == "HEAD" { "" } else { &body };
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n");
    stream.write_all((head + shown).as_bytes()).unwrap();
}

fn reply(path: &str, files: &BTreeMap<String, String>) -> (&'static str, String, String) {
    let none = || ("404 Not Found", String::new(), String::new());
    if path == "/api/models/maker/small/revision/main" || path == "/api/models/maker/small/revision/v1" {
        let siblings: Vec<_> = files.keys().map(|name| serde_json::json!({ "rfilename": name })).collect();
        return (
            "200 OK",
            String::new(),
            serde_json::json!({ "sha": COMMIT, "siblings": siblings }).to_string(),
        );
    }
    let (apart, name) = match path.strip_prefix(&format!("/maker/small/resolve/{COMMIT}/")) {
        Some(name) => (false, name),
        None => (true, path.strip_prefix("/elsewhere/").unwrap_or_default()),
    };
    match files.get(name) {
        Some(_) if !apart && name.ends_with(".safetensors") => {
            let tag = sha256("weights");
            (
                "302 Found",
                format!("location: /elsewhere/{name}\r\nx-linked-etag: \"{tag}\"\r\n"),
                String::new(),
            )
        }
        Some(text) => ("200 OK", format!("etag: \"tag-of-{}\"\r\n", name.replace('/', "-")), text.clone()),
        None => none(),
    }
}

fn sha256(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

const STEPS: &str = r#"[{ "path": "", "type": "sentence_transformers.models.Transformer" },
    { "path": "1_Pooling", "type": "sentence_transformers.models.Pooling" },
    { "path": "2_Normalize", "type": "sentence_transformers.models.Normalize" }]"#;

fn files() -> [(&'static str, &'static str); 7] {
    [
        ("1_Pooling/config.json", "{}"),
        ("README.md", "read me"),
        ("config.json", "{\"a\": 1}"),
        ("model.safetensors", "weights"),
        ("modules.json", STEPS),
        ("pytorch_model.bin", "not asked for"),
        ("tokenizer.json", "{\"b\": 1}"),
    ]
}

fn id(text: &str) -> ModelId {
    text.parse().unwrap()
}

#[tokio::test]
async fn a_model_is_fetched_once_and_then_taken_from_the_cache() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start(&files());
    let model = server.hub(cache.path(), false).model(&id("maker/small")).await.unwrap();
    assert_eq!(model, cache.path().join(format!("models--maker--small/snapshots/{COMMIT}")));
    assert_eq!(fs::read_to_string(model.join("model.safetensors")).unwrap(), "weights");
    assert_eq!(fs::read_to_string(model.join("1_Pooling/config.json")).unwrap(), "{}");
    assert!(!model.join("pytorch_model.bin").exists() && !model.join("README.md").exists());
    let asked = server.asked();
    assert_eq!(asked[0], "GET /api/models/maker/small/revision/main");
    assert!(asked.iter().all(|asked| !asked.contains("README") && !asked.contains("pytorch")), "{asked:?}");
    assert!(asked.last().unwrap().contains("model.safetensors"), "{asked:?}");

    // As `huggingface_hub` lays it out.
    let folder = cache.path().join("models--maker--small");
    assert_eq!(fs::read_to_string(folder.join("refs/main")).unwrap(), COMMIT);
    let blob = fs::read_link(model.join("model.safetensors")).unwrap();
    assert_eq!(blob, Path::new("../../blobs").join(sha256("weights")));
    assert!(fs::read_dir(folder.join("blobs")).unwrap().count() == 5, "nothing partial is left");

    // A branch is asked for again, and its files are not; a commit needs nobody.
    server.hub(cache.path(), false).model(&id("maker/small")).await.unwrap();
    assert_eq!(server.asked(), ["GET /api/models/maker/small/revision/main"]);
    server.hub(cache.path(), false).model(&id(&format!("maker/small@{COMMIT}"))).await.unwrap();
    server.hub(cache.path(), true).model(&id("maker/small")).await.unwrap();
    assert_eq!(server.asked(), [""; 0]);
}

#[tokio::test]
async fn offline_nothing_is_asked_for() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start(&files());
    let error = server.hub(cache.path(), true).model(&id("maker/small")).await.unwrap_err();
    assert!(matches!(error, HubError::Offline { .. }), "{error:?}");
    assert!(error.to_string().contains("`maker/small`") && error.hint().is_some(), "{error}");
    assert_eq!(server.asked(), [""; 0]);
}

/// A process that died before the weights leaves no model.
#[tokio::test]
async fn what_is_missing_is_fetched_and_nothing_else() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start(&files());
    let model = server.hub(cache.path(), false).model(&id("maker/small@v1")).await.unwrap();
    fs::remove_file(model.join("model.safetensors")).unwrap();
    server.asked();
    let error = server.hub(cache.path(), true).model(&id("maker/small@v1")).await.unwrap_err();
    assert!(matches!(error, HubError::Offline { .. }), "{error:?}");
    server.hub(cache.path(), false).model(&id("maker/small@v1")).await.unwrap();
    let asked = server.asked();
    assert!(asked[1..].iter().all(|asked| asked.ends_with("model.safetensors")), "{asked:?}");
}

/// `transformers` fetches weights without the steps of sentence-transformers.
#[tokio::test]
async fn what_others_left_out_is_fetched() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start(&files());
    let model = server.hub(cache.path(), false).model(&id("maker/small@v1")).await.unwrap();
    for left_out in ["modules.json", "1_Pooling/config.json", "tokenizer.json"] {
        fs::remove_file(model.join(left_out)).unwrap();
        server.asked();
        server.hub(cache.path(), false).model(&id("maker/small@v1")).await.unwrap();
        let asked = server.asked();
        assert!(asked.len() > 1 && asked[1..].iter().all(|asked| asked.ends_with(left_out)), "{asked:?}");
        assert!(model.join(left_out).exists());
    }
}

#[tokio::test]
async fn weights_with_another_digest_are_not_kept() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start(&[("config.json", "{}"), ("model.safetensors", "damaged")]);
    let error = server.hub(cache.path(), false).model(&id("maker/small")).await.unwrap_err();
    assert!(error.to_string().contains(&sha256("damaged")), "{error}");
    let model = cache.path().join(format!("models--maker--small/snapshots/{COMMIT}"));
    assert!(model.join("config.json").exists() && !model.join("model.safetensors").exists());
}

#[tokio::test]
async fn models_that_are_not_there_are_named() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start(&files());
    let error = server.hub(cache.path(), false).model(&id("maker/large")).await.unwrap_err();
    assert!(error.to_string().contains("`maker/large`"), "{error}");
    assert_eq!(error.kind(), ErrorKind::BadConfiguration);

    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let hub = Hub::new(&format!("http://{nobody}"), cache.path(), false);
    let error = hub.model(&id("maker/small")).await.unwrap_err();
    assert!(matches!(error, HubError::Unreachable { .. }), "{error:?}");
    assert!(error.hint().is_some_and(|hint| hint.contains("HF_HUB_OFFLINE")));
}
