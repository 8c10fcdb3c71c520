//! The two layouts: where each keeps a snapshot, and when it is complete.

use wikitok_store::{Location, ObjectInfo};

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
