//! The command that began a run, as it can be typed again from anywhere: with the snapshot that was found, and with
//! every path in full.

use std::path::Path;

use wikitok_worker::environment;
use wikitok_workflows::contract::Run;

/// The words of this process's command line, made to mean the same run from any directory and in any environment.
///
/// `model` is the directory of the model or its name on the hub, where one was given, by a flag or a variable.
pub(crate) fn of_this_process(run: &Run, model: Option<&Path>) -> Vec<String> {
    let mut words = complete(std::env::args().skip(1), run, model);
    let named = |word: &String| word == "--precision" || word.starts_with("--precision=");
    let precision = std::env::var(environment::PRECISION).ok().filter(|precision| !precision.is_empty());
    if let Some(precision) = precision.filter(|_| !words.iter().any(named)) {
        words.extend(["--precision".to_owned(), precision]);
    }
    words
}

fn complete(arguments: impl Iterator<Item = String>, run: &Run, model: Option<&Path>) -> Vec<String> {
    let mut known = vec![
        ("--dump", Some(run.snapshot.clone())),
        ("--source", Some(run.source.clone())),
        ("--output", Some(run.output.clone())),
        ("--mirror", run.mirror.clone()),
        ("--contact", run.contact.clone()),
        ("--model", model.map(in_full)),
    ];
    let mut words = vec!["wikitok-cli".to_owned()];
    let mut skip = false;
    for argument in arguments {
        if std::mem::take(&mut skip) {
            continue;
        }
        let (flag, joined) =
            argument.split_once('=').map_or((argument.as_str(), false), |(flag, _)| (flag, true));
        let place = known.iter().position(|(name, value)| *name == flag && value.is_some());
        match place.map(|place| known.remove(place)) {
            Some((name, Some(value))) => {
                words.extend([name.to_owned(), value]);
                skip = !joined;
            }
            _ => words.push(argument),
        }
    }
    for (name, value) in known {
        words.extend(value.into_iter().flat_map(|value| [name.to_owned(), value]));
    }
    words
}

fn in_full(model: &Path) -> String {
    if !model.is_dir() {
        return model.display().to_string();
    }
    std::path::absolute(model).unwrap_or_else(|_| model.to_owned()).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> Run {
        serde_json::from_value(serde_json::json!({
            "snapshot": "enwiki-20260920", "layout": "current", "source": "/dumps", "output": "/out",
            "contact": "me@example.org", "tokens_fingerprint": "f",
            "configuration": {"encoding": "cl100k_base", "range_bytes": 1},
        }))
        .unwrap()
    }

    #[test]
    fn what_depends_on_time_place_or_environment_is_spelt_out() {
        let typed = ["start", "--dump=enwiki-latest", "--output", "../out", "--no-embed", "--shards", "0-3"];
        let words = complete(typed.iter().map(ToString::to_string), &run(), Some(Path::new("/models/e5")));
        let expected = "wikitok-cli start --dump enwiki-20260920 --output /out --no-embed --shards 0-3 \
                        --source /dumps --contact me@example.org --model /models/e5";
        assert_eq!(words.join(" "), expected);
    }
}
