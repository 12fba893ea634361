//! staso-journal
