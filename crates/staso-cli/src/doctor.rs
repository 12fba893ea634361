//! `staso doctor`: looks for what is wrong and says what to do about it.
//!
//! Each check is a function that answers with findings. It only looks: nothing is repaired,
//! nothing is written.

mod checks;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use staso_server::config::Layer;

use crate::output;
use crate::settings::Place;

/// What `doctor` can be told.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// The data directory [default: data in the state directory]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

/// What one look showed.
#[derive(Debug)]
pub(crate) enum Finding {
    /// As it should be.
    Good(String),
    /// Worth knowing, and not wrong.
    Note(String),
    /// Wrong, and what to do about it.
    Bad { problem: String, remedy: String },
}

impl Finding {
    fn bad(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Bad { problem: problem.into(), remedy: remedy.into() }
    }
}

pub(crate) fn run(place: &Place, args: &DoctorArgs) -> anyhow::Result<ExitCode> {
    let data_dir = args.data_dir.as_deref().map(std::path::Path::display);
    let config = place.config(Layer::default().flag("data_dir", data_dir))?;
    let home = place.home()?;
    let server = checks::Announced::read(&home);
    let findings: Vec<Finding> = [
        checks::state_directory(&home),
        checks::server(&home, &server),
        checks::journal(&home, server.is_answering()),
        checks::data_directory(&config.data_dir(), server.is_answering()),
        checks::data(&config.data_dir()),
    ]
    .into_iter()
    .flatten()
    .collect();
    output::print(&shown(&findings))?;
    let is_bad = findings.iter().any(|finding| matches!(finding, Finding::Bad { .. }));
    Ok(if is_bad { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn shown(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let _ = match finding {
            Finding::Good(what) => writeln!(text, "ok     {}", output::plain(what)),
            Finding::Note(what) => writeln!(text, "note   {}", output::plain(what)),
            Finding::Bad { problem, remedy } => writeln!(
                text,
                "WRONG  {}\n       remedy: {}",
                output::plain(problem),
                output::plain(remedy)
            ),
        };
    }
    text
}
