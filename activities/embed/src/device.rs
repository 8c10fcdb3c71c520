//! The device: where the model runs, named as the user names it.

use std::fmt;
use std::str::FromStr;

/// Where the model runs.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Device {
    /// The processor: `cpu`.
    #[default]
    Cpu,
    /// An NVIDIA GPU by its index: `cuda:1`; `cuda` is the first.
    Cuda(u32),
    /// The first GPU if it can be used, else the processor: `auto`.
    Auto,
}

/// A device name that is none of `cpu`, `cuda`, `cuda:N` and `auto`.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("unknown device `{name}`: expected `cpu`, `cuda`, `cuda:N` or `auto`")]
pub struct ParseDeviceError {
    name: String,
}

impl FromStr for Device {
    type Err = ParseDeviceError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name.split_once(':') {
            None if name == "cpu" => Some(Self::Cpu),
            None if name == "cuda" => Some(Self::Cuda(0)),
            None if name == "auto" => Some(Self::Auto),
            Some(("cuda", index)) => index.parse().ok().map(Self::Cuda),
            _ => None,
        }
        .ok_or_else(|| ParseDeviceError { name: name.to_owned() })
    }
}

impl fmt::Display for Device {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => formatter.write_str("cpu"),
            Self::Auto => formatter.write_str("auto"),
            Self::Cuda(index) => write!(formatter, "cuda:{index}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for device in [Device::Cpu, Device::Auto, Device::Cuda(0), Device::Cuda(7)] {
            assert_eq!(device.to_string().parse(), Ok(device));
        }
        assert_eq!("cuda".parse(), Ok(Device::Cuda(0)));
    }

    #[test]
    fn other_names_are_refused_by_name() {
        for name in ["", "gpu", "CPU", "cpu:0", "cuda:", "cuda:-1", "cuda:x"] {
            let error = name.parse::<Device>().unwrap_err();
            assert!(error.to_string().contains(&format!("`{name}`")), "{error}");
        }
    }
}
