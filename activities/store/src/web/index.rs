//! The listing of a directory that a web server makes of it, as HTML (nginx's autoindex and its like).
//!
//! Nothing is standard about these but that each name is a link, relative to the directory, and that links of
//! directories end in a slash. nginx adds the exact size at the end of the line.

use percent_encoding::percent_decode_str;

/// A directory, as a listing shows it.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Index {
    pub(super) directories: Vec<String>,
    /// Files, with their size where the listing has it to the byte.
    pub(super) files: Vec<(String, Option<u64>)>,
}

/// Reads a listing. Links that lead elsewhere are no part of the directory.
pub(super) fn parse(html: &str) -> Index {
    let mut index = Index::default();
    for link in html.split("<a ").skip(1) {
        let Some((href, after)) = link.split_once("href=\"").and_then(|(_, rest)| rest.split_once('"'))
        else {
            continue;
        };
        let Some((name, is_directory)) = child(href) else { continue };
        if is_directory {
            index.directories.push(name);
        } else {
            index.files.push((name, size(after)));
        }
    }
    index
}

/// The name that a link stands for, if it is one of the directory itself.
fn child(href: &str) -> Option<(String, bool)> {
    let (path, is_directory) = match href.strip_suffix('/') {
        Some(path) => (path, true),
        None => (href, false),
    };
    let path = path.strip_prefix("./").unwrap_or(path).replace("&amp;", "&");
    let elsewhere = path.is_empty() || path == ".." || path.contains(['/', '?', '#', ':']);
    let name = percent_decode_str(&path).decode_utf8().ok()?.into_owned();
    let plain = name != ".." && name != "." && !name.contains('/');
    (!elsewhere && plain).then_some((name, is_directory))
}

/// The last word of the line after a link, where it is a number of bytes.
fn size(after: &str) -> Option<u64> {
    let line = after.split_once("</a>")?.1.lines().next()?;
    line.split_whitespace().next_back()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Taken from nginx 1.26 over a copy of upstream's tree.
    const NGINX: &str = "<html>\r\n<head><title>Index of /other/</title></head>\r\n<body>\r\n\
        <h1>Index of /other/</h1><hr><pre><a href=\"../\">../</a>\r\n\
        <a href=\"index_name%3Denwiki_content/\">index_name=enwiki_content/</a>      21-Sep-2026 09:12       -\r\n\
        <a href=\"_SUCCESS\">_SUCCESS</a>                              21-Sep-2026 09:12                   0\r\n\
        <a href=\"enwiki_content-20260920-00000.json.bz2\">enwiki_content-20260920-00000.json.b..&gt;</a> \
        21-Sep-2026 09:12           620048210\r\n</pre><hr></body>\r\n</html>\r\n";

    #[test]
    fn names_are_decoded_and_sizes_exact() {
        let index = parse(NGINX);
        assert_eq!(index.directories, ["index_name=enwiki_content"]);
        let shard = "enwiki_content-20260920-00000.json.bz2".to_owned();
        assert_eq!(index.files, [("_SUCCESS".to_owned(), Some(0)), (shard, Some(620_048_210))]);
    }

    #[test]
    fn other_servers_and_other_links_are_understood() {
        let index = parse(
            "<a href=\"?C=N;O=D\">Name</a> <a href=\"/other/\">Parent</a> <a href=\"https://x/y\">x</a>\n\
             <a class=\"file\" href=\"a&amp;b%20c.gz\">a</a> 12K\n<a href=\"./d/\">d</a>\n<a href=\"%2e%2e/\">up</a>\n\
             <a href=\"x%2Fy\">x</a>",
        );
        assert_eq!(index.directories, ["d"]);
        assert_eq!(index.files, [("a&b c.gz".to_owned(), None)]);
    }

    #[test]
    fn what_is_no_listing_has_nothing_in_it() {
        for html in ["", "<a href=", "<a href=\"", "hello"] {
            assert_eq!(parse(html), Index::default());
        }
    }
}
