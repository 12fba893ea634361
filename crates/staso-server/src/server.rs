//! The server's life: open the store, listen, announce, serve, stop without losing anything.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use staso_journal::{Home, ServerInfo};
use staso_store::{Store, StoreError};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::access::AccessRules;
use crate::app::{self, App, Bounds, CAPABILITIES};
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::counters::Counters;
use crate::homeless::Awaited;
use crate::interruptions::close_interrupted;
use crate::journal_pickup::pick_up;
use crate::listener;
use crate::live::{self, Hub};
use crate::retention::retain;
use crate::sql::Sql;

/// Live views at one time; each holds a connection, so that this leaves most of them to ingest.
const MAX_LIVE_LISTENERS: usize = 128;

/// Exports at one time; each may hold a trace in memory.
const MAX_EXPORTS: usize = 4;

/// How long a server on the same machine may take to accept a connection.
const OTHER_ANSWERS_WITHIN: Duration = Duration::from_secs(1);

/// Why the server does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// It was told to listen where others could reach it.
    #[error("{host} is not a loopback address, and this build has no keys to protect it with")]
    NotLoopback {
        /// The address asked for.
        host: std::net::IpAddr,
    },
    /// The address is taken or not ours.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// The data directory cannot be opened; mostly because another server has it.
    #[error("cannot open the data directory {}", path.display())]
    Store {
        /// The directory.
        path: PathBuf,
        /// What the store says.
        source: StoreError,
    },
    /// Another server lives in the state directory: both would take from its journal, and programs
    /// would find only one of them.
    #[error("a server at {url} (process {pid}) already serves the state directory {}", home.display())]
    Announced {
        /// The state directory.
        home: PathBuf,
        /// Where the other one listens.
        url: String,
        /// The other one's process.
        pid: u32,
    },
    /// `server.json` cannot be written.
    #[error("cannot announce the server in {}", path.display())]
    Announce {
        /// The state directory.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// What was accepted is safe, but the store did not close in order.
    #[error("the store did not close in order")]
    Close(#[source] StoreError),
    /// The process cannot listen for signals.
    #[error("cannot wait for signals")]
    Signals(#[source] std::io::Error),
}

impl ServeError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotLoopback { .. } => {
                "keys come with a later version; until then listen on 127.0.0.1 or ::1 and reach \
                 it from elsewhere through an SSH tunnel"
            }
            Self::Listen { .. } => {
                "another server may run there already (`staso doctor` says); --port takes another \
                 port, 0 a free one"
            }
            Self::Store { .. } => {
                "one server owns a data directory; stop the other one, or give this one a state \
                 directory of its own with --home"
            }
            Self::Announced { .. } => {
                "stop the other one, or give this one a state directory of its own with --home"
            }
            Self::Announce { .. } => {
                "make the state directory writable, or set STASO_HOME to one that is"
            }
            Self::Close(_) => "start the server again: it recovers everything it acknowledged",
            Self::Signals(_) => "",
        }
    }
}

/// A running server.
pub struct Server {
    address: SocketAddr,
    app: Arc<App>,
    info: ServerInfo,
    home: Home,
    listening: JoinHandle<()>,
    tasks: Vec<JoinHandle<()>>,
}

impl Server {
    /// Opens the data directory and begins to serve.
    ///
    /// # Errors
    /// [`ServeError`]; nothing is left behind.
    pub async fn start(config: Config) -> Result<Self, ServeError> {
        refuse_open_doors(&config)?;
        let path = config.data_dir();
        let failed = |source| ServeError::Store { path: path.clone(), source };
        let store = crate::storage::open(&path).await.map_err(failed)?;
        Self::start_with(config, store, Arc::new(SystemClock)).await
    }

