//! What Temporal stores, as it was before it was encrypted.

use serde::de::DeserializeOwned;
use temporalio_client::Client;
use temporalio_common::data_converters::SerializationContextData;
use temporalio_common::protos::temporal::api::common::v1::{Payload, Payloads as Stored};
use temporalio_common::protos::temporal::api::failure::v1::Failure;
use temporalio_common::protos::temporal::api::failure::v1::failure::FailureInfo;

/// Reads payloads with the codec of a client.
#[derive(Clone)]
pub struct Payloads {
    client: Client,
}

impl Payloads {
    /// With the codec of `client`.
    pub fn of(client: &Client) -> Self {
        Self { client: client.clone() }
    }

    /// The first of some payloads, where there is one that can be read as `T`.
    pub async fn first<T: DeserializeOwned>(&self, stored: Option<&Stored>) -> Option<T> {
        let payload = self.decode(stored?.payloads.first()?.clone()).await?;
        serde_json::from_slice(&payload.data).ok()
    }

    /// A payload without its encryption; none where the key is another one.
    async fn decode(&self, payload: Payload) -> Option<Payload> {
        let codec = self.client.options().data_converter.codec();
        let decoded = codec.decode(&SerializationContextData::None, vec![payload]).await.ok()?;
        decoded.into_iter().next()
    }

    /// Kind and message of the failure at the bottom of a chain.
    pub async fn root_cause(&self, failure: &Failure) -> (String, String) {
        let mut bottom = failure;
        while let Some(cause) = bottom.cause.as_deref() {
            bottom = cause;
        }
        (kind(bottom), self.message(bottom).await)
    }

    /// The message of a failure, which may be encrypted apart.
    pub async fn message(&self, failure: &Failure) -> String {
        #[derive(serde::Deserialize)]
        struct Encoded {
            message: String,
        }
        let Some(encoded) = failure.encoded_attributes.clone() else { return failure.message.clone() };
        let decoded = self.decode(encoded).await;
        let decoded = decoded.and_then(|payload| serde_json::from_slice::<Encoded>(&payload.data).ok());
        decoded.map_or_else(|| failure.message.clone(), |encoded| encoded.message)
    }
}

fn kind(failure: &Failure) -> String {
    match &failure.failure_info {
        Some(FailureInfo::ApplicationFailureInfo(info)) if !info.r#type.is_empty() => info.r#type.clone(),
        Some(FailureInfo::TimeoutFailureInfo(_)) => "timeout".to_owned(),
        Some(FailureInfo::CanceledFailureInfo(_)) => "cancelled".to_owned(),
        Some(FailureInfo::TerminatedFailureInfo(_)) => "terminated".to_owned(),
        _ => "unknown".to_owned(),
    }
}
