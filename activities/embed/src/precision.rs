//! The precision: in which numbers the model is computed, named as the user names it.

use std::fmt;
use std::str::FromStr;

/// In which numbers the model is computed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Precision {
    /// 32 bits, equal to sentence-transformers: `fp32`.
    #[default]
    Fp32,
    /// 16 bits, for GPUs: `fp16`. On the processor what is stored has 16 bits and what is computed 32, which
    /// gains no time.
    Fp16,
    /// Matrix products in 8 bits, for processors with AVX-512 VNNI: `int8`.
    Int8,
}

/// A name that is no precision.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("unknown precision `{name}`: expected `fp32`, `fp16` or `int8`")]
pub struct ParsePrecisionError {
    name: String,
}

impl Precision {
    const ALL: [Self; 3] = [Self::Fp32, Self::Fp16, Self::Int8];
}

impl FromStr for Precision {
    type Err = ParsePrecisionError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|precision| precision.to_string() == name);
        found.ok_or_else(|| ParsePrecisionError { name: name.to_owned() })
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Fp32 => "fp32",
            Self::Fp16 => "fp16",
            Self::Int8 => "int8",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for precision in Precision::ALL {
            assert_eq!(precision.to_string().parse(), Ok(precision));
        }
        for name in ["", "FP32", "fp8", "int4", "float16"] {
            let error = name.parse::<Precision>().unwrap_err();
            assert!(error.to_string().contains(&format!("`{name}`")), "{error}");
        }
    }
}
