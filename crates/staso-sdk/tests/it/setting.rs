//! Settings: arguments over environment over defaults, and refusals that say what to do.

use staso_sdk::{CaptureCategory, Config, Destination, JournalChoice, Overrides};

fn resolve(overrides: Overrides, env: &[(&str, &str)]) -> Result<Config, String> {
    let get =
        |name: &str| env.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    Config::resolve(&overrides, &get).map_err(|error| error.to_string())
}

fn with_url(url: &str) -> Overrides {
    Overrides { base_url: Some(url.to_owned()), ..Overrides::default() }
}

#[test]
fn nothing_is_required() {
    let config = resolve(Overrides::default(), &[("HOME", "/home/u")]).unwrap();
    assert_eq!(config.destination, Destination::Local);
    assert!(config.enabled && config.journal && config.capture.allows_all());
    assert_eq!((config.batch_size, config.max_queue_size), (100, 10_000));
    assert_eq!(config.flush_interval.as_millis(), 500);
    let nowhere = resolve(Overrides::default(), &[]).unwrap();
    assert!(!nowhere.journal && nowhere.home.is_none());
}

#[test]
fn arguments_beat_the_environment() {
    let env = [("STASO_AGENT_NAME", "env"), ("STASO_BATCH_SIZE", "7"), ("STASO_JOURNAL", "off")];
    let config = resolve(Overrides::default(), &env).unwrap();
    assert_eq!((config.agent_name.as_deref(), config.batch_size), (Some("env"), 7));
    assert!(!config.journal);
    let overrides = Overrides {
        agent_name: Some("argument".to_owned()),
        script_name: Some("script".to_owned()),
        journal: Some(JournalChoice::At("/x".into())),
        ..Overrides::default()
    };
    let config = resolve(overrides, &env).unwrap();
    assert_eq!(config.agent_name.as_deref(), Some("argument"));
    assert_eq!(config.home.unwrap().path(), std::path::Path::new("/x"));
}

#[test]
fn a_server_elsewhere_needs_a_key_and_encryption() {
    for (url, key, problem) in [
        ("https://a.example", None, "api_key is missing"),
        ("https://a.example", Some("Change-Me"), "placeholder"),
        ("https://a.example", Some("k\ney"), "characters"),
        ("http://a.example", Some("key"), "unencrypted"),
        ("https://u:p@a.example", Some("key"), "credentials"),
        ("https://a.example/?q", Some("key"), "query"),
        ("https://a.example/#f", Some("key"), "fragment"),
        ("ftp://a.example", Some("key"), "must begin"),
        ("a.example", Some("key"), "scheme"),
        ("https://", Some("key"), "base_url"),
    ] {
        let overrides = Overrides { api_key: key.map(str::to_owned), ..with_url(url) };
        let error = resolve(overrides, &[]).unwrap_err();
        assert!(error.contains(problem), "{url}: {error}");
    }
    let key = [("STASO_API_KEY", "ak_1"), ("STASO_ALLOW_HTTP", "1")];
    let config = resolve(with_url("http://a.example/staso/"), &key).unwrap();
    assert_eq!(config.destination, Destination::Remote { url: "http://a.example/staso".into() });
    assert!(!format!("{config:?}").contains("ak_1"));
}

#[test]
fn this_machine_needs_neither() {
    for url in
        ["http://127.0.0.1:7827", "http://localhost:1/", "http://[::1]:2", "http://127.9.9.9"]
    {
        let config = resolve(with_url(url), &[]).unwrap();
        assert!(matches!(config.destination, Destination::Loopback { .. }), "{url}");
    }
    for url in ["http://127.0.0.1.example", "http://localhost.example"] {
        assert!(resolve(with_url(url), &[]).is_err(), "{url}");
    }
}

#[test]
fn numbers_and_booleans_are_strict() {
    for (name, value) in [
        ("STASO_BATCH_SIZE", "0"),
        ("STASO_BATCH_SIZE", "501"),
        ("STASO_BATCH_SIZE", "many"),
        ("STASO_FLUSH_INTERVAL", "0"),
        ("STASO_FLUSH_INTERVAL", "-1"),
        ("STASO_FLUSH_INTERVAL", "nan"),
        ("STASO_MAX_QUEUE_SIZE", "0"),
        ("STASO_ENABLED", "perhaps"),
        ("STASO_SAMPLE_RATE", "1.1"),
        ("STASO_SAMPLE_RATE", "nan"),
    ] {
        let error = resolve(Overrides::default(), &[(name, value)]).unwrap_err();
        let argument = name.trim_start_matches("STASO_").to_ascii_lowercase();
        assert!(error.contains(name) || error.contains(&argument), "{name}={value}: {error}");
    }
}

#[test]
fn capture_has_an_older_name() {
    let env = [("STASO_CAPTURE_MESSAGES", "no"), ("STASO_CAPTURE_REQUEST", "yes")];
    let capture = resolve(Overrides::default(), &env).unwrap().capture;
    assert!(capture.allows(CaptureCategory::Request));
    assert!(!capture.allows(CaptureCategory::SystemPrompt));
    assert!(capture.allows(CaptureCategory::Output));
}

#[test]
fn every_variable_is_in_the_registry_once() {
    let mut names: Vec<_> = staso_sdk::env::REGISTRY.iter().map(|variable| variable.name).collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count);
    assert!(names.iter().all(|name| name.starts_with("STASO_")));
}
