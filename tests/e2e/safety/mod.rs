//! What SECURITY.md promises.

mod encryption;
mod hostile;
mod secrets;
mod tls;
