//! A queue is what a worker polls: one Deployment per queue on a cluster, all in one process on a laptop.

use std::fmt;
use std::str::FromStr;

use wikitok_workflows::names;

/// One of the task queues of wikitok.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Queue {
    /// Workflows: decides what is done next; needs little of anything.
    Workflow,
    /// Reading dumps, tokenizing, publishing.
    Cpu,
    /// Embedding.
    Gpu,
    /// Copying shards from a source into a mirror.
    Mirror,
}

impl Queue {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Workflow, Self::Cpu, Self::Gpu, Self::Mirror];

    /// The name of the task queue in Temporal.
    pub fn task_queue(self) -> &'static str {
        match self {
            Self::Workflow => names::WORKFLOW_QUEUE,
            Self::Cpu => names::CPU_QUEUE,
            Self::Gpu => names::GPU_QUEUE,
            Self::Mirror => names::MIRROR_QUEUE,
        }
    }
}

impl fmt::Display for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Workflow => "workflow",
            Self::Cpu => "cpu",
            Self::Gpu => "gpu",
            Self::Mirror => "mirror",
        })
    }
}

impl FromStr for Queue {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|queue| queue.to_string() == name)
            .ok_or_else(|| format!("`{name}` is not a queue: `workflow`, `cpu`, `gpu` or `mirror`"))
    }
}
