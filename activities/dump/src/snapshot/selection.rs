//! A selection of shards, by their places in the order of a snapshot.

use std::fmt;
use std::str::FromStr;

use crate::DumpError;

/// Which shards of a snapshot: `0-3`, `5` or `0,2,5-7`, counted from 0. Kept sorted and without overlap, so
/// that two ways to say the same are the same.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ShardSelection {
    /// First and last of each stretch.
    stretches: Vec<(u32, u32)>,
}

impl ShardSelection {
    /// Whether the shard at this place is one of them.
    pub fn contains(&self, index: u32) -> bool {
        self.stretches.iter().any(|&(first, last)| (first..=last).contains(&index))
    }

    /// The last place that is named.
    pub fn last(&self) -> u32 {
        self.stretches.last().map_or(0, |&(_, last)| last)
    }

    /// Those of `shards` that are selected.
    pub fn of<T>(&self, shards: Vec<T>) -> Vec<T> {
        let indexed = (0..).zip(shards);
        indexed.filter(|(index, _)| self.contains(*index)).map(|(_, shard)| shard).collect()
    }
}

impl FromStr for ShardSelection {
    type Err = DumpError;

    fn from_str(text: &str) -> Result<Self, DumpError> {
        let bad = || DumpError::BadSelection { selection: text.to_owned() };
        let mut stretches: Vec<_> = text
            .split(',')
            .map(|stretch| parse_stretch(stretch.trim()).ok_or_else(bad))
            .collect::<Result<_, _>>()?;
        stretches.sort_unstable();
        Ok(Self { stretches: joined(stretches) })
    }
}

fn parse_stretch(text: &str) -> Option<(u32, u32)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (first, last) = (digits(first).then_some(first)?, digits(last).then_some(last)?);
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last).then_some((first, last))
}

/// Stretches that touch or overlap become one.
fn joined(sorted: Vec<(u32, u32)>) -> Vec<(u32, u32)> {
    let mut joined: Vec<(u32, u32)> = Vec::new();
    for (first, last) in sorted {
        match joined.last_mut() {
            Some((_, before)) if first <= before.saturating_add(1) => *before = last.max(*before),
            _ => joined.push((first, last)),
        }
    }
    joined
}

impl fmt::Display for ShardSelection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (first, last)) in self.stretches.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            if first == last {
                write!(f, "{comma}{first}")?;
            } else {
                write!(f, "{comma}{first}-{last}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_selection_has_one_form() {
        for (text, form) in [
            ("0-3", "0-3"),
            ("7", "7"),
            ("5-7,0,2", "0,2,5-7"),
            ("3,1,2,2", "1-3"),
            ("0-9,4-5, 20", "0-9,20"),
        ] {
            assert_eq!(text.parse::<ShardSelection>().unwrap().to_string(), form, "{text}");
        }
        let selection: ShardSelection = "0,2,5-7".parse().unwrap();
        assert_eq!(selection.of((0..9).collect()), [0, 2, 5, 6, 7]);
        assert_eq!(selection.last(), 7);
        assert_eq!("4294967295,0-4294967294".parse::<ShardSelection>().unwrap().to_string(), "0-4294967295");
    }

    #[test]
    fn what_selects_nothing_is_refused() {
        for text in ["", ",", "a", "3-1", "-1", "1-", "1,,2", "4294967296", "+1", "1-2-3"] {
            let error = text.parse::<ShardSelection>().unwrap_err();
            assert!(error.to_string().contains(&format!("`{text}`")), "{error}");
        }
    }
}
