//! Sources and outputs that are no directories: a web server like the public one, and a bucket.

use std::path::Path;
use std::process::Command;

use wikitok_tests::{DumpServer, S3Server};

use crate::harness::{assert_same, cli, data, json};

const DUMP: &str = "enwiki-20260920";

/// `start` with a server and workers of its own, to which the environment of the command is known.
fn local(dump: &str, source: &str, output: &str) -> Command {
    cli(["start", "--local", "--no-embed", "--dump", dump, "--source", source, "--output", output])
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[test]
fn from_a_web_server_into_a_bucket_gives_what_directories_give() {
    let scratch = tempfile::tempdir().unwrap();
    let web = DumpServer::start(&data("sample"));
    let s3 = S3Server::start(&scratch.path().join("s3"));
    let output = "s3://bucket/runs/one";
    for dump in [DUMP, "enwiki-20240408"] {
        let output = format!("{output}/{dump}");
        let mut command = local(dump, &web.url(), &output);
        let ended = json(command.args(["--range-bytes", "150000"]).envs(s3.environment()));
        assert_eq!(ended.code, 0, "{:#} {}", ended.json, ended.stderr);
        assert_eq!(ended.json["articles"], 53);
        let verified = json(cli(["verify", &output]).envs(s3.environment()));
        assert_eq!(verified.code, 0, "{:#} {}", verified.json, verified.stderr);

        let directory = text(&scratch.path().join(dump));
        let mut command = local(dump, &text(&data("sample")), &directory);
        assert_eq!(json(command.args(["--range-bytes", "150000"])).code, 0);
        let copy = scratch.path().join(format!("{dump}-copy"));
        download(&s3, &output, &copy);
        assert_same(Path::new(&directory), &copy);
    }
}

/// Copies a prefix of a bucket into a directory, with our own library: it has been tested by itself.
fn download(s3: &S3Server, uri: &str, directory: &Path) {
    let access = wikitok_store::Access::new(s3.environment());
    let location = wikitok_store::Location::open_with(uri, access).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for object in location.list("").await.unwrap() {
            let path = directory.join(&object.key);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, location.get(&object.key).await.unwrap()).unwrap();
        }
    });
}
