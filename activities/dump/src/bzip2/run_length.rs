//! bzip2's outermost coding: after four equal bytes, a byte that says how many more follow.

/// Appends `coded`, expanded, to `plain`.
pub(super) fn expand(coded: &[u8], plain: &mut Vec<u8>) {
    let mut rest = coded;
    while let Some(run_end) = find_run(rest) {
        plain.extend_from_slice(&rest[..run_end]);
        let byte = rest[run_end - 1];
        // A block may end on four equal bytes with no count.
        let more = rest.get(run_end).copied().unwrap_or(0);
        plain.resize(plain.len() + usize::from(more), byte);
        rest = rest.get(run_end + 1..).unwrap_or_default();
    }
    plain.extend_from_slice(rest);
}

/// The end of the first four equal bytes.
fn find_run(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(&[a, b, c, d]) = bytes.get(at..).and_then(|rest| rest.first_chunk::<4>()) {
        // The latest byte that differs from its successor says how far to skip.
        at += match () {
            () if c != d => 3,
            () if b != c => 2,
            () if a != b => 1,
            () => return Some(at + 4),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::expand;

    fn expanded(coded: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        expand(coded, &mut plain);
        plain
    }

    #[test]
    fn runs_expand() {
        assert_eq!(expanded(b"abc"), b"abc");
        assert_eq!(expanded(b"aaaa\x00b"), b"aaaab");
        assert_eq!(expanded(b"xaaaa\x03aab"), b"xaaaaaaaaab");
        assert_eq!(expanded(b"aaaa\x01aaaa\x02"), b"aaaaaaaaaaa");
        assert_eq!(expanded(b"bbbaaaa"), b"bbbaaaa");
        assert_eq!(expanded(b"\x04\x04\x04\x04\x04\x04"), [4; 9]);
        assert_eq!(expanded(b"aaaa\xffz").len(), 260);
    }
}
