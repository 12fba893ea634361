//! What the kernel holds the process to. Nothing here can be taken back by the process itself.
//!
//! `RLIMIT_NPROC` is left alone: it counts every process of the user, and no query starts one.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::protocol::Limits;

/// Address space that is not memory: the program itself, stacks, what the allocator reserves.
const ADDRESSES_BESIDE_MEMORY: u64 = 4 << 30;
/// An answer may pass its limit by what is written at once; this is where it ends for good.
const ANSWER_SLACK_BYTES: u64 = 64 << 20;
/// Between the signal that ends the process and the one that cannot be survived.
const CPU_SLACK_SECS: u64 = 2;

/// Sets every limit but that on open files.
pub(super) fn begin(limits: &Limits) -> io::Result<()> {
    let cap = |resource, soft: u64, hard: u64| {
        setrlimit(resource, Rlimit { current: Some(soft), maximum: Some(hard) })
    };
    let at = |resource, limit: u64| cap(resource, limit, limit);
    at(Resource::Core, 0)?;
    cap(Resource::Cpu, limits.cpu_secs, limits.cpu_secs + CPU_SLACK_SECS)?;
    at(Resource::Data, limits.memory_bytes)?;
    at(Resource::As, limits.memory_bytes.saturating_mul(2) + ADDRESSES_BESIDE_MEMORY)?;
    at(Resource::Fsize, limits.bytes.saturating_mul(2) + ANSWER_SLACK_BYTES)?;
    #[cfg(target_os = "linux")]
    rustix::thread::set_no_new_privs(true)?;
    // A workspace may have many segments.
    let files = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: files.maximum, maximum: files.maximum })?;
    Ok(())
}

/// From here on no file, no socket and no program can be opened: the one number that is left is that of
/// standard input, which stays open. Without any the system would refuse `poll`, which it begins
/// anew for a process that was stopped and goes on.
pub(super) fn seal() -> io::Result<()> {
    setrlimit(Resource::Nofile, Rlimit { current: Some(1), maximum: Some(1) })?;
    Ok(())
}

/// Ends the process when its parent is gone.
pub(super) fn end_with(parent: Arc<UnixStream>) -> io::Result<()> {
    std::thread::Builder::new().name("parent".to_owned()).stack_size(64 << 10).spawn(
        move || {
            loop {
                let mut ends = [PollFd::new(&parent, PollFlags::empty())];
                match poll(&mut ends, None) {
                    Err(rustix::io::Errno::INTR) => {}
                    // The other end was closed, or nothing can be known of it any more.
                    _ => std::process::exit(1),
                }
            }
        },
    )?;
    Ok(())
}
