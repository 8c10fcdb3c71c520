//! An action line says what to do with the page whose document follows: one of Elasticsearch's bulk commands.

use super::json::{Malformed, Members, Value};

/// Longer lines are documents. Real actions have 20 to 50 bytes.
const MAX_ACTION_BYTES: usize = 4096;
/// With more members than this the value is no command's.
const MAX_MEMBERS: usize = 16;

/// What an action does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ActionKind {
    /// Puts a page in: `index` or `create`.
    Index,
    /// Changes some of a page's fields.
    Update,
    /// Takes a page out. No document follows.
    Delete,
}

/// An action line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Action {
    pub(crate) kind: ActionKind,
    /// The page, when it is named by a number.
    pub(crate) page_id: Option<u64>,
}

impl Action {
    /// Reads the line as an action; `None` when it is none. Depends on the line alone, so that every range
    /// that sees the line agrees.
    pub(crate) fn parse(line: &[u8]) -> Option<Self> {
        if line.len() > MAX_ACTION_BYTES {
            return None;
        }
        let mut members = Members::new(line);
        let (key, value) = members.next().ok()??;
        let kind = match &*key {
            b"index" | b"create" => ActionKind::Index,
            b"update" => ActionKind::Update,
            b"delete" => ActionKind::Delete,
            _ => return None,
        };
        let Value::Object(object) = value else { return None };
        let page_id = page_id(object).ok()?;
        members.next().ok()?.is_none().then_some(Self { kind, page_id })
    }
}

/// The `_id` of a command, when it is a number; an error when the object is no command's.
fn page_id(object: &[u8]) -> Result<Option<u64>, Malformed> {
    let mut members = Members::new(object);
    let mut page_id = None;
    for _ in 0..=MAX_MEMBERS {
        match members.next()? {
            None => return Ok(page_id),
            Some((key, value)) if &*key == b"_id" => page_id = value.as_u64(),
            Some(_) => {}
        }
    }
    Err(Malformed { at: 0, problem: "has too many members" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_era_of_action_is_read() {
        for (line, kind, page_id) in [
            (r#"{"index":{"_type":"page","_id":"12"}}"#, ActionKind::Index, Some(12)),
            (r#"{"index":{"_type":null,"_id":"12"}}"#, ActionKind::Index, Some(12)),
            (r#" { "index" : { "_id" : 12 } } "#, ActionKind::Index, Some(12)),
            (r#"{"create":{"_id":"x12"}}"#, ActionKind::Index, None),
            (r#"{"index":{}}"#, ActionKind::Index, None),
            (r#"{"delete":{"_id":9}}"#, ActionKind::Delete, Some(9)),
            (r#"{"update":{"_id":2}}"#, ActionKind::Update, Some(2)),
        ] {
            assert_eq!(Action::parse(line.as_bytes()), Some(Action { kind, page_id }), "{line}");
        }
    }

    #[test]
    fn documents_are_no_actions() {
        let long = format!(r#"{{"index":{{"_id":1,"x":"{}"}}}}"#, "x".repeat(5000));
        for line in [
            r#"{"page_id":1}"#,
            r#"{"index":1}"#,
            r#"{"index":{"_id":1},"text":"x"}"#,
            r#"{"index":{"_id":1}"#,
            r#"{"doc":{"page_id":2}}"#,
            "<html>",
            &long,
        ] {
            assert_eq!(Action::parse(line.as_bytes()), None, "{line}");
        }
    }
}
