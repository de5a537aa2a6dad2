//! An HTTP server that misbehaves as it is told to, and remembers what it was asked.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What the server does with one request for a file.
#[derive(Debug, Clone, PartialEq)]
pub enum Deed {
    /// What was asked for; of ranges, what `If-Range` allows.
    Serve,
    /// Announces all of it and ends after so many bytes of the body.
    Cut(usize),
    /// A status without a body, with headers.
    Status(u16, &'static str),
    /// Begins, and then says nothing more for so long.
    Stall(usize, Duration),
    /// Answers everything with the whole file and 200.
    IgnoreRange,
    /// Answers a range with another one.
    WrongRange,
    /// Redirects to another address; `{path}` stands for the path.
    Redirect(String),
    /// More bytes than it announces when it can: chunks without a length.
    Chunked,
    /// Neither length nor chunks.
    NoLength,
    /// Announces so many bytes.
    Announce(u64),
    /// Other bytes of the same length.
    Falsify,
}

/// What was asked for.
#[derive(Debug, Clone)]
pub struct Request {
    pub path: String,
    pub headers: BTreeMap<String, String>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// A file with its entity tag.
#[derive(Debug, Clone)]
pub struct Served {
    pub bytes: Vec<u8>,
    pub tag: Option<String>,
}

#[derive(Default)]
struct State {
    files: BTreeMap<String, Served>,
    /// What to do with the next requests for a path; when they are done, what is asked for is served.
    deeds: BTreeMap<String, Vec<Deed>>,
    requests: Vec<Request>,
}

/// A running server, on a port of this machine. Its thread ends with the process.
#[derive(Clone)]
pub struct Server {
    pub port: u16,
    state: Arc<Mutex<State>>,
}

impl Server {
    pub fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State::default()));
        let server = Self { port, state: Arc::clone(&state) };
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&state);
                thread::spawn(move || drop(converse(stream, &state)));
            }
        });
        server
    }

    /// The address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Serves a file, with a strong entity tag.
    pub fn put(&self, path: &str, bytes: &[u8]) {
        let tag =
            Some(format!("\"{:x}\"", bytes.iter().fold(7_u64, |hash, byte| hash.wrapping_mul(31) + u64::from(*byte))));
        self.put_tagged(path, bytes, tag);
    }

    /// Serves a file.
    pub fn put_tagged(&self, path: &str, bytes: &[u8], tag: Option<String>) {
        self.state.lock().unwrap().files.insert(path.to_owned(), Served { bytes: bytes.to_vec(), tag });
    }

    /// What to do with the next requests for a path.
    pub fn misbehave(&self, path: &str, deeds: &[Deed]) {
        self.state.lock().unwrap().deeds.insert(path.to_owned(), deeds.to_vec());
    }

    /// What was asked for so far under paths that begin so.
    pub fn requests(&self, path: &str) -> Vec<Request> {
        let state = self.state.lock().unwrap();
        state.requests.iter().filter(|request| request.path.starts_with(path)).cloned().collect()
    }
}

/// One request after the other, until something ends the connection.
fn converse(stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    while let Some(request) = read(&mut reader)? {
        let path = request.path.split('?').next().unwrap_or_default().to_owned();
        let (served, deed) = {
            let mut state = state.lock().unwrap();
            state.requests.push(request.clone());
            let deed = match state.deeds.get_mut(&path) {
                Some(deeds) if !deeds.is_empty() => deeds.remove(0),
                _ => Deed::Serve,
            };
            (state.files.get(&path).cloned(), deed)
        };
        if !answer(&mut stream, &request, served, &deed)? {
            return Ok(());
        }
    }
    Ok(())
}

fn read(reader: &mut impl BufRead) -> std::io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.insert(name.to_lowercase(), value.to_owned()),
            None => return Ok(Some(Request { path, headers })),
        };
    }
}

/// Answers one request; whether the connection can go on.
fn answer(stream: &mut TcpStream, request: &Request, served: Option<Served>, deed: &Deed) -> std::io::Result<bool> {
    if let Deed::Status(status, headers) = deed {
        write!(stream, "HTTP/1.1 {status} No\r\n{headers}Content-Length: 0\r\n\r\n")?;
        return Ok(true);
    }
    if let Deed::Redirect(to) = deed {
        let to = to.replace("{path}", &request.path);
        write!(stream, "HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n")?;
        return Ok(true);
    }
    let Some(Served { mut bytes, tag }) = served else {
        write!(stream, "HTTP/1.1 404 Not Found\r\nX-Error-Code: EntryNotFound\r\nContent-Length: 0\r\n\r\n")?;
        return Ok(true);
    };
    if *deed == Deed::Falsify {
        bytes.iter_mut().for_each(|byte| *byte ^= 0x55);
    }
    let total = bytes.len();
    let tag_line = tag.as_ref().map(|tag| format!("ETag: {tag}\r\n")).unwrap_or_default();
    let same = request.header("if-range").is_none_or(|wanted| tag.as_deref() == Some(wanted));
    let from = request.header("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
    let from: Option<usize> = from.filter(|_| same && *deed != Deed::IgnoreRange);
    if let Some(from) = from.filter(|from| *from >= total) {
        assert!(from >= total);
        write!(stream, "HTTP/1.1 416 No\r\nContent-Range: bytes */{total}\r\nContent-Length: 0\r\n\r\n")?;
        return Ok(true);
    }
    let head = match from {
        Some(from) => {
            let shown = if *deed == Deed::WrongRange { 0 } else { from };
            format!("HTTP/1.1 206 Partial\r\nContent-Range: bytes {shown}-{}/{total}\r\n", total - 1)
        }
        None => "HTTP/1.1 200 OK\r\n".to_owned(),
    };
    let body = bytes.split_off(from.unwrap_or(0));
    match deed {
        Deed::Chunked => {
            write!(stream, "{head}{tag_line}Transfer-Encoding: chunked\r\n\r\n")?;
            for chunk in body.chunks(1000) {
                write!(stream, "{:x}\r\n", chunk.len())?;
                stream.write_all(chunk)?;
                write!(stream, "\r\n")?;
            }
            write!(stream, "0\r\n\r\n")?;
            Ok(true)
        }
        Deed::NoLength => {
            write!(stream, "{head}{tag_line}Connection: close\r\n\r\n")?;
            stream.write_all(&body)?;
            Ok(false)
        }
        _ => {
            let announced = if let Deed::Announce(bytes) = deed { *bytes } else { body.len() as u64 };
            write!(stream, "{head}{tag_line}Content-Length: {announced}\r\n\r\n")?;
            match deed {
                Deed::Cut(bytes) => {
                    stream.write_all(&body[..(*bytes).min(body.len())])?;
                    Ok(false)
                }
                Deed::Stall(bytes, time) => {
                    stream.write_all(&body[..(*bytes).min(body.len())])?;
                    stream.flush()?;
                    thread::sleep(*time);
                    Ok(false)
                }
                _ => {
                    stream.write_all(&body)?;
                    Ok(announced == body.len() as u64)
                }
            }
        }
    }
}
