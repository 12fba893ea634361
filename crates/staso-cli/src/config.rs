//! `staso config show`: every setting of the server, and where it comes from.

use std::fmt::Write as _;

use staso_server::config::Layer;

use crate::output;
use crate::settings::Place;

pub(crate) fn run(place: &Place, with_origins: bool) -> anyhow::Result<()> {
    let config = place.config(Layer::default())?;
    let width = config.origins.values().map(|(value, _)| value.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for (key, (value, origin)) in &config.origins {
        let shown = format!("{value:?}").trim_matches('"').to_owned();
        if with_origins {
            let _ = writeln!(text, "{key:<20} {shown:<width$}  {origin}");
        } else {
            let _ = writeln!(text, "{key:<20} {shown}");
        }
    }
    output::print(&text)
}
