//! What a user asks for: a wiki, and a date or its beginning.

use std::fmt;
use std::str::FromStr;

use super::Index;
use crate::DumpError;

/// A wiki and the dates that will do: `enwiki-20260920`, `enwiki-202609`, `enwiki-2026` or `enwiki-latest`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SnapshotQuery {
    wiki: String,
    /// What the date begins with; empty for any.
    date_prefix: String,
    index: Index,
}

impl SnapshotQuery {
    /// The same wiki and dates, in another index.
    #[must_use]
    pub fn of_index(self, index: Index) -> Self {
        Self { index, ..self }
    }

    /// The index.
    pub fn index(&self) -> Index {
        self.index
    }

    /// Whether it names one date.
    pub fn is_exact(&self) -> bool {
        self.date_prefix.len() == 8
    }

    /// The wiki.
    pub fn wiki(&self) -> &str {
        &self.wiki
    }

    /// Whether a snapshot of this date, `YYYYMMDD`, will do.
    pub(super) fn matches(&self, date: &str) -> bool {
        date.starts_with(&self.date_prefix)
    }
}

impl FromStr for SnapshotQuery {
    type Err = DumpError;

    fn from_str(query: &str) -> Result<Self, DumpError> {
        let bad = |problem| DumpError::BadQuery { query: query.to_owned(), problem };
        let (wiki, date) = query.rsplit_once('-').ok_or(bad("it has no date"))?;
        let is_wiki_character = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
        if wiki.is_empty() || !wiki.bytes().all(is_wiki_character) {
            return Err(bad("a wiki's name has only lower-case letters, digits and `_`"));
        }
        if date != "latest" && !is_date_prefix(date) {
            return Err(bad("a date is `YYYYMMDD`, `YYYYMM`, `YYYY` or `latest`"));
        }
        let date_prefix = if date == "latest" { "" } else { date };
        let (wiki, date_prefix) = (wiki.to_owned(), date_prefix.to_owned());
        Ok(Self { wiki, date_prefix, index: Index::default() })
    }
}

impl fmt::Display for SnapshotQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let date = if self.date_prefix.is_empty() { "latest" } else { &self.date_prefix };
        write!(f, "{}-{date}", self.wiki)
    }
}

fn is_date_prefix(date: &str) -> bool {
    let in_range = |part: Option<&str>, high: u32| {
        part.is_none_or(|part| part.parse().is_ok_and(|number| (1..=high).contains(&number)))
    };
    matches!(date.len(), 4 | 6 | 8)
        && date.bytes().all(|byte| byte.is_ascii_digit())
        && in_range(date.get(4..6), 12)
        && in_range(date.get(6..8), 31)
}

/// Whether a directory's name is a date.
pub(super) fn is_date(name: &str) -> bool {
    name.len() == 8 && is_date_prefix(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_understood() {
        for query in
            ["enwiki-20260920", "enwiki-202609", "enwiki-2026", "zh_min_nanwiki-latest", "wiki2-2026"]
        {
            assert_eq!(query.parse::<SnapshotQuery>().unwrap().to_string(), query);
        }
        let query: SnapshotQuery = "enwiki-202609".parse().unwrap();
        assert!(query.matches("20260920") && !query.matches("20261020") && query.wiki() == "enwiki");
        assert!("enwiki-latest".parse::<SnapshotQuery>().unwrap().matches("20170101"));
    }

    #[test]
    fn other_names_are_refused_with_a_hint() {
        for query in [
            "",
            "enwiki",
            "-2026",
            "EnWiki-2026",
            "en/wiki-2026",
            "enwiki-",
            "enwiki-20",
            "enwiki-20261320",
            "enwiki-20260900",
            "../x-2026",
        ] {
            let error = query.parse::<SnapshotQuery>().unwrap_err();
            assert!(error.to_string().contains(&format!("`{query}`")), "{error}");
            assert!(error.hint().unwrap().contains("enwiki-latest"));
        }
    }
}
