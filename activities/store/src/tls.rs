//! What all our requests share: one implementation of TLS, and the name of this program.

use std::sync::Once;

/// Who asks, as a server sees it.
pub(crate) const PROGRAM: reqwest::header::HeaderValue =
    reqwest::header::HeaderValue::from_static(concat!("wikitok/", env!("CARGO_PKG_VERSION")));

/// Chooses `ring` for the process, as Temporal's client does: a second one would be built and carried along.
pub fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // An error says that one is installed already, which is what is wanted.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}
