//! A connection to Temporal, configured by Temporal's own variables and file.

use std::time::Duration;

use temporalio_client::envconfig::{ConfigError, LoadClientConfigProfileOptions};
use temporalio_client::errors::{ClientConnectError, ClientNewError};
use temporalio_client::tonic::{Code, Status};
use temporalio_client::{Client, ClientOptions, Connection, ConnectionOptions, RetryOptions, Url};

use crate::encryption::{Encryption, EncryptionError};

/// A result is offered to the server for this long. The SDK's own 10 seconds would drop a finished part when
/// the server restarts, and have it done again.
const OFFER_RESULTS_FOR: Duration = Duration::from_mins(10);
/// What to do about a server that [refuses](is_refusal) us.
pub const REFUSED_HINT: &str = "check TEMPORAL_NAMESPACE, TEMPORAL_API_KEY and the client's certificate";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TRY_AGAIN_EVERY: Duration = Duration::from_millis(100);

/// Where Temporal is and how to talk to it.
pub struct Connector {
    connection: ConnectionOptions,
    client: ClientOptions,
    encrypted: bool,
}

/// Temporal could not be reached.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The configuration of the connection does not make sense.
    #[error("cannot use the Temporal configuration: {0}")]
    Configuration(String),
    /// Nothing answers, or not as Temporal does.
    #[error("no Temporal server answers at `{address}`: {why}")]
    Unreachable {
        /// Where it was looked for.
        address: String,
        /// Why, as the layer below all others says it.
        why: String,
    },
    /// A server answers, and lets us in no further.
    #[error("the Temporal server at `{address}` refuses us: {why}")]
    Refused {
        /// Where it is.
        address: String,
        /// Why, in the server's words.
        why: String,
    },
    /// The key for what Temporal stores cannot be used.
    #[error(transparent)]
    Encryption(#[from] EncryptionError),
    /// The client refused its options.
    #[error("cannot make a Temporal client")]
    Client(#[from] ClientNewError),
}

impl ConnectError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Configuration(_) => "check TEMPORAL_PROFILE, TEMPORAL_CONFIG_FILE and the file they name",
            Self::Unreachable { .. } => {
                "start one with `wikitok-cli dev`, set TEMPORAL_ADDRESS, or let `start --local` bring its own"
            }
            Self::Refused { .. } => REFUSED_HINT,
            Self::Encryption(_) => {
                "make a key with `openssl rand -hex 32`; workers and commands need the same"
            }
            Self::Client(_) => return None,
        };
        Some(hint.to_owned())
    }
}

impl Connector {
    /// Reads `TEMPORAL_*` and `temporal.toml`, as every Temporal program does. `profile` names a section of
    /// the file, in place of `TEMPORAL_PROFILE`.
    pub fn from_environment(profile: Option<String>) -> Result<Self, ConnectError> {
        let options = LoadClientConfigProfileOptions::builder().maybe_config_file_profile(profile).build();
        let (connection, client) =
            ClientOptions::load_from_config(options).map_err(|error| configuration(&error))?;
        Self::new(connection, client)
    }

    /// The same, but at the address of a server of our own, whatever the environment says.
    pub fn local(address: &str) -> Result<Self, ConnectError> {
        let target: Url =
            address.parse().map_err(|error| ConnectError::Configuration(format!("`{address}`: {error}")))?;
        let connection = ConnectionOptions::new(target).build();
        Self::new(connection, ClientOptions::new("default").build())
    }

    /// With a codec, where the environment names a key.
    fn new(connection: ConnectionOptions, mut client: ClientOptions) -> Result<Self, ConnectError> {
        let encryption = Encryption::from_environment()?;
        let encrypted = encryption.is_some();
        if let Some(encryption) = encryption {
            client.data_converter = encryption.data_converter();
        }
        Ok(Self { connection, client, encrypted })
    }

    /// Whether what Temporal stores is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.encrypted
    }

    /// The address, for messages.
    pub fn address(&self) -> String {
        let target = &self.connection.target;
        let port = target.port_or_known_default().map_or_else(String::new, |port| format!(":{port}"));
        format!("{}{port}", target.host_str().unwrap_or_default())
    }

    /// The namespace.
    pub fn namespace(&self) -> &str {
        &self.client.namespace
    }

    /// Connects for commands: gives up soon, so that the user hears of it.
    pub async fn connect(&self) -> Result<Client, ConnectError> {
        self.connect_with(RetryOptions::default()).await
    }

    /// Connects for a worker: what is finished is offered to a server that is away until it is back.
    pub async fn connect_worker(&self) -> Result<Client, ConnectError> {
        let retry =
            RetryOptions::builder().max_elapsed_time(Some(OFFER_RESULTS_FOR)).max_retries(10_000).build();
        self.connect_with(retry).await
    }

    async fn connect_with(&self, retry: RetryOptions) -> Result<Client, ConnectError> {
        let mut options = self.connection.clone();
        options.connect_timeout = Some(CONNECT_TIMEOUT);
        options.retry_options = retry;
        let connected = tokio::time::timeout(2 * CONNECT_TIMEOUT, connect_once_ready(options)).await;
        let connection =
            connected.unwrap_or_else(|_| Err(timed_out())).map_err(|error| self.not_connected(&error))?;
        Ok(Client::new(connection, self.client.clone())?)
    }

    fn not_connected(&self, error: &ClientConnectError) -> ConnectError {
        let (address, why) = (self.address(), deepest(error));
        match error {
            ClientConnectError::SystemInfoCallError(status) if is_refusal(status) => {
                ConnectError::Refused { address, why }
            }
            _ => ConnectError::Unreachable { address, why },
        }
    }
}

/// Whether a server says that we may not, which asking again does not change.
pub fn is_refusal(status: &Status) -> bool {
    matches!(status.code(), Code::PermissionDenied | Code::Unauthenticated)
}

/// The SDK's error cannot leave its thread, so it goes on as text.
fn configuration(error: &ConfigError) -> ConnectError {
    ConnectError::Configuration(error.to_string())
}

/// Connects, waiting for a server that has only just been started.
async fn connect_once_ready(options: ConnectionOptions) -> Result<Connection, ClientConnectError> {
    loop {
        match Connection::connect(options.clone()).await {
            Err(ClientConnectError::SystemInfoCallError(status)) if status.code() == Code::Unavailable => {
                tokio::time::sleep(TRY_AGAIN_EVERY).await;
            }
            connected => return connected,
        }
    }
}

fn deepest(error: &ClientConnectError) -> String {
    if let ClientConnectError::SystemInfoCallError(status) = error {
        return status.message().to_owned();
    }
    let mut deepest: &dyn std::error::Error = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

fn timed_out() -> ClientConnectError {
    ClientConnectError::InvalidConfig(format!("no answer within {} s", 2 * CONNECT_TIMEOUT.as_secs()))
}
