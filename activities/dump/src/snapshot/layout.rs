//! The two layouts: where each keeps a snapshot, and when it is complete.

use std::collections::BTreeMap;

use wikitok_store::{Entry, Location, ObjectInfo};

use super::query::is_date;
use super::{Index, Layout, ShardFile, SnapshotQuery};
use crate::DumpError;

const SHARD_ENDINGS: [&str; 2] = [".json.bz2", ".json.gz"];
const COMPLETE: &str = "_SUCCESS";

/// A place at the source that holds snapshots of one layout, by date.
#[derive(Clone, Debug)]
pub(super) struct Root {
    pub(super) layout: Layout,
    /// Empty, or ends in `/`.
    prefix: String,
}

/// How much there is of one wiki at one date.
#[derive(Clone, Debug, Default)]
pub(super) struct Weight {
    pub(super) shards: u32,
    pub(super) bytes: u64,
    pub(super) complete: bool,
}

/// What there is of one wiki at one date.
pub(super) enum Found {
    Nothing,
    Unfinished,
    Complete(Vec<ShardFile>),
}

impl Layout {
    fn directory(self) -> &'static str {
        match self {
            Self::Current => "cirrus_search_index",
            Self::Legacy => "cirrussearch",
        }
    }
}

/// Where upstream keeps a snapshot, below the root of its server: a directory, with a slash at the end.
pub fn home(layout: Layout, wiki: &str, date: &str, index: Index) -> String {
    let (directory, index) = (layout.directory(), index.as_str());
    match layout {
        Layout::Current => format!("other/{directory}/{date}/index_name={wiki}_{index}/"),
        Layout::Legacy => format!("other/{directory}/{date}/"),
    }
}

impl Root {
    /// Every root at the source, which may be one itself or lie up to two directories above.
    pub(super) async fn find(source: &Location) -> Result<Vec<Self>, DumpError> {
        let mut roots = Vec::new();
        let top = source.list_directories("").await?;
        let below = source.list_directories("other").await?;
        for layout in [Layout::Current, Layout::Legacy] {
            if top.iter().any(|name| is_date(name)) {
                roots.push(Self { layout, prefix: String::new() });
            }
            for (prefix, names) in [("", &top), ("other/", &below)] {
                if names.iter().any(|name| name == layout.directory()) {
                    roots.push(Self { layout, prefix: format!("{prefix}{}/", layout.directory()) });
                }
            }
        }
        Ok(roots)
    }

    /// The dates there.
    pub(super) async fn dates(&self, source: &Location) -> Result<Vec<String>, DumpError> {
        let mut names = source.list_directories(&self.prefix).await?;
        names.retain(|name| is_date(name));
        Ok(names)
    }

    /// What there is of the wiki and index that `query` asks for at `date`.
    pub(super) async fn look(
        &self,
        source: &Location,
        date: &str,
        query: &SnapshotQuery,
    ) -> Result<Found, DumpError> {
        let (wiki, index) = (query.wiki(), query.index());
        match self.layout {
            Layout::Current => self.look_current(source, date, wiki, index).await,
            Layout::Legacy => self.look_legacy(source, date, wiki, index).await,
        }
    }

    async fn look_current(
        &self,
        source: &Location,
        date: &str,
        wiki: &str,
        index: Index,
    ) -> Result<Found, DumpError> {
        let index = index.as_str();
        let directory = format!("{}{date}/index_name={wiki}_{index}/", self.prefix);
        let objects = source.list(&directory).await?;
        if objects.is_empty() {
            return Ok(Found::Nothing);
        }
        if !objects.iter().any(|object| object.key == format!("{directory}{COMPLETE}")) {
            return Ok(Found::Unfinished);
        }
        let start = format!("{wiki}_{index}-{date}-");
        let mut shards: Vec<_> = objects
            .into_iter()
            .filter_map(|object| shard(&directory, object))
            .filter(|shard| shard.name.starts_with(&start))
            .collect();
        shards.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Found::Complete(shards))
    }

    async fn look_legacy(
        &self,
        source: &Location,
        date: &str,
        wiki: &str,
        index: Index,
    ) -> Result<Found, DumpError> {
        let directory = format!("{}{date}/", self.prefix);
        let key = format!("{directory}{wiki}-{date}-cirrussearch-{}.json.gz", index.as_str());
        let object = source.head(&key).await?;
        let shard = object.and_then(|object| shard(&directory, object));
        Ok(shard.map_or(Found::Nothing, |shard| Found::Complete(vec![shard])))
    }

    /// How much there is of a wiki at `date` in the current layout, as its directory shows it.
    pub(super) async fn weigh(
        &self,
        source: &Location,
        date: &str,
        wiki: &str,
        index: Index,
    ) -> Result<Option<Weight>, DumpError> {
        let index = index.as_str();
        let entries = source.entries(&format!("{}{date}/index_name={wiki}_{index}/", self.prefix)).await?;
        if entries.is_empty() {
            return Ok(None);
        }
        let start = format!("{wiki}_{index}-{date}-");
        let shards = entries.iter().filter(|entry| {
            entry.name.starts_with(&start) && SHARD_ENDINGS.iter().any(|ending| entry.name.ends_with(ending))
        });
        let mut weight = Weight::default();
        for shard in shards {
            weight.shards += 1;
            weight.bytes += shard.bytes;
        }
        weight.complete = weight.shards > 0 && entries.iter().any(|entry| entry.name == COMPLETE);
        Ok(Some(weight))
    }

    /// How much there is of each wiki at `date` in the legacy layout.
    pub(super) async fn weigh_legacy(
        &self,
        source: &Location,
        date: &str,
    ) -> Result<BTreeMap<String, Weight>, DumpError> {
        let end = format!("-{date}-cirrussearch-content.json.gz");
        let entries = source.entries(&format!("{}{date}/", self.prefix)).await?;
        let weigh = |entry: Entry| {
            let wiki = entry.name.strip_suffix(&end)?.to_owned();
            Some((wiki, Weight { shards: 1, bytes: entry.bytes, complete: true }))
        };
        Ok(entries.into_iter().filter_map(weigh).collect())
    }

    /// Wikis that have something at `date`, finished or not.
    pub(super) async fn wikis(&self, source: &Location, date: &str) -> Result<Vec<String>, DumpError> {
        let directory = format!("{}{date}/", self.prefix);
        let wiki = |name: &str, start: &str, end: &str| {
            name.strip_prefix(start).and_then(|name| name.strip_suffix(end)).map(str::to_owned)
        };
        if self.layout == Layout::Current {
            let names = source.list_directories(&directory).await?;
            return Ok(names.iter().filter_map(|name| wiki(name, "index_name=", "_content")).collect());
        }
        let end = format!("-{date}-cirrussearch-content.json.gz");
        let entries = source.entries(&directory).await?;
        Ok(entries.iter().filter_map(|entry| wiki(&entry.name, "", &end)).collect())
    }
}

fn shard(directory: &str, object: ObjectInfo) -> Option<ShardFile> {
    let file = object.key.strip_prefix(directory)?;
    let name = SHARD_ENDINGS.iter().find_map(|ending| file.strip_suffix(ending))?;
    if name.contains('/') {
        return None;
    }
    Some(ShardFile { name: name.to_owned(), key: object.key, bytes: object.bytes, version: object.version })
}
