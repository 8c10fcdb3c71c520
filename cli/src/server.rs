//! Temporal's development server, as a child of this process, for `dev` and `start --local`.

use std::fs::{File, TryLockError};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};
use temporalio_common::protos::temporal::api::enums::v1::TaskQueueType;
use tokio::process::{Child, Command};
use wikitok_activities::queues;
use wikitok_worker::{Connector, Queue, environment, home};
use wikitok_workflows::names;

use crate::error::Hinted;

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
        let lock = lock(database)?;
        let mut attempt = 1;
        loop {
            let mut child = command(database, ports)?.spawn().context("cannot run `temporal`")?;
            match wait_until_ready(&mut child, ports).await {
                Ok(()) => return Ok(Self { child, ports, _lock: lock }),
                // It takes ports for its own use, too, and at times one that was just taken.
                Err(_) if attempt < START_ATTEMPTS => attempt += 1,
                Err(error) => return Err(error),
            }
        }
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

async fn wait_until_ready(child: &mut Child, ports: Ports) -> anyhow::Result<()> {
    let address = address(ports);
    let deadline = Instant::now() + STARTS_WITHIN;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait()? {
            anyhow::bail!("the Temporal server did not start: {status}");
        }
        // A program that ends at once may have listened before, so one open port says little.
        if TcpStream::connect((Ipv4Addr::LOCALHOST, ports.server)).is_ok() && serves(&address).await {
            return Ok(());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    anyhow::bail!("the Temporal server did not answer within {} s", STARTS_WITHIN.as_secs())
}

/// Whether the services behind the address answer, too.
async fn serves(address: &str) -> bool {
    let Ok(connector) = Connector::local(address) else { return false };
    let Ok(client) = connector.connect().await else { return false };
    queues::workers(&client, Queue::Workflow.task_queue(), TaskQueueType::Workflow).await.is_ok()
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
