//! The parent's side: starts a child for one query, hands it files, and tells from its end what went
//! wrong. A [`Query`] that is dropped takes its child with it.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::process::{Child, Command};

use crate::protocol::{
    self, Failure, FromChild, FromParent, Job, Problem, Summary, TableName, receive,
};

/// The program that a child runs: this one, with the words that make it a child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// The executable.
    pub path: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
}

/// A query under way in a child.
#[derive(Debug)]
pub struct Query {
    child: Child,
    stream: Arc<UnixStream>,
    answer: File,
    complaints: File,
}

/// An answer that was written whole.
#[derive(Debug)]
pub struct Answer {
    /// From the first byte on.
    pub file: File,
    /// Its size.
    pub bytes: u64,
    /// What the child says of it.
    pub summary: Summary,
}

/// The way of files to the child.
#[derive(Debug, Clone)]
pub struct Sink(Arc<UnixStream>);

/// A child that has said its last word is gone within this time, or is made to.
const ENDS_WITHIN: Duration = Duration::from_secs(2);
/// So much of what a dying child says is read.
const COMPLAINT_BYTES: u64 = 4096;

impl Query {
    /// Starts a child with nothing of ours but a socket and two files without names, which are made
    /// in `scratch`.
    ///
    /// # Errors
    /// What the system says where it refuses.
    pub fn start(program: &Program, scratch: &Path, job: &Job) -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        let answer = tempfile::tempfile_in(scratch)?;
        let complaints = tempfile::tempfile_in(scratch)?;
        let child = Command::new(&program.path)
            .args(&program.args)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(answer.try_clone()?)
            .stderr(complaints.try_clone()?)
            .kill_on_drop(true)
            .spawn()?;
        protocol::send(&ours, job, None)?;
        Ok(Self { child, stream: Arc::new(ours), answer, complaints })
    }

    /// The tables that the query reads.
    ///
    /// # Errors
    /// Why it cannot be run.
    pub async fn needs(&mut self) -> Result<Vec<TableName>, Failure> {
        match self.hear().await? {
            FromChild::Needs(tables) => Ok(tables),
            FromChild::Failed(failure) => Err(failure),
            FromChild::Done(_) => Err(internal("it was done before it began")),
        }
    }

    /// Where the tables' files go.
    #[must_use]
    pub fn sink(&self) -> Sink {
        Sink(Arc::clone(&self.stream))
    }

    /// Says that every table is complete, and waits for the answer.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn answer(mut self) -> Result<Answer, Failure> {
        let stream = Arc::clone(&self.stream);
        // Where the child is gone, what it said before is what matters.
        let _ = blocking(move || protocol::send(&stream, &FromParent::Complete, None)).await;
        let summary = match self.hear().await? {
            FromChild::Done(summary) => summary,
            FromChild::Failed(failure) => return Err(failure),
            FromChild::Needs(_) => return Err(internal("it asked for tables twice")),
        };
        let Self { mut child, answer: mut file, .. } = self;
        if tokio::time::timeout(ENDS_WITHIN, child.wait()).await.is_err() {
            // The answer is written; whether the kill succeeds changes nothing about it.
            let _ = child.start_kill();
        }
        let rewound = file.rewind().and_then(|()| file.metadata());
        let bytes = rewound.map_err(|e| internal(&e.to_string()))?.len();
        Ok(Answer { file, bytes, summary })
    }

    async fn hear(&mut self) -> Result<FromChild, Failure> {
        let stream = Arc::clone(&self.stream);
        match blocking(move || hear_once(&stream)).await {
            Ok(said) => Ok(said),
            Err(_) => Err(self.autopsy().await),
        }
    }

    /// Why a child that said nothing more has ended.
    async fn autopsy(&mut self) -> Failure {
        let status = match tokio::time::timeout(ENDS_WITHIN, self.child.wait()).await {
            Ok(Ok(status)) => status,
            Ok(Err(error)) => return internal(&error.to_string()),
            Err(_) => return internal("it closed its socket and went on"),
        };
        let mut words = String::new();
        let from = self.complaints.metadata().map_or(0, |meta| meta.len());
        let from = SeekFrom::Start(from.saturating_sub(COMPLAINT_BYTES));
        let mut bytes = Vec::new();
        if self.complaints.seek(from).is_ok()
            && (&self.complaints).take(COMPLAINT_BYTES).read_to_end(&mut bytes).is_ok()
        {
            words = String::from_utf8_lossy(&bytes).into_owned();
        }
        cause_of_death(status, &words)
    }
}

