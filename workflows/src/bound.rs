//! A bound on what may go wrong before a run is given up.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How much of something is too much: more than a number, or more than a share.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Bound {
    /// More than this many.
    Number(u64),
    /// More than this many hundredths of a percent.
    PercentHundredths(u32),
}

/// Bounds on what may go wrong. None of them changes a byte of the output.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Bounds {
    /// Records in quarantine. A share is of the documents read, and judged when all shards have ended.
    pub max_quarantined: Option<Bound>,
    /// Shards that failed for good. A share is of all shards of the run.
    pub max_failed_shards: Option<Bound>,
}

impl Bound {
    /// Whether `count` of `total` is too much.
    pub fn is_exceeded(self, count: u64, total: u64) -> bool {
        match self {
            Self::Number(most) => count > most,
            Self::PercentHundredths(most) => {
                u128::from(count) * 10_000 > u128::from(most) * u128::from(total)
            }
        }
    }

    /// The number, where it is one: it can be judged before the total is known.
    pub(crate) fn number(self) -> Option<u64> {
        match self {
            Self::Number(most) => Some(most),
            Self::PercentHundredths(_) => None,
        }
    }
}

impl FromStr for Bound {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("`{text}` is neither a number, as `100`, nor a percentage, as `0.5%`");
        let Some(percent) = text.strip_suffix('%') else {
            return text.parse().map(Self::Number).map_err(|_| bad());
        };
        let (whole, fraction) = percent.split_once('.').unwrap_or((percent, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(fraction) || fraction.len() > 2 {
            return Err(bad());
        }
        let hundredths: u32 = format!("{fraction:0<2}").parse().map_err(|_| bad())?;
        let whole: u32 = whole.parse().ok().filter(|whole| *whole <= 100).ok_or_else(bad)?;
        Ok(Self::PercentHundredths(whole * 100 + hundredths))
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(most) => write!(f, "{most}"),
            Self::PercentHundredths(most) if most % 100 == 0 => write!(f, "{}%", most / 100),
            Self::PercentHundredths(most) => write!(f, "{}.{:02}%", most / 100, most % 100),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_numbers_or_shares() {
        for (text, count, total, exceeded) in [
            ("0", 0, 10, false),
            ("0", 1, 10, true),
            ("100", 100, 100, false),
            ("0.5%", 5, 1_000, false),
            ("0.5%", 6, 1_000, true),
            ("0%", 1, u64::MAX, true),
            ("100%", u64::MAX, u64::MAX, false),
            ("0.25%", 26, 10_000, true),
        ] {
            let bound: Bound = text.parse().unwrap();
            assert_eq!(bound.is_exceeded(count, total), exceeded, "{text} {count} of {total}");
        }
        for (text, shown) in [("7", "7"), ("5%", "5%"), ("0.5%", "0.50%"), ("2.25%", "2.25%")] {
            assert_eq!(text.parse::<Bound>().unwrap().to_string(), shown);
        }
        for text in ["", "%", "-1", "1.234%", "101%", "a%", "1.%", ".5%", "0.5"] {
            assert!(text.parse::<Bound>().is_err(), "{text}");
        }
    }
}
