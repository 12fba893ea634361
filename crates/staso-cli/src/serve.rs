//! `staso serve`: the server in this process, until a signal.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use staso_server::config::Layer;
use staso_server::{Config, Server};
use tracing_subscriber::EnvFilter;

use crate::output::WithHint as _;
use crate::settings::Place;
use crate::{environment, output, sql};

/// Where the settings without a flag are.
const MORE: &str = "Every setting can also stand in staso.toml or in the environment (STASO_PORT); \
                    flags win. `staso config show --origins` lists them all.\n\
                    STASO_LOG sets what is logged: error, warn, info (the default), debug.";

/// What `serve` can be told.
#[derive(Debug, Args)]
#[command(after_help = MORE)]
pub(crate) struct ServeArgs {
    /// The address to listen on; this build serves the loopback only [default: 127.0.0.1]
    #[arg(long, value_name = "IP")]
    host: Option<String>,
    /// The port to listen on; 0 takes a free one [default: 7827]
    #[arg(long)]
    port: Option<u16>,
    /// Where the data lives [default: data in the state directory]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Another name the server may be called by (DNS rebinding is refused); repeatable
    #[arg(long, value_name = "NAME")]
    allowed_host: Vec<String>,
    /// Another origin whose pages may call the server; repeatable
    #[arg(long, value_name = "ORIGIN")]
    allowed_origin: Vec<String>,
}

impl ServeArgs {
    fn layer(&self) -> Layer {
        let list = |items: &[String]| (!items.is_empty()).then(|| items.join(","));
        Layer::default()
            .flag("host", self.host.as_ref())
            .flag("port", self.port)
            .flag("data_dir", self.data_dir.as_deref().map(Path::display))
            .flag("allowed_hosts", list(&self.allowed_host))
            .flag("allowed_origins", list(&self.allowed_origin))
    }
}

pub(crate) fn run(place: &Place, args: ServeArgs) -> anyhow::Result<()> {
    let mut config = place.config(args.layer())?;
    config.sql_program = sql::program();
    start_log()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let shown = config.clone();
    let served = runtime.block_on(staso_server::run(config, |server| greet(server, &shown)));
    served.map_err(|error| {
        let hint = error.hint();
        let failed = Err::<(), _>(anyhow::Error::new(error)).hint(hint);
        failed.err().unwrap_or_else(|| anyhow::anyhow!("the server failed"))
    })
}

fn start_log() -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(environment::log_filter())
        .context("STASO_LOG is not a log filter")
        .hint("write a level such as info or debug, or target=level, comma-separated")?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(output::is_colorful())
        .init();
    Ok(())
}

fn greet(server: &Server, config: &Config) {
    let mut text = String::new();
    let _ = writeln!(text, "Staso is listening on {}", server.url());
    let _ = writeln!(text, "  data     {}", config.data_dir().display());
    let _ = writeln!(text, "  journal  {}", config.home.join("journal").display());
    let _ = writeln!(text, "Stop it with Ctrl-C.");
    if let Err(error) = output::print(&text) {
        tracing::warn!(%error, "could not print the address");
    }
}