impl Sink {
    /// Hands a file over; it may block while the child has much to read.
    ///
    /// # Errors
    /// Where the child is gone.
    pub fn give(
        &self,
        table: TableName,
        rows: u64,
        deleted: &[u64],
        file: &File,
    ) -> io::Result<()> {
        let message = FromParent::File { table, rows, deleted: runs(deleted) };
        protocol::send(&self.0, &message, Some(file.as_fd()))
    }
}

/// Ascending numbers as runs: the first, and how many.
fn runs(numbers: &[u64]) -> Vec<(u64, u64)> {
    let mut runs = Vec::<(u64, u64)>::new();
    for number in numbers {
        match runs.last_mut() {
            Some((first, length)) if *first + *length == *number => *length += 1,
            _ => runs.push((*number, 1)),
        }
    }
    runs
}

fn hear_once<T: DeserializeOwned>(stream: &UnixStream) -> io::Result<T> {
    receive(stream).map(|(said, _)| said)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|e| Err(io::Error::other(e)))
}

fn internal(message: &str) -> Failure {
    Failure { problem: Problem::Internal, message: format!("the query's process: {message}") }
}

/// What a limit of the kernel, or of a stack, looks like from outside.
fn cause_of_death(status: ExitStatus, words: &str) -> Failure {
    let fail = |problem, message: &str| Failure { problem, message: message.to_owned() };
    let is_out_of_memory =
        words.contains("memory allocation of") || words.contains("Cannot allocate memory");
    if words.contains("overflowed its stack") {
        return fail(Problem::Depth, "the query is nested too deeply");
    }
    match status.signal() {
        Some(signal) if signal == rustix::process::Signal::XCPU.as_raw() => {
            fail(Problem::Cpu, "the query needs more processor time than it may have")
        }
        // The only one who kills it beside us is a system that has run out of memory.
        Some(signal) if signal == rustix::process::Signal::KILL.as_raw() => {
            fail(Problem::Memory, "the query was ended for the memory it took")
        }
        _ if is_out_of_memory => {
            fail(Problem::Memory, "the query needs more memory than it may have")
        }
        Some(signal) if signal == rustix::process::Signal::SEGV.as_raw() => {
            fail(Problem::Depth, "the query is nested too deeply")
        }
        _ => {
            tracing::error!(%status, words, "the process of a query ended without an answer");
            internal(&format!("it ended without an answer ({status})"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_runs() {
        assert_eq!(runs(&[]), []);
        assert_eq!(runs(&[3, 4, 5, 9, 11, 12]), [(3, 3), (9, 1), (11, 2)]);
    }

    #[test]
    fn the_end_of_a_child_says_which_limit_it_was() {
        let died = |raw, words| cause_of_death(ExitStatus::from_raw(raw), words).problem;
        assert_eq!(died(24, ""), Problem::Cpu);
        assert_eq!(died(9, ""), Problem::Memory);
        assert_eq!(died(6, "memory allocation of 99 bytes failed"), Problem::Memory);
        assert_eq!(died(6, "thread 'x' has overflowed its stack"), Problem::Depth);
        assert_eq!(died(11, ""), Problem::Depth);
        assert_eq!(died(256, "thread panicked"), Problem::Internal);
    }
}
