//! The header of a gzip member (RFC 1952).

/// The most a header may take, with file name, comment and extra field.
pub(super) const MAX_HEADER_BYTES: usize = 256 << 10;

const FIXED_BYTES: usize = 10;
const HAS_CHECKSUM: u8 = 2;
const HAS_EXTRA: u8 = 4;
const HAS_NAME: u8 = 8;
const HAS_COMMENT: u8 = 16;
const RESERVED: u8 = 0xe0;

/// What lies where a member may begin.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Header {
    /// The header of a member, of this many bytes.
    Member(usize),
    /// A header that goes on after the bytes given.
    Truncated,
    /// Something else.
    None,
}

/// Reads the header at the beginning of `data`.
pub(super) fn parse(data: &[u8]) -> Header {
    if data == [0x1f] {
        return Header::Truncated;
    }
    let Some([0x1f, 0x8b, rest @ ..]) = data.get(..data.len().min(FIXED_BYTES)) else { return Header::None };
    match rest {
        [8, flags, ..] if flags & RESERVED != 0 => Header::None,
        [8, flags, _, _, _, _, _, _] => variable_part(data, *flags).map_or(Header::Truncated, Header::Member),
        [] | [8, ..] => Header::Truncated,
        _ => Header::None,
    }
}

fn variable_part(data: &[u8], flags: u8) -> Option<usize> {
    let mut at = FIXED_BYTES;
    if flags & HAS_EXTRA != 0 {
        let length = data.get(at..at + 2)?;
        at += 2 + usize::from(u16::from_le_bytes([length[0], length[1]]));
    }
    for text in [HAS_NAME, HAS_COMMENT] {
        if flags & text != 0 {
            at += memchr::memchr(0, data.get(at..)?)? + 1;
        }
    }
    if flags & HAS_CHECKSUM != 0 {
        at += 2;
    }
    (at <= data.len()).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_end_where_their_fields_do() {
        let plain = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
        assert_eq!(parse(&plain), Header::Member(10));
        let mut full = plain.to_vec();
        full[3] = HAS_CHECKSUM | HAS_EXTRA | HAS_NAME | HAS_COMMENT;
        full.extend([3, 0, 1, 2, 3]);
        full.extend(b"name\0comment\0cc");
        assert_eq!(parse(&full), Header::Member(30));
        for length in 1..full.len() {
            assert_eq!(parse(&full[..length]), Header::Truncated, "{length}");
        }
    }

    #[test]
    fn other_bytes_are_no_header() {
        assert_eq!(parse(b"garbage after the end"), Header::None);
        assert_eq!(parse(&[0; 20]), Header::None);
        assert_eq!(parse(&[0x1f, 0x8b, 7, 0, 0, 0, 0, 0, 0, 0]), Header::None);
    }
}
