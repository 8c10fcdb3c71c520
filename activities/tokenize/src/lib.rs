//! A tokenizer turns text into the token ids that `tiktoken` gives for it, only faster.
//!
//! Equal ids, always: text is ordinary text, also where it spells `<|endoftext|>`, as in tiktoken's
//! `encode_ordinary`. The work is done by [`splintr`], chosen by measurement; its merging is `n log n`, so
//! that a megabyte without a space takes a fraction of a second. The tests hold it to the ids of Python's
//! tiktoken on stored texts, and to those of `tiktoken-rs` on random ones.
//!
//! Measured on the articles of `../shared/data/dev`, warmed up on the first fifth, one thread of a machine
//! shared with others, MB of text a second. All gave the same ids for every one of them; on made-up texts
//! `splintr` and `tiktoken` miss a rule of tiktoken's, which `splitter.rs` mends. `cargo bench` measures
//! again, against `tiktoken-rs`.
//!
//! | engine | cl100k, en | cl100k, ja zh ar ko es th | o200k, en | o200k, ja zh ar ko es th |
//! | --- | --- | --- | --- | --- |
//! | `tiktoken-rs` 0.12.1 | 21 | 15 | 29 | 17 |
//! | `bpe-openai` 0.3.2 | 29 | 33 | 27 | 24 |
//! | `tiktoken` 4.1.2 | 89 | 32 | 56 | 13 |
//! | `splintr` 0.22.0 | 92 | 35 | 60 | 26 |

mod encoding;
mod error;
#[cfg(feature = "reference")]
mod reference;
mod splitter;
mod stretches;
mod tokenizer;
mod word;

pub use encoding::Encoding;
pub use error::TokenizeError;
#[cfg(feature = "reference")]
pub use reference::Reference;
pub use stretches::Stretches;
pub use tokenizer::Tokenizer;
