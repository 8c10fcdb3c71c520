//! Encryption of what Temporal stores: inputs, results, heartbeats and error messages are sealed with a key that the
//! server does not have. Ids, counts in summaries, and search attributes stay readable.
//!
//! A payload becomes AES-256-GCM over its protobuf bytes, with a fresh nonce before it, in the shape that Temporal's
//! own samples of encryption have: `encoding` is `binary/encrypted`. Payloads that are not encrypted are read as they
//! are, so encryption can be turned on while runs go on.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use prost::Message;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use temporalio_common::data_converters::{
    DataConverter, DefaultFailureConverter, PayloadCodec, PayloadConversionError, PayloadConverter,
    SerializationContextData,
};
use temporalio_common::protos::temporal::api::common::v1::Payload;

use crate::environment;

const ENCODING: &str = "encoding";
const ENCRYPTED: &[u8] = b"binary/encrypted";
const CIPHER: &str = "encryption-cipher";
const KEY_ID: &str = "encryption-key-id";
const KEY_BYTES: usize = 32;

/// A key cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncryptionError {
    /// The file with the key cannot be read.
    #[error("cannot read the encryption key from `{}`", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// What was given is no key. It is not repeated here.
    #[error("{place} holds no encryption key: {KEY_BYTES} bytes as 64 hexadecimal digits")]
    NotAKey {
        /// The variable or file.
        place: String,
    },
    /// Both ways to give a key were used.
    #[error("both {} and {} are set", environment::ENCRYPTION_KEY, environment::ENCRYPTION_KEY_FILE)]
    Both,
}

/// Seals payloads, and opens those that were sealed with the same key.
#[derive(Clone)]
pub struct Encryption {
    key: Arc<LessSafeKey>,
    /// Which key it is.
    id: String,
}

/// Secrets are not printed.
impl fmt::Debug for Encryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encryption").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Encryption {
    /// With the key of the environment, if it names one.
    pub fn from_environment() -> Result<Option<Self>, EncryptionError> {
        let key = std::env::var(environment::ENCRYPTION_KEY).ok().filter(|key| !key.is_empty());
        let file = std::env::var_os(environment::ENCRYPTION_KEY_FILE).filter(|path| !path.is_empty());
        match (key, file) {
            (None, None) => Ok(None),
            (Some(key), None) => Self::new(&key, environment::ENCRYPTION_KEY).map(Some),
            (None, Some(path)) => Self::of_file(Path::new(&path)).map(Some),
            (Some(_), Some(_)) => Err(EncryptionError::Both),
        }
    }

    fn of_file(path: &Path) -> Result<Self, EncryptionError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| EncryptionError::File { path: path.to_owned(), source })?;
        Self::new(&text, &format!("`{}`", path.display()))
    }

    /// With the key that `digits` spell; `place` says where they are from.
    fn new(digits: &str, place: &str) -> Result<Self, EncryptionError> {
        let not_a_key = || EncryptionError::NotAKey { place: place.to_owned() };
        let mut bytes = [0; KEY_BYTES];
        hex::decode_to_slice(digits.trim(), &mut bytes).map_err(|_| not_a_key())?;
        let key = UnboundKey::new(&AES_256_GCM, &bytes).map_err(|_| not_a_key())?;
        let id = id_of(&bytes);
        Ok(Self { key: Arc::new(LessSafeKey::new(key)), id })
    }

    /// What a client needs to encrypt everything, the messages of failures included.
    pub fn data_converter(self) -> DataConverter {
        DataConverter::new(PayloadConverter::default(), DefaultFailureConverter::new(true), self)
    }

    fn seal(&self, payload: &Payload) -> Result<Payload, PayloadConversionError> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(|_| wrong("no random numbers"))?;
        let mut sealed = payload.encode_to_vec();
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut sealed)
            .map_err(|_| wrong("the payload cannot be encrypted"))?;
        let metadata = [
            (ENCODING.to_owned(), ENCRYPTED.to_vec()),
            (CIPHER.to_owned(), b"AES256GCM".to_vec()),
            (KEY_ID.to_owned(), self.id.clone().into_bytes()),
        ];
        let data = [&nonce[..], &sealed].concat();
        Ok(Payload { metadata: metadata.into(), data, ..Payload::default() })
    }

    fn open(&self, payload: Payload) -> Result<Payload, PayloadConversionError> {
        if payload.metadata.get(ENCODING).is_none_or(|encoding| encoding != ENCRYPTED) {
            return Ok(payload);
        }
        if payload.metadata.get(KEY_ID).is_some_and(|id| id != self.id.as_bytes()) {
            return Err(wrong("the payload was encrypted with another key"));
        }
        let (nonce, sealed) =
            payload.data.split_at_checked(NONCE_LEN).ok_or_else(|| wrong("the payload is cut off"))?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| wrong("the payload is cut off"))?;
        let mut sealed = sealed.to_vec();
        let opened = self.key.open_in_place(nonce, Aad::empty(), &mut sealed);
        let opened = opened.map_err(|_| wrong("the payload does not fit the key"))?;
        Payload::decode(&*opened).map_err(|error| PayloadConversionError::EncodingError(error.into()))
    }
}

