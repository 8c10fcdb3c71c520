//! What every kind of location does alike.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use bytes::Bytes;
use futures_util::TryStreamExt;
use wikitok_store::{Access, Entry, ErrorKind, Location, ObjectInfo, StoreError};
use wikitok_tests::{DumpServer, Fault, S3Server};

const SHARD: &str = "other/index_name=enwiki_content/a b.json.bz2";

/// Writing, and reading what was written.
async fn writes(location: &Location) {
    location.check_writable().await.unwrap();
    assert!(location.head("a/b.txt").await.unwrap().is_none());
    location.put("a/b.txt", Bytes::from_static(b"one")).await.unwrap();
    let first = location.head("a/b.txt").await.unwrap().unwrap();
    location.put("a/b.txt", Bytes::from_static(b"three")).await.unwrap();
    let second = location.head("a/b.txt").await.unwrap().unwrap();
    assert_ne!(first.version, second.version);
    assert_eq!((second.key.as_str(), second.bytes), ("a/b.txt", 5));
    assert_eq!(location.get("a/b.txt").await.unwrap(), "three");
    location.put(SHARD, Bytes::from_static(b"0123456789")).await.unwrap();
    location.put("a/c/empty", Bytes::new()).await.unwrap();
    let large: Bytes = (0..9_000_000_u32).map(|n| (n % 251) as u8).collect();
    location.put("large", large.clone()).await.unwrap();
    assert!(location.get("large").await.unwrap() == large);
    location.delete("large").await.unwrap();
    location.clear_unfinished(std::time::Duration::ZERO).await.unwrap();
}

/// Reading what [`writes`] has left.
async fn reads(location: &Location) {
    let keys: Vec<_> = location.list("").await.unwrap().into_iter().map(|object| object.key).collect();
    assert_eq!(keys, ["a/b.txt", "a/c/empty", SHARD]);
    let below = location.list("a").await.unwrap();
    assert_eq!(below.len(), 2);
    for object in &below {
        assert_eq!(location.head(&object.key).await.unwrap().as_ref(), Some(object), "as a head says it");
    }
    assert_eq!(location.list_directories("").await.unwrap(), ["a", "other"]);
    assert_eq!(location.list_directories("other/").await.unwrap(), ["index_name=enwiki_content"]);
    assert_eq!(location.entries("a").await.unwrap(), [Entry { name: "b.txt".to_owned(), bytes: 5 }]);
    assert_eq!(location.get("a/c/empty").await.unwrap(), "");
    assert_eq!(location.get(SHARD).await.unwrap(), "0123456789");
    assert_eq!(location.get_range(SHARD, 1..3).await.unwrap(), "12");
    assert_eq!(location.get_range(SHARD, 8..20).await.unwrap(), "89");
    for nothing in ["nowhere", "a/b"] {
        assert_eq!(location.list(nothing).await.unwrap(), []);
        assert_eq!(location.entries(nothing).await.unwrap(), []);
        assert!(location.list_directories(nothing).await.unwrap().is_empty());
        assert!(location.head(nothing).await.unwrap().is_none());
        let missing = location.get(nothing).await.unwrap_err();
        assert!(matches!(missing, StoreError::NotFound { .. }), "{missing}");
    }
}

/// Removing what [`writes`] has left.
async fn deletes(location: &Location) {
    for key in ["a/b.txt", "a/b.txt", "a/c/empty", SHARD] {
        location.delete(key).await.unwrap();
    }
    assert_eq!(location.list("").await.unwrap(), []);
}

/// Collects a stream.
async fn streamed(location: &Location, object: &ObjectInfo, from: u64) -> Result<Vec<u8>, StoreError> {
    let stream = location.stream(object, from).await?;
    let pieces: Vec<Bytes> = stream.try_collect().await?;
    Ok(pieces.concat())
}

/// Streams of an object that stays, and of one that does not.
async fn streams(reader: &Location, writer: &Location) {
    let large: Bytes = (0..20_000_000_u32).map(|n| (n % 251) as u8).collect();
    writer.put("streamed", large.clone()).await.unwrap();
    let object = reader.head("streamed").await.unwrap().unwrap();
    assert!(streamed(reader, &object, 0).await.unwrap() == large);
    assert!(streamed(reader, &object, 12_345_678).await.unwrap() == large[12_345_678..]);
    writer.put("streamed", large.slice(1..)).await.unwrap();
    let changed = streamed(reader, &object, 5).await.unwrap_err();
    assert!(matches!(changed, StoreError::Changed { .. }), "{changed:?}");
    writer.delete("streamed").await.unwrap();
}

