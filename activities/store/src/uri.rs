//! A URI names a place: a directory, a prefix in a bucket, or a directory on a web server.

use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;

use crate::StoreError;

/// Where a URI leads.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Place {
    Directory(PathBuf),
    Bucket {
        provider: Provider,
        bucket: String,
        prefix: String,
    },
    /// Without a slash at the end.
    Web(String),
}

/// Whose bucket it is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Provider {
    S3,
    Google,
    Azure,
}

impl Provider {
    pub(crate) fn scheme(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Google => "gs",
            Self::Azure => "az",
        }
    }
}

impl Place {
    /// Reads a URI, or a path.
    pub(crate) fn parse(uri: &str) -> Result<Self, StoreError> {
        let Some((scheme, rest)) = uri.split_once("://") else { return directory(uri) };
        check(uri, rest)?;
        match scheme {
            "file" => file(uri, rest),
            "s3" => bucket(uri, Provider::S3, rest),
            "gs" => bucket(uri, Provider::Google, rest),
            "az" => bucket(uri, Provider::Azure, rest),
            "http" | "https" => web(uri),
            _ => Err(StoreError::UnknownScheme { uri: uri.to_owned() }),
        }
    }

    /// The URI under which another process on another day finds the same place.
    pub(crate) fn uri(&self) -> String {
        match self {
            Self::Directory(path) => path.to_string_lossy().into_owned(),
            Self::Bucket { provider, bucket, prefix } if prefix.is_empty() => {
                format!("{}://{bucket}", provider.scheme())
            }
            Self::Bucket { provider, bucket, prefix } => {
                format!("{}://{bucket}/{prefix}", provider.scheme())
            }
            Self::Web(url) => url.clone(),
        }
    }
}

/// URIs go into histories, manifests and logs, so nothing that may be a secret can be part of one.
fn check(uri: &str, rest: &str) -> Result<(), StoreError> {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    if authority.contains('@') {
        return Err(bad(uri, "it holds a user name or a password"));
    }
    if !uri.starts_with("file://") && rest.contains(['?', '#']) {
        return Err(bad(uri, "it holds a query or a fragment"));
    }
    Ok(())
}

/// What of a URI may be shown: nothing that a secret could be in.
fn shown(uri: &str) -> String {
    let (scheme, rest) = uri.split_once("://").unwrap_or(("", uri));
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}/{path}")
}

fn bad(uri: &str, problem: &'static str) -> StoreError {
    StoreError::BadUri { uri: shown(uri), problem }
}

fn directory(path: &str) -> Result<Place, StoreError> {
    if path.is_empty() {
        return Err(StoreError::UnknownScheme { uri: String::new() });
    }
    Ok(Place::Directory(PathBuf::from(path)))
}

/// `file:///a%20b`, or with the host `localhost` (RFC 8089).
fn file(uri: &str, rest: &str) -> Result<Place, StoreError> {
    let path = rest.strip_prefix("localhost").filter(|path| path.starts_with('/')).unwrap_or(rest);
    let path = percent_decode_str(path).decode_utf8().map_err(|_| bad(uri, "its path is not UTF-8"))?;
    if !Path::new(&*path).is_absolute() {
        return Err(bad(uri, "its path is not absolute"));
    }
    Ok(Place::Directory(PathBuf::from(&*path)))
}

fn bucket(uri: &str, provider: Provider, rest: &str) -> Result<Place, StoreError> {
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let prefix = prefix.trim_matches('/');
    if bucket.is_empty() {
        return Err(bad(uri, "it names no bucket"));
    }
    if !prefix.is_empty() && crate::location::object_path(prefix).is_err() {
        return Err(bad(uri, "its prefix is not a plain path"));
    }
    Ok(Place::Bucket { provider, bucket: bucket.to_owned(), prefix: prefix.to_owned() })
}

fn web(uri: &str) -> Result<Place, StoreError> {
    let url = reqwest::Url::parse(uri).map_err(|_| bad(uri, "it is not a URL"))?;
    Ok(Place::Web(url.as_str().trim_end_matches('/').to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_are_understood_and_written_back() {
        for (uri, back) in [
            ("dumps", "dumps"),
            ("/a/b c", "/a/b c"),
            ("file:///a%20b", "/a b"),
            ("file://localhost/a", "/a"),
            ("s3://bucket", "s3://bucket"),
            ("s3://bucket/a/b/", "s3://bucket/a/b"),
            ("gs://bucket/a", "gs://bucket/a"),
            ("az://container/a", "az://container/a"),
            ("https://dumps.wikimedia.org/", "https://dumps.wikimedia.org"),
            ("http://localhost:8080/other/", "http://localhost:8080/other"),
        ] {
            assert_eq!(Place::parse(uri).unwrap().uri(), back, "{uri}");
        }
    }

    #[test]
    fn what_cannot_be_opened_is_refused() {
        for uri in ["", "s4://bucket", "s3://", "s3:///a", "s3://b/../c", "file://relative", "https://"] {
            assert!(Place::parse(uri).is_err(), "{uri}");
        }
    }

    #[test]
    fn secrets_in_a_uri_are_refused_and_not_repeated() {
        for uri in [
            "https://user:secret@host/dumps",
            "https://host/dumps?token=secret",
            "s3://key:secret@bucket/a",
            "az://container/a?sig=secret",
        ] {
            let error = Place::parse(uri).unwrap_err();
            assert!(!format!("{error:?} {error} {:?}", error.hint()).contains("secret"), "{error:?}");
        }
    }
}
