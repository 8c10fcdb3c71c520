//! The Temporal server is frozen, killed, and out of reach.

use std::time::Duration;

use wikitok_tests::Proxy;

use crate::harness::wait_until;
use crate::kill::committed;
use crate::processes::Worker;
use crate::scene::{Dump, Running, Scene, start};

/// Freezes the server, cuts the way to it, and kills it, each for so long.
fn away_for(time: Duration) {
    let scene = Scene::new(Dump::Tokens);
    let output = scene.path("stormy");
    let proxy = Proxy::before(scene.server.port());
    let worker = Worker::serving(&proxy.address(), scene.dump.queues());
    let running = Running::of(start(&proxy.address(), scene.dump, &output, &[]));
    let more = |by: usize| {
        let target = committed(&output) + by;
        wait_until("more is committed", || committed(&output) >= target);
    };

    more(2);
    scene.server.freeze();
    std::thread::sleep(time);
    scene.server.thaw();
    more(1);
    proxy.go_away();
    std::thread::sleep(time);
    proxy.come_back();
    more(1);
    assert!(!output.join("_SUCCESS").exists(), "the run ended before the server was killed");
    let scene = Scene { server: scene.server.kill_and_restart(), ..scene };
    scene.assert_undisturbed(&running.end(), &output);
    assert_eq!(worker.terminate(), 0);
}

#[test]
fn a_server_that_is_frozen_or_out_of_reach_changes_no_byte() {
    away_for(Duration::from_secs(4));
}

#[test]
#[ignore = "takes minutes: `make chaos`"]
fn a_server_that_is_away_for_a_minute_changes_no_byte() {
    away_for(Duration::from_mins(1));
}