/// Says which key it is, and nothing else of it.
fn id_of(key: &[u8]) -> String {
    let digest = digest(&SHA256, key);
    let beginning = digest.as_ref().iter().take(4);
    beginning.fold(0_u32, |id, &byte| id << 8 | u32::from(byte)).to_string()
}

type Coded = futures_util::future::BoxFuture<'static, Result<Vec<Payload>, PayloadConversionError>>;

impl PayloadCodec for Encryption {
    fn encode(&self, _context: &SerializationContextData, payloads: Vec<Payload>) -> Coded {
        let sealed = payloads.iter().map(|payload| self.seal(payload)).collect();
        Box::pin(std::future::ready(sealed))
    }

    fn decode(&self, _context: &SerializationContextData, payloads: Vec<Payload>) -> Coded {
        let opened = payloads.into_iter().map(|payload| self.open(payload)).collect();
        Box::pin(std::future::ready(opened))
    }
}

fn wrong(what: &'static str) -> PayloadConversionError {
    PayloadConversionError::EncodingError(what.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    fn payload(text: &str) -> Payload {
        let metadata = [(ENCODING.to_owned(), b"json/plain".to_vec())].into();
        Payload { metadata, data: text.into(), ..Payload::default() }
    }

    #[test]
    fn what_is_sealed_can_be_opened_with_the_same_key_alone() {
        let (encryption, secret) = (Encryption::new(KEY, "a test").unwrap(), payload("/secret/path"));
        let sealed = encryption.seal(&secret).unwrap();
        assert!(!sealed.encode_to_vec().windows(6).any(|bytes| bytes == b"secret"));
        assert_eq!(encryption.open(sealed.clone()).unwrap(), secret);
        assert_ne!(encryption.seal(&secret).unwrap().data, sealed.data, "a nonce is used once");

        let other = Encryption::new(&KEY.replace("00", "ff"), "a test").unwrap();
        assert!(other.open(sealed.clone()).is_err());
        let mut torn = sealed;
        torn.data.truncate(20);
        assert!(encryption.open(torn).is_err());
    }

    #[test]
    fn what_was_stored_before_is_read_as_it_is() {
        let encryption = Encryption::new(KEY, "a test").unwrap();
        assert_eq!(encryption.open(payload("old")).unwrap(), payload("old"));
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_shown() {
        for digits in ["", "00", "not-a-secret-key", &KEY[2..], &format!("{KEY}00"), &KEY.replace('a', "g")] {
            let error = Encryption::new(digits, "`key.txt`").unwrap_err().to_string();
            assert!(error.contains("key.txt") && (digits.len() < 3 || !error.contains(digits)), "{error}");
        }
        let encryption = Encryption::new(KEY, "a test").unwrap();
        assert!(!format!("{encryption:?}").contains("0001020304"));
    }
}
