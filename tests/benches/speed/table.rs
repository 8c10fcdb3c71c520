//! The table: for each contender the median of its runs, and the median of its ratios to the first of its group,
//! taken round by round.

use crate::clock::Sample;

/// What was measured so far.
#[derive(Default)]
pub(crate) struct Table {
    groups: Vec<(&'static str, Vec<Row>)>,
}

struct Row {
    name: &'static str,
    samples: Vec<Sample>,
}

impl Table {
    pub(crate) fn add(&mut self, group: &'static str, name: &'static str, sample: Sample) {
        if self.groups.iter().all(|(title, _)| *title != group) {
            self.groups.push((group, Vec::new()));
        }
        let known = self.groups.iter_mut().find(|(title, _)| *title == group);
        let (_, rows) = known.expect("it has just been put there");
        match rows.iter_mut().find(|row| row.name == name) {
            Some(row) => row.samples.push(sample),
            None => rows.push(Row { name, samples: vec![sample] }),
        }
    }

    pub(crate) fn print(&self) {
        for (title, rows) in &self.groups {
            println!("\n| {title:40} | clock s | processor s | MB/s | articles/s | times the first |");
            println!("| {} | ---: | ---: | ---: | ---: | ---: |", "-".repeat(40));
            for row in rows {
                row.print(&rows[0]);
            }
        }
    }
}

impl Row {
    /// `MB/s` and the ratio are by processor, `articles/s` by the clock.
    fn print(&self, first: &Self) {
        let median_of = |pick: fn(&Sample) -> f64| median(self.samples.iter().map(pick).collect());
        let speed = |sample: &Sample| sample.bytes as f64 / 1e6 / sample.cpu;
        let ratios = self.samples.iter().zip(&first.samples).map(|(own, first)| speed(own) / speed(first));
        let articles = median_of(|sample| sample.articles as f64 / sample.wall);
        let articles = if articles > 0.0 { format!("{articles:.0}") } else { String::new() };
        println!(
            "| {:40} | {:.2} | {:.2} | {:.1} | {articles} | {:.2} |",
            self.name,
            median_of(|sample| sample.wall),
            median_of(|sample| sample.cpu),
            median_of(|sample| sample.bytes as f64 / 1e6 / sample.cpu),
            median(ratios.collect())
        );
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
