//! Finding the server: the named one, or the user's own by its announcement, looked at at most
//! once a second.

use std::time::{Duration, Instant};

use staso_journal::{Home, ServerInfo, WireForm};

use crate::config::Config;
use crate::destination::{Destination, is_loopback_url};
use crate::network::Network;
use crate::transport::Target;

const LOOK_EVERY: Duration = Duration::from_secs(1);

pub(crate) struct Discovery {
    named: Option<Target>,
    home: Option<Home>,
    looked_at: Option<Instant>,
    info: Option<ServerInfo>,
}

/// A server and what is known of it beforehand.
pub(crate) struct Found {
    pub(crate) target: Target,
    pub(crate) form: Option<WireForm>,
}

impl Discovery {
    pub(crate) fn new(config: &Config) -> Self {
        let named = config.destination.url().map(|url| Target {
            url: url.to_owned(),
            key: config.api_key.as_ref().map(|key| key.0.clone()),
            is_loopback: matches!(config.destination, Destination::Loopback { .. }),
            network: config.network.clone(),
        });
        Self { named, home: config.home.clone(), looked_at: None, info: None }
    }

    /// Forgets when it last looked: the answer matters now.
    pub(crate) fn look_again(&mut self) {
        self.looked_at = None;
    }

    pub(crate) fn find(&mut self) -> Option<Found> {
        if let Some(target) = &self.named {
            return Some(Found { target: target.clone(), form: None });
        }
        if self.looked_at.is_none_or(|at| at.elapsed() >= LOOK_EVERY) {
            self.looked_at = Some(Instant::now());
            self.info = self.home.as_ref().and_then(ServerInfo::read);
        }
        let info = self.info.as_ref()?;
        let target = Target {
            url: info.url.trim_end_matches('/').to_owned(),
            key: (!info.token.is_empty()).then(|| info.token.clone()),
            is_loopback: is_loopback_url(&info.url),
            network: Network::default(),
        };
        let form = (!info.capabilities.is_empty()).then_some(WireForm::Values);
        Some(Found { target, form })
    }
}
