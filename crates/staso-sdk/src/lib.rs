//! staso-sdk
