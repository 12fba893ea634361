//! staso-store-local
