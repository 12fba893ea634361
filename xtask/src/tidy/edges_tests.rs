//! That the edge check can fail, in each of the ways it promises.

use super::{Allowed, Finding, Metadata, compare};

fn findings(list: &str, metadata: &str) -> Vec<String> {
    let allowed: Allowed = toml::from_str(list).unwrap();
    let metadata: Metadata = serde_json::from_str(metadata).unwrap();
    compare(&allowed, &metadata).into_iter().map(|Finding { problem, .. }| problem).collect()
}

const SDK_ON_MODEL: &str = r#"{"packages": [
    {"name": "model", "dependencies": []},
    {"name": "sdk", "dependencies": [{"name": "model", "kind": null}, {"name": "ureq", "kind": null}]}
]}"#;

#[test]
fn a_listed_edge_passes() {
    let list = "[[edge]]\nfrom = 'sdk'\nto = 'model'\nwhy = 'it records spans'";
    assert_eq!(findings(list, SDK_ON_MODEL), Vec::<String>::new());
}

#[test]
fn an_edge_nobody_listed_is_found() {
    assert_eq!(findings("", SDK_ON_MODEL), ["sdk → model is not an allowed edge"]);
}

#[test]
fn a_listed_edge_that_nobody_takes_is_found() {
    let list = "[[edge]]\nfrom = 'sdk'\nto = 'model'\nwhy = 'w'\n\
                [[edge]]\nfrom = 'model'\nto = 'sdk'\nwhy = 'w'";
    let found = findings(list, SDK_ON_MODEL);
    assert_eq!(found, ["the edge model → sdk is listed but nobody takes it"]);
}

#[test]
fn a_build_edge_counts_as_an_edge_and_a_dev_edge_is_listed_apart() {
    let metadata = r#"{"packages": [
        {"name": "a", "dependencies": [{"name": "b", "kind": "build"}, {"name": "c", "kind": "dev"}]},
        {"name": "b", "dependencies": []},
        {"name": "c", "dependencies": []}
    ]}"#;
    let found = findings("", metadata);
    assert_eq!(found, ["a → b is not an allowed edge", "a → c is not an allowed dev_edge"]);
}

#[test]
fn a_dev_edge_beside_a_normal_one_needs_no_second_line() {
    let metadata = r#"{"packages": [
        {"name": "a", "dependencies": [{"name": "b", "kind": null}, {"name": "b", "kind": "dev"}]},
        {"name": "b", "dependencies": []}
    ]}"#;
    let list = "[[edge]]\nfrom = 'a'\nto = 'b'\nwhy = 'w'";
    assert_eq!(findings(list, metadata), Vec::<String>::new());
}

#[test]
fn a_crate_outside_its_room_is_found() {
    let list = "[[edge]]\nfrom = 'sdk'\nto = 'model'\nwhy = 'w'\n\
                [[room]]\ndependency = 'ureq'\ninside = ['cli']\nwhy = 'only the CLI speaks HTTP'";
    let found = findings(list, SDK_ON_MODEL);
    assert_eq!(
        found,
        ["sdk names ureq: only the CLI speaks HTTP", "cli may name ureq but does not"]
    );
}

#[test]
fn a_permission_without_a_reason_is_found() {
    let list = "[[edge]]\nfrom = 'sdk'\nto = 'model'\nwhy = ' '";
    assert_eq!(findings(list, SDK_ON_MODEL), ["sdk → model has no reason"]);
}

#[test]
fn a_crate_called_common_is_found() {
    let metadata = r#"{"packages": [{"name": "staso-common", "dependencies": []}]}"#;
    let found = findings("", metadata);
    assert_eq!(found, ["a crate named after nothing collects everything"]);
}
