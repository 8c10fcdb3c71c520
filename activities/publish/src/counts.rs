//! What a part of vectors counts; all else is counted by [`wikitok_counts::Counts`].

use serde::{Deserialize, Serialize};

/// What a part of vectors holds.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct VectorCounts {
    /// Vectors written: the rows of the vector file.
    pub vectors: u64,
}
