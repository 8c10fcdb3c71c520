//! A document line is one page of the wiki: of its 30 fields we need 8.

use super::json::{Malformed, Members, Value, unescape};
use super::{Article, BadReason, FilterReason, Wanted};

/// A document that is in order: an article, or one that is left out.
pub(super) type Document = Result<Article, FilterReason>;

/// What is wrong with a document.
#[derive(Debug)]
pub(super) struct Bad {
    pub(super) reason: BadReason,
    pub(super) page_id: Option<u64>,
    pub(super) message: String,
}

/// The fields of a document that we need. Where a key comes twice, the last counts, as in most parsers.
#[derive(Default)]
struct Fields<'a> {
    namespace: Option<Value<'a>>,
    page_id: Option<Value<'a>>,
    page_type: Option<Value<'a>>,
    redirect_target: Option<Value<'a>>,
    text: Option<Value<'a>>,
    timestamp: Option<Value<'a>>,
    title: Option<Value<'a>>,
    version: Option<Value<'a>>,
}

impl<'a> Fields<'a> {
    fn read(&mut self, line: &'a [u8]) -> Result<(), Malformed> {
        let mut members = Members::new(line);
        while let Some((key, value)) = members.next()? {
            let field = match &*key {
                b"namespace" => &mut self.namespace,
                b"page_id" => &mut self.page_id,
                b"page_type" => &mut self.page_type,
                b"redirect_target" => &mut self.redirect_target,
                b"text" => &mut self.text,
                b"timestamp" => &mut self.timestamp,
                b"title" => &mut self.title,
                b"version" => &mut self.version,
                _ => continue,
            };
            *field = Some(value).filter(|value| *value != Value::Null);
        }
        Ok(())
    }

    fn is_redirect(&self) -> bool {
        self.redirect_target.is_some() || self.page_type == Some(Value::String(b"redirect"))
    }

    fn page_id(&self) -> Option<u64> {
        self.page_id.and_then(Value::as_u64)
    }
}

/// Reads a document line. `action_id` is the page that its action names; the document's own word goes first.
pub(super) fn read(line: &[u8], action_id: Option<u64>, wanted: &Wanted) -> Result<Document, Bad> {
    let mut fields = Fields::default();
    let read = fields.read(line);
    let page_id = fields.page_id().or(action_id.filter(|_| fields.page_id.is_none()));
    read.map_err(|malformed| (BadReason::InvalidJson, describe(malformed)))
        .and_then(|()| judge(&fields, page_id, wanted))
        .map_err(|(reason, message)| Bad { reason, page_id, message })
}

fn describe(malformed: Malformed) -> String {
    format!("{} at byte {} of the line", malformed.problem, malformed.at)
}

fn judge(
    fields: &Fields<'_>,
    page_id: Option<u64>,
    wanted: &Wanted,
) -> Result<Document, (BadReason, String)> {
    if !wanted.namespaces.contains(&namespace(fields)?) {
        return Ok(Err(FilterReason::Namespace));
    }
    if fields.is_redirect() {
        return Ok(Err(FilterReason::Redirect));
    }
    let page_id = page_id.ok_or((
        BadReason::MissingPageId,
        "neither document nor action name the page by a number".to_owned(),
    ))?;
    let title = title(fields)?;
    let text = match fields.text {
        None => return Ok(Err(FilterReason::EmptyText)),
        Some(Value::String(raw)) => string("text", raw)?,
        Some(other) => return Err((BadReason::TextNotAString, format!("`text` is {}", other.kind()))),
    };
    if text.trim().is_empty() {
        return Ok(Err(FilterReason::EmptyText));
    }
    if wanted.min_chars > 0 && (text.chars().count() as u64) < wanted.min_chars {
        return Ok(Err(FilterReason::TooShort));
    }
    let revision_id = fields.version.and_then(Value::as_u64);
    Ok(Ok(Article { page_id, title, revision_id, timestamp: timestamp(fields), text }))
}

/// Every real document, of every year, says its namespace: one that does not is no page of ours to guess.
fn namespace(fields: &Fields<'_>) -> Result<i64, (BadReason, String)> {
    let number = match fields.namespace {
        Some(Value::Number(digits) | Value::String(digits)) => {
            std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok())
        }
        _ => None,
    };
    number.ok_or((BadReason::MissingNamespace, "`namespace` is not there or is no integer".to_owned()))
}

fn title(fields: &Fields<'_>) -> Result<String, (BadReason, String)> {
    let missing = |what: &str| (BadReason::MissingTitle, format!("`title` is {what}"));
    match fields.title {
        None => Err(missing("missing")),
        Some(Value::String(raw)) => match string("title", raw)? {
            blank if blank.trim().is_empty() => Err(missing("blank")),
            title => Ok(title),
        },
        Some(other) => Err(missing(other.kind())),
    }
}

fn string(field: &str, raw: &[u8]) -> Result<String, (BadReason, String)> {
    let bytes = unescape(raw).map_err(|problem| (BadReason::InvalidJson, format!("`{field}` {problem}")))?;
    String::from_utf8(bytes).map_err(|_| (BadReason::InvalidUtf8, format!("`{field}` is not UTF-8")))
}

fn timestamp(fields: &Fields<'_>) -> Option<String> {
    let Some(Value::String(raw)) = fields.timestamp else { return None };
    let text = std::str::from_utf8(raw).ok()?;
    is_rfc3339(text).then(|| text.to_owned())
}

