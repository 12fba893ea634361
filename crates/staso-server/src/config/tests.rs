//! Precedence, provenance and refusals of the configuration.

use super::*;

fn env(pairs: &[(&str, &str)]) -> Layer {
    Layer::from_environment(|name| {
        pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    })
}

fn merge(layers: &[Layer]) -> Result<Config, ConfigError> {
    Config::merge("/state".into(), layers)
}

#[test]
fn nothing_set_is_the_documented_default() {
    let config = merge(&[]).unwrap();
    assert_eq!(format!("{}:{}", config.host, config.port), "127.0.0.1:7827");
    assert_eq!(config.data_dir(), PathBuf::from("/state/data"));
    assert_eq!(config.limits.max_body_bytes, 64 << 20);
    assert!(config.origins.values().all(|(_, origin)| *origin == Origin::Default));
}

#[test]
fn the_later_layer_wins_and_is_remembered() {
    let file = Layer::from_toml("staso.toml", "port = 1\nmax_spans = 2\nallowed_hosts = ['a']");
    let layers =
        [file.unwrap(), env(&[("STASO_PORT", "3")]), Layer::default().flag("port", Some(4))];
    let port = |n: usize| {
        let config = merge(&layers[..n]).unwrap();
        (config.port, config.origins["port"].1.to_string())
    };
    assert_eq!(port(0), (7827, "default".into()));
    assert_eq!(port(1), (1, "staso.toml".into()));
    assert_eq!(port(2), (3, "STASO_PORT".into()));
    assert_eq!(port(3), (4, "flag".into()));
    let config = merge(&layers).unwrap();
    assert_eq!(config.limits.max_spans, 2);
    assert_eq!(config.allowed_hosts, ["a"]);
}

#[test]
fn an_unset_flag_and_an_empty_variable_change_nothing() {
    let flags = Layer::default().flag("port", None::<u16>);
    assert_eq!(merge(&[env(&[("STASO_PORT", "")]), flags]).unwrap().port, 7827);
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    let unknown = Layer::from_toml("/etc/staso.toml", "prot = 1").unwrap_err().to_string();
    assert!(unknown.starts_with("unknown setting `prot` in /etc/staso.toml"), "{unknown}");
    assert!(unknown.contains("port"), "{unknown}");
    assert!(matches!(Layer::from_toml("f", "port ="), Err(ConfigError::NotToml { .. })));
    for (name, value) in [
        ("STASO_PORT", "65536"),
        ("STASO_PORT", "-1"),
        ("STASO_PORT", "many"),
        ("STASO_HOST", "localhost"),
        ("STASO_MAX_DEPTH", "513"),
    ] {
        let error = merge(&[env(&[(name, value)])]).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(value), "{error}");
    }
    let shape = Layer::from_toml("f", "allowed_hosts = 'a'").unwrap();
    assert!(merge(&[shape]).unwrap_err().to_string().contains("a list of texts"));
}
