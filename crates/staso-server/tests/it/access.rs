//! Who is let in, over real sockets. The full table of names is tested beside the rules.

use std::net::IpAddr;

use staso_server::{ServeError, Server};

use crate::fixture::Fixture;
use crate::http::{self, Answer};

fn head(fixture: &Fixture, path: &str, headers: &[(&str, &str)]) -> Answer {
    http::call(fixture.address(), "GET", path, headers, b"")
}

#[test]
fn every_path_is_behind_the_same_rules() {
    let fixture = Fixture::new();
    for path in ["/", "/api/health", "/api/live", "/api/nope", "/v1/setup/validate", "/assets/x.js"]
    {
        let rebound = head(&fixture, path, &[("Host", "evil.example")]);
        assert_eq!((rebound.status, rebound.code()), (403, "host_not_allowed".into()), "{path}");
        let forged =
            head(&fixture, path, &[("Host", "localhost"), ("Origin", "http://evil.example")]);
        assert_eq!((forged.status, forged.code()), (403, "origin_not_allowed".into()), "{path}");
        let proxied = head(&fixture, path, &[("X-Forwarded-For", "10.0.0.1")]);
        assert_eq!((proxied.status, proxied.code()), (401, "key_required".into()), "{path}");
    }
}

#[test]
fn a_forged_post_changes_nothing() {
    let fixture = Fixture::new();
    let body = crate::fixture::batch_of(crate::fixture::TRACE, "root").to_string();
    let headers = [("Origin", "http://evil.example"), ("Content-Type", "text/plain")];
    let answer = fixture.post("/v1/traces/ingest", &headers, body.as_bytes());
    assert_eq!(answer.status, 403);
    assert_eq!(fixture.read("/api/health")["store"]["spans"], "0");
}

#[test]
fn the_token_of_server_json_counts_as_a_key() {
    let fixture = Fixture::new();
    let text = std::fs::read_to_string(fixture.home().join("server.json")).unwrap();
    let info: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(info["url"], format!("http://{}", fixture.address()));
    let token = info["token"].as_str().unwrap();
    let answer = head(&fixture, "/api/health", &[("Via", "1.1 proxy"), ("X-API-Key", token)]);
    assert_eq!(answer.status, 200);
}

#[cfg(unix)]
#[test]
fn server_json_is_private_and_goes_with_the_server() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut fixture = Fixture::new();
    let path = fixture.home().join("server.json");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    fixture.stop();
    assert!(!path.exists());
}

#[test]
fn more_names_and_origins_can_be_allowed() {
    let fixture =
        Fixture::with("allowed_hosts = ['staso.lan']\nallowed_origins = ['http://localhost:5173']");
    assert_eq!(head(&fixture, "/api/health", &[("Host", "staso.lan:80")]).status, 200);
    let page = [("Host", "localhost"), ("Origin", "http://localhost:5173")];
    let answer = head(&fixture, "/api/health", &page);
    assert_eq!(answer.header("access-control-allow-origin"), Some("http://localhost:5173"));
    let preflight = http::call(fixture.address(), "OPTIONS", "/v1/traces/ingest", &page, b"");
    assert_eq!(preflight.status, 204);
    assert!(preflight.header("access-control-allow-headers").unwrap().contains("idempotency-key"));
    let own =
        head(&fixture, "/api/health", &[("Host", "localhost"), ("Origin", "http://localhost")]);
    assert_eq!((own.status, own.header("access-control-allow-origin")), (200, None));
}

#[test]
fn off_the_loopback_it_does_not_start() {
    let fixture = Fixture::stopped("");
    for host in ["0.0.0.0", "::", "10.1.2.3"] {
        let mut config = fixture.config();
        config.host = host.parse::<IpAddr>().unwrap();
        let refused = fixture.runtime.block_on(Server::start(config));
        let error = refused.map(|_| ()).unwrap_err();
        assert!(matches!(error, ServeError::NotLoopback { .. }), "{host}: {error}");
        assert!(error.hint().contains("keys come with a later version"));
        assert!(!fixture.home().exists(), "nothing was made");
    }
}
