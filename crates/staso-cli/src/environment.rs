//! The only file of this binary that reads the environment.

/// A variable's text; `None` when it is not set, or not Unicode.
pub(crate) fn get(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The filter of the log, in the words of `tracing_subscriber::EnvFilter`.
pub(crate) fn log_filter() -> String {
    get("STASO_LOG").filter(|text| !text.is_empty()).unwrap_or_else(|| "info".to_owned())
}

/// Whether the user wants no colours anywhere (no-color.org).
pub(crate) fn has_no_color() -> bool {
    get("NO_COLOR").is_some_and(|text| !text.is_empty())
}
