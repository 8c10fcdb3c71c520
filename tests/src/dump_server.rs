//! A web server like the public dump server: listings as nginx makes them, Range, entity tags, a limit of
//! connections; and it fails in the ways that servers and networks do, when it is told to.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// A request, as the server saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// `GET` or `HEAD`.
    pub method: String,
    /// The path, as it was asked for.
    pub path: String,
    /// The value of `Range`.
    pub range: Option<String>,
    /// The value of `If-Range`.
    pub if_range: Option<String>,
    /// The value of `User-Agent`.
    pub user_agent: String,
}

/// What goes wrong with a request for a file.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The connection is cut after so many bytes of the body.
    Cut(u64),
    /// Another status in place of the answer, with a `Retry-After` where one is given.
    Status(u16, Option<String>),
}

#[derive(Default)]
struct State {
    seen: Mutex<Vec<Seen>>,
    faults: Mutex<VecDeque<Fault>>,
    serving: AtomicUsize,
    most_served: AtomicUsize,
    stop: AtomicBool,
    /// Bytes of a file are sent so slowly that several requests are sure to overlap.
    slow: AtomicBool,
    /// Nothing is sent of a file after so many bytes, until that is zero.
    hold_after: AtomicU64,
    holding: AtomicBool,
}

/// A server on a free port of this machine, until it is dropped.
pub struct DumpServer {
    address: SocketAddr,
    state: Arc<State>,
}

impl DumpServer {
    /// Serves a directory.
    pub fn start(root: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        let (shared, root) = (state.clone(), root.to_owned());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if shared.stop.load(Ordering::SeqCst) {
                    break;
                }
                let (state, root) = (shared.clone(), root.clone());
                // A client that goes away is no failure of the server.
                std::thread::spawn(move || drop(converse(&stream, &root, &state)));
            }
        });
        Self { address, state }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What the next requests for files meet, one fault each.
    pub fn fail_next(&self, faults: impl IntoIterator<Item = Fault>) {
        self.state.faults.lock().unwrap().extend(faults);
    }

    /// Sends files slowly from now on.
    pub fn be_slow(&self) {
        self.state.slow.store(true, Ordering::SeqCst);
    }

    /// Stops in the middle of every longer answer, after so many bytes.
    pub fn hold_after(&self, bytes: u64) {
        self.state.hold_after.store(bytes, Ordering::SeqCst);
    }

    /// Whether an answer has stopped in its middle.
    pub fn is_holding(&self) -> bool {
        self.state.holding.load(Ordering::SeqCst)
    }

    /// Goes on.
    pub fn let_go(&self) {
        self.state.hold_after.store(0, Ordering::SeqCst);
    }

    /// The requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap().clone()
    }

    /// The most files that were sent at the same time.
    pub fn most_served(&self) -> usize {
        self.state.most_served.load(Ordering::SeqCst)
    }
}

impl Drop for DumpServer {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        drop(TcpStream::connect(self.address));
    }
}

/// Answers requests until the other side has no more.
fn converse(stream: &TcpStream, root: &Path, state: &State) -> io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    while let Some(seen) = request(&mut reader)? {
        state.seen.lock().unwrap().push(seen.clone());
        if !answer(stream, root, state, &seen)? {
            return Ok(());
        }
    }
    Ok(())
}

fn request(reader: &mut impl BufRead) -> io::Result<Option<Seen>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split(' ');
    let mut word = || words.next().unwrap_or_default().to_owned();
    let (method, path) = (word(), word());
    let mut seen = Seen { method, path, range: None, if_range: None, user_agent: String::new() };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "range" => seen.range = Some(value.to_owned()),
            "if-range" => seen.if_range = Some(value.to_owned()),
            "user-agent" => value.clone_into(&mut seen.user_agent),
            _ => {}
        }
    }
    Ok(Some(seen))
}

/// Answers one request; `false` to close the connection after it.
fn answer(stream: &TcpStream, root: &Path, state: &State, seen: &Seen) -> io::Result<bool> {
    let path = root.join(decoded(&seen.path).trim_start_matches('/'));
    if seen.user_agent.is_empty() {
        return status(stream, 403, None);
    }
    if path.is_dir() && !seen.path.ends_with('/') {
        return send(stream, "301 Moved Permanently", &[format!("Location: {}/", seen.path)], b"", seen);
    }
    if path.is_dir() {
        let html = listing(&path)?;
        return send(stream, "200 OK", &["Content-Type: text/html".to_owned()], html.as_bytes(), seen);
    }
    if !path.is_file() {
        return status(stream, 404, None);
    }
    let fault = if seen.method == "GET" { state.faults.lock().unwrap().pop_front() } else { None };
    match fault {
        Some(Fault::Status(code, retry_after)) => status(stream, code, retry_after),
        Some(Fault::Cut(bytes)) => file(stream, &path, state, seen, Some(bytes)),
        None => file(stream, &path, state, seen, None),
    }
}