/// An object that is made by several, one after the other, and by two at once.
async fn grows(location: &Location) {
    let large: Bytes = (0..20_000_000_u32).map(|n| (n % 241) as u8).collect();
    let total = large.len() as u64;
    let mut growing = location.grow("big", total, "origin 1").await.unwrap();
    growing.append(large.slice(..10_000_000)).await.unwrap();
    growing.save().await.unwrap();
    drop(growing);
    assert!(location.head("big").await.unwrap().is_none(), "nothing is seen of it");

    let mut growing = location.grow("big", total, "origin 1").await.unwrap();
    let kept = growing.bytes() as usize;
    assert!((8 << 20..=10_000_000).contains(&kept), "{kept} bytes were kept");
    let mut other = location.grow("big", total, "origin 1").await.unwrap();
    other.append(large.slice(kept..kept + 9_000_000)).await.unwrap();
    growing.append(large.slice(kept..)).await.unwrap();
    growing.finish().await.unwrap();
    assert!(location.get("big").await.unwrap() == large);
    let names: Vec<_> = location.entries("").await.unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, ["big"], "nothing else is left");

    let mut growing = location.grow("big", 3, "origin 1").await.unwrap();
    growing.append(Bytes::from_static(b"ab")).await.unwrap();
    growing.save().await.unwrap();
    assert!(growing.finish().await.is_err(), "it is not whole");
    let mut growing = location.grow("big", 3, "origin 2").await.unwrap();
    assert_eq!(growing.bytes(), 0, "another origin begins anew");
    growing.append(Bytes::from_static(b"xyz")).await.unwrap();
    growing.finish().await.unwrap();
    assert_eq!(location.get("big").await.unwrap(), "xyz");

    // All has come, and who brought it died before the object was made visible.
    let mut growing = location.grow("late", total, "origin 1").await.unwrap();
    growing.append(large.clone()).await.unwrap();
    growing.save().await.unwrap();
    drop(growing);
    let mut growing = location.grow("late", total, "origin 1").await.unwrap();
    let kept = growing.bytes() as usize;
    growing.append(large.slice(kept..)).await.unwrap();
    growing.finish().await.unwrap();
    assert!(location.get("late").await.unwrap() == large);
    location.delete("late").await.unwrap();

    let growing = location.grow("nothing", 3, "origin 1").await.unwrap();
    growing.discard().await.unwrap();
    location.delete("big").await.unwrap();
    assert_eq!(location.entries("").await.unwrap(), []);
}

#[tokio::test]
async fn a_directory() {
    let directory = tempfile::tempdir().unwrap();
    let location = Location::open(&directory.path().to_string_lossy()).unwrap();
    writes(&location).await;
    reads(&location).await;
    let web = DumpServer::start(directory.path());
    let web = Location::open(&web.url()).unwrap();
    reads(&web).await;
    deletes(&location).await;
    streams(&location, &location).await;
    streams(&web, &location).await;
    grows(&location).await;
}

#[tokio::test]
async fn a_bucket() {
    let directory = tempfile::tempdir().unwrap();
    let server = S3Server::start(directory.path());
    let access = Access::new(server.environment());
    let location = Location::open_with("s3://bucket/some/prefix/", access.clone()).unwrap();
    assert_eq!(location.uri(), "s3://bucket/some/prefix");
    writes(&location).await;
    reads(&location).await;
    deletes(&location).await;
    streams(&location, &location).await;
    grows(&location).await;

    let nowhere = Location::open_with("s3://no-such-bucket/a", access).unwrap();
    let error = nowhere.check_writable().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadConfiguration, "{error:?}");
}

#[tokio::test]
async fn a_bucket_refuses_a_wrong_key_and_nothing_secret_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let server = S3Server::start(directory.path());
    let variables = server.environment().into_iter().map(|(name, value)| {
        if name == "AWS_SECRET_ACCESS_KEY" { (name, "hush-hush".to_owned()) } else { (name, value) }
    });
    let access = Access::new(variables);
    assert!(!format!("{access:?}").contains("hush-hush"));
    let location = Location::open_with("s3://bucket", access).unwrap();
    let error = location.get("a").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadConfiguration, "{error:?}");
    assert!(error.hint().unwrap().contains("AWS_ACCESS_KEY_ID"));
    assert!(!format!("{error:?} {location:?}").contains("hush-hush"), "{error:?}");
}

