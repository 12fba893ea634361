//! The page and its files.

use crate::fixture::Fixture;
use crate::http;

#[test]
fn any_place_in_the_app_is_the_page_with_a_nonce_of_its_own() {
    let fixture = Fixture::new();
    let mut policies = Vec::new();
    for path in ["/", "/traces/0af7651916cd43dd8448eb211c80319c", "/index.html", "/anything?x=1"] {
        let page = fixture.get(path);
        assert_eq!(page.status, 200, "{path}");
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
        assert_eq!(page.header("cache-control"), Some("no-cache"));
        let policy = page.header("content-security-policy").unwrap().to_owned();
        let html = String::from_utf8(page.body).unwrap();
        let nonce = policy.split("'nonce-").nth(1).and_then(|rest| rest.split('\'').next());
        assert!(html.contains(nonce.unwrap()), "{path}");
        assert!(!html.contains("__CSP_NONCE__"), "{path}");
        assert!(!policy.contains("unsafe-inline"));
        policies.push(policy);
    }
    policies.sort();
    policies.dedup();
    assert_eq!(policies.len(), 4);
}

#[test]
fn a_missing_file_is_not_the_page() {
    let fixture = Fixture::new();
    assert_eq!(fixture.get("/assets/gone-123.js").status, 404);
    assert_eq!(
        fixture.get("/../../Cargo.toml").header("content-type"),
        Some("text/html; charset=utf-8")
    );
    let post = http::call(fixture.address(), "POST", "/", &[], b"");
    assert_eq!((post.status, post.code()), (405, "method_not_allowed".into()));
}

/// A scraper, or a client of a later version, must not take the page for an answer.
#[test]
fn what_is_reserved_but_not_built_is_not_the_page() {
    let fixture = Fixture::new();
    for path in ["/metrics/x", "/api/nothing", "/api", "/v1/nothing", "/v1/logs"] {
        let answer = fixture.get(path);
        assert_eq!((answer.status, answer.code()), (404, "not_found".into()), "{path}");
        let json = answer.json();
        assert!(json["error"]["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{json}");
    }
}

#[test]
fn the_description_is_served_and_is_the_committed_one() {
    let fixture = Fixture::new();
    let served = fixture.get("/api/openapi.json");
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../api/openapi.json");
    let committed = std::fs::read_to_string(path).unwrap();
    let is_current = String::from_utf8(served.body).unwrap() == committed;
    assert!(is_current, "api/openapi.json is old: run `staso openapi > api/openapi.json`");
}
