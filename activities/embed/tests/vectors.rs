//! The vectors are sentence-transformers', whatever the texts, their order, their neighbours or the threads.

mod common;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use common::{difference, embed, embed_in_batches, embedder, options, oracle, sample};
use ndarray::{Axis, Slice, s};
use wikitok_embed::{EmbedError, Embedder, EmbedderOptions};
use wikitok_store::ErrorKind;

/// What is promised of every device, and what this processor is known to keep.
fn promised() -> f32 {
    if std::env::var_os("WIKITOK_TEST_DEVICE").is_some() { 1e-5 } else { 1e-6 }
}

#[test]
fn the_sample_has_the_vectors_of_sentence_transformers() {
    let (texts, expected) = sample();
    let found = difference(&embed(&embedder(), &texts), &expected);
    assert!(found < promised(), "differs by {found:e}");
}

#[test]
#[allow(clippy::print_stderr, reason = "says that nothing was compared")]
fn the_oracle_has_the_vectors_of_sentence_transformers() {
    let Some((texts, expected)) = oracle() else {
        eprintln!("no oracle beside the checkout: only the repository's sample was compared");
        return;
    };
    let found = difference(&embed(&embedder(), &texts), &expected);
    assert!(found < promised(), "differs by {found:e}");
}

#[test]
fn neighbours_in_the_batch_do_not_matter() {
    let (texts, _) = sample();
    let embedder = embedder();
    let together = embed_in_batches(&embedder, &texts, 8_192);
    let alone = embed_in_batches(&embedder, &texts, 1);
    let found = difference(&together, &alone);
    assert!(found < 1e-6, "differs by {found:e}");
}

#[test]
fn the_same_texts_give_the_same_bits_on_any_number_of_threads() {
    let (texts, _) = sample();
    let one = embed(&Embedder::load(&EmbedderOptions { threads: 1, ..options() }).unwrap(), &texts);
    let embedder = Embedder::load(&EmbedderOptions { threads: 3, ..options() }).unwrap();
    let other = embed(&embedder, &texts);
    assert_eq!(one, other);
    assert_eq!(other, embed(&embedder, &texts));
}

#[test]
fn rows_follow_the_order_of_the_texts() {
    let (mut texts, _) = sample();
    let embedder = embedder();
    let forth = embed(&embedder, &texts);
    texts.reverse();
    let back = embed(&embedder, &texts);
    let found = difference(forth.slice_axis(Axis(0), Slice::new(0, None, -1)), &back);
    assert!(found < 1e-6, "differs by {found:e}");
}

#[test]
fn long_texts_are_cut_at_256_word_pieces_and_not_at_128() {
    // 254 words and the two special pieces are all that the model sees.
    let words = |count: usize| "word ".repeat(count);
    let texts = [words(126), words(253), words(254), words(255) + "another", words(9_000)];
    let vectors = embed(&embedder(), &texts);
    let apart =
        |one, other| difference(vectors.slice(s![one..=one, ..]), vectors.slice(s![other..=other, ..]));
    assert!(apart(0, 2) > 1e-3, "cut at 128");
    assert!(apart(1, 2) > 1e-5, "cut below 256");
    assert!(apart(2, 3) < 1e-6 && apart(2, 4) < 1e-6, "not cut at 256");
}

#[test]
fn a_prefix_gives_the_vector_of_the_whole() {
    let filler = "Пловдив е град. ".repeat(2_000);
    let long = ["x".repeat(200_000), "漢字".repeat(50_000), "ก็".repeat(50_000), "e\u{301}".repeat(50_000)];
    let embedder = embedder();
    for start in &long {
        let texts = [start.clone(), format!("{start} {filler}"), format!("{start}\u{c}{filler}")];
        let vectors = embed(&embedder, &texts);
        assert!(vectors.iter().all(|value| value.is_finite()), "{}", &start[..12]);
    }
    // One word of 200,000 letters is one `[UNK]`, so what follows it counts.
    let word = long[0].as_str();
    let after = [format!("{word} cats purr"), format!("{} cats purr", &word[..101]), word.to_owned()];
    let vectors = embed(&embedder, &after);
    assert!(difference(vectors.slice(s![..1, ..]), vectors.slice(s![1..2, ..])) < 1e-6);
    assert!(difference(vectors.slice(s![..1, ..]), vectors.slice(s![2.., ..])) > 1e-3);
}

