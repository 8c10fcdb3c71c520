//! Reads whole shards, cut in any way, for the tests.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "each test file is a crate that uses its own part, and says what it skips"
)]

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use wikitok_dump::{
    Article, Checkpoint, DumpError, RangeInput, RangeLimits, RangeOutcome, RangePlan, Record, check_chain,
    open_range, plan_ranges, sniff,
};

/// All that the ranges of a shard gave.
#[derive(Debug, Default, PartialEq)]
pub struct Whole {
    pub records: Vec<Record>,
    pub uncompressed_bytes: u64,
    /// How many ranges gave records. Differs from cut to cut.
    pub busy_ranges: usize,
}

impl Whole {
    pub fn articles(&self) -> Vec<&Article> {
        self.select(|record| if let Record::Article(article) = record { Some(article) } else { None })
    }

    pub fn filtered(&self) -> Vec<&'static str> {
        self.select(|record| if let Record::Filtered(reason) = record { Some(reason.as_str()) } else { None })
    }

    pub fn quarantined(&self) -> Vec<&'static str> {
        self.select(
            |record| {
                if let Record::Quarantined(bad) = record { Some(bad.reason.as_str()) } else { None }
            },
        )
    }

    fn select<'a, T>(&'a self, pick: impl Fn(&'a Record) -> Option<T>) -> Vec<T> {
        self.records.iter().filter_map(pick).collect()
    }

    /// Without what depends on the cut: offsets count from the start of a range.
    pub fn comparable(mut self) -> (Vec<Record>, u64) {
        for record in &mut self.records {
            if let Record::Quarantined(bad) = record {
                bad.offset = 0;
            }
        }
        (self.records, self.uncompressed_bytes)
    }
}

/// Reads a shard in ranges of `range_bytes`.
pub fn read(data: &Bytes, range_bytes: u64, limits: RangeLimits) -> Result<Whole, DumpError> {
    match plan_ranges(sniff(data)?, data.len() as u64, range_bytes) {
        RangePlan::SideBySide { ranges } => read_side_by_side(data, ranges, limits),
        RangePlan::InSequence { range_bytes } => read_in_sequence(data, range_bytes, limits),
    }
}

/// Reads a shard as one range.
pub fn read_whole(data: &Bytes) -> Result<Whole, DumpError> {
    read(data, u64::MAX, RangeLimits::default())
}

pub fn read_side_by_side(
    data: &Bytes,
    ranges: Vec<wikitok_dump::ByteRange>,
    limits: RangeLimits,
) -> Result<Whole, DumpError> {
    let mut whole = Whole::default();
    let mut chains = Vec::new();
    for range in ranges {
        let outcome = read_range(data, &RangeInput::Blocks(range), limits, &mut whole)?;
        chains.push(outcome.chain.expect("a bzip2 range has a chain"));
    }
    check_chain(&chains)?;
    Ok(whole)
}

fn read_in_sequence(data: &Bytes, consume_bytes: u64, limits: RangeLimits) -> Result<Whole, DumpError> {
    let mut whole = Whole::default();
    let mut start: Option<Checkpoint> = None;
    loop {
        let outcome = read_range(data, &RangeInput::Stream { start, consume_bytes }, limits, &mut whole)?;
        match outcome.next {
            Some(next) => start = Some(Checkpoint::from_bytes(&next.to_bytes())?),
            None => return Ok(whole),
        }
    }
}

fn read_range(
    data: &Bytes,
    input: &RangeInput,
    limits: RangeLimits,
    whole: &mut Whole,
) -> Result<RangeOutcome, DumpError> {
    let mut reader = open_range(Arc::new(data.clone()), input, limits)?;
    let before = whole.records.len();
    while let Some(record) = reader.next()? {
        whole.records.push(record);
    }
    let outcome = reader.finish()?;
    let records = whole.records.len() - before;
    assert_eq!(outcome.documents, records as u64);
    whole.busy_ranges += usize::from(records > 0);
    whole.uncompressed_bytes += outcome.uncompressed_bytes;
    Ok(outcome)
}

/// A fixture of the repository.
pub fn fixture(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data")).join(path)
}

/// The bigger data beside the checkout, where it is there.
pub fn shared(path: &str) -> Option<PathBuf> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")).join(path);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: {} is not there", path.display());
    None
}

pub fn load(path: &std::path::Path) -> Bytes {
    Bytes::from(std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}
