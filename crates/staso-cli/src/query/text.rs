//! A phrase, and what is found printed as it is found.

use clap::Args;
use staso_server::view::search::{SearchEnd, SearchHit, SearchLine};

use crate::client::Client;
use crate::output::{self, WithHint as _};
use crate::show::utc;

/// What a search can be told.
#[derive(Debug, Args)]
#[command(next_help_heading = "For a phrase")]
pub(super) struct TextArgs {
    /// Find spans with this phrase in their name, error message, input, output or events, in any
    /// script and letter case
    #[arg(id = "phrase", long = "text", value_name = "PHRASE")]
    pub(super) phrase: Option<String>,
    /// Only spans of traces that match, such as `agent:billing status:error`
    #[arg(long, default_value = "", requires = "phrase")]
    filter: String,
    /// Only spans that began at this time or later, such as 2026-01-31 or 2026-01-31T12:00:00Z
    #[arg(long, default_value = "", requires = "phrase")]
    from: String,
    /// Only spans that began before this time
    #[arg(long, default_value = "", requires = "phrase")]
    to: String,
    /// At most this many hits, 1 to 1000
    #[arg(long, default_value_t = 50, requires = "phrase")]
    limit: usize,
    /// Continue where an earlier answer ended
    #[arg(long, default_value = "", requires = "phrase")]
    cursor: String,
    /// Print each line as the server sends it (NDJSON)
    #[arg(long, requires = "phrase")]
    json: bool,
}

pub(super) fn run(
    client: &Client,
    workspace: &str,
    phrase: &str,
    args: &TextArgs,
) -> anyhow::Result<()> {
    let limit = args.limit.to_string();
    let query = [
        ("q", phrase),
        ("workspace", workspace),
        ("filter", &args.filter),
        ("from", &args.from),
        ("to", &args.to),
        ("limit", &limit),
        ("cursor", &args.cursor),
    ];
    let mut end = None;
    client.each_line("/api/search", &query, &mut |line: SearchLine, text: &str| {
        if args.json {
            output::print(&format!("{text}\n"))?;
        }
        match line {
            SearchLine::Hit(hit) if !args.json => output::print(&shown(&hit)),
            SearchLine::Hit(_) => Ok(()),
            SearchLine::End(how) => {
                end = Some(how);
                Ok(())
            }
            SearchLine::Error { error } => Err(anyhow::anyhow!(error.message)).hint(error.hint),
        }
    })?;
    let end = end
        .ok_or_else(|| anyhow::anyhow!("the answer ended before the search did"))
        .hint("ask again; `staso doctor` looks for the reason")?;
    if args.json { Ok(()) } else { output::print(&last_line(&end)) }
}

/// One hit in two lines: whose it is, and what stands there.
fn shown(hit: &SearchHit) -> String {
    let SearchHit { trace_id, span_id, name, kind, field, snippet, .. } = hit;
    let letters: Vec<char> = snippet.text.chars().collect();
    let part = |from: usize, to: usize| -> String {
        letters.get(from..to).unwrap_or_default().iter().collect()
    };
    let end = snippet.end as usize;
    let (before, phrase, after) = (
        part(0, snippet.start as usize),
        part(snippet.start as usize, end),
        part(end, letters.len()),
    );
    let dots = |is_cut: bool| if is_cut { "…" } else { "" };
    let (before, phrase, after) =
        (output::plain(&before), output::plain(&phrase), output::plain(&after));
    let phrase = if output::is_colorful() { format!("\u{1b}[1m{phrase}\u{1b}[0m") } else { phrase };
    format!(
        "{}  {}  {kind}  {trace_id}/{span_id}\n  {field}: {}{before}{phrase}{after}{}\n",
        utc(hit.start_ns.0),
        output::plain(name),
        dots(snippet.cut_before),
        dots(snippet.cut_after),
    )
}

fn last_line(end: &SearchEnd) -> String {
    let count = match end.hits {
        0 => "no span has the phrase".to_owned(),
        1 => "1 span".to_owned(),
        n => format!("{n} spans"),
    };
    match &end.next_cursor {
        None => format!("{count}\n"),
        Some(cursor) if end.hits == 0 => {
            format!("none found so far; go on with --cursor {cursor}\n")
        }
        Some(cursor) => format!("{count}; there may be more: --cursor {cursor}\n"),
    }
}
