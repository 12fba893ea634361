//! Engine failures in the contract's words.

use rusqlite::ErrorCode;
use staso_store::StoreError;

/// What a failure of the database means for the caller.
pub(crate) fn from_sqlite(error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::DiskFull,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            StoreError::Damaged { place: "catalog.db".to_owned(), problem: error.to_string() }
        }
        _ => StoreError::Engine(error.to_string()),
    }
}

/// What a failure of the file system means for the caller.
pub(crate) fn from_io(doing: &str, error: &std::io::Error) -> StoreError {
    if error.kind() == std::io::ErrorKind::StorageFull {
        return StoreError::DiskFull;
    }
    StoreError::Engine(format!("cannot {doing}: {error}"))
}
