//! The part of CEL that people write in Caddyfiles: literals, lists, maps, placeholders, calls, `&&`, `||`, `!`, comparisons, `in`, `+`.
//!
//! In: an expression. Out: a tree, or what isn't understood. Invariant: precedence is CEL's (github.com/google/cel-spec, Syntax).

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expr {
    /// A text.
    Text(String),
    /// A whole number.
    Number(i64),
    /// `true` or `false`.
    Bool(bool),
    /// `null`.
    Null,
    /// A placeholder, without its braces.
    Placeholder(String),
    /// A list.
    List(Vec<Expr>),
    /// A map.
    Map(Vec<(Expr, Expr)>),
    /// A call: function or method, the object of a method first.
    Call(String, bool, Vec<Expr>),
    /// `!`.
    Not(Box<Expr>),
    /// An operation of two.
    Binary(&'static str, Box<Expr>, Box<Expr>),
}

/// How deep expressions may stand in each other.
const MOST_DEPTH: usize = 100;

/// Operators by precedence, the loosest first.
const LEVELS: &[&[&str]] = &[&["||"], &["&&"], &["==", "!=", "<=", ">=", "<", ">", "in"], &["+"]];

/// Reads an expression. Errors: what isn't understood.
pub(super) fn parse(text: &str) -> Result<Expr, String> {
    let mut parser = Parser { text, at: 0, depth: 0 };
    let expr = parser.level(0)?;
    parser.blanks();
    match parser.rest().is_empty() {
        true => Ok(expr),
        false => Err(format!("`{}`", parser.rest())),
    }
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
}

impl<'t> Parser<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn blanks(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    fn take(&mut self, token: &str) -> bool {
        self.blanks();
        let found = self.rest().starts_with(token);
        self.at += if found { token.len() } else { 0 };
        found
    }

    fn operator(&mut self, level: usize) -> Option<&'static str> {
        self.blanks();
        let found = LEVELS[level].iter().find(|operator| self.rest().starts_with(**operator))?;
        let behind = self.rest().as_bytes().get(found.len());
        if *found == "in" && behind.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_') {
            return None;
        }
        self.at += found.len();
        Some(found)
    }

    fn level(&mut self, level: usize) -> Result<Expr, String> {
        if level == LEVELS.len() {
            return self.unary();
        }
        let mut left = self.level(level + 1)?;
        while let Some(operator) = self.operator(level) {
            let right = self.level(level + 1)?;
            left = Expr::Binary(operator, Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Expr, String> {
        self.depth += 1;
        if self.depth > MOST_DEPTH {
            return Err("an expression that is too deep".to_owned());
        }
        self.blanks();
        let negated = self.rest().starts_with('!') && !self.rest().starts_with("!=");
        let expr = if negated {
            self.at += 1;
            Expr::Not(Box::new(self.unary()?))
        } else {
            self.member()?
        };
        self.depth -= 1;
        Ok(expr)
    }

    fn member(&mut self) -> Result<Expr, String> {
        let mut expr = self.primary()?;
        while self.take(".") {
            let name = self.name();
            if name.is_empty() || !self.take("(") {
                return Err(format!("`.{name}`"));
            }
            let mut args = vec![expr];
            args.extend(self.list(")")?);
            expr = Expr::Call(name.to_owned(), true, args);
        }
        if self.rest().trim_start().starts_with(['[', '?']) {
            return Err(format!("`{}`", self.rest().trim_start()));
        }
        Ok(expr)
    }

    fn name(&mut self) -> &'t str {
        self.blanks();
        let length = self.rest().bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
        let name = &self.rest()[..length];
        self.at += length;
        name
    }

    fn list(&mut self, end: &str) -> Result<Vec<Expr>, String> {
        let mut items = Vec::new();
        while !self.take(end) {
            items.push(self.level(0)?);
            if !self.take(",") && !self.rest().trim_start().starts_with(end) {
                return Err(format!("`{}`", self.rest()));
            }
        }
        Ok(items)
    }

    fn primary(&mut self) -> Result<Expr, String> {
        self.blanks();
        if let Some(name) = placeholder(self.rest()) {
            self.at += name.len() + 2;
            return Ok(Expr::Placeholder(name.to_owned()));
        }
        if self.take("(") {
            let expr = self.level(0)?;
            return if self.take(")") { Ok(expr) } else { Err("a missing `)`".to_owned()) };
        }
        if self.take("[") {
            return Ok(Expr::List(self.list("]")?));
        }
        if self.take("{") {
            return self.map();
        }
        let raw = ["r\"", "r'", "R\"", "R'"].iter().any(|start| self.rest().starts_with(start));
        if raw || self.rest().starts_with(['"', '\'']) {
            self.at += usize::from(raw);
            return self.string(raw).map(Expr::Text);
        }
        if self.rest().starts_with(|c: char| c.is_ascii_digit() || c == '-') {
            let length =
                1 + self.rest()[1..].bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'.').count();
            let number = &self.rest()[..length];
            self.at += length;
            return number.parse().map(Expr::Number).map_err(|_| format!("`{number}`"));
        }
        match self.name() {
            "true" => Ok(Expr::Bool(true)),
            "false" => Ok(Expr::Bool(false)),
            "null" => Ok(Expr::Null),
            name if !name.is_empty() && self.take("(") => Ok(Expr::Call(name.to_owned(), false, self.list(")")?)),
            name => Err(format!("`{name}{}`", self.rest())),
        }
    }

    fn map(&mut self) -> Result<Expr, String> {
        let mut entries = Vec::new();
        while !self.take("}") {
            let key = self.level(0)?;
            if !self.take(":") {
                return Err("a map without `:`".to_owned());
            }
            entries.push((key, self.level(0)?));
            if !self.take(",") && !self.rest().trim_start().starts_with('}') {
                return Err(format!("`{}`", self.rest()));
            }
        }
        Ok(Expr::Map(entries))
    }

    fn string(&mut self, raw: bool) -> Result<String, String> {
        let quote = self.rest().chars().next().unwrap_or('"');
        if self.rest().starts_with("\"\"\"") || self.rest().starts_with("'''") {
            return Err("a text in three quotes".to_owned());
        }
        self.at += 1;
        let mut out = String::new();
        let mut chars = self.rest().char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                c if c == quote => {
                    self.at += at + 1;
                    return Ok(out);
                }
                '\\' if !raw => match chars.next().map(|(_, c)| c) {
                    Some(c @ ('\\' | '"' | '\'' | '`' | '?')) => out.push(c),
                    Some('n') => out.push('\n'),
                    Some('t') => out.push('\t'),
                    Some('r') => out.push('\r'),
                    // `\{` is how a placeholder is kept from being one.
                    Some('{') => out.push('{'),
                    other => return Err(format!("the escape `\\{}`", other.unwrap_or(' '))),
                },
                c => out.push(c),
            }
        }
        Err("a text without an end".to_owned())
    }
}

