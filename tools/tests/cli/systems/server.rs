//! An HTTP server that answers chat completions as it is told to, and remembers what it was asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use base64::Engine;
use serde_json::{Value, json};

/// What was asked.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// Number of the query, by the blue of its picture.
    pub(crate) query: usize,
    /// How many requests came before.
    pub(crate) number: usize,
    pub(crate) body: Value,
    pub(crate) authorization: Option<String>,
    pub(crate) path: String,
}

impl Request {
    /// The text of the prompt.
    pub(crate) fn prompt(&self) -> &str {
        self.body["messages"][0]["content"][1]["text"].as_str().unwrap()
    }
}

/// What is answered.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// A completion with this text.
    Text(String),
    /// A status with a body.
    Status(u16, &'static str),
    /// Bytes with status 200, whatever they are.
    Raw(&'static str),
    /// Nothing for so long, then the end.
    Silence(Duration),
    /// Half of a completion.
    Cut,
    /// The connection is closed at once.
    Close,
}

impl Reply {
    pub(crate) fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// A running server; its threads end with the process.
#[derive(Clone)]
pub(crate) struct Server {
    port: u16,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    pub(crate) fn start(reply: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = Self { port, requests: Arc::default() };
        let (requests, reply) = (Arc::clone(&server.requests), Arc::new(reply));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (requests, reply) = (Arc::clone(&requests), Arc::clone(&reply));
                thread::spawn(move || drop(converse(stream, &requests, reply.as_ref())));
            }
        });
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.port)
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

fn converse(
    stream: TcpStream,
    requests: &Mutex<Vec<Request>>,
    reply: &(impl Fn(&Request) -> Reply + ?Sized),
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let path = line.split_whitespace().nth(1).unwrap_or_default().to_owned();
        let (mut length, mut authorization) = (0, None);
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            let Some((name, value)) = header.trim().split_once(':') else { break };
            match name.to_lowercase().as_str() {
                "content-length" => length = value.trim().parse().unwrap(),
                "authorization" => authorization = Some(value.trim().to_owned()),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let body: Value = serde_json::from_slice(&body).unwrap();
        let request = {
            let mut requests = requests.lock().unwrap();
            let request = Request { query: query(&body), number: requests.len(), body, authorization, path };
            requests.push(request.clone());
            request
        };
        let completion = |text: &str| {
            let usage = json!({"prompt_tokens": 100, "completion_tokens": 7});
            json!({"choices": [{"message": {"role": "assistant", "content": text}}], "usage": usage}).to_string()
        };
        let (status, text, announced) = match reply(&request) {
            Reply::Text(text) => (200, completion(&text), None),
            Reply::Status(status, text) => (status, text.to_owned(), None),
            Reply::Raw(text) => (200, text.to_owned(), None),
            Reply::Silence(time) => {
                thread::sleep(time);
                return Ok(());
            }
            Reply::Cut => (200, "{\"choices\": [{".to_owned(), Some(500)),
            Reply::Close => return Ok(()),
        };
        let announced = announced.unwrap_or(text.len());
        write!(
            stream,
            "HTTP/1.1 {status} Said\r\nContent-Type: application/json\r\nContent-Length: {announced}\r\n\r\n{text}"
        )?;
        stream.flush()?;
        if announced != text.len() {
            return Ok(());
        }
    }
}

/// Which query it is: the blue of its picture is 90 times its number.
fn query(body: &Value) -> usize {
    let url = body["messages"][0]["content"][0]["image_url"]["url"].as_str().unwrap();
    let (head, data) = url.split_once(',').unwrap();
    assert_eq!(head, "data:image/png;base64");
    let picture = base64::engine::general_purpose::STANDARD.decode(data).unwrap();
    usize::from(image::load_from_memory(&picture).unwrap().to_rgb8().get_pixel(0, 0).0[2]) / 90
}
