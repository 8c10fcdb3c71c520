//! The name of a model on the hub, and which of its states is meant.

use std::fmt;
use std::str::FromStr;

/// A model on the hub: `organisation/name`, or `organisation/name@revision`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ModelId {
    name: String,
    revision: Option<String>,
}

/// What is no name of a model.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{text}` is no model of the hub: expected `organisation/name` or `organisation/name@revision`")]
pub struct ParseModelIdError {
    text: String,
}

impl ModelId {
    /// `organisation/name`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The branch, tag or commit; `main` where none is named.
    pub fn revision(&self) -> &str {
        self.revision.as_deref().unwrap_or("main")
    }

    /// Whether the revision is a commit, which never stands for another.
    pub fn is_pinned(&self) -> bool {
        is_commit(self.revision())
    }
}

/// Whether this is the name of a commit.
pub(crate) fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

impl FromStr for ModelId {
    type Err = ParseModelIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, revision) = match text.split_once('@') {
            Some((name, revision)) => (name, Some(revision)),
            None => (text, None),
        };
        let of_two = name.split('/').count() == 2 && name.split('/').all(is_word);
        if of_two && revision.is_none_or(is_word) {
            return Ok(Self { name: name.to_owned(), revision: revision.map(str::to_owned) });
        }
        Err(ParseModelIdError { text: text.to_owned() })
    }
}

/// Whether it can be a step of a path and of a URL as it is.
fn is_word(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_alphanumeric())
        && !word.contains("--")
        && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

impl fmt::Display for ModelId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name)?;
        self.revision.iter().try_for_each(|revision| write!(formatter, "@{revision}"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail anywhere")]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for text in ["BAAI/bge-small-en-v1.5", "intfloat/e5-small-v2@main", "a/b_c@v1.0"] {
            assert_eq!(text.parse::<ModelId>().unwrap().to_string(), text);
        }
        let id: ModelId = "a/b".parse().unwrap();
        assert_eq!((id.name(), id.revision(), id.is_pinned()), ("a/b", "main", false));
        assert!(format!("a/b@{}", "0a".repeat(20)).parse::<ModelId>().unwrap().is_pinned());
    }

    #[test]
    fn what_could_be_a_path_is_refused() {
        for text in
            ["", "a", "a/b/c", "./a", "../a", "/a/b", "a/..", "a/b@", "a/b@../c", "a--b/c", "a/b c", "a/b?x"]
        {
            assert!(text.parse::<ModelId>().unwrap_err().to_string().contains(&format!("`{text}`")));
        }
    }
}