/// Whether `text` is a date and time by RFC 3339, such as `2026-01-01T00:00:00Z`.
fn is_rfc3339(text: &str) -> bool {
    let Some((date_time, rest)) = text.split_at_checked(19) else { return false };
    let fraction_end = rest.strip_prefix('.').map_or(0, |digits| {
        1 + digits.find(|character: char| !character.is_ascii_digit()).unwrap_or(digits.len())
    });
    let zone = &rest[fraction_end..];
    let shape = |text: &str, shape: &str| {
        text.len() == shape.len()
            && text.bytes().zip(shape.bytes()).all(|(byte, wanted)| match wanted {
                b'0' => byte.is_ascii_digit(),
                b'+' => matches!(byte, b'+' | b'-'),
                wanted => byte == wanted,
            })
    };
    let in_range = |at: usize, low: u32, high: u32| {
        date_time[at..at + 2].parse::<u32>().is_ok_and(|number| (low..=high).contains(&number))
    };
    shape(date_time, "0000-00-00T00:00:00")
        && (zone == "Z" || shape(zone, "+00:00"))
        && fraction_end != 1
        && in_range(5, 1, 12)
        && in_range(8, 1, 31)
        && in_range(11, 0, 23)
        && in_range(14, 0, 59)
        && in_range(17, 0, 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(line: &str) -> BadReason {
        read(line.as_bytes(), Some(7)).unwrap_err().reason
    }

    fn read(line: &[u8], action_id: Option<u64>) -> Result<Document, Bad> {
        super::read(line, action_id, &Wanted::default())
    }

    #[test]
    fn only_what_is_wanted_is_an_article() {
        let line = |namespace: i64, text: &str| {
            format!(r#"{{"title":"T","page_id":3,"namespace":{namespace},"text":"{text}"}}"#)
        };
        let wanted = Wanted { namespaces: vec![10, 14], min_chars: 3 };
        for (namespace, text, expected) in [
            (0, "long enough", Some(FilterReason::Namespace)),
            (14, "äöü", None),
            (10, "äö", Some(FilterReason::TooShort)),
            (10, "  ", Some(FilterReason::EmptyText)),
        ] {
            let document = super::read(line(namespace, text).as_bytes(), None, &wanted).unwrap();
            assert_eq!(document.err(), expected, "{namespace} {text}");
        }
    }

    #[test]
    fn an_article_has_what_the_document_says() {
        let line = br#"{"title":"T","page_id":3,"namespace":0,"text":"x","version":5,"timestamp":"2026-01-01T00:00:00Z"}"#;
        let article = read(line, Some(7)).unwrap().unwrap();
        let timestamp = Some("2026-01-01T00:00:00Z".to_owned());
        let (title, text) = ("T".to_owned(), "x".to_owned());
        assert_eq!(article, Article { page_id: 3, title, revision_id: Some(5), timestamp, text });
    }

    #[test]
    fn the_action_names_the_page_when_the_document_does_not() {
        let line = br#"{"title":"T","namespace":0,"text":"x","version":99999999999999999999}"#;
        let article = read(line, Some(7)).unwrap().unwrap();
        assert_eq!((article.page_id, article.revision_id, article.timestamp), (7, None, None));
        assert_eq!(read(line, None).unwrap_err().reason, BadReason::MissingPageId);
    }

    #[test]
    fn documents_are_filtered_by_what_they_are() {
        for (fields, expected) in [
            (r#""namespace":-1"#, FilterReason::Namespace),
            (r#""namespace":0,"page_type":"redirect","text":"x""#, FilterReason::Redirect),
            (r#""namespace":0,"redirect_target":{"title":"y"},"text":"x""#, FilterReason::Redirect),
            (r#""namespace":0,"text":" \n\u00a0""#, FilterReason::EmptyText),
            (r#""namespace":0"#, FilterReason::EmptyText),
            (r#""namespace":0,"redirect_target":null,"text":null"#, FilterReason::EmptyText),
        ] {
            let line = format!(r#"{{"title":"T",{fields}}}"#);
            assert_eq!(read(line.as_bytes(), Some(7)).unwrap(), Err(expected), "{fields}");
        }
    }

    #[test]
    fn bad_documents_say_why() {
        assert_eq!(reason(r#"{"title":"T","namespace":0,"text":["x"]}"#), BadReason::TextNotAString);
        assert_eq!(reason(r#"{"title":" ","namespace":0,"text":"x"}"#), BadReason::MissingTitle);
        assert_eq!(reason(r#"{"title":"T","text":"x"}"#), BadReason::MissingNamespace);
        assert_eq!(
            reason(r#"{"title":"T","namespace":0,"page_id":1.5,"text":"x"}"#),
            BadReason::MissingPageId
        );
        assert_eq!(reason(r#"{"title":"T","namespace":0,"text":"\u12"}"#), BadReason::InvalidJson);
        let bad = read(br#"{"page_id":4,"title":"T"#, Some(7)).unwrap_err();
        assert_eq!((bad.reason, bad.page_id), (BadReason::InvalidJson, Some(4)));
        let bad = read(b"{\"title\":\"T\",\"namespace\":0,\"text\":\"\xff\"}", Some(7)).unwrap_err();
        assert_eq!(bad.reason, BadReason::InvalidUtf8);
        read(b"{\"title\":\"T\",\"namespace\":0,\"text\":\"x\",\"other\":\"\xff\"}", Some(7))
            .unwrap()
            .unwrap();
    }

    #[test]
    fn timestamps_are_checked() {
        for good in ["2026-01-01T00:00:00Z", "2026-12-31T23:59:60.25Z", "2026-01-01T00:00:00+01:00"] {
            assert!(is_rfc3339(good), "{good}");
        }
        for bad in [
            "",
            "2026-01-01",
            "2026-13-01T00:00:00Z",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00:00.Z",
            "ééééééééééé",
        ] {
            assert!(!is_rfc3339(bad), "{bad}");
        }
    }
}
