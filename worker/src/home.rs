//! The home is the directory that holds what wikitok needs beside its own binaries: Temporal's development
//! server, the ONNX Runtime library and the model. `tools/fetch` fills one in a checkout.

use std::env;
use std::path::{Path, PathBuf};

use crate::environment;

/// Name of a home inside a checkout.
pub const DIRECTORY: &str = ".wikitok";

/// The name of the model that is used unless another is asked for.
pub const DEFAULT_MODEL: &str = "all-MiniLM-L6-v2";

/// Where the home is: `WIKITOK_HOME`, or the nearest `.wikitok` at or above the current directory or the
/// running binary, or else the user's data directory, there or not.
pub fn directory() -> PathBuf {
    let named = env::var_os(environment::HOME).map(PathBuf::from);
    named
        .or_else(|| env::current_dir().ok().and_then(|directory| above(&directory)))
        .or_else(|| env::current_exe().ok().and_then(|program| above(&program)))
        .unwrap_or_else(user_directory)
}

fn above(start: &Path) -> Option<PathBuf> {
    start.ancestors().map(|directory| directory.join(DIRECTORY)).find(|home| home.is_dir())
}

fn user_directory() -> PathBuf {
    let data = env::var_os("XDG_DATA_HOME").map(PathBuf::from);
    let home = || env::var_os("HOME").map_or_else(PathBuf::new, PathBuf::from);
    data.unwrap_or_else(|| home().join(".local/share")).join("wikitok")
}

/// Directory of the model: `WIKITOK_MODEL`, or in the home.
pub fn model() -> PathBuf {
    from_environment(environment::MODEL).unwrap_or_else(|| directory().join("models").join(DEFAULT_MODEL))
}

/// The ONNX Runtime library: `WIKITOK_ONNXRUNTIME`, or in the home.
pub fn onnxruntime() -> PathBuf {
    from_environment(environment::ONNXRUNTIME)
        .unwrap_or_else(|| directory().join("lib").join("libonnxruntime.so"))
}

/// The `temporal` program: `WIKITOK_TEMPORAL`, or in the home, or on the `PATH`; none if it is in none of these.
pub fn temporal() -> Option<PathBuf> {
    let on_path = || {
        let path = env::var_os("PATH")?;
        env::split_paths(&path).map(|directory| directory.join("temporal")).find(|file| file.is_file())
    };
    let in_home = || Some(directory().join("bin").join("temporal")).filter(|file| file.is_file());
    from_environment(environment::TEMPORAL).or_else(in_home).or_else(on_path)
}

fn from_environment(name: &str) -> Option<PathBuf> {
    env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}
