//! The one binary `staso`: serve, show, query, doctor, export, import, backup, restore, config, openapi.
//!
//! Each subcommand is a module with a function `run`. The environment is read in `environment`
//! and nowhere else; errors are printed here, with the next step where there is one.

mod backup;
mod client;
mod config;
mod doctor;
mod environment;
mod export;
mod import;
mod output;
mod progress;
mod query;
mod serve;
mod settings;
mod show;
mod sql;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory as _, Parser, Subcommand};

/// Record what agents do, and look at it.
#[derive(Debug, Parser)]
#[command(name = "staso", version, arg_required_else_help = true, max_term_width = 100)]
struct Cli {
    /// The state directory: journal, server.json, data [default: $STASO_HOME, else the XDG state
    /// directory]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Places")]
    home: Option<PathBuf>,
    /// The configuration file [default: staso.toml in the state directory, if there is one]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Places")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server: ingest, the query API and the dashboard
    Serve(serve::ServeArgs),
    /// Print one trace as a tree
    Show(show::ShowArgs),
    /// Ask in SQL, or search the texts of spans
    Query(query::QueryArgs),
    /// Look for what is wrong and say what to do about it
    Doctor(doctor::DoctorArgs),
    /// Write traces to a file, a line each
    Export(export::ExportArgs),
    /// Store the traces of such a file
    Import(import::ImportArgs),
    /// Copy all data to a new directory, also while the server runs
    Backup(backup::BackupArgs),
    /// Make a data directory from a backup
    Restore(backup::RestoreArgs),
    /// What the server is told, and by whom
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print the OpenAPI description of the HTTP API
    Openapi,
    /// What a server starts for one query
    #[cfg(feature = "sql")]
    #[command(name = sql::CHILD, hide = true)]
    SqlChild,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print every setting of the server
    Show(ConfigShowArgs),
}

#[derive(Debug, Args)]
struct ConfigShowArgs {
    /// Say where each value comes from
    #[arg(long)]
    origins: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match dispatch(cli) {
        Ok(code) => code,
        Err(error) => {
            output::complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn dispatch(cli: Cli) -> anyhow::Result<ExitCode> {
    let Some(command) = cli.command else {
        Cli::command().print_help()?;
        return Ok(ExitCode::from(2));
    };
    let place = settings::Place { home: cli.home, config: cli.config };
    match command {
        Command::Serve(args) => serve::run(&place, args).map(|()| ExitCode::SUCCESS),
        Command::Show(args) => show::run(&place, &args).map(|()| ExitCode::SUCCESS),
        Command::Query(args) => query::run(&place, &args).map(|()| ExitCode::SUCCESS),
        Command::Doctor(args) => doctor::run(&place, &args),
        Command::Export(args) => export::run(&place, &args).map(|()| ExitCode::SUCCESS),
        Command::Import(args) => import::run(&place, &args).map(|()| ExitCode::SUCCESS),
        Command::Backup(args) => backup::back_up(&place, &args),
        Command::Restore(args) => backup::restore(&place, &args),
        Command::Config(ConfigCommand::Show(args)) => {
            config::run(&place, args.origins).map(|()| ExitCode::SUCCESS)
        }
        Command::Openapi => {
            output::print(&staso_server::openapi_json()?)?;
            Ok(ExitCode::SUCCESS)
        }
        #[cfg(feature = "sql")]
        Command::SqlChild => Ok(staso_sql::engine::run()),
    }
}