fn status(mut stream: &TcpStream, code: u16, retry_after: Option<String>) -> io::Result<bool> {
    let wait = retry_after.map_or_else(String::new, |wait| format!("Retry-After: {wait}\r\n"));
    write!(stream, "HTTP/1.1 {code} Told So\r\nContent-Length: 0\r\n{wait}\r\n")?;
    Ok(true)
}

fn send(
    mut stream: &TcpStream,
    status: &str,
    headers: &[String],
    body: &[u8],
    seen: &Seen,
) -> io::Result<bool> {
    let headers = headers.iter().fold(String::new(), |all, header| all + header + "\r\n");
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n", body.len())?;
    if seen.method == "GET" {
        stream.write_all(body)?;
    }
    Ok(true)
}

/// As nginx's autoindex writes it.
fn listing(directory: &Path) -> io::Result<String> {
    let mut entries: Vec<_> = fs::read_dir(directory)?.collect::<Result<_, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    let mut html = "<html><body><h1>Index of /</h1><hr><pre><a href=\"../\">../</a>\r\n".to_owned();
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        let (slash, size) = if entry.path().is_dir() {
            ("/", "-".to_owned())
        } else {
            ("", entry.metadata()?.len().to_string())
        };
        let href = name.replace('%', "%25").replace('=', "%3D").replace(' ', "%20");
        let link = format!("<a href=\"{href}{slash}\">{name}{slash}</a>");
        html = html + &link + "    21-Sep-2026 09:12    " + &size + "\r\n";
    }
    Ok(html + "</pre><hr></body></html>\r\n")
}

fn file(
    mut stream: &TcpStream,
    path: &PathBuf,
    state: &State,
    seen: &Seen,
    cut: Option<u64>,
) -> io::Result<bool> {
    let metadata = fs::metadata(path)?;
    let bytes = metadata.len();
    let tag = format!("\"{:x}-{:x}-{:x}\"", metadata.ino(), metadata.mtime_nsec(), bytes);
    let same = seen.if_range.as_ref().is_none_or(|asked| *asked == tag);
    let range = seen.range.as_ref().filter(|_| same).and_then(|range| range_of(range, bytes));
    let (from, to) = range.unwrap_or((0, bytes));
    if from >= bytes && range.is_some() {
        return status(stream, 416, None);
    }
    let status = if range.is_some() { "206 Partial Content" } else { "200 OK" };
    let content_range = if range.is_some() {
        format!("Content-Range: bytes {from}-{}/{bytes}\r\n", to - 1)
    } else {
        String::new()
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nAccept-Ranges: bytes\r\nETag: {tag}\r\n{content_range}\r\n",
        to - from
    )?;
    if seen.method == "HEAD" {
        return Ok(true);
    }
    let serving = state.serving.fetch_add(1, Ordering::SeqCst) + 1;
    state.most_served.fetch_max(serving, Ordering::SeqCst);
    let sent = body(stream, path, (from, to.min(cut.map_or(to, |cut| from + cut))), state);
    state.serving.fetch_sub(1, Ordering::SeqCst);
    sent?;
    if cut.is_some() {
        stream.shutdown(std::net::Shutdown::Both)?;
    }
    Ok(cut.is_none())
}

fn body(mut stream: &TcpStream, path: &PathBuf, (from, to): (u64, u64), state: &State) -> io::Result<()> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(from))?;
    let mut left = to - from;
    let mut chunk = vec![0; 64 << 10];
    while left > 0 {
        let wanted = left.min(chunk.len() as u64) as usize;
        let read = file.read(&mut chunk[..wanted])?;
        if read == 0 {
            break;
        }
        stream.write_all(&chunk[..read])?;
        left -= read as u64;
        hold(state, to - from - left);
        if state.slow.load(Ordering::SeqCst) {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
    Ok(())
}

/// Waits, after `sent` bytes of an answer, for as long as answers are held.
fn hold(state: &State, sent: u64) {
    let held = || {
        let after = state.hold_after.load(Ordering::SeqCst);
        after > 0 && sent >= after && !state.stop.load(Ordering::SeqCst)
    };
    while held() {
        state.holding.store(true, Ordering::SeqCst);
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// `bytes=1-4` as the half-open `(1, 5)`.
fn range_of(range: &str, bytes: u64) -> Option<(u64, u64)> {
    let (from, to) = range.strip_prefix("bytes=")?.split_once('-')?;
    let to = if to.is_empty() { bytes } else { to.parse::<u64>().ok()?.saturating_add(1).min(bytes) };
    Some((from.parse().ok()?, to))
}

fn decoded(path: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = path.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let code =
            after.get(..2).and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok());
        match code {
            Some(code) if byte == b'%' => {
                bytes.push(code);
                rest = &after[2..];
            }
            _ => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
