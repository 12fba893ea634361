//! What parent and child say to each other, over a socket: frames of JSON, some with an open file.
//!
//! The parent sends a [`Job`]. The child answers which tables the query reads ([`FromChild::Needs`]), or
//! why it cannot be run; it gets their files ([`FromParent::File`]) and, when it is done, says how it
//! went. The answer itself is written to the child's standard output, which is a file.

use std::io::{self, IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A table of a workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TableName {
    /// The newest version of every span.
    Spans,
    /// A row per trace.
    Traces,
    /// Every annotation.
    Annotations,
}

/// How the answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// One JSON object: columns, rows, and whether rows are missing.
    #[default]
    Json,
    /// CSV with a header.
    Csv,
    /// An Arrow IPC stream.
    Arrow,
    /// A Parquet file.
    Parquet,
}

/// What a query may use up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Rows of the answer; what is beyond is cut off.
    pub rows: u64,
    /// Bytes of the answer, about; likewise.
    pub bytes: u64,
    /// Memory of the whole process.
    pub memory_bytes: u64,
    /// Processor time, of all threads together.
    pub cpu_secs: u64,
    /// Threads that compute.
    pub threads: usize,
}

/// A query to be run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// The text.
    pub sql: String,
    /// How the answer is written.
    pub format: Format,
    /// What it may use up.
    pub limits: Limits,
}

/// From the child.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromChild {
    /// The query reads these tables; it goes on when it has them.
    Needs(Vec<TableName>),
    /// The answer is written.
    Done(Summary),
    /// There is no answer.
    Failed(Failure),
}

/// To the child, after the job.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromParent {
    /// A file of a table; its descriptor comes along.
    File {
        /// The table.
        table: TableName,
        /// Rows, deleted ones included.
        rows: u64,
        /// Rows that do not count, as runs: the first, and how many.
        deleted: Vec<(u64, u64)>,
    },
    /// Every table is complete.
    Complete,
}

/// Of an answer that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Rows in the answer.
    pub rows: u64,
    /// The limit that cut it off, if one did.
    pub cut: Option<Cut>,
}

/// Why rows are missing at the end of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cut {
    /// There are more rows than were allowed.
    Rows,
    /// There are more bytes than were allowed.
    Bytes,
}

impl Cut {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::Bytes => "bytes",
        }
    }
}

/// A column of the answer, as JSON has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type, in Arrow's words.
    #[serde(rename = "type")]
    pub kind: String,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct Failure {
    /// What sort of failure it is.
    pub problem: Problem,
    /// What is wrong, in words for who wrote the query.
    pub message: String,
}

/// Sorts of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Problem {
    /// The query makes no sense, or fails on a value.
    Query,
    /// It is no query: it would change or set something.
    Forbidden,
    /// It needs more memory than it may have.
    Memory,
    /// It needs more processor time than it may have.
    Cpu,
    /// It is nested deeper than can be followed.
    Depth,
    /// The child is at fault, or what it read.
    Internal,
}

/// No frame is longer: a query is at most a request's body, a delete vector has two numbers a run.
const MAX_FRAME_BYTES: u32 = 256 << 20;

/// Sends a frame.
///
/// # Errors
/// Where the other end is gone.
pub fn send(
    mut stream: &UnixStream,
    message: &impl Serialize,
    file: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let body = serde_json::to_vec(message)?;
    let length = u32::try_from(body.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let head = length.to_le_bytes();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let files = file.as_slice();
    if !files.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(files));
    }
    let sent = loop {
        match sendmsg(stream, &[IoSlice::new(&head)], &mut control, SendFlags::empty()) {
            Err(rustix::io::Errno::INTR) => {}
            other => break other?,
        }
    };
    stream.write_all(&head[sent..])?;
    stream.write_all(&body)
}

/// Takes a frame, with the file that came along.
///
/// # Errors
/// Where the other end is gone or says what makes no sense.
pub fn receive<T: DeserializeOwned>(mut stream: &UnixStream) -> io::Result<(T, Option<OwnedFd>)> {
    let mut head = [0; 4];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let read = loop {
        let mut into = [IoSliceMut::new(&mut head)];
        match recvmsg(stream.as_fd(), &mut into, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Err(rustix::io::Errno::INTR) => {}
            other => break other?.bytes,
        }
    };
    if read == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let files = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(files) => Some(files),
        _ => None,
    });
    let file = files.flatten().last();
    stream.read_exact(&mut head[read..])?;
    let length = u32::from_le_bytes(head);
    if length > MAX_FRAME_BYTES {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut body = vec![0; length as usize];
    stream.read_exact(&mut body)?;
    Ok((serde_json::from_slice(&body)?, file))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Seek as _;

    use super::*;

    #[test]
    fn a_frame_arrives_with_its_file() {
        let (one, other) = UnixStream::pair().unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"content").unwrap();
        let deleted = vec![(1, 2), (7, u64::MAX)];
        let sent = FromParent::File { table: TableName::Spans, rows: 9, deleted };
        send(&one, &FromParent::Complete, None).unwrap();
        send(&one, &sent, Some(file.as_fd())).unwrap();
        drop((one, file));
        let (first, none) = receive::<FromParent>(&other).unwrap();
        assert!(matches!(first, FromParent::Complete) && none.is_none());
        let (second, file) = receive::<FromParent>(&other).unwrap();
        assert!(matches!(second, FromParent::File { rows: 9, deleted, .. } if deleted.len() == 2));
        let mut file = File::from(file.unwrap());
        file.rewind().unwrap();
        assert_eq!(io::read_to_string(file).unwrap(), "content");
        assert!(receive::<FromParent>(&other).is_err(), "the other end is gone");
    }

    #[test]
    fn a_length_beyond_all_reason_is_refused() {
        let (mut one, other) = UnixStream::pair().unwrap();
        one.write_all(&u32::MAX.to_le_bytes()).unwrap();
        assert_eq!(receive::<Job>(&other).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
