//! `staso query`: asks the running server one thing, in SQL or for a phrase.
//!
//! The two ways share the server and the workspace and nothing else; each has a module.

mod statement;
mod text;

use anyhow::anyhow;
use clap::Args;

use crate::client::Client;
use crate::output::WithHint as _;
use crate::settings::Place;

/// What can be asked about.
const MORE: &str = "In SQL the tables are spans, traces and annotations; `staso query 'describe spans'` \
                    lists the columns. An answer that is cut off says so on standard error.";

/// What `query` can be told.
#[derive(Debug, Args)]
#[command(after_help = MORE)]
pub(crate) struct QueryArgs {
    #[command(flatten)]
    statement: statement::StatementArgs,
    #[command(flatten)]
    text: text::TextArgs,
    /// The server to ask [default: the one that runs for the state directory]
    #[arg(long)]
    url: Option<String>,
    /// The workspace
    #[arg(long, default_value = "default")]
    workspace: String,
}

pub(crate) fn run(place: &Place, args: &QueryArgs) -> anyhow::Result<()> {
    let asked = (&args.statement.sql, &args.text.phrase);
    let (is_statement, asked) = match asked {
        (Some(sql), None) => (true, sql),
        (None, Some(phrase)) => (false, phrase),
        (None, None) => {
            return Err(anyhow!("there is nothing to look for")).hint(
                "give SQL, as in `staso query 'select count(*) from spans'`, or a phrase, as in \
                 `staso query --text 'my order'`",
            );
        }
        (Some(_), Some(_)) => {
            return Err(anyhow!("SQL and --text are two questions")).hint(
                "ask one at a time; in SQL, `where input like '%my order%'` looks for a phrase",
            );
        }
    };
    let client = Client::find(args.url.as_deref(), &place.home()?)?;
    match is_statement {
        true => statement::run(&client, &args.workspace, asked, &args.statement),
        false => text::run(&client, &args.workspace, asked, &args.text),
    }
}
