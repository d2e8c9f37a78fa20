//! Compose's variables in values: `$X`, `${X}`, `${X:-d}`, `${X-d}`, `${X:?m}`, `${X?m}`, `${X:+a}`, `${X+a}`, `$$`.
//!
//! In: a value's text and the variables. Out: what Compose makes of it, which variables were asked for, or why Compose stops. Invariant:
//! as compose-go 2.9.1 (template.go, and measured with Compose 2.40.3): the text between braces ends at the last `}` of the line, then at
//! the one that closes; defaults are computed also where they aren't used.

use super::super::{MARKS, Variable, Variables};

/// So many defaults may stand in one another.
const DEEPEST: usize = 32;

/// A text may become so many bytes long: variables that name one another could ask for more than there is.
const LONGEST: usize = 16 << 20;

/// What became of a text.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Interpolated {
    /// The text; a variable that isn't known stands as nothing.
    pub text: String,
    /// The same with [`MARKS`] around the name of such a variable; empty: there is none.
    pub marked: String,
    /// The variables that were asked for, and how.
    pub uses: Vec<Use>,
}

/// A variable that a text asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// Its name.
    pub name: String,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of asking for a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is set, or what stands instead of it is taken rightly.
    Known,
    /// It is unset and nothing stands instead of it: an empty text.
    Empty,
    /// It may be set; what stands instead of it was taken.
    Assumed,
    /// It may be set, and the text depends on it.
    Unknown,
    /// The same, and Compose stops where it is not set.
    Demanded,
}

/// Why Compose stops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// A `$` that begins no variable.
    Invalid,
    /// The text grows beyond bounds.
    TooLong,
    /// A variable that must be set: its name and what the file says about it.
    Required(String, String),
}

impl Interpolated {
    /// The variable that the text depends on and that isn't known.
    pub fn unknown(&self) -> Option<&str> {
        let mut unknown = self.uses.iter().filter(|used| matches!(used.outcome, Outcome::Unknown | Outcome::Demanded));
        unknown.next().map(|used| used.name.as_str())
    }
}

/// Puts the variables into a text.
pub fn interpolate(text: &str, variables: &Variables) -> Result<Interpolated, Stop> {
    let mut out = Interpolated::default();
    let marked = substitute(text, variables, &mut out.uses, 0)?;
    out.text = unmarked(&marked);
    out.marked = if out.text == marked { String::new() } else { marked };
    Ok(out)
}

/// A text without what is marked.
fn unmarked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once(MARKS[0]) {
        out.push_str(before);
        rest = behind.split_once(MARKS[1]).map_or("", |(_, behind)| behind);
    }
    out + rest
}

fn mark(name: &str) -> String {
    format!("{}{name}{}", MARKS[0], MARKS[1])
}

