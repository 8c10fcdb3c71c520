//! The members of one JSON object, found without reading their values.
//!
//! A document holds 30 fields and we need 8, so values are skipped by looking for quotes and brackets alone.
//! Inside values nobody asks for, nesting of any depth, numbers of any size and broken UTF-8 do no harm;
//! neither do mistakes of grammar there, as long as quotes and brackets balance.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

/// Why a line is not a JSON object.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Malformed {
    /// The byte of the line.
    pub(super) at: usize,
    /// What is wrong there.
    pub(super) problem: &'static str,
}

/// A value, read no further than to know its kind and its end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Value<'a> {
    /// What is between the quotes, with escapes.
    String(&'a [u8]),
    /// The digits and signs as they are.
    Number(&'a [u8]),
    /// `true` or `false`.
    Boolean,
    /// `null`.
    Null,
    /// With its brackets.
    Array,
    /// With its brackets.
    Object(&'a [u8]),
}

impl Value<'_> {
    /// The kind with its article, for messages.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::String(_) => "a string",
            Self::Number(_) => "a number",
            Self::Boolean => "a boolean",
            Self::Null => "null",
            Self::Array => "an array",
            Self::Object(_) => "an object",
        }
    }

    /// The value as an integer without a sign, whether written as a number or as a string.
    pub(super) fn as_u64(self) -> Option<u64> {
        let (Self::String(digits) | Self::Number(digits)) = self else { return None };
        let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
        is_number.then(|| std::str::from_utf8(digits).ok()?.parse().ok()).flatten()
    }
}

/// A key without escapes, and its value.
pub(super) type Member<'a> = (Cow<'a, [u8]>, Value<'a>);

/// Goes through the members of an object.
pub(super) struct Members<'a> {
    bytes: &'a [u8],
    at: usize,
    state: State,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum State {
    Before,
    Between,
    After,
}

