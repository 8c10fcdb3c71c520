//! A server of S3: `SeaweedFS`, with its data in a directory.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::{fetched, free_port, wait_until};

const KEY: &str = "wikitok";
const SECRET: &str = "not-so-secret";

/// Ports that the parts of the server listen on, each for HTTP and for gRPC.
struct Ports {
    master: [u16; 2],
    volume: [u16; 2],
    filer: [u16; 2],
    s3: [u16; 2],
}

impl Ports {
    fn free() -> Self {
        let pair = || [free_port(), free_port()];
        Self { master: pair(), volume: pair(), filer: pair(), s3: pair() }
    }

    fn arguments(&self) -> Vec<String> {
        let parts =
            [("master", self.master), ("volume", self.volume), ("filer", self.filer), ("s3", self.s3)];
        let flags = |(part, [http, grpc]): (&str, [u16; 2])| {
            [format!("-{part}.port={http}"), format!("-{part}.port.grpc={grpc}")]
        };
        parts.into_iter().flat_map(flags).collect()
    }
}

/// A server on free ports of this machine, with a bucket `bucket`, until it is dropped.
pub struct S3Server {
    child: Child,
    port: u16,
}

impl S3Server {
    /// Starts it with its data in `directory`.
    pub fn start(directory: &Path) -> Self {
        std::fs::create_dir_all(directory).unwrap();
        // Until it listens, a port that was free may be taken by someone else; then it ends at once.
        (0..5)
            .find_map(|_| Self::try_start(directory))
            .expect("the S3 server ended five times before it answered")
    }

    fn try_start(directory: &Path) -> Option<Self> {
        let ports = Ports::free();
        let child = Command::new(weed())
            .arg(format!("-logdir={}", directory.display()))
            .args(["server", "-filer", "-s3", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"])
            .args(["-s3.autoCreateBucket=false", "-s3.port.iceberg=0", "-s3.port.lance=0"])
            .args(["-volume.max=16", "-master.volumeSizeLimitMB=64", "-master.telemetry=false"])
            .args(ports.arguments())
            .arg(format!("-dir={}", directory.display()))
            .env("AWS_ACCESS_KEY_ID", KEY)
            .env("AWS_SECRET_ACCESS_KEY", SECRET)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut server = Self { child, port: ports.s3[0] };
        wait_until("the S3 server answers or ends", || server.has_ended() || answers(server.port));
        wait_until("the S3 server has a bucket or ends", || server.has_ended() || make_bucket(ports.master));
        (!server.has_ended()).then_some(server)
    }

    fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The environment variables with which programs reach it.
    pub fn environment(&self) -> Vec<(String, String)> {
        self.environment_by(self.port)
    }

    /// The same by way of another port.
    pub fn environment_by(&self, port: u16) -> Vec<(String, String)> {
        [
            ("AWS_ACCESS_KEY_ID", KEY),
            ("AWS_SECRET_ACCESS_KEY", SECRET),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ENDPOINT_URL", &format!("http://127.0.0.1:{port}")),
            ("AWS_ALLOW_HTTP", "true"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn weed() -> PathBuf {
    let program = fetched().join("venv/bin/weed");
    assert!(program.is_file(), "`weed` is not fetched: run the tests with `tools/test`");
    program
}

/// Whether anything is said in HTTP: a port is open before there is.
fn answers(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let mut said = [0; 8];
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").is_ok()
        && stream.read_exact(&mut said).is_ok()
        && said.starts_with(b"HTTP/1.1")
}

fn make_bucket([http, grpc]: [u16; 2]) -> bool {
    let mut shell = Command::new(weed())
        .args(["shell", &format!("-master=127.0.0.1:{http}.{grpc}")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let script = b"s3.bucket.create -name bucket\ns3.bucket.list\nexit\n";
    let told = shell.stdin.take().unwrap().write_all(script);
    let output = shell.wait_with_output().unwrap();
    told.is_ok()
        && String::from_utf8_lossy(&output.stdout).lines().any(|line| line.trim_start().starts_with("bucket"))
}
