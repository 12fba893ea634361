//! The child: takes one job from its standard input, answers it on its standard output, and ends.
//!
//! Limits are set before the first byte of the query is looked at ([`confine`]). The query is planned
//! against tables without files ([`session`], [`views`]); those that it reads are asked for, and from then
//! on the process cannot open anything ([`stored`], [`files`]). Then it runs ([`answer`]).

mod answer;
mod cells;
mod confine;
mod files;
mod functions;
mod session;
mod stored;
#[cfg(test)]
mod tests;
mod views;

/// What answers are written with, for who reads them.
pub use datafusion::{arrow, parquet};

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::Arc;

use crate::protocol::{
    self, Failure, FromChild, FromParent, Job, Problem, Summary, TableName, receive,
};
use files::Handed;
use session::Session;

/// Expressions are walked recursively; so deep as the parser goes they fit.
const STACK_BYTES: usize = 16 << 20;

/// Runs the job that stands on standard input.
#[must_use]
pub fn run() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        // Nobody is there to be told, or nobody of ours.
        Err(_) => ExitCode::FAILURE,
    }
}

fn serve() -> io::Result<()> {
    let stream = Arc::new(UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?));
    let answer = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let (job, _) = receive::<Job>(&stream)?;
    confine::begin(&job.limits)?;
    confine::end_with(Arc::clone(&stream))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(job.limits.threads.max(1))
        .thread_stack_size(STACK_BYTES)
        .build()?;
    let asked = Arc::clone(&stream);
    // On a worker, whose stack we know.
    let task = runtime.spawn(async move { execute(&job, &asked, answer).await });
    let last_word = match runtime.block_on(task) {
        Ok(Ok(summary)) => FromChild::Done(summary),
        Ok(Err(failure)) => FromChild::Failed(failure),
        Err(panic) => FromChild::Failed(fall(&panic)),
    };
    protocol::send(&stream, &last_word, None)?;
    // What still runs has no one to answer.
    runtime.shutdown_background();
    Ok(())
}

async fn execute(job: &Job, stream: &UnixStream, answer: File) -> Result<Summary, Failure> {
    let mut session = Session::new(&job.limits)?;
    let plan = session.plan(&job.sql).await?;
    let needs = session::needs(&plan)?;
    protocol::send(stream, &FromChild::Needs(needs), None).map_err(|e| internal(&e))?;
    let handed = take_files(stream).map_err(|e| internal(&e))?;
    confine::seal().map_err(|e| internal(&e))?;
    session.fill(handed)?;
    let batches = session.run(&plan).await?;
    answer::write(batches, answer, job).await
}

fn take_files(stream: &UnixStream) -> io::Result<Vec<(TableName, Handed)>> {
    let mut handed = Vec::new();
    loop {
        match receive::<FromParent>(stream)? {
            (FromParent::Complete, _) => return Ok(handed),
            (FromParent::File { table, rows, deleted }, Some(file)) => {
                handed.push((table, Handed::new(File::from(file), rows, deleted)?));
            }
            (FromParent::File { .. }, None) => return Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

/// A text or a list of more bytes than its offsets can count ends the engine with these words.
fn fall(panic: &impl ToString) -> Failure {
    let words = panic.to_string();
    if !words.contains("overflow") {
        return internal(&words);
    }
    let message = "the query makes values that are larger than can be held".to_owned();
    Failure { problem: Problem::Memory, message }
}

fn internal(error: &impl ToString) -> Failure {
    Failure { problem: Problem::Internal, message: error.to_string() }
}
