//! What can go wrong with storage, and what every wikitok error says about itself: its kind.

use std::io;

/// What an error means for whoever must decide whether to try again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ErrorKind {
    /// Something outside failed in a way that may pass: trying again is right.
    Retryable,
    /// The input is damaged or not what it claims to be: trying again gives the same.
    BadInput,
    /// The user asked for something that cannot be: a person must change it.
    BadConfiguration,
    /// A promise inside wikitok was broken.
    Bug,
}

/// A failed operation on a [`crate::Location`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The URI has a scheme that this build cannot open.
    #[error("cannot open `{uri}`: unknown kind of location")]
    UnknownScheme {
        /// The URI as given.
        uri: String,
    },
    /// The directory does not exist, or is not a directory.
    #[error("cannot open `{uri}`: no such directory")]
    NoSuchDirectory {
        /// The URI as given.
        uri: String,
    },
    /// The directory could not be made or written to.
    #[error("cannot write to `{uri}`")]
    NotWritable {
        /// The URI as given.
        uri: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A key that is absolute, empty, or climbs out of its location.
    #[error("`{key}` is not a key inside a location")]
    BadKey {
        /// The key as given.
        key: String,
    },
    /// There is no such object.
    #[error("`{key}` is not in `{uri}`")]
    NotFound {
        /// The location.
        uri: String,
        /// The object.
        key: String,
    },
    /// Reading, writing or listing failed.
    #[error("cannot {action} `{key}` in `{uri}`")]
    Failed {
        /// What was tried: read, write, list, delete.
        action: &'static str,
        /// The location.
        uri: String,
        /// The object or prefix.
        key: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A full disk or a server that is away may pass; a directory that is a file does not.
fn kind_of(error: &(dyn std::error::Error + 'static)) -> ErrorKind {
    let mut next = Some(error);
    while let Some(error) = next {
        let io = error.downcast_ref::<io::Error>().map(io::Error::kind);
        if matches!(
            io,
            Some(
                io::ErrorKind::NotADirectory
                    | io::ErrorKind::IsADirectory
                    | io::ErrorKind::PermissionDenied
                    | io::ErrorKind::ReadOnlyFilesystem
                    | io::ErrorKind::AlreadyExists
            )
        ) {
            return ErrorKind::BadConfiguration;
        }
        next = error.source();
    }
    ErrorKind::Retryable
}

impl StoreError {
    /// What the error means for a retry.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::UnknownScheme { .. } | Self::NoSuchDirectory { .. } | Self::NotWritable { .. } => {
                ErrorKind::BadConfiguration
            }
            Self::BadKey { .. } => ErrorKind::Bug,
            Self::NotFound { .. } => ErrorKind::BadInput,
            Self::Failed { source, .. } => kind_of(source.as_ref()),
        }
    }

    /// What the user can do about it, where there is something.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownScheme { .. } => {
                Some("use a directory, or a file:// URI with an absolute path".to_owned())
            }
            Self::NoSuchDirectory { .. } => {
                Some("check the spelling; a relative path starts at the current directory".to_owned())
            }
            Self::NotWritable { .. } => {
                Some("choose a directory that this user may write to and whose disk has room".to_owned())
            }
            _ => None,
        }
    }
}
