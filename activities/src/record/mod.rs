//! The record of a run: what happened, when, and who did it, told from Temporal's histories.
//!
//! Nothing is written down while the work is done. Temporal's histories hold all of it already, survive every crash,
//! and give the same [events](Event) to whoever reads them: the activity that leaves `events.jsonl` and
//! `job_summary.json` in the output when a run ends, and `wikitok-cli events`, which shows them while it goes.

mod event;
mod keep;
mod output;
mod payloads;
mod reader;
mod story;
mod summary;

pub use event::{Event, EventKind};
pub use keep::RecordActivities;
pub use output::save;
pub use payloads::Payloads;
pub use reader::{Reader, RecordError};
pub use summary::{JobSummary, shell_words};
