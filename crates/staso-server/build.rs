//! Rebuilds a release whenever the dashboard was rebuilt: its files are inside the binary.
//!
//! A debug build reads the files as it runs, so nothing has to be watched there.

use std::path::Path;

fn main() {
    let dist = Path::new("../../web/dist");
    let is_release = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let watched = if is_release { dist } else { Path::new("build.rs") };
    println!("cargo::rerun-if-changed={}", watched.display());
}
