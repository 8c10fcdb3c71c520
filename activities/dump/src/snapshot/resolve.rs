//! From what a user asks for to what lies at the source.

use std::collections::BTreeSet;

use wikitok_store::Location;

use super::layout::{Found, Root};
use super::{Snapshot, SnapshotQuery};
use crate::DumpError;

/// How many names an error lists.
const LISTED: usize = 10;

/// Finds the newest complete snapshot that matches `query` at `source`: upstream's `other` tree or a directory
/// above it, or either layout's directory alone.
///
/// A snapshot that is still being written is passed over. Where both layouts hold a date, the current one is
/// taken.
pub async fn resolve(source: &Location, query: &SnapshotQuery) -> Result<Snapshot, DumpError> {
    let roots = Root::find(source).await?;
    if roots.is_empty() {
        return Err(DumpError::NoDumps { uri: source.uri().to_owned() });
    }
    let mut newest_unfinished = None;
    for (date, root) in candidates(source, &roots, query).await? {
        match root.look(source, &date, query).await? {
            Found::Complete(shards) => {
                let (wiki, layout) = (query.wiki().to_owned(), root.layout);
                return not_empty(source, Snapshot { wiki, date, layout, shards });
            }
            Found::Unfinished => newest_unfinished = newest_unfinished.or(Some(date)),
            Found::Nothing => {}
        }
    }
    Err(match newest_unfinished {
        Some(date) => {
            let snapshot = format!("{}-{date}", query.wiki());
            DumpError::Unfinished { uri: source.uri().to_owned(), snapshot }
        }
        None => explain(source, &roots, query).await?,
    })
}

/// Names of the wikis at `source`, sorted: those of its newest date in each layout.
pub async fn wikis(source: &Location) -> Result<Vec<String>, DumpError> {
    let roots = Root::find(source).await?;
    if roots.is_empty() {
        return Err(DumpError::NoDumps { uri: source.uri().to_owned() });
    }
    let mut wikis = BTreeSet::new();
    for root in &roots {
        if let Some(newest) = root.dates(source).await?.into_iter().max() {
            wikis.extend(root.wikis(source, &newest).await?);
        }
    }
    Ok(wikis.into_iter().collect())
}

/// Dates that match, newest first, each with the roots that have it, the current layout first.
async fn candidates<'a>(
    source: &Location,
    roots: &'a [Root],
    query: &SnapshotQuery,
) -> Result<Vec<(String, &'a Root)>, DumpError> {
    let mut candidates = Vec::new();
    for root in roots {
        let dates = root.dates(source).await?;
        candidates.extend(dates.into_iter().filter(|date| query.matches(date)).map(|date| (date, root)));
    }
    // The sort is stable, and the roots come with the current layout first.
    candidates.sort_by(|(a, _), (b, _)| b.cmp(a));
    Ok(candidates)
}

fn not_empty(source: &Location, snapshot: Snapshot) -> Result<Snapshot, DumpError> {
    if snapshot.shards.is_empty() {
        return Err(DumpError::NoShards { uri: source.uri().to_owned(), snapshot: snapshot.name() });
    }
    Ok(snapshot)
}

/// Why nothing matches: the wiki is not there at all, or at other dates.
async fn explain(source: &Location, roots: &[Root], query: &SnapshotQuery) -> Result<DumpError, DumpError> {
    let any_date: SnapshotQuery = format!("{}-latest", query.wiki()).parse()?;
    let any_date = any_date.of_index(query.index());
    let mut dates = Vec::new();
    let mut wikis = BTreeSet::new();
    for (date, root) in candidates(source, roots, &any_date).await? {
        if dates.len() == LISTED {
            break;
        }
        match root.look(source, &date, query).await? {
            Found::Complete(_) => dates.push(format!("{}-{date}", query.wiki())),
            Found::Nothing if wikis.len() < LISTED => wikis.extend(root.wikis(source, &date).await?),
            Found::Nothing | Found::Unfinished => {}
        }
    }
    let (uri, wiki) = (source.uri().to_owned(), query.wiki().to_owned());
    if dates.is_empty() {
        return Ok(DumpError::UnknownWiki { uri, wiki, known: wikis.into_iter().take(LISTED).collect() });
    }
    dates.dedup();
    Ok(DumpError::NoSuchDate { uri, query: query.to_string(), known: dates })
}
