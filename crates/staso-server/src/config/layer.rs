//! One source of settings, and how several become one.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::keys::{self, KEYS, Key, Shape};

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// A `staso.toml`, by its path.
    File(String),
    /// An environment variable, by its name.
    Environment(&'static str),
    /// A flag of the command line.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => f.write_str(path),
            Self::Environment(name) => f.write_str(name),
            Self::Flag => f.write_str("flag"),
        }
    }
}

/// What is wrong with the configuration, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file is not TOML.
    #[error("{path} is not valid TOML: {problem}")]
    NotToml {
        /// The file.
        path: String,
        /// What the parser says.
        problem: String,
    },
    /// No setting has this name.
    #[error("unknown setting `{key}` in {origin}; known are: {known}")]
    UnknownKey {
        /// The name.
        key: String,
        /// Where it stands.
        origin: Origin,
        /// What may stand there.
        known: String,
    },
    /// The value is of the wrong shape or out of range.
    #[error("setting `{key}` from {origin}: want {wanted}, got {found}")]
    BadValue {
        /// The setting.
        key: &'static str,
        /// Where the value stands.
        origin: Origin,
        /// What it takes.
        wanted: String,
        /// What stands there.
        found: String,
    },
}

/// One source of settings.
#[derive(Debug, Clone, Default)]
pub struct Layer {
    values: Vec<(&'static Key, Origin, toml::Value)>,
}

impl Layer {
    /// The settings of a `staso.toml`.
    ///
    /// # Errors
    /// [`ConfigError::NotToml`] and [`ConfigError::UnknownKey`].
    pub fn from_toml(path: &str, text: &str) -> Result<Self, ConfigError> {
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            ConfigError::NotToml { path: path.to_owned(), problem: error.message().to_owned() }
        })?;
        let origin = Origin::File(path.to_owned());
        let known = || KEYS.iter().map(|key| key.name).collect::<Vec<_>>().join(", ");
        let values = table.into_iter().map(|(name, value)| match keys::find(&name) {
            Some(key) => Ok((key, origin.clone(), value)),
            None => {
                let origin = origin.clone();
                Err(ConfigError::UnknownKey { key: name, origin, known: known() })
            }
        });
        Ok(Self { values: values.collect::<Result<_, _>>()? })
    }

    /// The settings of the environment. Variables that are not settings of the server are not
    /// looked at: the client library shares the prefix.
    #[must_use]
    pub fn from_environment(get_env: impl Fn(&str) -> Option<String>) -> Self {
        let values = KEYS.iter().filter_map(|key| {
            let text = get_env(key.env).filter(|text| !text.is_empty())?;
            Some((key, Origin::Environment(key.env), from_text(key, &text)))
        });
        Self { values: values.collect() }
    }

    /// One more setting from the command line. Unknown names are a fault of the caller and are
    /// left out.
    #[must_use]
    pub fn flag(mut self, name: &str, value: Option<impl fmt::Display>) -> Self {
        if let (Some(key), Some(value)) = (keys::find(name), value) {
            self.values.push((key, Origin::Flag, from_text(key, &value.to_string())));
        }
        self
    }
}

/// Text as the value its key takes; a number that is none stays text and is refused on reading.
fn from_text(key: &Key, text: &str) -> toml::Value {
    match key.shape {
        Shape::Text => toml::Value::String(text.to_owned()),
        Shape::Integer(..) => match text.trim().parse() {
            Ok(n) => toml::Value::Integer(n),
            Err(_) => toml::Value::String(text.to_owned()),
        },
        Shape::List => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            toml::Value::Array(items.map(|item| toml::Value::String(item.to_owned())).collect())
        }
    }
}

type Merged = BTreeMap<&'static str, (toml::Value, Origin)>;

/// The strongest value of every key, each checked against its shape.
pub(super) fn merge(layers: &[Layer]) -> Result<Merged, ConfigError> {
    let mut merged: Merged =
        KEYS.iter().map(|key| (key.name, (from_text(key, key.default), Origin::Default))).collect();
    for (key, origin, value) in layers.iter().flat_map(|layer| &layer.values) {
        check(key, origin, value)?;
        merged.insert(key.name, (value.clone(), origin.clone()));
    }
    Ok(merged)
}

fn check(key: &'static Key, origin: &Origin, value: &toml::Value) -> Result<(), ConfigError> {
    let (fits, wanted) = match (key.shape, value) {
        (Shape::Text, value) => (value.is_str(), "text".to_owned()),
        (Shape::Integer(low, high), value) => {
            let number = value.as_integer().and_then(|n| u64::try_from(n).ok());
            let fits = number.is_some_and(|n| (low..=high).contains(&n));
            (fits, format!("a whole number from {low} to {high}"))
        }
        (Shape::List, value) => {
            let fits = value.as_array().is_some_and(|items| items.iter().all(toml::Value::is_str));
            (fits, "a list of texts".to_owned())
        }
    };
    let bad = || ConfigError::BadValue {
        key: key.name,
        origin: origin.clone(),
        wanted,
        found: shown(value),
    };
    if fits { Ok(()) } else { Err(bad()) }
}

/// A value as people write it in the environment.
fn shown(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Integer(n) => n.to_string(),
        toml::Value::Float(x) => x.to_string(),
        toml::Value::Boolean(b) => b.to_string(),
        toml::Value::Array(items) => items.iter().map(shown).collect::<Vec<_>>().join(","),
        toml::Value::Datetime(_) => "a date".to_owned(),
        toml::Value::Table(_) => "a table".to_owned(),
    }
}

/// Typed access to merged values, which are known to have their key's shape.
pub(super) struct Reader<'a>(pub(super) &'a Merged);

impl Reader<'_> {
    pub(super) fn text(&self, key: &'static str) -> String {
        self.0.get(key).and_then(|(value, _)| value.as_str()).unwrap_or_default().to_owned()
    }

    pub(super) fn parsed<T: FromStr>(&self, key: &'static str) -> Result<T, ConfigError> {
        let text = self.text(key);
        text.parse().map_err(|_| self.bad(key, "an IP address", &text))
    }

    pub(super) fn integer<T: TryFrom<i64>>(&self, key: &'static str) -> Result<T, ConfigError> {
        let number = self.0.get(key).and_then(|(value, _)| value.as_integer()).unwrap_or_default();
        T::try_from(number).map_err(|_| self.bad(key, "a smaller number", &number.to_string()))
    }

    pub(super) fn seconds(&self, key: &'static str) -> Result<Duration, ConfigError> {
        Ok(Duration::from_secs(u64::from(self.integer::<u32>(key)?)))
    }

    pub(super) fn list(&self, key: &'static str) -> Vec<String> {
        let items = self.0.get(key).and_then(|(value, _)| value.as_array());
        items.into_iter().flatten().filter_map(|item| item.as_str()).map(str::to_owned).collect()
    }

    pub(super) fn origins(&self) -> BTreeMap<&'static str, (String, Origin)> {
        self.0.iter().map(|(key, (value, origin))| (*key, (shown(value), origin.clone()))).collect()
    }

    pub(super) fn bad(&self, key: &'static str, wanted: &str, found: &str) -> ConfigError {
        let origin = self.0.get(key).map_or(Origin::Default, |(_, origin)| origin.clone());
        ConfigError::BadValue { key, origin, wanted: wanted.to_owned(), found: found.to_owned() }
    }
}