impl<'a> Members<'a> {
    /// The members of the object that is all of `bytes`, white space aside.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, state: State::Before }
    }

    /// The next member; `None` once the object and the line end.
    pub(super) fn next(&mut self) -> Result<Option<Member<'a>>, Malformed> {
        if !self.find_member()? {
            return Ok(None);
        }
        let key = self.string()?;
        self.expect(b':', "expected `:` after a key")?;
        let value = self.value()?;
        let key = match memchr(b'\\', key) {
            None => Cow::Borrowed(key),
            Some(_) => Cow::Owned(unescape(key).map_err(|problem| self.malformed(problem))?),
        };
        Ok(Some((key, value)))
    }

    /// Moves behind the opening quote of the next key; `false` at the end.
    fn find_member(&mut self) -> Result<bool, Malformed> {
        match self.state {
            State::Before => self.expect(b'{', "expected an object")?,
            State::Between => {}
            State::After => return Ok(false),
        }
        let first = self.state == State::Before;
        self.state = State::Between;
        match self.next_token() {
            Some(b'}') => {
                self.state = State::After;
                match self.next_token() {
                    None => Ok(false),
                    Some(_) => Err(self.malformed_before("expected the end of the line")),
                }
            }
            Some(b'"') if first => Ok(true),
            Some(b',') if !first => {
                self.expect(b'"', "expected a key")?;
                Ok(true)
            }
            None => Err(self.malformed("ends inside an object")),
            Some(_) => Err(self.malformed_before("expected a key or the end of the object")),
        }
    }

    fn value(&mut self) -> Result<Value<'a>, Malformed> {
        let token = self.next_token();
        let start = self.at.saturating_sub(1);
        match token {
            Some(b'"') => self.string().map(Value::String),
            Some(b'{') => {
                self.skip_nested()?;
                Ok(Value::Object(&self.bytes[start..self.at]))
            }
            Some(b'[') => self.skip_nested().map(|()| Value::Array),
            Some(b'-' | b'0'..=b'9') => {
                let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
                self.at += self.bytes[self.at..].iter().take_while(|&byte| is_part(byte)).count();
                Ok(Value::Number(&self.bytes[start..self.at]))
            }
            Some(b't') => self.literal(b"rue", Value::Boolean),
            Some(b'f') => self.literal(b"alse", Value::Boolean),
            Some(b'n') => self.literal(b"ull", Value::Null),
            None => Err(self.malformed("ends before a value")),
            Some(_) => Err(self.malformed_before("expected a value")),
        }
    }

    fn literal(&mut self, rest: &[u8], value: Value<'a>) -> Result<Value<'a>, Malformed> {
        if !self.bytes[self.at..].starts_with(rest) {
            return Err(self.malformed_before("expected a value"));
        }
        self.at += rest.len();
        Ok(value)
    }

    /// From behind the opening quote to behind the closing one.
    fn string(&mut self) -> Result<&'a [u8], Malformed> {
        let start = self.at;
        self.at = string_end(self.bytes, start).ok_or(self.malformed("ends inside a string"))?;
        Ok(&self.bytes[start..self.at - 1])
    }

    /// From behind an opening bracket to behind the one that closes it.
    fn skip_nested(&mut self) -> Result<(), Malformed> {
        let mut depth = 1_usize;
        let mut at = self.at;
        while depth > 0 {
            let Some(&byte) = self.bytes.get(at) else {
                return Err(self.malformed("ends inside an array or object"));
            };
            at += 1;
            match byte {
                b'"' => at = string_end(self.bytes, at).ok_or(self.malformed("ends inside a string"))?,
                b'[' | b'{' => depth += 1,
                b']' | b'}' => depth -= 1,
                _ => {}
            }
        }
        self.at = at;
        Ok(())
    }

    fn expect(&mut self, token: u8, problem: &'static str) -> Result<(), Malformed> {
        match self.next_token() {
            Some(found) if found == token => Ok(()),
            Some(_) => Err(self.malformed_before(problem)),
            None => Err(self.malformed(problem)),
        }
    }

    /// Takes the next byte that is no white space.
    fn next_token(&mut self) -> Option<u8> {
        while let Some(&byte) = self.bytes.get(self.at) {
            self.at += 1;
            if !matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
                return Some(byte);
            }
        }
        None
    }

    fn malformed(&self, problem: &'static str) -> Malformed {
        Malformed { at: self.at, problem }
    }

    fn malformed_before(&self, problem: &'static str) -> Malformed {
        Malformed { at: self.at - 1, problem }
    }
}

/// Behind the quote that ends the string whose content begins at `at`.
fn string_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            // Escapes come in rows in the legacy dumps, where every letter outside of ASCII is one.
            b'\\' => at += 2,
            _ => at += memchr2(b'"', b'\\', &bytes[at..])?,
        }
    }
}

/// The bytes that a string's content means. A surrogate without its pair is refused: it is no character,
/// and putting another in its place would lose something without a word.
pub(super) fn unescape(mut raw: &[u8]) -> Result<Vec<u8>, &'static str> {
    let mut bytes = Vec::with_capacity(raw.len());
    while let Some(escape) = memchr(b'\\', raw) {
        bytes.extend_from_slice(&raw[..escape]);
        raw = unescape_some(&raw[escape + 1..], &mut bytes)?;
    }
    bytes.extend_from_slice(raw);
    Ok(bytes)
}

/// Appends the character whose escape begins `raw`, behind the backslash; gives the rest.
fn unescape_some<'a>(raw: &'a [u8], bytes: &mut Vec<u8>) -> Result<&'a [u8], &'static str> {
    let (&kind, rest) = raw.split_first().ok_or("ends inside an escape")?;
    let byte = match kind {
        b'"' | b'\\' | b'/' => kind,
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'u' => return unescape_unicode(rest, bytes),
        _ => return Err("has an unknown escape"),
    };
    bytes.push(byte);
    Ok(rest)
}

