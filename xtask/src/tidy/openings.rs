//! Every file opens with a paragraph that says what the room is for.
//!
//! A reader who opens a file at random should know after one sentence whether they are in the right
//! place. A heading of one or two words does not do that, so the opening needs a sentence's worth of them.

use super::Finding;
use crate::repo::{Repo, SourceFile};

/// Fewer words than this say no more than the file's name does.
const WORDS_MIN: usize = 3;

/// How a language opens a file, and what to tell someone who forgot.
struct Manner {
    openers: &'static [&'static str],
    hint: &'static str,
}

/// Finds the files that start without saying what they are for.
pub(super) fn check(repo: &Repo, is_generated: &dyn Fn(&str) -> bool) -> Vec<Finding> {
    repo.files.iter().filter(|file| !is_generated(&file.path)).filter_map(check_file).collect()
}

fn check_file(file: &SourceFile) -> Option<Finding> {
    let manner = manner(file)?;
    let body = without_preamble(&file.text);
    if is_empty_package(file, body) {
        return None;
    }
    let Some(opener) = manner.openers.iter().find(|opener| body.starts_with(*opener)) else {
        return Some(Finding::new(
            &file.path,
            "opens without a word on what it is for",
            manner.hint,
        ));
    };
    let said = opening_words(body, opener);
    (said < WORDS_MIN).then(|| {
        Finding::new(
            &file.path,
            format!("opens with {said} words; a sentence has at least {WORDS_MIN}"),
            manner.hint,
        )
    })
}

fn manner(file: &SourceFile) -> Option<Manner> {
    let is_build_script = file.path.ends_with("/build.rs");
    Some(match file.extension() {
        "rs" if is_build_script => Manner {
            openers: &["//! ", "// "],
            hint: "start the build script with `// ` and a sentence that says what it makes",
        },
        "rs" => Manner {
            openers: &["//! "],
            hint: "start the file with `//! ` and a sentence that says what the module is for",
        },
        "py" => Manner {
            openers: &["\"\"\"", "r\"\"\""],
            hint: "start the module with a docstring that says what it is for",
        },
        "pyi" => Manner {
            openers: &["\"\"\"", "# "],
            hint: "start the stub with a docstring or a comment that says what it describes",
        },
        "ts" | "tsx" | "js" | "mjs" | "css" => Manner {
            openers: &["/**", "/*", "// "],
            hint: "start the file with a comment that says what it is for",
        },
        "sh" => Manner {
            openers: &["# "],
            hint: "follow the `#!` line with `# ` and a sentence that says what the script does",
        },
        "" if file.text.starts_with("#!") => Manner {
            openers: &["# "],
            hint: "follow the `#!` line with `# ` and a sentence that says what the script does",
        },
        _ => return None,
    })
}

/// The text after a `#!` line, an encoding line and blank lines.
fn without_preamble(text: &str) -> &str {
    let mut rest = text.trim_start_matches('\u{feff}').trim_start();
    while rest.starts_with("#!") && !rest.starts_with("#![") || rest.starts_with("# -*-") {
        rest = rest.split_once('\n').map_or("", |(_, after)| after).trim_start();
    }
    rest
}

/// An `__init__.py` that holds nothing, or nothing but a future import, has nothing to tell.
fn is_empty_package(file: &SourceFile, body: &str) -> bool {
    let lines = || body.lines().map(str::trim).filter(|line| !line.is_empty());
    let only_future = lines().all(|line| line.starts_with("from __future__ import"));
    file.extension() == "py"
        && only_future
        && (lines().next().is_some() || file.path.ends_with("__init__.py"))
}

/// How many words the opening comment or docstring has.
fn opening_words(body: &str, opener: &str) -> usize {
    let closing = match opener {
        "\"\"\"" | "r\"\"\"" => Some("\"\"\""),
        "/**" | "/*" => Some("*/"),
        _ => None,
    };
    let text: String = match closing {
        Some(closing) => {
            let inner = &body[opener.len()..];
            inner.split_once(closing).map_or(inner, |(before, _)| before).to_owned()
        }
        None => {
            let marker = opener.trim_end();
            body.lines().map_while(|line| line.strip_prefix(marker)).collect::<Vec<_>>().join(" ")
        }
    };
    text.split_whitespace().filter(|word| word.chars().any(char::is_alphanumeric)).count()
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::repo::Repo;

    fn finds(path: &str, text: &str) -> bool {
        !check(&Repo::of(&[(path, text)]), &|_| false).is_empty()
    }

    #[test]
    fn rust_opens_with_inner_docs() {
        assert!(finds("a/src/b.rs", "use std::fs;\n"));
        assert!(finds("a/src/b.rs", "// A plain comment with quite enough words.\n"));
        assert!(finds("a/src/b.rs", "//! staso-journal\n"));
        assert!(finds("a/src/b.rs", "#![cfg(test)]\n//! Too late to say what it is for.\n"));
        assert!(!finds("a/src/b.rs", "//! What this module is for,\n//! in two lines.\n"));
        assert!(!finds("a/build.rs", "// Makes the table of names at build time.\nfn main() {}\n"));
    }

    #[test]
    fn python_opens_with_a_docstring() {
        assert!(finds("a/b.py", "import os\n"));
        assert!(finds("a/b.py", "# A comment is not a docstring, sorry.\nimport os\n"));
        assert!(finds("a/b.py", "\"\"\"Stuff.\"\"\"\n"));
        assert!(finds("a/b.py", ""));
        assert!(!finds("a/b.py", "#!/usr/bin/env python3\n\"\"\"What this module is for.\"\"\"\n"));
        assert!(!finds("a/__init__.py", ""));
        assert!(!finds("a/b.py", "from __future__ import annotations\n"));
    }

    #[test]
    fn scripts_open_after_their_shebang() {
        assert!(finds("a/b.sh", "#!/usr/bin/env bash\nset -e\n"));
        assert!(finds(".ci/run", "#!/usr/bin/env bash\nset -e\n"));
        assert!(!finds(".ci/run", "#!/usr/bin/env bash\n# What the script does, in words.\n"));
    }

    #[test]
    fn the_web_opens_with_a_comment() {
        assert!(finds("web/a.tsx", "import x from 'y';\n"));
        assert!(finds("web/a.ts", "/** Short. */\n"));
        assert!(!finds("web/a.ts", "/**\n * What this module is for.\n */\n"));
        assert!(!finds("web/a.ts", "// What this module is for.\n"));
    }

    #[test]
    fn other_and_generated_files_are_left_alone() {
        assert!(!finds("README", "words"));
        assert!(!finds("a/b.json", "{}"));
        let repo = Repo::of(&[("web/schema.d.ts", "export type A = 1;")]);
        assert_eq!(check(&repo, &|path| path == "web/schema.d.ts"), []);
    }
}
