//! The rule of a router: `Host(`a`) && (Path(`/b`) || !Method(`GET`))`.
//!
//! In: its text. Out: an expression of matchers, or why Traefik refuses it and drops the router. Invariant: total; Go's own expression
//! parser reads rules in Traefik, so its lexical rules hold (facts: vulcand/predicate 1.3, go/scanner, measured on Traefik 3.7.15).

use super::template::{MARKS, guessable_in};

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub enum Rule {
    /// A matcher with its arguments, unescaped.
    Matcher(String, Vec<String>),
    /// Both hold.
    And(Box<Rule>, Box<Rule>),
    /// One holds.
    Or(Box<Rule>, Box<Rule>),
    /// It doesn't hold.
    Not(Box<Rule>),
    /// Not known: why.
    Unknown(String),
}

/// How deep parentheses and negations nest before a rule is given up.
const DEEPEST: usize = 250;

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Unknown(String),
    Name(String),
    Text(String),
    And,
    Or,
    Not,
    Open,
    Close,
    Comma,
    /// A line that ends where an expression may: Go puts a `;` there.
    Break,
}

impl Rule {
    /// Reads a rule. Errors: why it is none, in a few words.
    pub fn parse(text: &str) -> Result<Rule, String> {
        let mut tokens = lex(text)?;
        if tokens.last() == Some(&Token::Break) {
            tokens.pop();
        }
        let mut parser = Parser { tokens, at: 0, depth: 0 };
        let rule = parser.either()?;
        match parser.tokens.get(parser.at) {
            None => Ok(rule),
            Some(Token::Break) => Err("a line must not end there: `&&` and `||` stand at the end of a line".to_owned()),
            Some(_) => Err("something stands behind the end of the expression".to_owned()),
        }
    }
}

/// A rule as it may be shown: what headers and queries must be is hidden, since that may be a key.
pub fn without_values(rule: &str) -> String {
    const TEXT: &str = r#"(?:`[^`]*`|"(?:\\.|[^"\\])*")"#;
    // Compiling it takes longer than reading a router.
    static PAIRS: std::sync::LazyLock<Option<regex::Regex>> = std::sync::LazyLock::new(|| {
        regex::Regex::new(&format!(r"(?i)\b((?:header|query)[a-z]*)\(\s*({TEXT})\s*,\s*{TEXT}")).ok()
    });
    PAIRS.as_ref().map(|pairs| pairs.replace_all(rule, "${1}(${2}, `***`").into_owned()).unwrap_or_default()
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn next_is(&mut self, token: &Token) -> bool {
        let found = self.tokens.get(self.at) == Some(token);
        self.at += usize::from(found);
        found
    }

    fn either(&mut self) -> Result<Rule, String> {
        let mut rule = self.both()?;
        while self.next_is(&Token::Or) {
            rule = Rule::Or(Box::new(rule), Box::new(self.both()?));
        }
        Ok(rule)
    }

    fn both(&mut self) -> Result<Rule, String> {
        let mut rule = self.one()?;
        while self.next_is(&Token::And) {
            rule = Rule::And(Box::new(rule), Box::new(self.one()?));
        }
        Ok(rule)
    }

    fn one(&mut self) -> Result<Rule, String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err("nested too deep".to_owned());
        }
        let rule = if self.next_is(&Token::Not) {
            Rule::Not(Box::new(self.one()?))
        } else if self.next_is(&Token::Open) {
            let rule = self.either()?;
            if !self.next_is(&Token::Close) {
                return Err("a `)` is missing".to_owned());
            }
            rule
        } else {
            self.matcher()?
        };
        self.depth -= 1;
        Ok(rule)
    }

    fn matcher(&mut self) -> Result<Rule, String> {
        if let Some(Token::Unknown(why)) = self.tokens.get(self.at).cloned() {
            self.at += 1;
            return Ok(Rule::Unknown(why));
        }
        let Some(Token::Name(name)) = self.tokens.get(self.at).cloned() else {
            return Err(match self.tokens.get(self.at) {
                None => "the expression ends too early".to_owned(),
                Some(Token::Text(text)) => format!("`{text}` stands outside of a matcher"),
                Some(_) => "a matcher was expected".to_owned(),
            });
        };
        self.at += 1;
        if !self.next_is(&Token::Open) {
            return Err(format!("`{name}` has no arguments"));
        }
        let mut arguments = Vec::new();
        while !self.next_is(&Token::Close) {
            let Some(Token::Text(text)) = self.tokens.get(self.at) else {
                return Err(format!("the arguments of `{name}` are texts in backticks or double quotes"));
            };
            arguments.push(text.clone());
            self.at += 1;
            if !self.next_is(&Token::Comma) {
                if self.next_is(&Token::Close) {
                    break;
                }
                return Err(format!("a `)` is missing behind the arguments of `{name}`"));
            }
        }
        Ok(Rule::Matcher(name, arguments))
    }
}

