//! Counts say what was read of a dump and what became of it, so that nothing is lost silently.
//!
//! They are taken where a part is committed, carried by Temporal, summed by the workflows, written into every
//! manifest, and [checked](Counts::check) at each of these places.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What was read, and what became of it.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Counts {
    /// Documents read: `articles` plus everything in `filtered` and `quarantined`.
    pub documents: u64,
    /// Documents written as articles.
    pub articles: u64,
    /// Documents passed over on purpose, by reason.
    pub filtered: BTreeMap<String, u64>,
    /// Records that could not be processed, by reason.
    pub quarantined: BTreeMap<String, u64>,
    /// Token ids written.
    pub tokens: u64,
    /// Unicode scalar values in the text of the articles.
    pub characters: u64,
    /// Embedding vectors written.
    pub vectors: u64,
    /// Bytes of the dump after decompression.
    pub uncompressed_bytes: u64,
}

/// The sum does not hold: documents went missing, or were counted twice.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "{documents} documents were read, but {articles} articles, {filtered} filtered and {quarantined} quarantined add up to {}",
    articles + filtered + quarantined
)]
pub struct CountsError {
    documents: u64,
    articles: u64,
    filtered: u64,
    quarantined: u64,
}

impl Counts {
    /// Adds what another stretch of the dump gave.
    pub fn add(&mut self, other: &Self) {
        self.documents += other.documents;
        self.articles += other.articles;
        self.tokens += other.tokens;
        self.characters += other.characters;
        self.vectors += other.vectors;
        self.uncompressed_bytes += other.uncompressed_bytes;
        add_all(&mut self.filtered, &other.filtered);
        add_all(&mut self.quarantined, &other.quarantined);
    }

    /// Takes away what a stretch of the dump gave that was added before.
    pub fn subtract(&mut self, other: &Self) {
        self.documents -= other.documents;
        self.articles -= other.articles;
        self.tokens -= other.tokens;
        self.characters -= other.characters;
        self.vectors -= other.vectors;
        self.uncompressed_bytes -= other.uncompressed_bytes;
        subtract_all(&mut self.filtered, &other.filtered);
        subtract_all(&mut self.quarantined, &other.quarantined);
    }

    /// All that was filtered, whatever the reason.
    pub fn filtered_total(&self) -> u64 {
        self.filtered.values().sum()
    }

    /// All that was quarantined, whatever the reason.
    pub fn quarantined_total(&self) -> u64 {
        self.quarantined.values().sum()
    }

    /// Shows that every document read is accounted for.
    pub fn check(&self) -> Result<(), CountsError> {
        let (filtered, quarantined) = (self.filtered_total(), self.quarantined_total());
        if self.documents == self.articles + filtered + quarantined {
            return Ok(());
        }
        Err(CountsError { documents: self.documents, articles: self.articles, filtered, quarantined })
    }
}

fn add_all(to: &mut BTreeMap<String, u64>, from: &BTreeMap<String, u64>) {
    for (reason, count) in from {
        *to.entry(reason.clone()).or_default() += count;
    }
}

/// Reasons that nothing is left of go, as if they had never come.
fn subtract_all(from: &mut BTreeMap<String, u64>, what: &BTreeMap<String, u64>) {
    for (reason, count) in what {
        *from.entry(reason.clone()).or_default() -= count;
    }
    from.retain(|_, count| *count > 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(documents: u64, articles: u64, redirects: u64, broken: u64) -> Counts {
        Counts {
            documents,
            articles,
            filtered: BTreeMap::from([("redirect".to_owned(), redirects)]),
            quarantined: BTreeMap::from([("invalid_json".to_owned(), broken)]),
            ..Counts::default()
        }
    }

    #[test]
    fn sums_keep_the_reasons_apart() {
        let mut sum = counts(3, 1, 1, 1);
        sum.add(&counts(5, 2, 3, 0));
        assert_eq!(sum, counts(8, 3, 4, 1));
        assert_eq!(sum.check(), Ok(()));
        sum.subtract(&counts(5, 2, 3, 0));
        assert_eq!(sum, counts(3, 1, 1, 1));
    }

    #[test]
    fn a_lost_document_is_noticed() {
        let error = counts(4, 1, 1, 1).check().unwrap_err();
        assert!(error.to_string().contains("add up to 3"), "{error}");
    }
}
