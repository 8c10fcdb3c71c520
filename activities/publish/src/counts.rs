//! Counts say what became of every document, so that nothing is lost without a word.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::PublishError;

/// What a part, shard or run read and wrote.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Counts {
    /// Documents read.
    pub documents: u64,
    /// Documents written: the rows of the token files.
    pub articles: u64,
    /// Documents left out on purpose, by reason.
    pub filtered: BTreeMap<String, u64>,
    /// Documents that could not be read, by reason.
    pub quarantined: BTreeMap<String, u64>,
    /// Token ids written.
    pub tokens: u64,
    /// Unicode scalar values of text written.
    pub characters: u64,
    /// Vectors written.
    pub vectors: u64,
    /// Bytes of input after decompression.
    pub uncompressed_bytes: u64,
}

/// What a part of vectors holds.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct VectorCounts {
    /// Vectors written: the rows of the vector file.
    pub vectors: u64,
}

impl Counts {
    /// Adds what another part, shard or run counted.
    pub fn add(&mut self, other: &Self) {
        self.documents += other.documents;
        self.articles += other.articles;
        add_reasons(&mut self.filtered, &other.filtered);
        add_reasons(&mut self.quarantined, &other.quarantined);
        self.tokens += other.tokens;
        self.characters += other.characters;
        self.vectors += other.vectors;
        self.uncompressed_bytes += other.uncompressed_bytes;
    }

    /// Documents quarantined, for whatever reason.
    pub fn quarantined_total(&self) -> u64 {
        self.quarantined.values().sum()
    }

    /// Documents filtered, for whatever reason.
    pub fn filtered_total(&self) -> u64 {
        self.filtered.values().sum()
    }

    /// Checks that every document read was written, filtered or quarantined.
    pub fn check(&self) -> Result<(), PublishError> {
        let accounted = self.articles + self.filtered_total() + self.quarantined_total();
        if accounted == self.documents {
            return Ok(());
        }
        Err(PublishError::Unbalanced { documents: self.documents, accounted })
    }
}

fn add_reasons(sums: &mut BTreeMap<String, u64>, more: &BTreeMap<String, u64>) {
    for (reason, count) in more {
        *sums.entry(reason.clone()).or_default() += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Counts {
        Counts {
            documents: 10,
            articles: 6,
            filtered: BTreeMap::from([("redirect".to_owned(), 3)]),
            quarantined: BTreeMap::from([("not-json".to_owned(), 1)]),
            ..Counts::default()
        }
    }

    #[test]
    fn a_lost_document_is_noticed() {
        let mut counts = example();
        counts.check().unwrap();
        counts.articles -= 1;
        assert!(matches!(counts.check(), Err(PublishError::Unbalanced { documents: 10, accounted: 9 })));
    }

    #[test]
    fn sums_keep_reasons_apart() {
        let mut sum = example();
        let other = Counts {
            documents: 2,
            filtered: BTreeMap::from([("namespace".to_owned(), 1), ("redirect".to_owned(), 1)]),
            ..Counts::default()
        };
        sum.add(&other);
        assert_eq!(sum.filtered, BTreeMap::from([("namespace".to_owned(), 1), ("redirect".to_owned(), 4)]));
        sum.check().unwrap();
    }
}