/// The placeholder at the start of a text (placeholderRegexp of celmatcher.go).
fn placeholder(text: &str) -> Option<&str> {
    let (name, _) = text.strip_prefix('{')?.split_once('}')?;
    let mut letters = name.bytes();
    let first = letters.next()?.is_ascii_alphabetic();
    let others = letters.all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    (first && others && name.len() > 1).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn precedence_is_cels() {
        let text = |text: &str| Expr::Text(text.to_owned());
        let path = || Expr::Placeholder("http.request.uri.path".to_owned());
        let is = |one, other| Expr::Binary("==", Box::new(one), Box::new(other));
        assert_eq!(parse("{http.request.uri.path} == '/a'"), Ok(is(path(), text("/a"))));
        let Ok(Expr::Binary("||", _, right)) = parse("true || false && !path('/a*', \"/b\")") else { panic!() };
        let Expr::Binary("&&", _, not) = *right else { panic!() };
        let call = Expr::Call("path".to_owned(), false, vec![text("/a*"), text("/b")]);
        assert_eq!(*not, Expr::Not(Box::new(call)));
        let call = Expr::Call("startsWith".to_owned(), true, vec![path(), text("/x")]);
        assert_eq!(parse("{http.request.uri.path}.startsWith(\"/x\")"), Ok(call));
        assert_eq!(
            parse("header({'X': ['a', r'\\b']})"),
            Ok(Expr::Call(
                "header".to_owned(),
                false,
                vec![Expr::Map(vec![(text("X"), Expr::List(vec![text("a"), text("\\b")]))])]
            ))
        );
        for wrong in ["a", "1.5 ==", "x ? y : z", "[1][0]", "(", "'a", "{a"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
