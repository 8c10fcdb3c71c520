//! What can go wrong with storage, and what every wikitok error says about itself: its kind.

use std::error::Error;
use std::io;
use std::time::Duration;

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
    /// The URI is not one that can be used.
    #[error("cannot open `{uri}`: {problem}")]
    BadUri {
        /// The URI, without what may be secret in it.
        uri: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The environment does not say all that is needed to reach the place.
    #[error("cannot open `{uri}`")]
    NotConfigured {
        /// The location.
        uri: String,
        /// What is missing or wrong.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The public server asks for a contact, and none was given.
    #[error("`{uri}` asks its visitors for a contact")]
    ContactRequired {
        /// The location.
        uri: String,
    },
    /// A contact that cannot be sent.
    #[error("`{contact}` is no contact: it must be an e-mail address or a URL")]
    BadContact {
        /// The contact as given.
        contact: String,
    },
    /// There is no such bucket.
    #[error("cannot write to `{uri}`: no such bucket")]
    NoSuchBucket {
        /// The location.
        uri: String,
    },
    /// Nothing can be written to this kind of location.
    #[error("cannot write to `{uri}`: a web server can only be read")]
    ReadOnly {
        /// The location.
        uri: String,
    },
    /// The directory could not be made, or the location not be written to.
    #[error("cannot write to `{uri}`")]
    NotWritable {
        /// The URI as given.
        uri: String,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
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
    /// Whoever asks may not do this, or is not known there.
    #[error("not allowed to {action} `{key}` in `{uri}`")]
    Denied {
        /// What was tried: read, write, list, delete.
        action: &'static str,
        /// The location.
        uri: String,
        /// The object or prefix.
        key: String,
        /// What the storage said.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The storage will never do this as it was asked.
    #[error("cannot {action} `{key}` in `{uri}`: refused")]
    Refused {
        /// What was tried: read, write, list, delete.
        action: &'static str,
        /// The location.
        uri: String,
        /// The object or prefix.
        key: String,
        /// What the storage said.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The server asks to be left alone for a while.
    #[error("cannot {action} `{key}` in `{uri}` now: the server asks to wait {} s", retry_after.as_secs())]
    Busy {
        /// What was tried: read, list.
        action: &'static str,
        /// The location.
        uri: String,
        /// The object or prefix.
        key: String,
        /// For how long.
        retry_after: Duration,
        /// What the server said.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The object is another one than it was.
    #[error("`{key}` in `{uri}` has changed while it was read")]
    Changed {
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
        source: Box<dyn Error + Send + Sync>,
    },
}

/// A full disk or a server that is away may pass; a directory that is a file does not.
fn kind_of(error: &(dyn Error + 'static)) -> ErrorKind {
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
            Self::UnknownScheme { .. }
            | Self::NoSuchDirectory { .. }
            | Self::BadUri { .. }
            | Self::NotConfigured { .. }
            | Self::ContactRequired { .. }
            | Self::BadContact { .. }
            | Self::NoSuchBucket { .. }
            | Self::ReadOnly { .. }
            | Self::NotWritable { .. }
            | Self::Denied { .. }
            | Self::Refused { .. } => ErrorKind::BadConfiguration,
            Self::BadKey { .. } => ErrorKind::Bug,
            Self::NotFound { .. } | Self::Changed { .. } => ErrorKind::BadInput,
            Self::Busy { .. } => ErrorKind::Retryable,
            Self::Failed { source, .. } => kind_of(source.as_ref()),
        }
    }

    /// How long to wait before trying again, where the other side said so.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after, .. } => Some(*retry_after),
            _ => None,
        }
    }

    /// What the user can do about it, where there is something.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::UnknownScheme { .. } => {
                "use a directory, a file:// URI, s3://BUCKET/PREFIX, gs://, az://, or, to read from, https://"
            }
            Self::NoSuchDirectory { .. } => {
                "check the spelling; a relative path starts at the current directory"
            }
            Self::BadUri { .. } => "credentials come from the environment: AWS_*, GOOGLE_* or AZURE_*",
            Self::ContactRequired { .. } => {
                "add --contact with an e-mail address or a URL at which its operators reach you"
            }
            Self::BadContact { .. } => "for example --contact me@example.org",
            Self::NoSuchBucket { .. } => "make the bucket first, or check its name and AWS_ENDPOINT_URL",
            Self::ReadOnly { .. } => "choose a directory or a bucket",
            Self::NotWritable { uri, .. } => credentials(uri)
                .unwrap_or("choose a directory that this user may write to and whose disk has room"),
            Self::NotConfigured { uri, .. }
            | Self::Denied { uri, .. }
            | Self::Refused { uri, .. }
            | Self::Failed { uri, .. } => return credentials(uri).map(str::to_owned),
            Self::BadKey { .. } | Self::NotFound { .. } | Self::Changed { .. } | Self::Busy { .. } => {
                return None;
            }
        };
        Some(hint.to_owned())
    }
}

/// Where the credentials for a location come from.
fn credentials(uri: &str) -> Option<&'static str> {
    match uri.split_once("://")?.0 {
        "s3" => Some(
            "credentials come from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION; other servers than \
             Amazon's from AWS_ENDPOINT_URL, with AWS_ALLOW_HTTP=true where that is http://",
        ),
        "gs" => Some("credentials come from GOOGLE_APPLICATION_CREDENTIALS or GOOGLE_SERVICE_ACCOUNT"),
        "az" => Some("credentials come from AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY"),
        _ => None,
    }
}
