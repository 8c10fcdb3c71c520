//! A visitor asks a web server, with the manners that the server may expect.
//!
//! It says who it is, keeps to a number of connections, waits when it is told to, and comes back more and more
//! slowly where it is not. Waits that are short are waited here; a longer one is the caller's to wait.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, HeaderValue, RETRY_AFTER, USER_AGENT};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Response, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::backend::Failure;
use crate::progress::{step, stepping};
use crate::{StoreError, tls};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Silence in the middle of an answer, not the time for all of it.
const READ_TIMEOUT: Duration = Duration::from_secs(15);
const ATTEMPTS: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// All pauses of one request together. What takes longer would pass for a worker that hangs.
const PATIENCE: Duration = Duration::from_secs(10);
/// The wait told to the caller where the server names none.
const LONG_PAUSE: Duration = Duration::from_secs(30);
/// No wait that a server asks for is believed to be longer.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);
/// Waiting in line for a connection is no silence of the server.
const IN_LINE_FOR: Duration = Duration::from_secs(1);
const REDIRECTS: usize = 3;

/// One server, and the connections to it that this process may have.
#[derive(Debug)]
pub(super) struct Visitor {
    client: Client,
    connections: Arc<Semaphore>,
}

/// An answer, and the connection that its body comes over.
pub(super) struct Answer {
    pub(super) response: Response,
    _connection: OwnedSemaphorePermit,
}

/// How one attempt went wrong.
struct Setback {
    failure: Failure,
    /// The wait that the server asks for.
    retry_after: Option<Duration>,
    may_pass: bool,
}

impl Visitor {
    /// `idle` connections are kept open for the next request.
    pub(super) fn new(connections: usize, idle: usize, contact: Option<&str>) -> Result<Self, StoreError> {
        tls::install();
        let client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .redirect(Policy::limited(REDIRECTS))
            .default_headers(HeaderMap::from_iter([(USER_AGENT, name(contact)?)]))
            .pool_max_idle_per_host(idle)
            // Several requests over one connection would each be throttled as if they were one.
            .http1_only()
            .build()
            .map_err(|error| StoreError::NotConfigured {
                uri: "https://".to_owned(),
                source: error.into(),
            })?;
        Ok(Self { client, connections: Arc::new(Semaphore::new(connections)) })
    }

    /// Asks until there is an answer that is none of "later", "broken" and "no".
    pub(super) async fn ask(
        &self,
        method: Method,
        url: &str,
        headers: &HeaderMap,
    ) -> Result<Answer, Failure> {
        let mut pauses = Pauses::default();
        loop {
            let setback = match stepping(self.attempt(method.clone(), url, headers)).await {
                Ok(answer) => return Ok(answer),
                Err(setback) => setback,
            };
            match pauses.next(&setback) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(setback.give_up()),
            }
        }
    }

    async fn attempt(&self, method: Method, url: &str, headers: &HeaderMap) -> Result<Answer, Setback> {
        let connection = self.connection().await?;
        let request = self.client.request(method, url).headers(headers.clone());
        let response = request.send().await.map_err(Setback::from)?;
        match Setback::of(&response) {
            Some(setback) => Err(setback),
            None => Ok(Answer { response, _connection: connection }),
        }
    }

    async fn connection(&self) -> Result<OwnedSemaphorePermit, Setback> {
        let waiting = self.connections.clone().acquire_owned();
        tokio::pin!(waiting);
        loop {
            match tokio::time::timeout(IN_LINE_FOR, &mut waiting).await {
                Ok(connection) => {
                    return connection.map_err(|closed| Setback::final_one(Failure::Other(closed.into())));
                }
                Err(_) => step(),
            }
        }
    }
}

/// `wikitok/0.1.0 (me@example.org)`.
fn name(contact: Option<&str>) -> Result<HeaderValue, StoreError> {
    let Some(contact) = contact else { return Ok(tls::PROGRAM) };
    let plain = contact.len() > 3
        && contact.contains(['@', '.'])
        && contact.chars().all(|c| c.is_ascii_graphic() && !"()\\".contains(c));
    let program = tls::PROGRAM.to_str().unwrap_or_default().to_owned();
    let header = HeaderValue::try_from(format!("{program} ({contact})")).ok().filter(|_| plain);
    header.ok_or_else(|| StoreError::BadContact { contact: contact.to_owned() })
}

impl Setback {
    fn final_one(failure: Failure) -> Self {
        Self { failure, retry_after: None, may_pass: false }
    }

    /// What an answer says that is none.
    fn of(response: &Response) -> Option<Self> {
        let status = response.status();
        if status.is_success() {
            return None;
        }
        let said = || format!("the server answered `{status}`").into();
        let retry_after = retry_after(response.headers(), SystemTime::now());
        Some(match status {
            StatusCode::NOT_FOUND | StatusCode::GONE => Self::final_one(Failure::NotFound),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Self::final_one(Failure::Denied(said())),
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
                Self { failure: Failure::Other(said()), retry_after, may_pass: true }
            }
            status if status.is_server_error() => {
                Self { failure: Failure::Other(said()), retry_after, may_pass: true }
            }
            _ => Self::final_one(Failure::Refused(said())),
        })
    }

    /// A server that asks for a longer wait than ours is told so by its own kind of failure.
    fn give_up(self) -> Failure {
        match (self.retry_after, self.failure) {
            (Some(retry_after), Failure::Other(cause)) => Failure::Busy { retry_after, cause },
            (_, failure) => failure,
        }
    }
}

