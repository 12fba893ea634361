//! How a journal uses the disk and its shipping thread.

/// How the journal uses the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalOptions {
    /// A segment is sealed when it would grow beyond this.
    pub segment_bytes: u64,
    /// A segment grows by this much at a time.
    pub chunk_bytes: u64,
    /// The most bytes that are kept ready for records to come, where records come fast.
    pub ahead_bytes: u64,
    /// The most bytes in the directory, of all processes together.
    pub budget_bytes: u64,
    /// The largest record.
    pub record_bytes: usize,
    /// Whether segments may be mapped where the file system can promise blocks.
    pub may_map: bool,
    /// The shipping thread is called once this many records wait for it.
    pub call_records: u64,
    /// The shipping thread is called once this many bytes wait for it.
    pub call_bytes: u64,
}

impl Default for JournalOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 8 << 20,
            chunk_bytes: 256 << 10,
            ahead_bytes: 8 << 20,
            budget_bytes: 256 << 20,
            record_bytes: 64 << 20,
            may_map: true,
            call_records: u64::MAX,
            call_bytes: u64::MAX,
        }
    }
}
