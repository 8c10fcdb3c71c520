//! Any text has the ids that `tiktoken-rs` gives it.

use std::sync::LazyLock;

use wikitok_tokenize::{Encoding, Tokenizer};

static CL100K: LazyLock<Tokenizer> = LazyLock::new(|| load(Encoding::Cl100kBase));
static O200K: LazyLock<Tokenizer> = LazyLock::new(|| load(Encoding::O200kBase));

fn load(encoding: Encoding) -> Tokenizer {
    Tokenizer::new(encoding).expect("the vocabulary is built in")
}

/// The bytes are text, as far as they are.
pub(crate) fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let pairs =
        [(&*CL100K, tiktoken_rs::cl100k_base_singleton()), (&*O200K, tiktoken_rs::o200k_base_singleton())];
    for (ours, reference) in pairs {
        let ids = ours.encode_ordinary(&text).expect("any text has ids");
        assert_eq!(ids, reference.encode_ordinary(&text), "{}: {text:?}", ours.encoding());
    }
}
