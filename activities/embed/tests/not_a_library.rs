//! A file that is no shared library is refused; alone in its process, since a process loads one library.

mod common;

use std::error::Error;
use std::fs;

use common::{options, refusal};
use wikitok_embed::{EmbedError, EmbedderOptions};
use wikitok_store::ErrorKind;

#[test]
fn a_file_that_is_no_runtime_is_refused_and_a_good_one_loads_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join("libonnxruntime.so");
    fs::write(&library, "not a library").unwrap();
    let error = refusal(&EmbedderOptions { runtime_library: library, ..options() });
    assert!(matches!(error, EmbedError::RuntimeLoad { .. }), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::BadConfiguration);
    assert!(error.source().is_some_and(|source| source.to_string().contains("libonnxruntime.so")));
    assert!(error.hint().is_some_and(|hint| hint.contains("1.23")));
    assert_eq!(common::embed(&common::embedder(), &["a"]).nrows(), 1);
}
