//! How fast wikitok is: every stage alone, the stages as a plain loop, and the whole job through Temporal, beside
//! the programs and libraries one would use otherwise.
//!
//! All are measured in turn, round after round, and what is printed is medians, so that a disturbance hits all
//! alike. Time of the processor is shown beside time of the clock: on a machine that others use as well, it is
//! the one to compare. `make bench` runs it; `ROUNDS` and `MEGABYTES` in the environment change its size, and arguments
//! name the groups to measure, by words of their titles.
#![allow(
    missing_docs,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark talks to a person, and may fail"
)]

mod clock;
mod data;
mod embed;
mod job;
mod others;
mod stages;
mod table;

use clock::Sample;
use data::Input;
use table::Table;

/// What is measured: who it is, and a run of it.
struct Contender<'a> {
    name: &'static str,
    run: Box<dyn FnMut() -> Sample + 'a>,
}

impl<'a> Contender<'a> {
    fn new(name: &'static str, run: impl FnMut() -> Sample + 'a) -> Self {
        Self { name, run: Box::new(run) }
    }
}

/// What is compared with one another. Ratios are to the first.
struct Group<'a> {
    title: &'static str,
    contenders: Vec<Contender<'a>>,
}

fn main() {
    let rounds = number("ROUNDS", 5);
    let input = Input::prepare(number("MEGABYTES", 650));
    println!("{}", clock::machine());
    println!("{}, {rounds} rounds", input.describe());
    let server = wants("gzip: whole bzip2: whole").then(job::Server::start).flatten();
    let mut groups = groups(&input, server.as_ref());
    groups.retain(|group| wants(group.title));
    let mut table = Table::default();
    for round in 0..rounds {
        eprintln!("round {} of {rounds}, load {}", round + 1, clock::load());
        for group in &mut groups {
            for contender in &mut group.contenders {
                table.add(group.title, contender.name, (contender.run)());
            }
        }
    }
    table.print();
    if let Some(server) = &server {
        println!("\nlargest resident memory of server and workers together: {} MB", server.largest_mb());
    }
}

/// Whether the arguments ask for a group; without any, all are.
fn wants(title: &str) -> bool {
    let words: Vec<_> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    words.is_empty() || words.iter().any(|word| title.contains(word.as_str()))
}

fn groups<'a>(input: &'a Input, server: Option<&'a job::Server>) -> Vec<Group<'a>> {
    vec![
        Group { title: "bzip2: decompress", contenders: others::bzip2(input) },
        Group { title: "gzip: decompress", contenders: others::gzip(input) },
        Group { title: "tokenize", contenders: others::tokenize(input) },
        Group { title: "other stages", contenders: stages::alone(input) },
        Group {
            title: "embed",
            contenders: if wants("embed") { embed::contenders(input) } else { Vec::new() },
        },
        Group { title: "gzip: whole", contenders: whole(&input.gzip, server) },
        Group { title: "bzip2: whole", contenders: whole(&input.bzip2, server) },
    ]
}

fn whole<'a>(dump: &'a data::Dump, server: Option<&'a job::Server>) -> Vec<Contender<'a>> {
    let mut contenders = vec![
        Contender::new("plain loop: decompress, parse, tokenize", || stages::plain_loop(dump, false)),
        Contender::new("plain loop, and write", || stages::plain_loop(dump, true)),
        Contender::new("range reader: decompress, parse", || stages::read(dump)),
        Contender::new("plain loop, and write, twice at once", || stages::plain_loops(dump)),
    ];
    contenders.extend(server.map(|server| Contender::new("whole job, Temporal", || server.run(dump))));
    contenders
}

fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable).map_or(default, |value| value.parse().unwrap())
}
