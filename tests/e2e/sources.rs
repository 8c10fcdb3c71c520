//! Sources and outputs that are no directories: a web server like the public one, and a bucket.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use wikitok_tests::{DumpServer, Fault, S3Server};

use crate::harness::{assert_same, cli, data, ended, files, json, require_server, wait_until};

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

/// Copies the sample to where it may be changed.
fn copy_sample(to: &Path) {
    for (name, bytes) in files(&data("sample")) {
        std::fs::create_dir_all(to.join(&name).parent().unwrap()).unwrap();
        std::fs::write(to.join(name), bytes).unwrap();
    }
}

const SNAPSHOT: &str = "other/cirrus_search_index/20260920/index_name=enwiki_content";

/// Shows that the shards of a mirror are those of the source, byte for byte, and marked as whole.
pub(crate) fn assert_mirrored(mirror: &Path, source: &Path) {
    let (copied, there) = (files(&mirror.join(SNAPSHOT)), files(&source.join(SNAPSHOT)));
    for (name, bytes) in &there {
        assert!(copied.get(name) == Some(bytes), "`{}` differs or is missing", name.display());
    }
    let names: Vec<_> = copied.keys().map(|name| name.to_string_lossy().into_owned()).collect();
    assert!(!names.iter().any(|name| name.contains("partial")), "{names:?}");
    let is_shard = |name: &&String| Path::new(name).extension().is_some_and(|extension| extension == "bz2");
    let shards = names.iter().filter(is_shard).count();
    for note in names.iter().filter(|name| name.ends_with(".bz2.mirror.json")) {
        let note: Value = serde_json::from_slice(&copied[Path::new(note)]).unwrap();
        assert_eq!(note["sha256"].as_str().unwrap().len(), 64, "{note}");
    }
    assert_eq!(names.len(), 2 * shards + 2, "{names:?}");
}

fn mirrored(source: &str, mirror: &str, output: &Path) -> Command {
    let mut command = local(DUMP, source, &text(output));
    command.args(["--mirror", mirror]);
    command
}

#[test]
fn a_mirror_is_filled_over_two_connections_that_break_and_then_read_without_the_source() {
    let scratch = tempfile::tempdir().unwrap();
    let web = DumpServer::start(&data("sample"));
    web.be_slow();
    web.fail_next([Fault::Cut(70_000), Fault::Status(503, None), Fault::Cut(100_000), Fault::Cut(1)]);
    let (mirror, first) = (scratch.path().join("mirror"), scratch.path().join("first"));
    let left = mirror.join("_staging/left-by-a-killed-worker");
    std::fs::create_dir_all(left.parent().unwrap()).unwrap();
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_hours(2);
    std::fs::File::create(&left).unwrap().set_modified(long_ago).unwrap();
    let mut command = mirrored(&web.url(), &text(&mirror), &first);
    let filled = json(command.args(["--contact", "me@example.org"]));
    assert_eq!(
        (filled.code, &filled.json["articles"]),
        (0, &53.into()),
        "{:#} {}",
        filled.json,
        filled.stderr
    );
    assert_mirrored(&mirror, &data("sample"));
    assert!(!left.exists(), "it is cleared away");
    assert!(web.most_served() <= 2, "{} files at once", web.most_served());
    let seen = web.seen();
    assert!(seen.iter().all(|request| request.user_agent.ends_with("(me@example.org)")), "{seen:?}");
    let resumed = seen.iter().filter(|request| {
        request.range.as_ref().is_some_and(|range| range.ends_with('-') && range != "bytes=0-")
    });
    assert!(
        resumed.clone().count() >= 3 && resumed.clone().all(|request| request.if_range.is_some()),
        "{seen:?}"
    );
    // Every byte came once, but for those of a chunk that was cut.
    let whole = seen.iter().filter(|request| request.range.as_deref() == Some("bytes=0-")).count();
    assert!(whole <= 3 + 1, "{seen:?}");

    let url = web.url();
    drop(web);
    for source in [url.as_str(), &text(&mirror)] {
        let output = scratch.path().join(format!("again-{}", source.len()));
        let mut command = local(DUMP, source, &text(&output));
        if source == url {
            command.args(["--mirror", &text(&mirror)]);
        }
        let again = json(&mut command);
        assert_eq!(again.code, 0, "{:#} {}", again.json, again.stderr);
        assert_same(&first, &output);
    }
}

