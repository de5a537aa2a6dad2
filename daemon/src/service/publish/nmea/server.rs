//! The TCP port on which sentences are spoken.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::Nmea;
use crate::service::backoff::Backoff;
use crate::service::health::Health;
use crate::service::link::spread;

/// Listeners at a time; more are turned away.
const MOST_LISTENERS: usize = 8;
/// A listener that takes nothing for this long is let go.
const PATIENCE: Duration = Duration::from_secs(5);
const SUBJECT: &str = "nmea";

/// Listens until it is dropped.
#[derive(Debug)]
pub(in crate::service) struct NmeaServer {
    work: JoinHandle<()>,
}

impl NmeaServer {
    /// Starts to listen. Needs the runtime.
    pub(in crate::service) fn start(nmea: Arc<Nmea>, health: Arc<Health>) -> Self {
        Self { work: tokio::spawn(async move { listen(&nmea, &health).await }) }
    }
}

impl Drop for NmeaServer {
    fn drop(&mut self) {
        self.work.abort();
    }
}

/// Where it may not listen, it tries again, for ever.
async fn listen(nmea: &Arc<Nmea>, health: &Health) {
    let mut backoff = Backoff::new();
    loop {
        let problem = match TcpListener::bind(nmea.listen()).await {
            Ok(listener) => {
                info!(listen = %nmea.listen(), "NMEA 0183");
                health.mend(SUBJECT);
                serve(nmea, &listener).await
            }
            Err(problem) => problem,
        };
        let reason = format!("publish.nmea.listen: {}: {problem}", nmea.listen());
        warn!(reason, "degraded");
        health.degrade(SUBJECT, &reason);
        sleep(backoff.next(spread())).await;
    }
}

async fn serve(nmea: &Nmea, listener: &TcpListener) -> std::io::Error {
    let mut listeners = JoinSet::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(problem) => return problem,
            },
            Some(_) = listeners.join_next() => continue,
        };
        if listeners.len() < MOST_LISTENERS {
            listeners.spawn(speak(stream, nmea.subscribe()));
        } else {
            warn!(most = MOST_LISTENERS, "a listener for NMEA is turned away");
        }
    }
}

async fn speak(mut stream: TcpStream, mut sentences: Receiver<Arc<str>>) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    loop {
        match sentences.recv().await {
            Ok(text) => {
                if !matches!(timeout(PATIENCE, stream.write_all(text.as_bytes())).await, Ok(Ok(()))) {
                    return;
                }
            }
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}
