//! staso-store