/// What is whole in a mirror needs its source for nothing.
#[test]
fn a_run_is_planned_and_tried_again_when_its_source_has_lost_the_dump() {
    let scratch = tempfile::tempdir().unwrap();
    let (source, mirror, output) =
        (scratch.path().join("dump"), scratch.path().join("mirror"), scratch.path().join("out"));
    copy_sample(&source);
    require_server();
    let start = |more: &str| {
        let mut command = cli(["start", more, "--no-embed", "--dump", DUMP, "--mirror", &text(&mirror)]);
        json(command.arg("--source").arg(&source).arg("--output").arg(&output))
    };
    let first = start("--watch");
    assert_eq!(first.code, 0, "{:#} {}", first.json, first.stderr);
    std::fs::remove_dir_all(source.join(SNAPSHOT)).unwrap();
    let retried = json(&mut cli(["retry", first.json["run_id"].as_str().unwrap()]));
    assert_eq!((retried.code, &retried.json["status"]), (0, &"done".into()), "{}", retried.stderr);
    let planned = start("--dry-run");
    assert_eq!((planned.code, &planned.json["run_id"]), (0, &first.json["run_id"]), "{}", planned.stderr);
}

#[test]
fn a_mirror_in_a_bucket_is_filled_and_read() {
    let scratch = tempfile::tempdir().unwrap();
    let web = DumpServer::start(&data("sample"));
    let s3 = S3Server::start(&scratch.path().join("s3"));
    web.fail_next([Fault::Cut(50_000)]);
    let (output, plain) = (scratch.path().join("out"), scratch.path().join("plain"));
    let ended = json(mirrored(&web.url(), "s3://bucket/mirror", &output).envs(s3.environment()));
    assert_eq!(ended.code, 0, "{:#} {}", ended.json, ended.stderr);
    let copy = scratch.path().join("copy");
    download(&s3, "s3://bucket/mirror", &copy);
    assert_mirrored(&copy, &data("sample"));
    assert_eq!(json(&mut local(DUMP, &text(&data("sample")), &text(&plain))).code, 0);
    assert_same(&plain, &output);
}

#[test]
fn a_copy_goes_on_from_its_last_byte_after_everything_was_killed() {
    let scratch = tempfile::tempdir().unwrap();
    let web = DumpServer::start(&data("sample"));
    web.be_slow();
    web.hold_after(200_000);
    let (mirror, output) = (scratch.path().join("mirror"), scratch.path().join("out"));
    let mut killed = mirrored(&web.url(), &text(&mirror), &output)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let partial = mirror.join(SNAPSHOT).join("enwiki_content-20260920-00000.json.bz2.partial");
    let bytes = || std::fs::metadata(&partial).map_or(0, |file| file.len());
    wait_until("some of a shard is copied", || web.is_holding() && bytes() > 0);
    killed.kill().unwrap();
    killed.wait().unwrap();
    let before = web.seen().len();
    web.let_go();
    let ended = json(&mut mirrored(&web.url(), &text(&mirror), &output));
    assert_eq!((ended.code, &ended.json["articles"]), (0, &53.into()), "{:#} {}", ended.json, ended.stderr);
    assert_mirrored(&mirror, &data("sample"));
    let resumed = web.seen()[before..].iter().any(|request| {
        request.range.as_ref().is_some_and(|range| range.ends_with('-') && range != "bytes=0-")
    });
    assert!(resumed, "{:?}", &web.seen()[before..]);
}

