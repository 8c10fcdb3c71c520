//! The license under which Wikipedia's text may be passed on, and how to name its authors.

use serde::{Deserialize, Serialize};

/// Whose the text is, and what its license asks of those who pass it on.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct License {
    /// The licenses of the text.
    pub text: String,
    /// The authors.
    pub attribution: String,
    /// How to link an article, which the license accepts as naming its authors.
    pub article_link: String,
}

/// Before this day edits were given under version 3.0 of the license.
/// <https://foundation.wikimedia.org/wiki/Policy:Terms_of_Use>
const VERSION_4_SINCE: &str = "20230607";

impl License {
    /// The license of a snapshot's text, such as that of `enwiki-20260920`.
    pub fn of(snapshot: &str) -> Self {
        let (wiki, date) = snapshot.rsplit_once('-').unwrap_or((snapshot, ""));
        let version = if date < VERSION_4_SINCE { "3.0" } else { "4.0" };
        Self {
            text: format!("CC BY-SA {version} and GFDL"),
            attribution: "Wikipedia contributors".to_owned(),
            article_link: article_link(wiki),
        }
    }
}

fn article_link(wiki: &str) -> String {
    let language = wiki.strip_suffix("wiki").filter(|language| !language.is_empty());
    let host = language.map_or_else(|| "<wiki>".to_owned(), |language| language.replace('_', "-"));
    format!("https://{host}.wikipedia.org/?curid={{page_id}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_leads_to_the_wiki_of_the_snapshot() {
        let link = |snapshot| License::of(snapshot).article_link;
        assert_eq!(link("enwiki-20260920"), "https://en.wikipedia.org/?curid={page_id}");
        assert_eq!(link("zh_min_nanwiki-20260920"), "https://zh-min-nan.wikipedia.org/?curid={page_id}");
    }

    #[test]
    fn the_version_follows_the_date() {
        assert_eq!(License::of("enwiki-20170529").text, "CC BY-SA 3.0 and GFDL");
        assert_eq!(License::of("enwiki-20260920").text, "CC BY-SA 4.0 and GFDL");
    }
}