impl From<reqwest::Error> for Setback {
    fn from(error: reqwest::Error) -> Self {
        let may_pass = !(error.is_builder() || error.is_redirect());
        let failure = if may_pass { Failure::Other(error.into()) } else { Failure::Refused(error.into()) };
        Self { failure, retry_after: None, may_pass }
    }
}

/// The pauses between the attempts of one request.
#[derive(Default)]
struct Pauses {
    taken: u32,
    waited: Duration,
}

impl Pauses {
    /// How long to wait before trying again; `None` to give up.
    fn next(&mut self, setback: &Setback) -> Option<Duration> {
        self.taken += 1;
        // Jitter on top, so that those who were turned away together do not come back together.
        let pause = setback.retry_after.map_or_else(|| self.unasked(), |asked| asked + jitter(FIRST_PAUSE));
        self.waited += pause;
        let go_on = setback.may_pass && self.taken < ATTEMPTS && self.waited <= PATIENCE;
        go_on.then_some(pause)
    }

    /// Twice as long each time, half of it at random.
    fn unasked(&self) -> Duration {
        let longest = FIRST_PAUSE * 2_u32.pow(self.taken);
        longest / 2 + jitter(longest / 2)
    }
}

/// A random part of `longest`. The standard library seeds its hashers at random.
fn jitter(longest: Duration) -> Duration {
    let random = std::hash::RandomState::new().build_hasher().finish();
    longest.mul_f64((random % 1024) as f64 / 1024.0)
}

/// `Retry-After`, in seconds or as a date (RFC 9110). One that cannot be read asks for a long wait; one that is
/// longer than anybody would mean is cut short.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().unwrap_or_default().trim();
    let seconds = || value.parse().ok().map(Duration::from_secs);
    let date = || {
        let date = SystemTime::from(chrono::DateTime::parse_from_rfc2822(value).ok()?);
        Some(date.duration_since(now).unwrap_or_default())
    };
    Some(seconds().or_else(date).unwrap_or(LONG_PAUSE).min(LONGEST_PAUSE))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(value: &str) -> Option<Duration> {
        let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_str(value).unwrap())]);
        let now = SystemTime::UNIX_EPOCH + Duration::from_mins(24_090_208);
        retry_after(&headers, now)
    }

    #[test]
    fn a_wait_is_read_in_seconds_and_as_a_date() {
        assert_eq!(asked("120"), Some(Duration::from_mins(2)));
        assert_eq!(asked("Wed, 21 Oct 2015 07:28:30 GMT"), Some(Duration::from_secs(30)));
        assert_eq!(asked("Wed, 21 Oct 2015 07:20:00 GMT"), Some(Duration::ZERO));
        assert_eq!(asked("soon"), Some(LONG_PAUSE));
        assert_eq!(asked("18446744073709551615"), Some(LONGEST_PAUSE));
        assert_eq!(retry_after(&HeaderMap::new(), SystemTime::now()), None);
    }

    #[test]
    fn a_long_wait_is_left_to_the_caller() {
        let busy = |seconds| Setback {
            failure: Failure::Other("503".into()),
            retry_after: Some(Duration::from_secs(seconds)),
            may_pass: true,
        };
        assert!(Pauses::default().next(&busy(2)).is_some());
        assert!(Pauses::default().next(&busy(60)).is_none());
        let Failure::Busy { retry_after, .. } = busy(60).give_up() else { panic!("it is busy") };
        assert_eq!(retry_after, Duration::from_mins(1));
    }

    #[test]
    fn pauses_grow_and_end() {
        let broken = || Setback { failure: Failure::Other("500".into()), retry_after: None, may_pass: true };
        let mut pauses = Pauses::default();
        let taken: Vec<_> = std::iter::from_fn(|| pauses.next(&broken())).collect();
        assert_eq!(taken.len(), ATTEMPTS as usize - 1);
        assert!(taken.iter().sum::<Duration>() <= PATIENCE);
        assert!(taken[2] >= FIRST_PAUSE * 4, "{taken:?}");
    }

    #[test]
    fn a_contact_is_named_and_a_strange_one_refused() {
        assert_eq!(name(None).unwrap(), tls::PROGRAM);
        let named = name(Some("me@example.org")).unwrap();
        assert!(named.to_str().unwrap().ends_with(" (me@example.org)"), "{named:?}");
        for contact in ["", "me", "me@x (you)", "a@b\r\nHost: x"] {
            assert!(name(Some(contact)).is_err(), "{contact}");
        }
    }
}