#[test]
fn a_damaged_shard_is_not_kept_in_the_mirror() {
    let scratch = tempfile::tempdir().unwrap();
    let (source, mirror, output) =
        (scratch.path().join("dump"), scratch.path().join("mirror"), scratch.path().join("out"));
    copy_sample(&source);
    let shard = format!("{SNAPSHOT}/enwiki_content-20260920-00001.json.bz2");
    let whole = std::fs::read(source.join(&shard)).unwrap();
    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0x10;
    std::fs::write(source.join(&shard), &damaged).unwrap();
    let failed = json(&mut mirrored(&text(&source), &text(&mirror), &output));
    assert_eq!(failed.code, 2, "{:#}", failed.json);
    assert_eq!(failed.json["failed_shards"][0]["reason"], "bad_input", "{:#}", failed.json);
    assert!(!mirror.join(&shard).exists() && !mirror.join(SNAPSHOT).join("_SUCCESS").exists());

    std::fs::write(source.join(&shard), whole).unwrap();
    let repaired = json(&mut mirrored(&text(&source), &text(&mirror), &output));
    assert_eq!(repaired.code, 0, "{:#} {}", repaired.json, repaired.stderr);
    assert_mirrored(&mirror, &source);
}

#[test]
fn the_public_server_wants_a_contact_and_a_mirror() {
    let run = |arguments: &[&str]| {
        let mut command = cli(["start", "--dump", DUMP, "--output", "/nowhere"]);
        ended(&command.args(arguments).output().unwrap())
    };
    let anonymous = run(&[]);
    assert_eq!(anonymous.code, 2);
    assert!(anonymous.stderr.contains("hint: add --contact"), "{}", anonymous.stderr);
    let direct = run(&["--contact", "me@example.org"]);
    assert_eq!(direct.code, 2);
    assert!(direct.stderr.contains("hint: add --mirror"), "{}", direct.stderr);
    let nobody = run(&["--contact", "me"]);
    assert!(nobody.stderr.contains("`me` is no contact"), "{}", nobody.stderr);
}

#[test]
fn snapshots_are_listed_alike_wherever_they_lie() {
    let web = DumpServer::start(&data("sample"));
    let directory = json(cli(["snapshots", "--source"]).arg(data("sample")));
    let served = json(&mut cli(["snapshots", "--source", &web.url()]));
    assert_eq!(directory.code, 0, "{}", directory.stderr);
    assert_eq!(directory.json, served.json);
    let listed = directory.json.as_array().unwrap();
    let current = listed.iter().find(|s| s["wiki"] == "enwiki" && s["layout"] == "current").unwrap();
    assert_eq!(
        (&current["date"], &current["shards"], &current["complete"]),
        (&"20260920".into(), &3.into(), &true.into())
    );
    assert!(current["bytes"].as_u64().unwrap() > 100_000);
    let one = json(cli(["snapshots", "--wiki", "bgwiki", "--source"]).arg(data("sample")));
    assert!(one.json.as_array().unwrap().iter().all(|s| s["wiki"] == "bgwiki"), "{:#}", one.json);
    let nothing = json(cli(["snapshots", "--source"]).arg(data("edge").join("..")));
    assert_eq!(nothing.code, 2);
}

/// Copies a prefix of a bucket into a directory, with our own library: it has been tested by itself.
pub(crate) fn download(s3: &S3Server, uri: &str, directory: &Path) {
    let (location, runtime) = bucket(s3, uri);
    runtime.block_on(async {
        for object in location.list("").await.unwrap() {
            let path = directory.join(&object.key);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, location.get(&object.key).await.unwrap()).unwrap();
        }
    });
}

/// How many objects there are in a prefix of a bucket.
pub(crate) fn objects(s3: &S3Server, uri: &str) -> usize {
    let (location, runtime) = bucket(s3, uri);
    runtime.block_on(location.list("")).unwrap().len()
}

fn bucket(s3: &S3Server, uri: &str) -> (wikitok_store::Location, tokio::runtime::Runtime) {
    let access = wikitok_store::Access::new(s3.environment());
    let location = wikitok_store::Location::open_with(uri, access).unwrap();
    (location, tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap())
}
