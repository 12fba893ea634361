//! staso-server
