//! The storage contract: what an engine promises, and the means to hold it to that.
//!
//! Start at [`Store`]. Queries are plain data ([`query`]); answers are plain data ([`row`]). The
//! memory store ([`memory`]) passes the whole conformance suite and is the oracle that random
//! queries are compared with. No engine type crosses this line, and no business rule lives behind
//! it: what a trace row says is computed in one place, the same for every engine.

mod batch;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod conversations;
pub mod deletion;
mod error;
pub mod matching;
pub mod memory;
pub mod metadata;
pub mod metrics;
mod process;
pub mod query;
pub mod retention;
pub mod rollup;
pub mod row;
pub mod search;
pub mod tables;
mod traits;
pub mod tree;

pub use batch::{Appended, Batch, ReceiptKey};
pub use deletion::{Deleted, Deletion, Job, Target};
pub use error::StoreError;
pub use memory::MemoryStore;
pub use process::{
    INTERRUPTED_MESSAGE, OpenProcess, ProcessLife, ProcessSign, Sign, interrupt, is_held_open,
};
pub use retention::{Retained, Retention};
pub use traits::{Capabilities, Gauge, Store, StoreStats};
