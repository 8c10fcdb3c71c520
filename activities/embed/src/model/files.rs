//! Reading a model's files, and saying by name what is wrong with them.

use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, ErrorKind as IoErrorKind, Read};
use std::path::Path;

use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::error::EmbedError;

/// Refuses the model unless `holds`, naming the file and the field.
pub(crate) fn require(
    path: &Path,
    field: &str,
    found: impl Display,
    holds: bool,
    expected: &str,
) -> Result<(), EmbedError> {
    if holds {
        return Ok(());
    }
    Err(EmbedError::UnsupportedModel {
        path: path.to_owned(),
        field: field.to_owned(),
        expected: expected.to_owned(),
        found: found.to_string(),
    })
}

pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, EmbedError> {
    serde_json::from_slice(&read(path)?)
        .map_err(|error| EmbedError::ModelFormat { path: path.to_owned(), reason: error.to_string() })
}

/// The same for a file that need not be there.
pub(crate) fn read_json_if_there<T: DeserializeOwned + Default>(path: &Path) -> Result<T, EmbedError> {
    match read_json(path) {
        Err(EmbedError::ModelMissing { .. }) => Ok(T::default()),
        read => read,
    }
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>, EmbedError> {
    fs::read(path).map_err(|source| unreadable(path, source))
}

/// The sha256 of a file that may not fit in memory.
pub(crate) fn sha256_of_file(path: &Path) -> Result<String, EmbedError> {
    let mut digest = Sha256::new();
    let mut file = File::open(path).map_err(|source| unreadable(path, source))?;
    let mut chunk = vec![0; 1 << 20];
    loop {
        match file.read(&mut chunk).map_err(|source| unreadable(path, source))? {
            0 => return Ok(hex::encode(digest.finalize())),
            read => digest.update(&chunk[..read]),
        }
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

pub(crate) fn unreadable(path: &Path, source: io::Error) -> EmbedError {
    match source.kind() {
        IoErrorKind::NotFound | IoErrorKind::NotADirectory => {
            EmbedError::ModelMissing { path: path.to_owned() }
        }
        _ => EmbedError::ModelRead { path: path.to_owned(), source },
    }
}
