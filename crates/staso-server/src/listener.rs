//! Accepting connections: how many at one time, how long each may dawdle, and how they end.

mod stall;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::config::Limits;
use stall::StallGuard;

/// How long a client may refuse to take what it asked for.
const WRITE_STALL: Duration = Duration::from_secs(30);

/// The greatest head of a request, in bytes.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// How long requests may go on after the server was told to stop.
const DRAIN: Duration = Duration::from_secs(10);

/// The pause after a failed accept, which mostly means that the process is out of file handles.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop`, then lets requests finish. Connections above the limit wait.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    stop: CancellationToken,
) {
    let permits = Arc::new(Semaphore::new(limits.max_connections));
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = async {
            let permit = Arc::clone(&permits).acquire_owned().await.ok()?;
            Some((permit, listener.accept().await))
        };
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accepted => accepted,
        };
        match accepted {
            Some((permit, Ok((stream, _)))) => {
                let connection =
                    graceful.watch(connection(stream, router.clone(), limits.head_timeout));
                tokio::spawn(async move {
                    // A broken connection is the client's affair and no news.
                    let _ = connection.await;
                    drop(permit);
                });
            }
            Some((_, Err(error))) => {
                tracing::warn!(%error, "could not accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
            None => break,
        }
    }
    drop(listener);
    if tokio::time::timeout(DRAIN, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests did not finish in time and were cut off");
    }
}

type Connection = http1::Connection<TokioIo<StallGuard<TcpStream>>, TowerToHyperService<Router>>;

fn connection(stream: TcpStream, router: Router, head_timeout: Duration) -> Connection {
    // Answers are small and awaited; waiting to fill a packet only delays them.
    let _ = stream.set_nodelay(true);
    let io = TokioIo::new(StallGuard::new(stream, WRITE_STALL));
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_timeout)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(io, TowerToHyperService::new(router))
}
