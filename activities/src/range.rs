//! The range of a part: which bytes of the shard it is made from, and how the part after it goes on.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use temporalio_sdk::activities::ActivityError;
use tokio::runtime::Handle;
use wikitok_dump::{
    BlockChain, ByteRange, Checkpoint, Compression, DumpError, LocationObject, RangeInput, RangeOutcome,
    RangePlan, ReadAt,
};
use wikitok_publish::{RangeIdentity, keys};
use wikitok_store::{Location, StoreError};
use wikitok_workflows::contract::TokenizePartInput;

use crate::digest::Digesting;
use crate::failure::failure;
use crate::plan;

/// Parts that do not say how far they were read were hashed so far beyond their range.
const OVERRUN: u64 = 32 << 20;

/// How the part after this one goes on, and the proof that they meet: what the manifest calls `next`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct Next {
    /// For a shard that is read from the front: where the next part begins. None after the last.
    pub(crate) checkpoint: Option<String>,
    /// The sha256 of that checkpoint; none in manifests of before it was taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) checkpoint_sha256: Option<String>,
    /// For a shard that is cut anywhere: how its blocks follow one another.
    pub(crate) chain: Option<BlockChain>,
}

/// The range of one part, ready to be read.
pub(crate) struct Range {
    pub(crate) source: Arc<Digesting>,
    pub(crate) input: RangeInput,
    file: String,
    planned: ByteRange,
}

/// Finds the range of a part: by arithmetic where parts are cut anywhere, else from the checkpoint that the
/// part before it left.
pub(crate) async fn open(
    source: Location,
    output: &Location,
    input: &TokenizePartInput,
) -> Result<Range, ActivityError> {
    let shard = &input.shard;
    let range_bytes = input.run.configuration.range_bytes;
    let (planned, range, start) = match input.parts {
        Some(_) => blocks(shard.bytes, range_bytes, input.part),
        None => stream(output, input, range_bytes).await?,
    };
    let object = LocationObject::new(source, &plan::file_of(shard), Handle::current()).ahead_to(planned.to);
    let source = Arc::new(Digesting::new(Arc::new(object), start, planned.from));
    let file = shard.key.rsplit('/').next().unwrap_or(&shard.key).to_owned();
    Ok(Range { source, input: range, file, planned })
}

fn blocks(bytes: u64, range_bytes: u64, part: u32) -> (ByteRange, RangeInput, Bytes) {
    let range = match wikitok_dump::plan_ranges(Compression::Bzip2, bytes, range_bytes) {
        RangePlan::SideBySide { ranges } => ranges.get(part as usize).copied(),
        RangePlan::InSequence { .. } => None,
    };
    let range = range.unwrap_or(ByteRange { from: bytes, to: bytes });
    (range, RangeInput::Blocks(range), Bytes::new())
}

async fn stream(
    output: &Location,
    input: &TokenizePartInput,
    range_bytes: u64,
) -> Result<(ByteRange, RangeInput, Bytes), ActivityError> {
    let (start, stored) = match input.part {
        0 => (None, Bytes::new()),
        part => {
            let key = checkpoint_key(&input.shard.name, part)?;
            let stored = output.get(&key).await.map_err(failure)?;
            (Some(Checkpoint::from_bytes(&stored).map_err(failure)?), stored)
        }
    };
    let from = start.as_ref().map_or(0, Checkpoint::compressed_offset);
    let to = from.saturating_add(range_bytes).min(input.shard.bytes);
    Ok((ByteRange { from, to }, RangeInput::Stream { start, consume_bytes: range_bytes }, stored))
}

/// Where the checkpoint lies from which `part` is read.
pub(crate) fn checkpoint_key(shard: &str, part: u32) -> Result<String, ActivityError> {
    keys::check_shard(shard).map_err(failure)?;
    Ok(format!("checkpoints/{shard}/part-{part:05}.bin"))
}

/// How the shard goes on after a part, in the manifest's words, and the checkpoint that is to be stored for that.
pub(crate) fn hand_over(
    input: &TokenizePartInput,
    outcome: Option<&RangeOutcome>,
) -> Result<(Next, Option<(String, Bytes)>), ActivityError> {
    let Some(outcome) = outcome else { return Ok((Next::default(), None)) };
    let mut next = Next { chain: outcome.chain.clone(), ..Next::default() };
    let Some(checkpoint) = &outcome.next else { return Ok((next, None)) };
    let key = checkpoint_key(&input.shard.name, input.part + 1)?;
    let bytes = Bytes::from(checkpoint.to_bytes());
    next.checkpoint_sha256 = Some(hex::encode(Sha256::digest(&bytes)));
    next.checkpoint = Some(key.clone());
    Ok((next, Some((key, bytes))))
}

impl Next {
    /// Whether the checkpoint that the next part begins at is there, as it was written.
    pub(crate) async fn is_intact(&self, output: &Location) -> Result<bool, ActivityError> {
        let Some(key) = &self.checkpoint else { return Ok(true) };
        let bytes = match output.get(key).await {
            Ok(bytes) => bytes,
            Err(StoreError::NotFound { .. }) => return Ok(false),
            Err(error) => return Err(failure(error)),
        };
        Ok(match &self.checkpoint_sha256 {
            Some(sha256) => *sha256 == hex::encode(Sha256::digest(&bytes)),
            None => Checkpoint::from_bytes(&bytes).is_ok(),
        })
    }

    /// Whether no part follows `part`, of `parts` where that is known.
    pub(crate) fn is_last(&self, part: u32, parts: Option<u32>) -> bool {
        match parts {
            Some(parts) => part + 1 == parts,
            None => self.checkpoint.is_none(),
        }
    }
}

impl Range {
    /// Which bytes the range was made of, with the digest of all that was read. The end of a stretch that is
    /// read from the front is where the next one begins.
    ///
    /// Where a limit ended the reading, it is not known how far that had run ahead: a fixed stretch is digested.
    pub(crate) fn identity(
        &self,
        outcome: Option<&RangeOutcome>,
        watch: impl Fn() -> bool,
    ) -> Result<RangeIdentity, DumpError> {
        let ByteRange { from, to } = self.planned;
        let to = match (&self.input, outcome) {
            (RangeInput::Stream { .. }, Some(outcome)) => {
                outcome.next.as_ref().map_or(self.source.len(), Checkpoint::compressed_offset)
            }
            _ => to,
        };
        let (sha256, read_to) = if outcome.is_some() {
            self.source.taken()
        } else {
            let read_to = to.saturating_add(OVERRUN).min(self.source.len());
            (self.source.up_to(read_to, watch)?, read_to)
        };
        let (file, file_bytes) = (self.file.clone(), self.source.len());
        Ok(RangeIdentity { file, file_bytes, from, to, read_to: Some(read_to), sha256 })
    }

    /// Whether the bytes that `before` was made of are those that are there now.
    pub(crate) fn is_still(
        &self,
        before: &RangeIdentity,
        watch: impl Fn() -> bool,
    ) -> Result<bool, DumpError> {
        let same_place = before.file == self.file
            && before.file_bytes == self.source.len()
            && before.from == self.planned.from;
        let read_to = before.read_to.unwrap_or_else(|| before.to.saturating_add(OVERRUN));
        Ok(same_place && self.source.up_to(read_to, watch)? == before.sha256)
    }
}
