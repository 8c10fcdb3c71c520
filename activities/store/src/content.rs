//! Content is what is to be stored: bytes in memory, or those of a file that nobody changes any more.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

/// What is to be stored. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Content(Held);

#[derive(Clone, Debug)]
enum Held {
    Memory(Bytes),
    File { file: Arc<File>, bytes: u64 },
}

impl Content {
    /// All of a file.
    pub fn file(file: File) -> io::Result<Self> {
        let bytes = file.metadata()?.len();
        Ok(Self(Held::File { file: Arc::new(file), bytes }))
    }

    /// How many bytes there are.
    pub fn len(&self) -> u64 {
        match &self.0 {
            Held::Memory(bytes) => bytes.len() as u64,
            Held::File { bytes, .. } => *bytes,
        }
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes from `from` on, at most `most`. Waits for the disk.
    pub fn read(&self, from: u64, most: usize) -> io::Result<Bytes> {
        let (from, to) = (from.min(self.len()), from.saturating_add(most as u64).min(self.len()));
        match &self.0 {
            Held::Memory(bytes) => Ok(bytes.slice(from as usize..to as usize)),
            Held::File { file, .. } => {
                let mut bytes = BytesMut::zeroed((to - from) as usize);
                file.read_exact_at(&mut bytes, from)?;
                Ok(bytes.freeze())
            }
        }
    }

    /// All of it, in memory. Waits for the disk.
    pub fn read_all(&self) -> io::Result<Bytes> {
        self.read(0, usize::MAX)
    }
}

impl From<Bytes> for Content {
    fn from(bytes: Bytes) -> Self {
        Self(Held::Memory(bytes))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_file_is_read_as_memory_is() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"0123456789").unwrap();
        for content in [Content::file(file).unwrap(), Bytes::from_static(b"0123456789").into()] {
            assert_eq!(content.len(), 10);
            assert_eq!(content.read(3, 4).unwrap(), "3456");
            assert_eq!(content.read(8, 4).unwrap(), "89");
            assert_eq!(content.read(12, 4).unwrap(), "");
            assert_eq!(content.read_all().unwrap(), "0123456789");
        }
    }
}
