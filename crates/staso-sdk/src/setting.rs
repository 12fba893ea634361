//! Settings and reports by name, so that a binding copies them in one loop instead of one by one.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::config::{Config, JournalChoice, Overrides};
use crate::ids;
use crate::report::{DeliveryReport, FailureKind};

/// A value as every language has it.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(untagged)]
pub enum Setting {
    /// Nothing was said.
    Unset,
    /// Yes or no.
    Flag(bool),
    /// A whole number.
    Count(i64),
    /// Any number.
    Number(f64),
    /// A text.
    Text(String),
    /// A place in the file system.
    Path(PathBuf),
    /// Yes or no for each capture category, in their order.
    Flags([bool; 5]),
}

impl Setting {
    /// Settings as one JSON object, for a language that reads JSON anyway.
    #[must_use]
    pub fn to_json(settings: Vec<(&'static str, Self)>) -> String {
        let by_name: BTreeMap<_, _> = settings.into_iter().collect();
        serde_json::to_string(&by_name).unwrap_or_default()
    }
}

impl From<Option<&str>> for Setting {
    fn from(text: Option<&str>) -> Self {
        text.map_or(Self::Unset, |text| Self::Text(text.to_owned()))
    }
}

impl From<u64> for Setting {
    fn from(count: u64) -> Self {
        Self::Count(i64::try_from(count).unwrap_or(i64::MAX))
    }
}

macro_rules! set {
    ($self:ident, $name:ident, $value:ident;
     text: $($text:ident)*; count: $($count:ident)*; number: $($number:ident)*; flag: $($flag:ident)*;
    ) => {
        match ($name, $value) {
            $((stringify!($text), Setting::Text(text)) => $self.$text = Some(text),)*
            $((stringify!($count), Setting::Count(count)) => $self.$count = Some(count),)*
            $((stringify!($number), Setting::Number(number)) => $self.$number = Some(number),)*
            $((stringify!($number), Setting::Count(count)) => $self.$number = Some(count as f64),)*
            $((stringify!($flag), Setting::Flag(flag)) => $self.$flag = Some(flag),)*
            ("journal", Setting::Flag(true)) => $self.journal = Some(JournalChoice::Default),
            ("journal", Setting::Flag(false)) => $self.journal = Some(JournalChoice::Off),
            ("journal", Setting::Path(path)) => $self.journal = Some(JournalChoice::At(path)),
            ("journal", Setting::Text(path)) => {
                $self.journal = Some(JournalChoice::At(PathBuf::from(path)));
            }
            (_, Setting::Unset) => {}
            _ => return false,
        }
    };
}

impl Overrides {
    /// Sets the setting of this name; false where it is no setting, or cannot have such a value.
    #[must_use]
    pub fn set(&mut self, name: &str, value: Setting) -> bool {
        set! { self, name, value;
            text: api_key agent_name agent_version base_url environment workspace_slug script_name;
            count: batch_size max_queue_size max_value_bytes max_span_bytes;
            number: flush_interval sample_rate;
            flag: enabled debug capture_messages capture_request capture_system_prompt
                capture_tool_schema capture_tool_arguments capture_output capture_git
                propagate_threads;
        }
        true
    }
}

impl Config {
    /// Every setting by the name users know it by.
    #[must_use]
    pub fn settings(&self) -> Vec<(&'static str, Setting)> {
        let agent_id = self.agent_name.as_deref().map(ids::agent_id);
        let capture = self.capture;
        let flags = [
            capture.request,
            capture.system_prompt,
            capture.tool_schema,
            capture.tool_arguments,
            capture.output,
        ];
        vec![
            ("api_key", self.api_key.as_ref().map(|key| key.0.as_str()).into()),
            ("agent_name", self.agent_name.as_deref().into()),
            ("agent_id", agent_id.as_deref().into()),
            ("agent_version", self.agent_version.as_deref().into()),
            ("base_url", self.destination.url().into()),
            ("batch_size", (self.batch_size as u64).into()),
            ("flush_interval", Setting::Number(self.flush_interval.as_secs_f64())),
            ("max_queue_size", (self.max_queue_size as u64).into()),
            ("enabled", Setting::Flag(self.enabled)),
            ("debug", Setting::Flag(self.debug)),
            ("environment", self.environment.as_deref().into()),
            ("workspace_slug", self.workspace_slug.as_deref().into()),
            ("session_id", self.session_id.as_deref().into()),
            ("capture_policy", Setting::Flags(flags)),
            ("capture_git", Setting::Flag(self.capture_git)),
            ("journal", Setting::Flag(self.journal)),
            ("sample_rate", Setting::Number(self.sample_rate)),
            ("max_value_bytes", (self.max_value_bytes as u64).into()),
            ("max_span_bytes", (self.max_span_bytes as u64).into()),
            ("propagate_threads", Setting::Flag(self.propagate_threads)),
        ]
    }
}

impl DeliveryReport {
    /// Every part of the report by the name users know it by.
    #[must_use]
    pub fn settings(&self, is_local: bool) -> Vec<(&'static str, Setting)> {
        let word = |kind: Option<FailureKind>| kind.map(FailureKind::as_str).into();
        vec![
            ("accepted", self.accepted.into()),
            ("delivered", self.delivered.into()),
            ("failed", self.failed.into()),
            ("pending", self.pending.into()),
            ("rejected", self.rejected.into()),
            ("timed_out", Setting::Flag(self.timed_out)),
            ("last_failure", word(self.last_failure)),
            ("retryable", Setting::Flag(self.retryable)),
            ("last_rejection", word(self.last_rejection)),
            ("rejection_retryable", Setting::Flag(self.rejection_retryable)),
            ("journalled", self.journalled.into()),
            ("is_local", Setting::Flag(is_local)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_as_json_are_values_of_json() {
        let settings = vec![
            ("b", Setting::Number(1.0)),
            ("a", Setting::Unset),
            ("c", Setting::Flags([true, false, true, true, true])),
            ("d", Setting::Text("\u{e9}\"".to_owned())),
        ];
        let json = Setting::to_json(settings);
        assert_eq!(json, r#"{"a":null,"b":1.0,"c":[true,false,true,true,true],"d":"é\""}"#);
    }

    #[test]
    fn a_setting_takes_what_it_can_be() {
        let mut overrides = Overrides::default();
        for (name, value) in [
            ("batch_size", Setting::Count(7)),
            ("flush_interval", Setting::Count(2)),
            ("sample_rate", Setting::Number(0.5)),
            ("debug", Setting::Flag(true)),
            ("agent_name", Setting::Text("a".to_owned())),
            ("journal", Setting::Path(PathBuf::from("/x"))),
            ("api_key", Setting::Unset),
        ] {
            assert!(overrides.set(name, value), "{name}");
        }
        assert_eq!((overrides.batch_size, overrides.flush_interval), (Some(7), Some(2.0)));
        assert_eq!(overrides.journal, Some(JournalChoice::At(PathBuf::from("/x"))));
        for (name, value) in [
            ("batch_size", Setting::Number(1.5)),
            ("debug", Setting::Count(1)),
            ("agent_name", Setting::Flag(true)),
            ("no_such", Setting::Flag(true)),
        ] {
            assert!(!overrides.set(name, value), "{name}");
        }
    }
}
