//! The words of the filter grammar, with their places, for messages that point.

/// One word and where it begins, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub at: usize,
    pub what: What,
}

/// What a word is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    Open,
    Close,
    /// `-` in front of a term, or `NOT`.
    Not,
    Or,
    And,
    /// `field:value`, `field>=value`, ...
    Term {
        field: String,
        operator: Operator,
        values: Vec<Text>,
    },
    /// Free text.
    Free(Text),
}

/// What stands between a field and its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Matches,
    Equals,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Longest first, so that `>=` is not read as `>`.
const OPERATORS: [(&str, Operator); 6] = [
    (">=", Operator::GreaterOrEqual),
    ("<=", Operator::LessOrEqual),
    (">", Operator::Greater),
    ("<", Operator::Less),
    ("=", Operator::Equals),
    (":", Operator::Matches),
];

/// A value: `text` has its escapes taken away; `stars` are the places in it of wildcards.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Text {
    pub at: usize,
    pub text: String,
    pub wildcards: usize,
    pub literal_stars: usize,
}

/// A text that is not words of the grammar, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LexError {
    pub at: usize,
    pub problem: &'static str,
}

/// Splits a filter into words.
pub(super) fn lex(source: &str) -> Result<Vec<Token>, LexError> {
    let mut lexer = Lexer { source, at: 0 };
    let mut tokens = Vec::new();
    while let Some(token) = lexer.token()? {
        tokens.push(token);
    }
    Ok(tokens)
}

struct Lexer<'a> {
    source: &'a str,
    at: usize,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.source[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn bump(&mut self, c: char) {
        self.at += c.len_utf8();
    }

    fn token(&mut self) -> Result<Option<Token>, LexError> {
        while let Some(c) = self.peek().filter(|c| c.is_whitespace()) {
            self.bump(c);
        }
        let at = self.at;
        let Some(c) = self.peek() else { return Ok(None) };
        let single = match c {
            '(' => Some(What::Open),
            ')' => Some(What::Close),
            '-' => Some(What::Not),
            _ => None,
        };
        let what = if let Some(what) = single {
            self.bump(c);
            what
        } else if let Some(what) = self.keyword() {
            what
        } else {
            self.term_or_free()?
        };
        Ok(Some(Token { at, what }))
    }

    /// `OR`, `AND`, `NOT` in capitals, standing alone.
    fn keyword(&mut self) -> Option<What> {
        for (word, what) in [("OR", What::Or), ("AND", What::And), ("NOT", What::Not)] {
            let after = self.rest().strip_prefix(word);
            if after.is_some_and(|rest| !rest.starts_with(|c: char| !ends_bare(c))) {
                self.at += word.len();
                return Some(what);
            }
        }
        None
    }

    fn term_or_free(&mut self) -> Result<What, LexError> {
        let start = self.at;
        if let Some(field) = self.field()? {
            let operator = OPERATORS.iter().find(|(sign, _)| self.rest().starts_with(sign));
            if let Some((sign, operator)) = operator {
                self.at += sign.len();
                let values = self.values()?;
                return Ok(What::Term { field, operator: *operator, values });
            }
        }
        self.at = start;
        Ok(What::Free(self.text()?))
    }

    /// A field's name; a metadata path may be quoted: `metadata."a b"`.
    fn field(&mut self) -> Result<Option<String>, LexError> {
        let mut field = String::new();
        while let Some(c) = self.peek() {
            if c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '/') {
                field.push(c);
                self.bump(c);
            } else if c == '"' && field.ends_with('.') {
                field.push_str(&self.quoted(false)?.text);
                break;
            } else {
                break;
            }
        }
        Ok((!field.is_empty()).then_some(field))
    }

    fn values(&mut self) -> Result<Vec<Text>, LexError> {
        let mut values = vec![self.text()?];
        while self.peek() == Some(',') {
            self.bump(',');
            values.push(self.text()?);
        }
        Ok(values)
    }

    fn text(&mut self) -> Result<Text, LexError> {
        if self.peek() == Some('"') { self.quoted(true) } else { self.bare() }
    }

    fn quoted(&mut self, has_wildcards: bool) -> Result<Text, LexError> {
        let opened_at = self.at;
        self.bump('"');
        let mut text = Text { at: opened_at, ..Text::default() };
        while let Some(c) = self.peek() {
            self.bump(c);
            match c {
                '"' => return Ok(text),
                '*' if has_wildcards => text.push_wildcard(),
                '\\' => self.escaped(&mut text),
                _ => text.text.push(c),
            }
        }
        Err(LexError { at: opened_at, problem: "this quotation mark is never closed" })
    }

    fn bare(&mut self) -> Result<Text, LexError> {
        let mut text = Text { at: self.at, ..Text::default() };
        while let Some(c) = self.peek().filter(|c| !ends_bare(*c)) {
            self.bump(c);
            match c {
                '*' => text.push_wildcard(),
                '\\' => self.escaped(&mut text),
                _ => text.text.push(c),
            }
        }
        if self.at == text.at {
            return Err(LexError {
                at: self.at,
                problem: "a value is missing here; \"\" is empty",
            });
        }
        Ok(text)
    }

    /// After a backslash: `\"`, `\\` and `\*` stand for themselves, any other backslash too.
    fn escaped(&mut self, text: &mut Text) {
        match self.peek() {
            Some(c @ ('"' | '\\' | '*')) => {
                self.bump(c);
                text.text.push(c);
                text.literal_stars += usize::from(c == '*');
            }
            _ => text.text.push('\\'),
        }
    }
}

impl Text {
    fn push_wildcard(&mut self) {
        self.text.push('*');
        self.wildcards += 1;
    }
}

/// What ends a word that is not quoted.
pub(super) fn ends_bare(c: char) -> bool {
    c.is_whitespace() || matches!(c, '(' | ')' | ',' | '"')
}