fn lex(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let mut length = letter.len_utf8();
        match letter {
            '\n' => {
                if matches!(tokens.last(), Some(Token::Name(_) | Token::Text(_) | Token::Unknown(_) | Token::Close)) {
                    tokens.push(Token::Break);
                }
            }
            ' ' | '\t' | '\r' => {}
            '(' => tokens.push(Token::Open),
            ')' => tokens.push(Token::Close),
            ',' => tokens.push(Token::Comma),
            '!' if !rest.starts_with("!=") => tokens.push(Token::Not),
            '&' if rest.starts_with("&&") => {
                tokens.push(Token::And);
                length = 2;
            }
            '|' if rest.starts_with("||") => {
                tokens.push(Token::Or);
                length = 2;
            }
            '/' if rest.starts_with("//") => length = rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => {
                length = rest.find("*/").ok_or("a comment without an end")? + 2;
            }
            '`' => {
                let end = rest[1..].find('`').ok_or("a backtick is missing")?;
                tokens.push(Token::Text(rest[1..1 + end].replace('\r', "")));
                length = end + 2;
            }
            '"' => {
                let (value, used) = quoted(&rest[1..])?;
                tokens.push(Token::Text(value));
                length = used + 1;
            }
            '\'' => return Err("single quotes: matchers take backticks or double quotes".to_owned()),
            mark if mark == MARKS[0] => {
                tokens.push(Token::Unknown(guessable_in(rest).unwrap_or_default()));
                length = rest.find(MARKS[1]).map_or(rest.len(), |end| end + MARKS[1].len_utf8());
            }
            letter if letter.is_alphabetic() || letter == '_' => {
                let more = |letter: char| letter.is_alphanumeric() || letter == '_';
                length = rest.find(|letter| !more(letter)).unwrap_or(rest.len());
                tokens.push(Token::Name(rest[..length].to_owned()));
            }
            other => return Err(format!("`{other}` is no part of a rule")),
        }
        rest = &rest[length..];
    }
    Ok(tokens)
}

/// A text in double quotes from behind the first: its value and how many bytes it took.
fn quoted(text: &str) -> Result<(String, usize), String> {
    let mut out: Vec<u8> = Vec::new();
    let mut rest = text;
    loop {
        let letter = rest.chars().next().ok_or("a double quote is missing")?;
        rest = &rest[letter.len_utf8()..];
        match letter {
            '"' => {
                let value = String::from_utf8(out).map_err(|_| "an escape makes bytes that are no text")?;
                return Ok((value, text.len() - rest.len()));
            }
            '\n' => return Err("a double quote is missing".to_owned()),
            '\\' => {
                let escape = rest.chars().next().ok_or("a double quote is missing")?;
                let simple = "abfnrtv\\\"".find(escape).map(|at| b"\x07\x08\x0c\n\r\t\x0b\\\""[at]);
                let (digits, radix, is_byte) = match escape {
                    'x' => (&rest[1..], 16, Some(2)),
                    'u' => (&rest[1..], 16, None),
                    'U' => (&rest[1..], 16, None),
                    '0'..='7' => (rest, 8, Some(3)),
                    _ if simple.is_some() => ("", 0, None),
                    _ => return Err(format!("`\\{escape}` is no escape")),
                };
                if let Some(byte) = simple {
                    out.push(byte);
                    rest = &rest[1..];
                    continue;
                }
                let count = is_byte.unwrap_or(if escape == 'u' { 4 } else { 8 });
                let digits = digits.get(..count).ok_or("an escape is too short")?;
                let code =
                    u32::from_str_radix(digits, radix).map_err(|_| format!("`\\{escape}{digits}` is no escape"))?;
                match is_byte {
                    Some(_) => out.push(u8::try_from(code).map_err(|_| "an octal escape over 377")?),
                    None => {
                        let letter = char::from_u32(code).ok_or("an escape that is no character")?;
                        out.extend(letter.encode_utf8(&mut [0; 4]).bytes());
                    }
                }
                rest = &rest[count + usize::from(radix == 16)..];
            }
            other => out.extend(other.encode_utf8(&mut [0; 4]).bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(rule: &Rule) -> String {
        match rule {
            Rule::Matcher(name, arguments) => format!("{name}{arguments:?}"),
            Rule::And(left, right) => format!("({} & {})", shown(left), shown(right)),
            Rule::Or(left, right) => format!("({} | {})", shown(left), shown(right)),
            Rule::Not(inner) => format!("!{}", shown(inner)),
            Rule::Unknown(why) => why.clone(),
        }
    }

    #[test]
    fn and_binds_tighter_than_or_and_not_binds_one() {
        let read = |text: &str| shown(&Rule::parse(text).unwrap());
        assert_eq!(read("Path(`/a`) || Path(`/b`) && Method(`GET`)"), r#"(Path["/a"] | (Path["/b"] & Method["GET"]))"#);
        assert_eq!(read("!Path(`/a`) && Method(`GET`)"), r#"(!Path["/a"] & Method["GET"])"#);
        assert_eq!(read("!(A(`1`) || B(`2`,))"), r#"!(A["1"] | B["2"])"#);
        assert_eq!(read("A(\"\\x41\\n\\u00e9\\101\") // a\n"), "A[\"A\\néA\"]");
        assert_eq!(read("A(`1`) &&\n B(`2`)\n"), r#"(A["1"] & B["2"])"#);
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        for text in [
            "",
            "Path('/a')",
            "Path(`/a`",
            "Path",
            "`/a`",
            "A(`1`)\n&& B(`2`)",
            "A(`1`) B(`2`)",
            "A(1)",
            "A(B(`1`))",
            "A(`1`) & B(`2`)",
            "A(`1`) == B(`2`)",
            "A((`1`))",
            "A(`1`))",
            "A(\"a",
            "A(\"\\q\")",
            "a.B(`1`)",
            "!",
        ] {
            assert!(Rule::parse(text).is_err(), "{text}");
        }
        let deep = format!("{}A(`1`){}", "(".repeat(100_000), ")".repeat(100_000));
        assert!(Rule::parse(&deep).is_err());
    }
}
