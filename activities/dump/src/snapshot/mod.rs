//! A snapshot is one wiki at one date, as it lies at a source: the shards, and which layout they have.

mod layout;
mod query;
mod resolve;

use serde::{Deserialize, Serialize};

pub use query::SnapshotQuery;
pub use resolve::{resolve, wikis};

/// How a source lays out snapshots. Upstream has had two ways, and copies of both are about.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// `cirrussearch`: one gzip file for each wiki, until the end of 2025.
    Legacy,
    /// `cirrus_search_index`: many bzip2 files for each wiki, since then.
    Current,
}

/// A complete snapshot.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The wiki, such as `enwiki`.
    pub wiki: String,
    /// The date, `YYYYMMDD`.
    pub date: String,
    /// How it is laid out.
    pub layout: Layout,
    /// The shards of the wiki's content index, by name.
    pub shards: Vec<ShardFile>,
}

impl Snapshot {
    /// The snapshot's name, such as `enwiki-20260920`.
    pub fn name(&self) -> String {
        format!("{}-{}", self.wiki, self.date)
    }
}

/// One file of a snapshot.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct ShardFile {
    /// Its key at the source.
    pub key: String,
    /// Its name without `.json.gz` or `.json.bz2`: the shard's id.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// What the source says of its state: another one means other content.
    pub version: String,
}
