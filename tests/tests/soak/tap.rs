//! A tap between daemon and broker: it understands MQTT 5, keeps a ledger, and lets the link fail in ways that a radio
//! does.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::ledger::Ledger;

/// What the link does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Link {
    /// Everything passes.
    Open,
    /// Nothing passes, nobody is told, new connections get no answer.
    BlackHole,
    /// What the broker says does not arrive.
    DeafDaemon,
    /// What the daemon says does not arrive.
    DeafBroker,
    /// A few bytes at a time.
    Slow,
}

const KINDS: [Link; 5] = [Link::Open, Link::BlackHole, Link::DeafDaemon, Link::DeafBroker, Link::Slow];
const TICK: Duration = Duration::from_millis(5);

/// The tap; its threads end with the process.
pub struct Tap {
    pub port: u16,
    state: Arc<State>,
}

struct State {
    broker: u16,
    link: AtomicU8,
    ledger: Arc<Mutex<Ledger>>,
    open: Mutex<Vec<TcpStream>>,
}

impl State {
    fn link(&self) -> Link {
        KINDS[usize::from(self.link.load(Ordering::SeqCst))]
    }

    /// Waits until bytes may pass in this direction.
    fn wait(&self, upwards: bool, slice: usize) {
        loop {
            match self.link() {
                Link::Open => return,
                Link::Slow => return thread::sleep(Duration::from_micros(20 * slice as u64)),
                Link::DeafDaemon if upwards => return,
                Link::DeafBroker if !upwards => return,
                _ => thread::sleep(TICK),
            }
        }
    }
}

impl Tap {
    pub fn start(broker: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let ledger = Arc::default();
        let state = Arc::new(State { broker, link: AtomicU8::new(0), ledger, open: Mutex::default() });
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for (number, daemon) in listener.incoming().flatten().enumerate() {
                let state = Arc::clone(&shared);
                thread::spawn(move || serve(&state, number, &daemon));
            }
        });
        Self { port, state }
    }

    pub fn ledger(&self) -> std::sync::MutexGuard<'_, Ledger> {
        self.state.ledger.lock().unwrap()
    }

    /// What the link does from now on.
    pub fn set(&self, link: Link) {
        self.state.link.store(link as u8, Ordering::SeqCst);
    }

    /// Ends all connections.
    pub fn cut(&self) {
        for stream in self.state.open.lock().unwrap().drain(..) {
            stream.shutdown(Shutdown::Both).ok();
        }
    }
}

fn serve(state: &Arc<State>, number: usize, daemon: &TcpStream) {
    while state.link() == Link::BlackHole {
        thread::sleep(TICK);
    }
    let Ok(broker) = TcpStream::connect(("127.0.0.1", state.broker)) else { return };
    let both = [daemon, &broker].map(|stream| {
        stream.set_nodelay(true).ok();
        stream.try_clone().unwrap()
    });
    state.open.lock().unwrap().extend(both);
    thread::scope(|scope| {
        scope.spawn(|| pump(state, number, daemon, &broker, true));
        pump(state, number, &broker, daemon, false);
    });
}

/// Passes bytes on until one side ends; then ends the other.
fn pump(state: &State, number: usize, mut from: &TcpStream, mut to: &TcpStream, upwards: bool) {
    let (mut packets, mut arrived) = (Packets::default(), Packets::default());
    let mut bytes = [0; 2048];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        let step = if state.link() == Link::Slow { 64 } else { count };
        let mut is_gone = false;
        for slice in bytes[..count].chunks(step) {
            state.wait(upwards, slice.len());
            // Noted before it passes: the answer may be faster than this thread.
            packets.push(slice, |packet| note(state, number, packet, upwards));
            is_gone = to.write_all(slice).is_err();
            if upwards && !is_gone {
                arrived.push(slice, |packet| {
                    if let Some((_, fix)) = fix(packet) {
                        state.ledger.lock().unwrap().arrived(&fix);
                    }
                });
            }
            if is_gone {
                break;
            }
        }
        if is_gone {
            break;
        }
    }
    from.shutdown(Shutdown::Both).ok();
    to.shutdown(Shutdown::Both).ok();
}

fn note(state: &State, number: usize, packet: &[u8], upwards: bool) {
    let mut ledger = state.ledger.lock().unwrap();
    match (packet[0] >> 4, upwards) {
        (3, true) => {
            if let Some((id, fix)) = fix(packet) {
                ledger.leaves(number, id, &fix);
            }
        }
        (4, false) => {
            let body = &packet[header_bytes(packet)..];
            let id = u16::from_be_bytes([body[0], body[1]]);
            ledger.acknowledged(number, id, body.get(2).copied().unwrap_or(0));
        }
        _ => {}
    }
}

/// Packet id and content of a fix with QoS 1.
fn fix(packet: &[u8]) -> Option<(u16, Value)> {
    let (id, topic, payload) = (packet[0] >> 4 == 3).then(|| publish(packet))??;
    topic.ends_with("/fix").then(|| (id, serde_json::from_slice(payload).unwrap()))
}

/// Packet id, topic and payload of a PUBLISH with QoS 1.
fn publish(packet: &[u8]) -> Option<(u16, &str, &[u8])> {
    if packet[0] & 0b0110 == 0 {
        return None;
    }
    let body = &packet[header_bytes(packet)..];
    let length = usize::from(u16::from_be_bytes([body[0], body[1]]));
    let (topic, rest) = body[2..].split_at(length);
    let id = u16::from_be_bytes([rest[0], rest[1]]);
    let (properties, bytes) = variable(&rest[2..]).expect("a whole packet");
    Some((id, std::str::from_utf8(topic).unwrap(), &rest[2 + bytes + properties..]))
}

/// A variable byte integer and the bytes that it takes.
fn variable(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0;
    for (at, byte) in bytes.iter().take(4).enumerate() {
        value |= usize::from(byte & 0x7F) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((value, at + 1));
        }
    }
    None
}

fn header_bytes(packet: &[u8]) -> usize {
    1 + variable(&packet[1..]).expect("a whole packet").1
}

/// Cuts a stream into packets.
#[derive(Default)]
struct Packets(Vec<u8>);

impl Packets {
    fn push(&mut self, bytes: &[u8], mut take: impl FnMut(&[u8])) {
        self.0.extend_from_slice(bytes);
        while let Some((length, header)) = self.0.get(1..).and_then(variable) {
            let whole = 1 + header + length;
            if self.0.len() < whole {
                break;
            }
            take(&self.0[..whole]);
            self.0.drain(..whole);
        }
    }
}