fn substitute(text: &str, variables: &Variables, uses: &mut Vec<Use>, depth: usize) -> Result<String, Stop> {
    if depth > DEEPEST {
        return Err(Stop::Invalid);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if out.len() > LONGEST {
            return Err(Stop::TooLong);
        }
        match rest.bytes().next() {
            Some(b'$') => {
                out.push('$');
                rest = &rest[1..];
            }
            Some(b'{') => {
                let (inside, behind) = braced(rest).ok_or(Stop::Invalid)?;
                out.push_str(&expression(inside, variables, uses, depth)?);
                rest = behind;
            }
            _ => match name(rest) {
                "" => out.push('$'),
                name => {
                    out.push_str(&plain(name, variables, uses));
                    rest = &rest[name.len()..];
                }
            },
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// The name at the beginning of a text; empty: none is there.
fn name(text: &str) -> &str {
    let end = text.bytes().position(|byte| !(byte.is_ascii_alphanumeric() || byte == b'_')).unwrap_or(text.len());
    if text.starts_with(|first: char| first.is_ascii_digit()) { "" } else { &text[..end] }
}

/// What stands between the braces at the beginning of a text, and what follows them.
fn braced(text: &str) -> Option<(&str, &str)> {
    let name = name(&text[1..]);
    let behind = &text[1 + name.len()..];
    if name.is_empty() {
        return None;
    }
    if let Some(rest) = behind.strip_prefix('}') {
        return Some((name, rest));
    }
    if !behind.strip_prefix(':').unwrap_or(behind).starts_with(['-', '+', '?']) {
        return None;
    }
    let line = text.find('\n').unwrap_or(text.len());
    let last = text[..line].rfind('}')?;
    let end = closing(&text[..=last]).unwrap_or(last);
    Some((&text[1..end], &text[end + 1..]))
}

/// The brace that closes the first one, as compose-go counts: what follows an opening brace is passed over.
fn closing(text: &str) -> Option<usize> {
    let mut open = 0usize;
    let mut bytes = text.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'}' => {
                open = open.saturating_sub(1);
                if open == 0 {
                    return Some(at);
                }
            }
            b'{' => {
                open += 1;
                bytes.next();
            }
            _ => {}
        }
    }
    None
}

/// The value of what stands between braces.
fn expression(inside: &str, variables: &Variables, uses: &mut Vec<Use>, depth: usize) -> Result<String, Stop> {
    let name = name(inside);
    let operator = &inside[name.len()..];
    if operator.is_empty() {
        return Ok(plain(name, variables, uses));
    }
    let (or_empty, operator) = match operator.strip_prefix(':') {
        Some(rest) => (true, rest),
        None => (false, operator),
    };
    let word = substitute(operator.get(1..).unwrap_or_default(), variables, uses, depth + 1)?;
    let value = variables.get(name);
    let there = match value {
        Variable::Set(value) => Some(!(or_empty && value.is_empty())),
        Variable::Unset => Some(false),
        Variable::Unknown => None,
    };
    let set = match value {
        Variable::Set(value) => value.to_owned(),
        Variable::Unset => String::new(),
        Variable::Unknown => mark(name),
    };
    let (text, outcome) = match (operator.as_bytes().first(), there) {
        (Some(b'-'), Some(true)) | (Some(b'+'), Some(false)) | (Some(b'?'), Some(true)) => (set, Outcome::Known),
        (Some(b'-'), Some(false)) | (Some(b'+'), Some(true)) => (word, Outcome::Known),
        (Some(b'-'), None) => (word, Outcome::Assumed),
        (Some(b'?'), Some(false)) => return Err(Stop::Required(name.to_owned(), word)),
        (Some(b'?'), None) => (set, Outcome::Demanded),
        _ => (set, Outcome::Unknown),
    };
    uses.push(Use { name: name.to_owned(), outcome });
    Ok(text)
}

fn plain(name: &str, variables: &Variables, uses: &mut Vec<Use>) -> String {
    let (text, outcome) = match variables.get(name) {
        Variable::Set(value) => (value.to_owned(), Outcome::Known),
        Variable::Unset => (String::new(), Outcome::Empty),
        Variable::Unknown => (mark(name), Outcome::Unknown),
    };
    uses.push(Use { name: name.to_owned(), outcome });
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(complete: bool) -> Variables {
        let values = [("A", "a"), ("E", "")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        Variables { values: values.into(), complete, ..Variables::default() }
    }

    /// Measured with Compose 2.40.3, with A=a, E= and nothing else.
    #[test]
    fn every_form_means_what_compose_makes_of_it() {
        for (text, expected) in [
            ("$A-${A}-$$A", "a-a-$A"),
            ("${X}|$X", "|"),
            ("${X:-d}${E:-d}${A:-d}", "dda"),
            ("${X-d}${E-d}${A-d}", "da"),
            ("${X:+d}${E:+d}${A:+d}", "d"),
            ("${X+d}${E+d}${A+d}", "dd"),
            ("${A:?m}${E?m}", "a"),
            ("${X:-${Y:-${A}}}!", "a!"),
            ("${X:-{}}", "{}"),
            ("${X:-a:b-c}", "a:b-c"),
            ("$1 $ $- $", "$1 $ $- $"),
            ("$2y$05$AB", "$2y$05"),
            ("${X:-$$}", "$"),
            ("${X:-x}} ${A}", "x} a"),
        ] {
            assert_eq!(interpolate(text, &variables(true)).map(|done| done.text).as_deref(), Ok(expected), "{text}");
        }
        for text in ["${", "${}", "${1}", "${A", "${A!}", "${X:-a\nb}", "${A }", &"${X:-".repeat(100_000)] {
            assert_eq!(interpolate(text, &variables(true)), Err(Stop::Invalid), "{}", &text[..2]);
        }
        let stop = Stop::Required("X".to_owned(), "say a".to_owned());
        assert_eq!(interpolate("${A:-${X:?say $A}}", &variables(true)), Err(stop));
    }

    #[test]
    fn what_may_be_set_is_told() {
        for (text, expected, unknown) in
            [("${X}", "", Some("X")), ("${X:-d}", "d", None), ("${X:+d}", "", Some("X")), ("${X:?m}", "", Some("X"))]
        {
            let done = interpolate(text, &variables(false)).unwrap();
            assert_eq!((done.text.as_str(), done.unknown()), (expected, unknown), "{text}");
        }
    }
}
