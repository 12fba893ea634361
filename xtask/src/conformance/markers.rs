//! Reads which lines of the contract a test file says it proves, from its text alone.
//!
//! Importing the tests would need the wheel and every library they use. Markers are decorators at the
//! start of a line, their arguments plain strings: enough for a reader of lines.

use crate::repo::SourceFile;

const DECORATOR: &str = "@pytest.mark.spec(";
const ANYWHERE: &str = "pytest.mark.spec(";

/// One id above one test.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Marked {
    pub(super) id: String,
    pub(super) path: String,
    /// Of the marker, from 1.
    pub(super) line: usize,
    pub(super) name: String,
}

/// The markers of a file's tests, and the lines of markers that mark no test.
pub(super) fn read(file: &SourceFile) -> (Vec<Marked>, Vec<usize>) {
    let mut marked = Vec::new();
    let mut lost = Vec::new();
    let mut open: Vec<(usize, Vec<String>)> = Vec::new();
    let lines: Vec<&str> = file.text.lines().collect();
    for (index, line) in lines.iter().enumerate() {
        if line.starts_with(DECORATOR) {
            open.push((index + 1, arguments(&lines[index..])));
        } else if let Some(name) = test_name(line) {
            for (line, ids) in open.drain(..) {
                let path = &file.path;
                marked.extend(ids.into_iter().map(|id| Marked {
                    id,
                    path: path.clone(),
                    line,
                    name: name.to_owned(),
                }));
            }
        } else if begins_something_else(line) {
            lost.extend(open.drain(..).map(|(line, _)| line));
        }
        if line.contains(ANYWHERE) && !line.starts_with(DECORATOR) {
            lost.push(index + 1);
        }
    }
    lost.extend(open.into_iter().map(|(line, _)| line));
    (marked, lost)
}

/// The strings between the decorator's parentheses, over as many lines as it takes.
fn arguments(lines: &[&str]) -> Vec<String> {
    let text = lines.join("\n");
    let mut rest = &text[DECORATOR.len()..];
    let mut found = Vec::new();
    while let Some(start) = rest.find(['"', '\'', ')']) {
        let quote = &rest[start..=start];
        rest = &rest[start + 1..];
        if quote == ")" {
            break;
        }
        let Some(end) = rest.find(quote) else { break };
        found.push(rest[..end].to_owned());
        rest = &rest[end + 1..];
    }
    found
}

fn test_name(line: &str) -> Option<&str> {
    let line = line.strip_prefix("async ").unwrap_or(line);
    let name = line.strip_prefix("def ")?.split('(').next()?;
    name.starts_with("test").then_some(name)
}

/// A line at the margin that is neither a decorator nor the end of one.
fn begins_something_else(line: &str) -> bool {
    line.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::read;
    use crate::repo::SourceFile;

    fn found(text: &str) -> (Vec<(String, String, usize)>, Vec<usize>) {
        let file = SourceFile { path: "tests/e2e/test_a.py".to_owned(), text: text.to_owned() };
        let (marked, lost) = read(&file);
        (marked.into_iter().map(|m| (m.id, m.name, m.line)).collect(), lost)
    }

    fn ids(text: &str) -> Vec<String> {
        found(text).0.into_iter().map(|(id, _, _)| id).collect()
    }

    #[test]
    fn ids_are_read_in_either_quotes_and_over_lines() {
        let text =
            "@pytest.mark.spec(\n    \"1.a\",  # first\n    '1.b',\n)\nasync def test_x():\n";
        assert_eq!(ids(text), ["1.a", "1.b"]);
    }

    #[test]
    fn other_decorators_may_stand_between() {
        let text = "\n@pytest.mark.spec('1.a')\n@pytest.mark.parametrize(\n    ('v', 'w'),\n    \
                    [(1, ')')],\n)\n@pytest.mark.spec('1.b')\ndef test_x(v, w):\n    pass\n\n\ndef test_y():\n";
        let wanted = [("1.a".into(), "test_x".into(), 2), ("1.b".into(), "test_x".into(), 7)];
        assert_eq!(found(text), (wanted.to_vec(), Vec::new()));
    }

    #[test]
    fn markers_of_nothing_are_told() {
        let text = "@pytest.mark.spec('1.a')\nclass Shown:\n    @pytest.mark.spec('1.b')\n    def \
                    test_x(self):\n\n@pytest.mark.spec('1.c')\ndef receiver():\n";
        assert_eq!(found(text), (Vec::new(), vec![1, 3, 6]));
        assert_eq!(found("@pytest.mark.spec('1.a')\n"), (Vec::new(), vec![1]));
    }
}
