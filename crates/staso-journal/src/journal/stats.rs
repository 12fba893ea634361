//! What a journal has counted, and how it stands.

/// Counters since the journal was opened, and how it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JournalStats {
    /// Records appended.
    pub appended: u64,
    /// Records acknowledged by a server.
    pub delivered: u64,
    /// Records set aside because a server refused them for good.
    pub given_up: u64,
    /// Own records evicted to stay within the budget, announcements left out.
    pub evicted: u64,
    /// Announcements of open spans among the appended records.
    pub announced: u64,
    /// Those of them that are settled or evicted.
    pub announced_gone: u64,
    /// Those of them that were evicted.
    pub announced_evicted: u64,
    /// Records of dead processes evicted to stay within the budget.
    pub evicted_of_others: u64,
    /// Bytes in the directory, of all processes, as last measured.
    pub bytes: u64,
    /// Whether the current segment is mapped.
    pub is_mapped: bool,
}

impl JournalStats {
    /// Records that are neither delivered nor lost.
    #[must_use]
    pub fn left(&self) -> u64 {
        let gone = self.delivered + self.given_up + self.evicted + self.announced_evicted;
        self.appended.saturating_sub(gone)
    }

    /// Those of them that are no announcements of open spans.
    #[must_use]
    pub fn ended_left(&self) -> u64 {
        self.left().saturating_sub(self.announced.saturating_sub(self.announced_gone))
    }
}