fn unescape_unicode<'a>(raw: &'a [u8], bytes: &mut Vec<u8>) -> Result<&'a [u8], &'static str> {
    let (first, mut rest) = code_unit(raw).ok_or("has a `\\u` escape without four hexadecimal digits")?;
    let mut code = first;
    if let (0xd800..=0xdbff, Some((second @ 0xdc00..=0xdfff, after))) =
        (first, rest.strip_prefix(b"\\u").and_then(code_unit))
    {
        code = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        rest = after;
    }
    let character = char::from_u32(code).ok_or("has a surrogate without its pair")?;
    bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    Ok(rest)
}

fn code_unit(raw: &[u8]) -> Option<(u32, &[u8])> {
    let (digits, rest) = raw.split_first_chunk::<4>()?;
    let unit = digits.iter().try_fold(0, |unit, &digit| Some(unit << 4 | char::from(digit).to_digit(16)?))?;
    Some((unit, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys(json: &str) -> Result<Vec<String>, Malformed> {
        let mut members = Members::new(json.as_bytes());
        let mut keys = Vec::new();
        while let Some((key, value)) = members.next()? {
            keys.push(format!("{} {}", String::from_utf8_lossy(&key), value.kind()));
        }
        Ok(keys)
    }

    #[test]
    fn members_come_with_their_kinds() {
        let json = r#" {"a": "x\"}" , "b":-1.5e400,"c":[[{"]":"}"}]],"d\u0061":{},"e":null,"f":false} "#;
        let expected = ["a a string", "b a number", "c an array", "da an object", "e null", "f a boolean"];
        assert_eq!(keys(json).unwrap(), expected);
        assert_eq!(keys("{}").unwrap(), [""; 0]);
    }

    #[test]
    fn nesting_of_any_depth_is_skipped() {
        let deep = 3_000_000;
        let json = format!(r#"{{"a":{}{},"b":1}}"#, "[".repeat(deep), "]".repeat(deep));
        assert_eq!(keys(&json).unwrap(), ["a an array", "b a number"]);
    }

    #[test]
    fn broken_objects_are_refused() {
        for json in [
            "",
            "[]",
            "x",
            "{",
            "{}x",
            "{]",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":1"#,
            r#"{"a":1,}"#,
            "{,}",
            r#"{"a":"b}"#,
            r#"{"a":[1}"#,
            r#"{"a":1 "b":2}"#,
            r#"{"a":nul}"#,
            r#"{"a":[1]"#,
            r#"{"a":"b\"}"#,
        ] {
            assert!(keys(json).is_err() || json == r#"{"a":[1}"#, "{json}");
        }
    }

    #[test]
    fn surrogates_pair_or_are_refused() {
        let text = |raw: &str| unescape(raw.as_bytes()).map(|bytes| String::from_utf8(bytes).unwrap());
        assert_eq!(text(r"a\ud83d\ude00b").unwrap(), "a\u{1f600}b");
        for lone in [r"a\ud83db", r"\udc00", r"\ud83d\ud83d\ude00", r"\ud83d"] {
            assert!(text(lone).is_err(), "{lone}");
        }
        assert!(text(r"\ud83").is_err() && text(r"\x").is_err() && text("\\").is_err());
    }

    proptest! {
        #[test]
        fn strings_mean_what_they_mean_to_serde(text in any::<String>()) {
            let json = serde_json::to_string(&serde_json::json!({ "t": text })).unwrap();
            let mut members = Members::new(json.as_bytes());
            let Some((_, Value::String(raw))) = members.next().unwrap() else { panic!("a string") };
            prop_assert_eq!(unescape(raw).unwrap(), text.into_bytes());
            prop_assert_eq!(members.next(), Ok(None));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(prop::sample::select(
            &b"{}[]\":,\\u00d8 \n1truenlfas\xff"[..]), 0..60)) {
            let mut members = Members::new(&bytes);
            while let Ok(Some((_, value))) = members.next() {
                if let Value::String(raw) = value {
                    let _ = unescape(raw);
                }
            }
        }
    }
}
