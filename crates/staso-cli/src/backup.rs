//! `staso backup` and `staso restore`: a copy of all data, also while the server runs, and its way back.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use staso_server::config::Layer;
use staso_server::{Copied, Damage, StoreError};

use crate::output;
use crate::output::WithHint as _;
use crate::progress::Progress;
use crate::settings::Place;

/// What `backup` can be told.
#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// The directory to make; it must not exist
    #[arg(value_name = "DIR")]
    target: PathBuf,
    /// The data directory [default: data in the state directory]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Do not read the copy again to look for damage
    #[arg(long)]
    no_check: bool,
}

/// What `restore` can be told.
#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// The backup
    #[arg(value_name = "DIR")]
    backup: PathBuf,
    /// The data directory to make; it must not exist, or be empty [default: data in the state directory]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Do not read the backup to look for damage first
    #[arg(long)]
    no_check: bool,
}

pub(crate) fn back_up(place: &Place, args: &BackupArgs) -> anyhow::Result<ExitCode> {
    let data_dir = data_dir(place, args.data_dir.as_deref())?;
    let target = &args.target;
    let copied = with_progress(|progress| staso_server::backup(&data_dir, target, progress))
        .with_context(|| format!("no backup of {} was made", data_dir.display()))
        .hint("nothing was changed; `staso doctor` looks at the data directory")?;
    output::print(&format!("{} in {}\n", told(&copied), target.display()))?;
    let lost = losses(&copied);
    let is_sound = args.no_check || is_sound(target)?;
    for loss in &lost {
        output::print(&format!("missing: {loss}\n"))?;
    }
    Ok(if is_sound && lost.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub(crate) fn restore(place: &Place, args: &RestoreArgs) -> anyhow::Result<ExitCode> {
    let data_dir = data_dir(place, args.data_dir.as_deref())?;
    // A damaged backup is restored all the same: what is sound in it may be all there is.
    let is_sound =
        args.no_check || !args.backup.join("VERSION").exists() || is_sound(&args.backup)?;
    let copied = with_progress(|progress| staso_server::restore(&args.backup, &data_dir, progress))
        .with_context(|| format!("{} was not restored", args.backup.display()))
        .hint("nothing was changed; to restore beside what is there, name another --data-dir or --home")?;
    output::print(&format!(
        "{} in {}; `staso serve` serves it\n",
        told(&copied),
        data_dir.display()
    ))?;
    Ok(if is_sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn data_dir(place: &Place, named: Option<&Path>) -> anyhow::Result<PathBuf> {
    let layer = Layer::default().flag("data_dir", named.map(Path::display));
    Ok(place.config(layer)?.data_dir())
}

fn told(copied: &Copied) -> String {
    format!("{} files, {:.1} MB", copied.files, megabytes(copied.bytes))
}

#[expect(clippy::cast_precision_loss, reason = "it is shown with one decimal")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// What the original had lost already.
fn losses(copied: &Copied) -> Vec<String> {
    let mut lost = Vec::new();
    if copied.missing_segments > 0 {
        lost.push(format!("segments that are not there any more: {}", copied.missing_segments));
    }
    if copied.missing_records > 0 {
        lost.push(format!("records of the log that cannot be read: {}", copied.missing_records));
    }
    lost
}

/// Reads every byte of a copy that has a checksum, and says what is wrong with it.
fn is_sound(dir: &Path) -> anyhow::Result<bool> {
    let found = staso_server::inspect(dir);
    for Damage { file, problem, remedy } in &found.damage {
        output::print(&format!("damaged: {}: {problem}\n  {remedy}\n", file.display()))?;
    }
    if found.damage.is_empty() {
        let text = format!(
            "no damage; segments: {}, spans in them: {}, log records: {}\n",
            found.segments, found.rows, found.log_records
        );
        output::print(&text)?;
    }
    Ok(found.damage.is_empty())
}

/// Runs a copy, and shows on a terminal how far it is.
fn with_progress(
    copy: impl FnOnce(&mut dyn FnMut(Copied)) -> Result<Copied, StoreError>,
) -> anyhow::Result<Copied> {
    let mut progress = Progress::begin();
    let copied = copy(&mut |now: Copied| {
        let (done, all) = (megabytes(now.bytes), megabytes(now.of_bytes));
        progress.show(|| format!("{done:.0} of {all:.0} MB"));
    });
    Ok(copied?)
}
