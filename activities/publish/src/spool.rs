//! A spool is where a part is written to until it is stored: memory, and a nameless file once it is large.
//!
//! Parts of ordinary articles stay in memory. A few articles of tens of megabytes next to each other make one that
//! would not fit beside those of the worker's other slots.

use std::io::{self, Write};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tempfile::{SpooledData, SpooledTempFile};
use wikitok_store::Content;

/// What is written, and its digest so far.
pub(crate) struct Spool {
    held: SpooledTempFile,
    hash: Sha256,
}

impl Spool {
    /// An empty one that holds as many bytes in memory at most. The file is made where the environment has files
    /// for a while (`TMPDIR`), and is gone with the process.
    pub(crate) fn new(in_memory: usize) -> Self {
        Self { held: SpooledTempFile::new(in_memory), hash: Sha256::new() }
    }

    /// What was written, and its sha256.
    pub(crate) fn finish(self) -> io::Result<(Content, String)> {
        let content = match self.held.into_inner() {
            SpooledData::InMemory(bytes) => Bytes::from(bytes.into_inner()).into(),
            SpooledData::OnDisk(file) => Content::file(file)?,
        };
        Ok((content, hex::encode(self.hash.finalize())))
    }
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.held.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.held.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_and_digest_do_not_depend_on_where_it_is_held() {
        let made = |in_memory| {
            let mut spool = Spool::new(in_memory);
            for number in 0..1000_u32 {
                spool.write_all(&number.to_le_bytes()).unwrap();
            }
            let (content, sha256) = spool.finish().unwrap();
            (content.read_all().unwrap(), sha256)
        };
        let (bytes, sha256) = made(1 << 20);
        assert_eq!(bytes.len(), 4000);
        assert_eq!(sha256, hex::encode(Sha256::digest(&bytes)));
        assert_eq!(made(100), (bytes, sha256));
    }
}
