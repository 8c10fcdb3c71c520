//! What an output promises, tested on outputs in temporary directories.

mod common;
mod nearest;
mod output;
mod parts;
mod verify;
