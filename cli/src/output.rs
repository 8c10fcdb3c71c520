//! What goes to stdout: data, and nothing else.

use std::io::{ErrorKind, Write};

use serde::Serialize;

use crate::arguments::Format;

/// Writes a value: as one line of JSON, or as the text that `text` makes of it.
pub(crate) fn show<T: Serialize>(
    format: Format,
    value: &T,
    text: impl FnOnce(&T) -> String,
) -> anyhow::Result<()> {
    let mut line = match format {
        Format::Json => serde_json::to_string(value)?,
        Format::Text => text(value),
    };
    if !line.ends_with('\n') {
        line.push('\n');
    }
    match std::io::stdout().lock().write_all(line.as_bytes()) {
        // Whoever reads, `head` for one, has had enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

/// Writes a remark to stderr.
pub(crate) fn remark(text: &str) {
    // A remark that nobody can read is no reason to stop.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Text from a dump or a server on one line of a terminal, with nothing in it that a terminal would obey.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{FFFD}' } else { c }).collect()
}

/// Lines of text, one below the other.
pub(crate) fn lines(lines: impl IntoIterator<Item = String>) -> String {
    lines.into_iter().collect::<Vec<_>>().join("\n")
}

/// A number with its thousands apart.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_can_be_read() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_000), "1,000");
        assert_eq!(thousands(1_234_567), "1,234,567");
    }

    #[test]
    fn titles_cannot_steer_a_terminal() {
        assert_eq!(printable("a\x1b[2Jb\n"), "a\u{FFFD}[2Jb\u{FFFD}");
    }
}
