//! What lies at a source: every snapshot of it, finished or not.

use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use wikitok_store::Location;

use super::layout::Root;
use super::{Index, Layout};
use crate::DumpError;

/// Directories that are looked into at the same time.
const LOOKS: usize = 8;

/// A snapshot in a list.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct ListedSnapshot {
    /// The wiki, such as `enwiki`.
    pub wiki: String,
    /// The date, `YYYYMMDD`.
    pub date: String,
    /// How it is laid out.
    pub layout: Layout,
    /// How many shards its content index has.
    pub shards: u32,
    /// Their compressed size.
    pub bytes: u64,
    /// Whether it can be read: all of it is there.
    pub complete: bool,
}

/// Lists the snapshots of a wiki, or of all, by wiki and date. Costs a look for each wiki and date of the current
/// layout.
pub async fn snapshots(source: &Location, wiki: Option<&str>) -> Result<Vec<ListedSnapshot>, DumpError> {
    let roots = Root::find(source).await?;
    if roots.is_empty() {
        return Err(DumpError::NoDumps { uri: source.uri().to_owned() });
    }
    let mut listed = Vec::new();
    for root in &roots {
        for date in root.dates(source).await? {
            let wikis = match wiki {
                Some(wiki) => vec![wiki.to_owned()],
                None => root.wikis(source, &date).await?,
            };
            listed.extend(at_date(source, root, &date, wikis).await?);
        }
    }
    listed.sort();
    Ok(listed)
}

async fn at_date(
    source: &Location,
    root: &Root,
    date: &str,
    wikis: Vec<String>,
) -> Result<Vec<ListedSnapshot>, DumpError> {
    // The legacy layout has all wikis of a date in one directory.
    let shared = match root.layout {
        Layout::Legacy => Some(root.weigh_legacy(source, date).await?),
        Layout::Current => None,
    };
    let shared = shared.as_ref();
    let looks = stream::iter(wikis).map(|wiki| async move {
        let weight = match shared {
            Some(shared) => shared.get(&wiki).cloned(),
            None => root.weigh(source, date, &wiki, Index::Content).await?,
        };
        Ok::<_, DumpError>(weight.map(|weight| ListedSnapshot {
            wiki,
            date: date.to_owned(),
            layout: root.layout,
            shards: weight.shards,
            bytes: weight.bytes,
            complete: weight.complete,
        }))
    });
    let found: Vec<_> = looks.buffered(LOOKS).try_collect().await?;
    Ok(found.into_iter().flatten().collect())
}
