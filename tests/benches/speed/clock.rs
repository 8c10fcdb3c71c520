//! Measuring: time of the clock, and time of the processor.

use std::fs;
use std::time::Instant;

/// What one run took, and what it did.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sample {
    /// Seconds from its beginning to its end.
    pub(crate) wall: f64,
    /// Seconds of processors, all together.
    pub(crate) cpu: f64,
    /// Decompressed bytes.
    pub(crate) bytes: u64,
    /// Articles, where it deals with articles.
    pub(crate) articles: u64,
}

/// How much was done.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Work {
    pub(crate) bytes: u64,
    pub(crate) articles: u64,
}

/// Measures work done by this process, in whatever threads: it does nothing else.
pub(crate) fn process(work: impl FnOnce() -> Work) -> Sample {
    measure(own_cpu, work)
}

/// Measures work done by this process and the children it waits for.
pub(crate) fn children(work: impl FnOnce() -> Work) -> Sample {
    measure(|| ticks("self", 13..17), work)
}

fn measure(cpu: impl Fn() -> f64, work: impl FnOnce() -> Work) -> Sample {
    let (start, cpu_start) = (Instant::now(), cpu());
    let Work { bytes, articles } = work();
    Sample { wall: start.elapsed().as_secs_f64(), cpu: cpu() - cpu_start, bytes, articles }
}

/// Seconds of processors that this process has used.
fn own_cpu() -> f64 {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    used.tv_sec as f64 + used.tv_nsec as f64 / 1e9
}

/// Seconds of processors that a process has used, without its children.
pub(crate) fn process_cpu(id: u32) -> f64 {
    ticks(&id.to_string(), 13..15)
}

/// Fields of a process's `stat`, counted from 0: hundredths of seconds of the process as user and as system,
/// then those of the children it has waited for.
fn ticks(process: &str, fields: std::ops::Range<usize>) -> f64 {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The second field is a name in parentheses, which may hold spaces.
    let Some((_, rest)) = text.rsplit_once(") ") else { return 0.0 };
    let fields: Vec<_> = rest.split(' ').skip(fields.start - 2).take(fields.len()).collect();
    fields.iter().map(|field| field.parse::<f64>().unwrap()).sum::<f64>() / 100.0
}

/// Processor and number of cores.
pub(crate) fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown");
    format!("{}, {cores} cores, load {}", model.trim_start_matches([' ', '\t', ':']), load())
}

/// How many processes of the machine want to run, averaged over the last minute.
pub(crate) fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}
