//! Dependencies point one way: `xtask/edges.toml` against what `cargo metadata` says.
//!
//! Compared both ways. An edge that is not listed is a decision nobody took; a listed edge that no
//! longer exists is a door left open. The same holds for the rooms: a heavy or opinionated crate may
//! be named only by the crates that the list allows.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::Finding;
use crate::repo::Repo;

const LIST: &str = "xtask/edges.toml";

/// The committed list.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Allowed {
    #[serde(default)]
    edge: Vec<Edge>,
    /// Edges that only tests take; one that `edge` lists already needs no second line.
    #[serde(default)]
    dev_edge: Vec<Edge>,
    #[serde(default)]
    room: Vec<Room>,
}

/// `from` may depend on `to`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Edge {
    from: String,
    to: String,
    why: String,
}

/// Only the crates in `inside` may name `dependency`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Room {
    dependency: String,
    inside: Vec<String>,
    why: String,
}

#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    name: String,
    /// `None` for a normal dependency, else `build` or `dev`.
    kind: Option<String>,
}

type Pair<'a> = (&'a str, &'a str);

/// Compares the list with the workspace.
pub(super) fn check(repo: &Repo) -> Result<Vec<Finding>> {
    let allowed: Allowed =
        toml::from_str(&repo.read(LIST)?).with_context(|| format!("{LIST} does not parse"))?;
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["metadata", "--no-deps", "--locked", "--format-version", "1"])
        .current_dir(&repo.root)
        .output()
        .context("cargo metadata did not start")?;
    if !output.status.success() {
        bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let metadata = serde_json::from_slice(&output.stdout).context("cargo metadata's JSON")?;
    Ok(compare(&allowed, &metadata))
}

fn compare(allowed: &Allowed, metadata: &Metadata) -> Vec<Finding> {
    let members: BTreeSet<&str> = metadata.packages.iter().map(|p| p.name.as_str()).collect();
    let listed = pairs(&allowed.edge);
    let listed_dev = pairs(&allowed.dev_edge);
    let actual = taken(metadata, &members, |kind| kind != Some("dev"));
    let actual_dev: BTreeSet<Pair<'_>> = taken(metadata, &members, |kind| kind == Some("dev"))
        .difference(&actual)
        .copied()
        .collect();

    let mut findings = reasons(allowed);
    findings.extend(differences(&listed, &actual, "edge"));
    findings.extend(differences(&listed_dev, &actual_dev, "dev_edge"));
    findings.extend(allowed.room.iter().flat_map(|room| check_room(room, metadata)));
    findings.extend(members.iter().filter(|name| is_grab_bag(name)).map(|name| {
        Finding::new(
            format!("crate {name}"),
            "a crate named after nothing collects everything",
            "name it after the contract, the heavy dependency or the law of I/O it stands for",
        )
    }));
    findings
}

fn pairs(edges: &[Edge]) -> BTreeSet<Pair<'_>> {
    edges.iter().map(|edge| (edge.from.as_str(), edge.to.as_str())).collect()
}

/// The edges between members whose kind passes.
fn taken<'a>(
    metadata: &'a Metadata,
    members: &BTreeSet<&str>,
    passes: impl Fn(Option<&str>) -> bool,
) -> BTreeSet<Pair<'a>> {
    let mut edges = BTreeSet::new();
    for package in &metadata.packages {
        for dependency in &package.dependencies {
            // A crate that depends on itself does so to switch a feature on for its tests.
            let is_edge = members.contains(dependency.name.as_str())
                && dependency.name != package.name
                && passes(dependency.kind.as_deref());
            if is_edge {
                edges.insert((package.name.as_str(), dependency.name.as_str()));
            }
        }
    }
    edges
}

fn differences(
    listed: &BTreeSet<Pair<'_>>,
    actual: &BTreeSet<Pair<'_>>,
    table: &str,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (from, to) in actual.difference(listed) {
        findings.push(Finding::new(
            format!("{from}/Cargo.toml"),
            format!("{from} → {to} is not an allowed {table}"),
            format!("take the dependency out, or add a [[{table}]] with its reason to {LIST}"),
        ));
    }
    for (from, to) in listed.difference(actual) {
        findings.push(Finding::new(
            LIST,
            format!("the {table} {from} → {to} is listed but nobody takes it"),
            "take the line out: an unused permission is a door left open",
        ));
    }
    findings
}

fn check_room(room: &Room, metadata: &Metadata) -> Vec<Finding> {
    let inside: BTreeSet<&str> = room.inside.iter().map(String::as_str).collect();
    let users: BTreeSet<&str> = metadata
        .packages
        .iter()
        .filter(|package| package.dependencies.iter().any(|d| d.name == room.dependency))
        .map(|package| package.name.as_str())
        .collect();
    let mut findings = Vec::new();
    for user in users.difference(&inside) {
        findings.push(Finding::new(
            format!("{user}/Cargo.toml"),
            format!("{user} names {}: {}", room.dependency, room.why),
            format!("go through {}, or change the room in {LIST}", room.inside.join(" or ")),
        ));
    }
    for absent in inside.difference(&users) {
        findings.push(Finding::new(
            LIST,
            format!("{absent} may name {} but does not", room.dependency),
            "take it out of the room",
        ));
    }
    findings
}

/// A permission without a reason is not a decision.
fn reasons(allowed: &Allowed) -> Vec<Finding> {
    let edges = allowed.edge.iter().chain(&allowed.dev_edge);
    edges
        .map(|edge| (format!("{} → {}", edge.from, edge.to), &edge.why))
        .chain(allowed.room.iter().map(|room| (room.dependency.clone(), &room.why)))
        .filter(|(_, why)| why.trim().is_empty())
        .map(|(what, _)| Finding::new(LIST, format!("{what} has no reason"), "fill in `why`"))
        .collect()
}

fn is_grab_bag(name: &str) -> bool {
    name.split(['-', '_']).any(|part| matches!(part, "common" | "util" | "utils"))
}

#[cfg(test)]
#[path = "edges_tests.rs"]
mod tests;
