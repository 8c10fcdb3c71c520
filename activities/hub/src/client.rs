//! The client: the few questions that are asked of the hub.

use std::io::Write;
use std::time::Duration;

use futures_util::StreamExt;
use reqwest::header::{AUTHORIZATION, ETAG, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Response, StatusCode};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::Token;
use crate::cache::Cache;
use crate::error::HubError;
use crate::id::{ModelId, is_commit};
use crate::is_inside;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Silence in the middle of an answer.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// The tag of a file that the hub keeps apart: the sha256 of its bytes.
const LINKED_ETAG: &str = "x-linked-etag";

/// What a revision stands for.
#[derive(Deserialize)]
pub(crate) struct Revision {
    /// The commit.
    pub(crate) sha: String,
    /// Its files.
    pub(crate) siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
pub(crate) struct Sibling {
    /// The file's path in the model's repository.
    pub(crate) rfilename: String,
}

pub(crate) struct Client {
    endpoint: String,
    /// Follows where it is sent.
    files: reqwest::Client,
    /// Stays, to read what is said of a file before its bytes are elsewhere.
    heads: reqwest::Client,
}

impl Client {
    pub(crate) fn new(endpoint: &str, token: Option<&Token>) -> Result<Self, HubError> {
        wikitok_store::install_tls();
        let endpoint = endpoint.trim_end_matches('/').to_owned();
        // It is repeated in messages, where no password belongs.
        if endpoint.split('/').nth(2).is_some_and(|authority| authority.contains('@')) {
            let (url, reason) = ("HF_ENDPOINT".to_owned(), "it holds a user name or a password".to_owned());
            return Err(HubError::Answer { url, reason });
        }
        let mut headers = HeaderMap::new();
        if let Some(Token(token)) = token {
            let refuse =
                |_| HubError::Answer { url: endpoint.clone(), reason: "`HF_TOKEN` is no token".to_owned() };
            let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(refuse)?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let build = |policy| {
            let client = reqwest::Client::builder()
                .connect_timeout(CONNECT_TIMEOUT)
                .read_timeout(READ_TIMEOUT)
                .user_agent(concat!("wikitok/", env!("CARGO_PKG_VERSION")))
                .default_headers(headers.clone())
                .redirect(policy);
            client.build().map_err(|source| HubError::Unreachable { url: endpoint.clone(), source })
        };
        let (files, heads) = (build(Policy::limited(5))?, build(Policy::none())?);
        Ok(Self { endpoint, files, heads })
    }

    /// Asks which commit a revision is, and for its files.
    pub(crate) async fn revision(&self, id: &ModelId) -> Result<Revision, HubError> {
        let url = format!("{}/api/models/{}/revision/{}", self.endpoint, id.name(), id.revision());
        let response = self.files.get(&url).send().await.map_err(|source| unreachable(&url, source))?;
        let response = self.checked(id, &url, response)?;
        let bytes = response.bytes().await.map_err(|source| unreachable(&url, source))?;
        let revision: Revision =
            serde_json::from_slice(&bytes).map_err(|error| other(&url, &error.to_string()))?;
        if is_commit(&revision.sha) { Ok(revision) } else { Err(other(&url, "`sha` is no commit")) }
    }

    /// Fetches a file of a commit into the cache. Where its tag is a sha256, its bytes must have it.
    pub(crate) async fn fetch(
        &self,
        id: &ModelId,
        commit: &str,
        file: &str,
        cache: &Cache,
    ) -> Result<(), HubError> {
        let url = format!("{}/{}/resolve/{commit}/{file}", self.endpoint, id.name());
        let etag = self.etag(id, &url).await?;
        let response = self.files.get(&url).send().await.map_err(|source| unreachable(&url, source))?;
        let mut bytes = self.checked(id, &url, response)?.bytes_stream();
        let (mut partial, mut digest) = (cache.partial()?, Sha256::new());
        while let Some(piece) = bytes.next().await {
            let piece = piece.map_err(|source| unreachable(&url, source))?;
            digest.update(&piece);
            let written = partial.write_all(&piece);
            written.map_err(|source| HubError::Cache { path: partial.path().to_owned(), source })?;
        }
        let found = hex::encode(digest.finalize());
        if etag.len() == found.len() && etag != found {
            return Err(other(&url, &format!("its sha256 is {found}, and should be {etag}")));
        }
        cache.keep(partial, &etag, commit, file)
    }

    /// The tag that a file is kept under.
    async fn etag(&self, id: &ModelId, url: &str) -> Result<String, HubError> {
        let response = self.heads.head(url).send().await.map_err(|source| unreachable(url, source))?;
        let headers = response.headers();
        let etag = headers.get(LINKED_ETAG).or_else(|| headers.get(ETAG)).and_then(|tag| tag.to_str().ok());
        let etag = etag.map(|tag| tag.trim_start_matches("W/").trim_matches('"').to_owned());
        if !response.status().is_redirection() {
            self.checked(id, url, response)?;
        }
        let plain = |tag: &String| is_inside(tag) && !tag.contains('/');
        etag.filter(plain).ok_or_else(|| other(url, "it has no entity tag"))
    }

    fn checked(&self, id: &ModelId, url: &str, response: Response) -> Result<Response, HubError> {
        match response.status() {
            // The hub does not say which models there are that one may not see.
            StatusCode::NOT_FOUND | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(HubError::NotFound { endpoint: self.endpoint.clone(), id: id.clone() })
            }
            _ => response.error_for_status().map_err(|source| unreachable(url, source)),
        }
    }
}

fn unreachable(url: &str, source: reqwest::Error) -> HubError {
    // Where the bytes are fetched from is signed, and for nobody to read.
    HubError::Unreachable { url: url.to_owned(), source: source.without_url() }
}

fn other(url: &str, reason: &str) -> HubError {
    HubError::Answer { url: url.to_owned(), reason: reason.to_owned() }
}