    /// Begins to serve what is in this store, by this clock.
    ///
    /// # Errors
    /// [`ServeError`]; the store is closed.
    pub async fn start_with(
        config: Config,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ServeError> {
        match Self::listen(&config, Arc::clone(&store), clock).await {
            Ok(server) => Ok(server),
            Err(error) => {
                let _ = store.close().await;
                Err(error)
            }
        }
    }

    async fn listen(
        config: &Config,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ServeError> {
        refuse_open_doors(config)?;
        let wanted = SocketAddr::new(config.host, config.port);
        let taken = |source| ServeError::Listen { address: wanted, source };
        let listener = TcpListener::bind(wanted).await.map_err(taken)?;
        let address = listener.local_addr().map_err(taken)?;
        let stats = store.stats().await;
        let stats =
            stats.map_err(|source| ServeError::Store { path: config.data_dir(), source })?;

        let home = Home::new(config.home.clone());
        refuse_second_server(&home, address)?;
        let info = announcement(address, clock.now_ns());
        let app = Arc::new(new_app(config, store, clock, &info, stats.last_sequence));
        info.write(&home)
            .map_err(|source| ServeError::Announce { path: config.home.clone(), source })?;

        let router = app::router(Arc::clone(&app));
        let serving = listener::serve(listener, router, config.limits, app.stop.clone());
        let listening = tokio::spawn(serving);
        let tasks = background(&app, &home, address.port());
        Ok(Self { address, app, info, home, listening, tasks })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens, as a URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.info.url
    }

    /// Stops: takes no more, finishes what it took, closes the store.
    ///
    /// # Errors
    /// [`ServeError::Close`]; what was acknowledged is safe even then.
    pub async fn stop(self) -> Result<(), ServeError> {
        self.info.remove(&self.home);
        self.app.stop.cancel();
        let _ = self.listening.await;
        for task in self.tasks {
            let _ = task.await;
        }
        self.app.store.close().await.map_err(ServeError::Close)
    }
}

/// Serves until the process is told to stop. `on_ready` hears of the server once it listens.
///
/// # Errors
/// [`ServeError`]
pub async fn run(config: Config, on_ready: impl FnOnce(&Server)) -> Result<(), ServeError> {
    let signals = Signals::new().map_err(ServeError::Signals)?;
    let server = Server::start(config).await?;
    on_ready(&server);
    signals.wait().await;
    tracing::info!("stopping");
    server.stop().await
}

/// Without keys, everyone who can reach the listener can read everything: it stays on the loopback.
fn refuse_open_doors(config: &Config) -> Result<(), ServeError> {
    if config.host.is_loopback() {
        Ok(())
    } else {
        Err(ServeError::NotLoopback { host: config.host })
    }
}

/// One state directory has one server. An announcement counts while its process lives and somebody
/// else listens where it says: after a crash another program may have the number or the port, not
/// both.
fn refuse_second_server(home: &Home, own: SocketAddr) -> Result<(), ServeError> {
    let Some(other) = ServerInfo::read(home) else { return Ok(()) };
    let address: Option<SocketAddr> =
        other.url.strip_prefix("http://").and_then(|text| text.parse().ok());
    // Where we listen ourselves by now, nobody else does.
    let is_listening = address
        .filter(|address| address.port() != own.port())
        .is_some_and(|it| std::net::TcpStream::connect_timeout(&it, OTHER_ANSWERS_WITHIN).is_ok());
    if other.pid == std::process::id() || !is_listening {
        return Ok(());
    }
    Err(ServeError::Announced { home: home.path().to_owned(), url: other.url, pid: other.pid })
}

fn announcement(address: SocketAddr, started_ns: i64) -> ServerInfo {
    // Two random UUIDs hold 244 random bits between them.
    let token = [uuid::Uuid::new_v4(), uuid::Uuid::new_v4()].map(|id| id.simple().to_string());
    ServerInfo {
        url: format!("http://{address}"),
        pid: std::process::id(),
        token: token.concat(),
        capabilities: CAPABILITIES.iter().map(|word| (*word).to_owned()).collect(),
        started_ns,
    }
}

fn new_app(
    config: &Config,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    info: &ServerInfo,
    last_sequence: u64,
) -> App {
    let cores = std::thread::available_parallelism().map_or(2, usize::from).max(2);
    let started_ns = info.started_ns;
    let hub_start = u64::try_from(started_ns / 1_000).unwrap_or(0);
    let bounds = Bounds {
        decoders: cores,
        inflight_kib: config.limits.max_inflight_bytes / 1024,
        live_listeners: MAX_LIVE_LISTENERS,
        exports: MAX_EXPORTS,
        searches: config.limits.max_searches,
    };
    App {
        store,
        clock,
        limits: config.limits,
        rules: AccessRules {
            allowed_hosts: config.allowed_hosts.clone(),
            allowed_origins: config.allowed_origins.clone(),
            token: info.token.clone(),
        },
        hub: Hub::new(hub_start),
        counters: Counters::default(),
        awaited: Awaited::default(),
        lost_after: config.lost_after,
        retaining: config.retaining.clone(),
        stop: CancellationToken::new(),
        sequence: AtomicU64::new(last_sequence + 1),
        decode_permits: Arc::new(Semaphore::new(bounds.decoders)),
        inflight_kib: Arc::new(Semaphore::new(bounds.inflight_kib)),
        live_permits: Arc::new(Semaphore::new(bounds.live_listeners)),
        export_permits: Arc::new(Semaphore::new(bounds.exports)),
        search_permits: Arc::new(Semaphore::new(bounds.searches)),
        sql: Sql::new(config.sql_program.clone(), config.sql, config.data_dir()),
        bounds,
        started_ns,
    }
}

/// The tasks beside the listener; each ends at `stop`.
fn background(app: &Arc<App>, home: &Home, port: u16) -> Vec<JoinHandle<()>> {
    let announcing = Arc::clone(app);
    let watching = Arc::clone(app);
    vec![
        tokio::spawn(async move { announcing.hub.run(announcing.stop.clone()).await }),
        tokio::spawn(live::watch_states(watching)),
        tokio::spawn(pick_up(Arc::clone(app), home.journal_dir(), port)),
        tokio::spawn(retain(Arc::clone(app))),
        tokio::spawn(close_interrupted(Arc::clone(app), home.journal_dir())),
    ]
}

/// The signals that ask a process to end.
struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            #[cfg(unix)]
            terminate: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?,
        })
    }

    async fn wait(mut self) {
        #[cfg(unix)]
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = self.terminate.recv() => {}
        }
        #[cfg(not(unix))]
        let _ = tokio::signal::ctrl_c().await;
    }
}
