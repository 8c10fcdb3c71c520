//! A worker's clock jumps.

use std::process::Command;

use crate::scene::{Dump, Scene, count, events};

/// Stands before the C library's clock: the time of day jumps to and fro by hours, every second.
const JUMPING: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>
static int (*real)(clockid_t, struct timespec *);
int clock_gettime(clockid_t id, struct timespec *now) {
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int told = real(id, now);
    if (id == CLOCK_REALTIME) now->tv_sec += (now->tv_sec % 3 - 1) * 6 * 3600;
    return told;
}
"#;

/// Nothing of the work goes by the time of day.
#[test]
fn a_clock_that_jumps_changes_no_byte() {
    let scene = Scene::new(Dump::Tokens);
    let (source, library) = (scene.path("clock.c"), scene.path("clock.so"));
    std::fs::write(&source, JUMPING).unwrap();
    let built =
        Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&library, &source]).arg("-ldl").status();
    assert!(built.unwrap().success());
    let output = scene.path("jumping");
    let worker = scene.worker(&[("LD_PRELOAD", library.to_str().unwrap())]);
    scene.assert_undisturbed(&scene.start_patiently(&output).end(), &output);
    assert_eq!(count(&events(&output), "part_retried"), 0);
    drop(worker);
}
