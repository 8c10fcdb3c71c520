//! A snapshot is one wiki at one date, as it lies at a source: the shards, and which layout they have.

mod layout;
mod listing;
mod query;
mod resolve;
mod selection;

use serde::{Deserialize, Serialize};

use crate::DumpError;

pub use layout::home;
pub use listing::{ListedSnapshot, snapshots};
pub use query::SnapshotQuery;
pub use resolve::{resolve, wikis};
pub use selection::ShardSelection;

/// How a source lays out snapshots. Upstream has had two ways, and copies of both are about.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// `cirrussearch`: one gzip file for each wiki, until the end of 2025.
    Legacy,
    /// `cirrus_search_index`: many bzip2 files for each wiki, since then.
    Current,
}

/// Which pages of a wiki: it keeps them in two search indexes, which are dumped apart.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Index {
    /// Articles, above all: the wiki's content namespaces.
    #[default]
    Content,
    /// All other namespaces: talk pages, users, files, templates, categories.
    General,
}

impl Index {
    /// The index in a word, as file names have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Content => "content",
            Self::General => "general",
        }
    }
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
    /// The shards of the index that was asked for, by name.
    pub shards: Vec<ShardFile>,
}

impl Snapshot {
    /// The snapshot's name, such as `enwiki-20260920`.
    pub fn name(&self) -> String {
        format!("{}-{}", self.wiki, self.date)
    }

    /// The snapshot with only these of its shards.
    pub fn select(mut self, selection: &ShardSelection) -> Result<Self, DumpError> {
        let there = self.shards.len() as u32;
        if selection.last() >= there {
            return Err(DumpError::NoSuchShard { snapshot: self.name(), asked: selection.last(), there });
        }
        self.shards = selection.of(self.shards);
        Ok(self)
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
