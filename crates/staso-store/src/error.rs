//! What can go wrong in a store, by what the caller can do about it.

/// A store's refusal or failure. Nothing of the call was applied unless said otherwise.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The write queue is full: the same call may succeed in a moment (HTTP 429).
    #[error("the write queue is full")]
    Busy,
    /// The disk is full: the same call succeeds once there is room (HTTP 503).
    #[error("the disk that holds the data directory is full")]
    DiskFull,
    /// The store is closing or closed (HTTP 503).
    #[error("the store is closed")]
    Closed,
    /// The engine cannot do this; [`crate::Capabilities`] says so beforehand.
    #[error("this store cannot {0}")]
    Unsupported(&'static str),
    /// The query makes no sense; the message says what and the hint what to do.
    #[error("{message}")]
    BadQuery {
        /// What is wrong.
        message: String,
        /// What to do instead.
        hint: String,
    },
    /// Stored bytes are damaged. What is undamaged stays readable.
    #[error("damaged data in {place}: {problem}")]
    Damaged {
        /// The file or table.
        place: String,
        /// What was found.
        problem: String,
    },
    /// The engine failed; the message is for the operator.
    #[error("the storage engine failed: {0}")]
    Engine(String),
}
