//! A proxy before a server of TCP that can make it unreachable, or break connections in the middle.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[derive(Default)]
struct State {
    /// Connections are closed as soon as they come.
    away: AtomicBool,
    /// So many connections more get nothing but a 503.
    unavailable: AtomicU32,
    /// So many connections more get nothing at all.
    silent: AtomicU32,
    /// So many connections more are broken...
    torn: AtomicU32,
    /// ...after so many bytes to the server.
    torn_after: AtomicU64,
    faults: AtomicU32,
    stop: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
}

/// A proxy on a free port of this machine, until it is dropped.
pub struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
}

impl Proxy {
    /// Before a server on a port of this machine.
    pub fn before(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        let shared = state.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if shared.stop.load(Ordering::SeqCst) {
                    break;
                }
                let state = shared.clone();
                // A connection that breaks is what this is for.
                std::thread::spawn(move || drop(connect(client, port, &state)));
            }
        });
        Self { address, state }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Breaks every connection, and lets none through from now on.
    pub fn go_away(&self) {
        self.state.away.store(true, Ordering::SeqCst);
        self.sever();
    }

    /// Lets connections through again.
    pub fn come_back(&self) {
        self.state.away.store(false, Ordering::SeqCst);
    }

    /// Answers the next connections with `503 Service Unavailable`.
    pub fn be_unavailable(&self, connections: u32) {
        self.state.unavailable.store(connections, Ordering::SeqCst);
        self.sever();
    }

    /// Listens to the next connections, and answers nothing.
    pub fn be_silent(&self, connections: u32) {
        self.state.silent.store(connections, Ordering::SeqCst);
        self.sever();
    }

    /// Breaks the next connections over which so many bytes have been sent, in the middle of what is being sent.
    pub fn tear(&self, connections: u32, after: u64) {
        self.state.torn_after.store(after, Ordering::SeqCst);
        self.state.torn.store(connections, Ordering::SeqCst);
        self.sever();
    }

    /// How many connections were answered with 503, left without an answer, or broken in the middle.
    pub fn faults(&self) -> u32 {
        self.state.faults.load(Ordering::SeqCst)
    }

    fn sever(&self) {
        for stream in self.state.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::SeqCst);
        self.sever();
        // Wakes the thread that accepts.
        drop(TcpStream::connect(self.address));
    }
}

fn connect(client: TcpStream, port: u16, state: &Arc<State>) -> io::Result<()> {
    if state.away.load(Ordering::SeqCst) {
        return client.shutdown(Shutdown::Both);
    }
    if take(&state.unavailable) {
        state.faults.fetch_add(1, Ordering::SeqCst);
        return refuse(client);
    }
    if take(&state.silent) {
        state.faults.fetch_add(1, Ordering::SeqCst);
        state.open.lock().unwrap().push(client.try_clone()?);
        return io::copy(&mut &client, &mut io::sink()).map(drop);
    }
    let server = TcpStream::connect(("127.0.0.1", port))?;
    state.open.lock().unwrap().extend([client.try_clone()?, server.try_clone()?]);
    let (mut answers, mut back) = (server.try_clone()?, client.try_clone()?);
    std::thread::spawn(move || {
        let _ = io::copy(&mut answers, &mut back);
        let _ = back.shutdown(Shutdown::Write);
    });
    pass_on(client, server, state)
}

/// Takes one of a number, if any are left.
fn take(number: &AtomicU32) -> bool {
    number.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

/// Reads what is asked, as far as it comes, and says no.
fn refuse(mut client: TcpStream) -> io::Result<()> {
    client.set_read_timeout(Some(Duration::from_millis(100)))?;
    let mut asked = vec![0; 64 << 10];
    while client.read(&mut asked).is_ok_and(|bytes| bytes == asked.len()) {}
    client
        .write_all(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
    client.shutdown(Shutdown::Both)
}

fn pass_on(mut client: TcpStream, mut server: TcpStream, state: &State) -> io::Result<()> {
    let (mut buffer, mut sent) = (vec![0; 16 << 10], 0);
    loop {
        let bytes = client.read(&mut buffer)?;
        if bytes == 0 {
            return server.shutdown(Shutdown::Write);
        }
        sent += bytes as u64;
        if sent > state.torn_after.load(Ordering::SeqCst) && take(&state.torn) {
            state.faults.fetch_add(1, Ordering::SeqCst);
            server.write_all(&buffer[..bytes / 2])?;
            server.shutdown(Shutdown::Both)?;
            return client.shutdown(Shutdown::Both);
        }
        server.write_all(&buffer[..bytes])?;
    }
}
