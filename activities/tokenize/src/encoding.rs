//! An encoding is a vocabulary and the rule by which text is split before byte pairs are merged.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::TokenizeError;

/// An encoding of tiktoken's.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[non_exhaustive]
pub enum Encoding {
    /// That of GPT-3.5 and GPT-4: ids below 100,256.
    #[default]
    #[serde(rename = "cl100k_base")]
    Cl100kBase,
    /// That of GPT-4o and later: ids below 199,998.
    #[serde(rename = "o200k_base")]
    O200kBase,
}

impl Encoding {
    /// Every encoding.
    pub const ALL: [Self; 2] = [Self::Cl100kBase, Self::O200kBase];

    /// The name that tiktoken gives it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cl100kBase => "cl100k_base",
            Self::O200kBase => "o200k_base",
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Encoding {
    type Err = TokenizeError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let encoding = Self::ALL.into_iter().find(|encoding| encoding.name() == name);
        encoding.ok_or_else(|| TokenizeError::UnknownEncoding { name: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use wikitok_store::ErrorKind;

    use super::*;

    #[test]
    fn names_lead_back_to_encodings() {
        for encoding in Encoding::ALL {
            assert_eq!(encoding.to_string().parse::<Encoding>().unwrap(), encoding);
            assert_eq!(serde_json::to_string(&encoding).unwrap(), format!("\"{encoding}\""));
        }
        let error = "p50k_base".parse::<Encoding>().unwrap_err();
        assert_eq!(error.to_string(), "there is no encoding `p50k_base`");
        assert_eq!(error.kind(), ErrorKind::BadConfiguration);
    }
}
