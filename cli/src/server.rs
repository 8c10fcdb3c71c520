//! Temporal's development server, as a child of this process, for `dev` and `start --local`.

use std::fs::{File, TryLockError};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};
use temporalio_client::Client;
use temporalio_common::protos::temporal::api::enums::v1::TaskQueueType;
use tokio::process::{Child, Command};
use wikitok_activities::queues;
use wikitok_worker::{ConnectError, Connector, Queue, environment, home};
use wikitok_workflows::names;

use crate::error::Hinted;
use crate::output;

const STARTS_WITHIN: Duration = Duration::from_secs(30);
const START_ATTEMPTS: u32 = 3;
const STOPS_WITHIN: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Ports of the server and its Web UI.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ports {
    pub(crate) server: u16,
    pub(crate) ui: u16,
}

/// A running server. Ended by [`Self::stop`], and also when this process dies.
pub(crate) struct Server {
    child: Child,
    ports: Ports,
    /// Held for as long as the server runs: two servers on one database would take it from each other.
    _lock: File,
}

/// Two ports that nothing listens on now.
pub(crate) fn free_ports() -> anyhow::Result<Ports> {
    let (one, two) = (listen(0)?, listen(0)?);
    Ok(Ports { server: one.local_addr()?.port(), ui: two.local_addr()?.port() })
}

fn listen(port: u16) -> std::io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
}

impl Server {
    /// Starts a server with its state in `database`, and waits until it answers.
    pub(crate) async fn start(database: &Path, ports: Ports) -> anyhow::Result<Self> {
        for port in [ports.server, ports.ui] {
            listen(port).map_err(|error| in_use(port, &error))?;
        }
        let connector = Connector::local(&address(ports))?;
        let lock = lock(database)?;
        for _ in 0..START_ATTEMPTS {
            let mut child = command(database, ports)?.spawn().context("cannot run `temporal`")?;
            let waiting = tokio::time::timeout(STARTS_WITHIN, wait_until_ready(&mut child, &connector));
            match waiting.await {
                Ok(Ok(())) => return Ok(Self { child, ports, _lock: lock }),
                // It takes ports for its own use, too, and at times one that was just taken; then it ends.
                Ok(Err(NotReady::Ended(status))) => {
                    output::remark(&format!("the Temporal server ended ({status}); starting it again"));
                }
                Ok(Err(NotReady::Failed(error))) => return Err(error),
                Err(_) => {
                    anyhow::bail!("the Temporal server did not answer within {} s", STARTS_WITHIN.as_secs())
                }
            }
        }
        anyhow::bail!("the Temporal server ended {START_ATTEMPTS} times as soon as it was started")
    }

    /// URL of the server.
    pub(crate) fn address(&self) -> String {
        address(self.ports)
    }

    /// URL of its Web UI.
    pub(crate) fn ui(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.ui)
    }

    /// Ends the server and waits for it.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        if let Some(pid) = self.child.id().and_then(|id| Pid::from_raw(id as i32)) {
            kill_process(pid, Signal::TERM).context("cannot stop the Temporal server")?;
        }
        if tokio::time::timeout(STOPS_WITHIN, self.child.wait()).await.is_err() {
            self.child.kill().await.context("cannot end the Temporal server")?;
        }
        Ok(())
    }

    /// Returns once the server has ended by itself, which it should not.
    pub(crate) async fn ended(&mut self) -> anyhow::Error {
        match self.child.wait().await {
            Ok(status) => anyhow::anyhow!("the Temporal server ended by itself: {status}"),
            Err(error) => anyhow::Error::from(error).context("lost the Temporal server"),
        }
    }
}

/// Why a server does not answer.
enum NotReady {
    Ended(ExitStatus),
    Failed(anyhow::Error),
}

/// Waits until all services of the server answer: the first opens its port before the last has found its own.
async fn wait_until_ready(child: &mut Child, connector: &Connector) -> Result<(), NotReady> {
    loop {
        if let Some(status) = child.try_wait().map_err(|error| NotReady::Failed(error.into()))? {
            return Err(NotReady::Ended(status));
        }
        match connector.connect().await {
            Ok(client) if serves(&client).await => return Ok(()),
            Ok(_) | Err(ConnectError::Unreachable { .. }) => {}
            Err(error) => return Err(NotReady::Failed(error.into())),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn serves(client: &Client) -> bool {
    queues::workers(client, Queue::Workflow.task_queue(), TaskQueueType::Workflow).await.is_ok()
}

fn address(ports: Ports) -> String {
    format!("http://127.0.0.1:{}", ports.server)
}

fn lock(database: &Path) -> anyhow::Result<File> {
    let path = database.with_extension("lock");
    let file = File::create(&path).with_context(|| format!("cannot write `{}`", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let message = format!("another server uses the database `{}`", database.display());
            Err(Hinted::new(message, "use that server, stop it, or choose another --db").into())
        }
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock `{}`", path.display()))
        }
    }
}

fn command(database: &Path, ports: Ports) -> anyhow::Result<Command> {
    let program = home::temporal().ok_or_else(|| {
        let hint = format!("run `tools/fetch`, or set {} to Temporal's CLI", environment::TEMPORAL);
        Hinted::new("the `temporal` program is not there", hint)
    })?;
    let mut command = Command::new(program);
    command
        .args(["server", "start-dev", "--ip", "127.0.0.1", "--log-level", "never"])
        .args(["--port", &ports.server.to_string(), "--ui-port", &ports.ui.to_string()])
        .arg("--db-filename")
        .arg(database)
        // Three times the throughput of the default, and safe against the death of any process.
        .args(["--sqlite-pragma", "journal_mode=WAL", "--sqlite-pragma", "synchronous=NORMAL"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        // Ctrl-C is for us: the workers finish before the server goes.
        .process_group(0);
    for name in names::SEARCH_ATTRIBUTES {
        command.args(["--search-attribute", &format!("{name}=Keyword")]);
    }
    die_with_us(&mut command);
    Ok(command)
}

/// Has the kernel end the server when this process is killed, so that it is not left behind.
#[allow(unsafe_code)]
fn die_with_us(command: &mut Command) {
    // SAFETY: between fork and exec only one system call is made; it allocates nothing and takes no lock.
    unsafe {
        command.pre_exec(|| Ok(rustix::process::set_parent_process_death_signal(Some(Signal::TERM))?));
    }
}

fn in_use(port: u16, error: &std::io::Error) -> anyhow::Error {
    let hint = "another server may be running: use it, stop it, or choose --port and --ui-port";
    Hinted::new(format!("cannot listen on 127.0.0.1:{port}: {error}"), hint).into()
}
