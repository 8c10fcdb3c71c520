//! `kill -9` of each kind of worker, and of the command that watches, at random moments.

use std::time::Duration;

use crate::processes::Worker;
use crate::scene::{Dump, Random, Running, Scene};

/// One process for each queue, as on a cluster.
struct Fleet<'a> {
    scene: &'a Scene,
    workers: Vec<(&'static str, Worker)>,
}

impl<'a> Fleet<'a> {
    fn new(scene: &'a Scene) -> Self {
        let start = |&queue: &&'static str| (queue, Worker::serving(&scene.server.address(), &[queue]));
        Self { scene, workers: scene.dump.queues().iter().map(start).collect() }
    }

    fn kill(&mut self, which: usize) {
        let address = self.scene.server.address();
        let (queue, worker) = &mut self.workers[which];
        let successor = Worker::serving(&address, &[queue]);
        // Dropping is a `kill -9`.
        drop(std::mem::replace(worker, successor));
    }
}

/// Kills something `kills` times, over as many runs as that takes.
fn kill_at_random(dump: Dump, kills: u32) {
    let scene = Scene::new(dump);
    let (mut fleet, mut random) = (Fleet::new(&scene), Random::new());
    let (mut killed, mut runs) = (0, 0);
    while killed < kills {
        runs += 1;
        let output = scene.path(&format!("stormy-{runs}"));
        let mut running: Running = scene.start(&output);
        while killed < kills && !running.has_ended() {
            std::thread::sleep(Duration::from_millis(100 + random.below(1_500)));
            // Each kind in turn, the watching command last.
            match killed as usize % (fleet.workers.len() + 1) {
                which if which < fleet.workers.len() => fleet.kill(which),
                _ => {
                    running.kill();
                    running = scene.start(&output);
                }
            }
            killed += 1;
        }
        scene.assert_undisturbed(&running.end(), &output);
    }
    eprintln!("{killed} kills in {runs} runs");
}

#[test]
fn the_death_of_any_kind_of_process_changes_no_byte() {
    kill_at_random(Dump::Tokens, 4);
}

#[test]
#[ignore = "takes minutes: `make chaos`"]
fn a_hundred_deaths_change_no_byte() {
    kill_at_random(Dump::Tokens, 60);
    kill_at_random(Dump::Vectors, 40);
}