#[tokio::test]
async fn a_server_that_is_away_may_come_back() {
    let access = Access::new(
        [
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_ACCESS_KEY_ID", "a"),
            ("AWS_SECRET_ACCESS_KEY", "b"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    let bucket = Location::open_with("s3://bucket", access).unwrap();
    let web = Location::open("http://127.0.0.1:1").unwrap();
    for location in [bucket, web] {
        let error = location.get("a").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Retryable, "{error:?}");
    }
}

/// A web server over one file, `file`, of the ten digits.
fn digits() -> (tempfile::TempDir, DumpServer, Location) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("file"), b"0123456789").unwrap();
    let server = DumpServer::start(directory.path());
    let location = Location::open(&server.url()).unwrap();
    (directory, server, location)
}

#[tokio::test]
async fn nothing_is_written_to_a_web_server() {
    let (_directory, _server, location) = digits();
    for error in [
        location.check_writable().await.unwrap_err(),
        location.put("a", Bytes::new()).await.unwrap_err(),
        location.delete("file").await.unwrap_err(),
    ] {
        assert!(matches!(error, StoreError::ReadOnly { .. }), "{error:?}");
        assert_eq!(error.kind(), ErrorKind::BadConfiguration);
    }
}

#[tokio::test]
async fn a_web_server_is_asked_again_when_it_fails_and_believed_when_it_says_no() {
    let (_directory, server, location) = digits();
    server.fail_next([Fault::Status(500, None), Fault::Status(503, Some("0".to_owned()))]);
    assert_eq!(location.get_range("file", 2..4).await.unwrap(), "23");
    assert_eq!(server.seen().len(), 3);

    server.fail_next([Fault::Status(403, None)]);
    let denied = location.get("file").await.unwrap_err();
    assert!(matches!(denied, StoreError::Denied { .. }), "{denied:?}");

    server.fail_next([Fault::Status(429, Some("77".to_owned()))]);
    let busy = location.get("file").await.unwrap_err();
    assert_eq!(busy.retry_after().unwrap().as_secs(), 77);
    assert_eq!(busy.kind(), ErrorKind::Retryable);

    server.fail_next([Fault::Cut(4)]);
    let cut = location.get("file").await.unwrap_err();
    assert_eq!(cut.kind(), ErrorKind::Retryable, "{cut:?}");
}

#[tokio::test]
async fn a_visitor_says_who_it_is() {
    let (_directory, server, _) = digits();
    let access = Access::default().with_contact(Some("me@example.org".to_owned()));
    Location::open_with(&server.url(), access).unwrap().head("file").await.unwrap();
    let seen = server.seen();
    assert!(seen[0].user_agent.starts_with("wikitok/"), "{seen:?}");
    assert!(seen[0].user_agent.ends_with("(me@example.org)"), "{seen:?}");
}

#[test]
fn the_public_server_is_not_visited_without_a_contact() {
    let error = Location::open("https://dumps.wikimedia.org/other").unwrap_err();
    assert!(matches!(error, StoreError::ContactRequired { .. }), "{error:?}");
    assert!(error.hint().unwrap().contains("--contact"));
    let access = Access::default().with_contact(Some("me@example.org".to_owned()));
    Location::open_with("https://dumps.wikimedia.org/other", access).unwrap();
    assert!(wikitok_store::is_public_server("https://dumps.wikimedia.org"));
    assert!(!wikitok_store::is_public_server("https://mirror.example.org/dumps.wikimedia.org"));
}

/// Places whose servers are not here: that they open, or say what is missing.
#[test]
fn other_buckets_open_with_their_credentials() {
    let open = |uri, variables: &[(&str, &str)]| {
        let own = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Location::open_with(uri, Access::new(own))
    };
    let azure = [("AZURE_STORAGE_ACCOUNT_NAME", "me"), ("AZURE_STORAGE_ACCOUNT_KEY", "aGVsbG8=")];
    assert_eq!(open("az://container/a", &azure).unwrap().uri(), "az://container/a");
    let error = open("az://container/a", &[]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadConfiguration);
    assert!(error.hint().unwrap().contains("AZURE_STORAGE_ACCOUNT_NAME"));
    assert_eq!(open("gs://bucket/a", &[]).unwrap().uri(), "gs://bucket/a");
    let error = open("gs://bucket/a", &[("GOOGLE_SERVICE_ACCOUNT", "/nowhere")]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadConfiguration, "{error:?}");
}