#[test]
fn texts_without_words_have_vectors() {
    let blank = ["", " ", "\n\t\r", "\0", "\u{1}\u{1f}\u{7f}", "\u{feff}", "\u{200b}\u{200d}", "\u{301}"];
    let odd = ["\u{301}\u{302}\u{303}", "[CLS] [SEP] [MASK]", "[PAD]", "\u{fffd}", "\u{10ffff}", "👩‍👩‍👧"];
    let vectors = embed(&embedder(), &[&blank[..], &odd[..]].concat());
    for (row, vector) in vectors.rows().into_iter().enumerate() {
        let length = vector.dot(&vector).sqrt();
        assert!((length - 1.0).abs() < 1e-5, "text {row} has a vector of length {length}");
    }
    // What the tokenizer drops leaves the vector of the empty text.
    let empty = vectors.slice(s![..1, ..]);
    for row in 1..blank.len() {
        assert!(difference(empty, vectors.slice(s![row..=row, ..])) < 1e-6, "text {row}");
    }
}

#[test]
fn the_runtime_says_its_version() {
    let version = embedder().runtime_version();
    assert!(version.split('.').all(|part| part.parse::<u32>().is_ok()), "{version}");
    assert_eq!(version.split('.').count(), 3, "{version}");
}

#[test]
fn no_texts_are_no_vectors() {
    assert_eq!(embed::<&str>(&embedder(), &[]).dim(), (0, 384));
}

#[test]
fn batches_are_halved_where_memory_runs_out() {
    let (texts, expected) = sample();
    let embedder = embedder();
    embedder.set_memory(700);
    let done = AtomicUsize::new(0);
    let count = |texts| {
        done.fetch_add(texts, Ordering::SeqCst);
        true
    };
    let found = difference(&embedder.embed(&texts, Some(8_192), &count).unwrap(), &expected);
    assert!(found < promised(), "differs by {found:e}");
    assert_eq!(done.into_inner(), texts.len());
    let left = embedder.batch_word_pieces(Some(8_192));
    assert!((350..=700).contains(&left), "{left}");
    // A single text is not halved: its failure is one, and may be tried again.
    embedder.set_memory(100);
    let error = embedder.embed(&texts, None, &|_| true).unwrap_err();
    assert!(matches!(error, EmbedError::Inference { rows: 1, .. }), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::Retryable);
}

#[test]
fn progress_counts_texts() {
    let (texts, _) = sample();
    let seen = Mutex::new(Vec::new());
    let watch = |done| {
        seen.lock().unwrap().push(done);
        true
    };
    embedder().embed(&texts, Some(512), &watch).unwrap();
    let seen = seen.into_inner().unwrap();
    assert!(seen[0] == 0 && seen.len() > 3, "{seen:?}");
    assert_eq!(seen.iter().sum::<usize>(), texts.len());
}

/// After a call that says to stop, no thread begins another batch.
#[test]
fn progress_can_cancel() {
    let (texts, _) = sample();
    let embedder = embedder();
    for last in [1, 2, 5] {
        let calls = AtomicUsize::new(0);
        let stop = |_| calls.fetch_add(1, Ordering::SeqCst) + 1 < last;
        let stopped = embedder.embed(&texts, Some(512), &stop);
        assert!(matches!(stopped, Err(EmbedError::Cancelled)), "{stopped:?}");
        let calls = calls.into_inner();
        assert!((last..=last + 1).contains(&calls), "{calls} calls");
    }
    // It can be used again.
    assert_eq!(embed(&embedder, &texts[..3]).nrows(), 3);
}

/// A run's windows overlap, and `search` may come in between.
#[test]
fn several_threads_embed_at_once_and_get_the_same_bits() {
    let (texts, _) = sample();
    let embedder = embedder();
    let alone = embed(&embedder, &texts);
    thread::scope(|scope| {
        let calls: Vec<_> = (0..4).map(|_| scope.spawn(|| embed(&embedder, &texts))).collect();
        for call in calls {
            assert_eq!(call.join().unwrap(), alone);
        }
    });
}
