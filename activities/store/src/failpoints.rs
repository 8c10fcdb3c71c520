//! A failpoint is a place at which a test makes things go wrong: in a build with the feature `failpoints`, which only
//! the tests of this repository ask for, and there only where `WIKITOK_FAILPOINTS` says so. In any other build it is
//! nothing.
//!
//! Every commit is a write of an object, so the points around a write are all the commit points there are. The
//! variable holds rules, apart by `;`, each `ACTION POINT PATTERN [FROM [TO]]`, apart by spaces: from the first given
//! passing of the point to the last, counted from 1, with a key that contains the pattern (`*` for any), the process
//! acts.
//!
//! - `die`: it ends at once, as by `kill -9`
//! - `full`: the write fails, as on a full disk
//! - `wait`: the write takes five seconds longer
//! - `stale`: the listing leaves out what contains the pattern, as one that is out of date

#[cfg(feature = "failpoints")]
pub(crate) use armed::{hides, reach};
#[cfg(not(feature = "failpoints"))]
pub(crate) use unarmed::{hides, reach};

/// A place that a write passes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(not(feature = "failpoints"), allow(dead_code, reason = "only read where failpoints act"))]
pub(crate) enum Point {
    /// Nothing of the object is written yet.
    Before,
    /// Its bytes are on the disk, under another name.
    Staged,
    /// It is there.
    After,
}

#[cfg(not(feature = "failpoints"))]
mod unarmed {
    use super::Point;

    #[inline]
    #[allow(clippy::unnecessary_wraps, reason = "an armed one can fail")]
    pub(crate) fn reach(_: Point, _: &str) -> std::io::Result<()> {
        Ok(())
    }

    #[inline]
    pub(crate) fn hides(_: &str) -> bool {
        false
    }
}

#[cfg(feature = "failpoints")]
mod armed {
    use std::io;
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::Point;

    const VARIABLE: &str = "WIKITOK_FAILPOINTS";
    /// What a full disk says.
    const ENOSPC: i32 = 28;
    const WAIT: std::time::Duration = std::time::Duration::from_secs(5);

    #[derive(Clone, Copy, Debug, Eq, PartialEq)]
    enum Action {
        Die,
        Full,
        Wait,
        Stale,
    }

    struct Rule {
        action: Action,
        /// None for listings.
        point: Option<Point>,
        pattern: String,
        passings: std::ops::RangeInclusive<u64>,
        passed: AtomicU64,
    }

    static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
        let rules = std::env::var(VARIABLE).unwrap_or_default();
        rules.split(';').filter(|rule| !rule.trim().is_empty()).map(Rule::parse).collect()
    });

    impl Rule {
        fn parse(text: &str) -> Self {
            let mut words = text.split_whitespace();
            let action = match words.next() {
                Some("die") => Action::Die,
                Some("full") => Action::Full,
                Some("wait") => Action::Wait,
                Some("stale") => Action::Stale,
                _ => panic!("{VARIABLE}: no action in `{text}`"),
            };
            let point = match words.next() {
                Some("before") => Some(Point::Before),
                Some("staged") => Some(Point::Staged),
                Some("after") => Some(Point::After),
                Some("list") => None,
                _ => panic!("{VARIABLE}: no point in `{text}`"),
            };
            let pattern = words.next().unwrap_or("*").replace('*', "");
            let number = |word: &str| word.parse().unwrap_or_else(|_| panic!("{VARIABLE}: `{text}`"));
            let from = words.next().map_or(1, number);
            let to = words.next().map_or(from, number);
            Self { action, point, pattern, passings: from..=to, passed: AtomicU64::new(0) }
        }

        fn acts(&self, point: Option<Point>, key: &str) -> bool {
            self.point == point
                && key.contains(&self.pattern)
                && self.passings.contains(&(self.passed.fetch_add(1, Ordering::SeqCst) + 1))
        }
    }

    /// Passes a point with a key, if that is survived.
    pub(crate) fn reach(point: Point, key: &str) -> io::Result<()> {
        for rule in RULES.iter().filter(|rule| rule.acts(Some(point), key)) {
            match rule.action {
                Action::Die => std::process::abort(),
                Action::Wait => std::thread::sleep(WAIT),
                _ => return Err(io::Error::from_raw_os_error(ENOSPC)),
            }
        }
        Ok(())
    }

    /// Whether a listing leaves an object out.
    pub(crate) fn hides(key: &str) -> bool {
        RULES.iter().any(|rule| rule.action == Action::Stale && rule.acts(None, key))
    }
}
