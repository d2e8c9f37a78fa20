//! The `.env` file: variables beside the policy.
//!
//! In: its text. Out: entries with their places, every error and every warning; or the text with a line more or less.
//! Invariant: what is read without an error is what Docker Compose reads from the same lines (measured on Compose 2.40.3), and
//! what [`append`] writes, both read back as it was. Values are [`Secret`]s and no message shows one; a place may lie in a value,
//! so show its line and column, never its source line.

use std::collections::HashMap;
use std::ops::Range;

use crate::secret::Secret;
use crate::source::Span;

/// Problems of one kind that are kept; one more then says that there are others.
const MOST: usize = 100;

/// What was read.
#[derive(Debug, Default)]
pub struct EnvFile {
    /// In file order. A name may stand twice: see [`EnvFile::get`].
    pub entries: Vec<Entry>,
    /// What makes the file unusable, in file order.
    pub errors: Vec<Problem>,
    /// What the user should know.
    pub warnings: Vec<Problem>,
}

/// One `NAME=value` line.
#[derive(Debug, Clone)]
pub struct Entry {
    /// `[A-Za-z_][A-Za-z0-9_]*`.
    pub name: String,
    /// Without its quotes, escapes resolved. May be empty.
    pub value: Secret,
    /// The line without its end.
    pub line: Span,
    /// The value as written, with its quotes and without a comment.
    pub value_span: Span,
}

/// Something about one place in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The place, which may be part of a value.
    pub span: Span,
    /// What is wrong, as a sentence without a capital or a full stop.
    pub message: String,
    /// What to write instead.
    pub remedy: String,
}

impl EnvFile {
    /// The entry that counts for `name`: the last, as in Compose. `None`: unset.
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().rev().find(|entry| entry.name == name)
    }
}

/// Reads a whole file. A byte-order mark and CRLF are accepted; spans count from the start of `text`.
pub fn parse(text: &str) -> EnvFile {
    let mut file = EnvFile::default();
    // Name → place of the last entry so far, up to its value.
    let mut seen: HashMap<String, Span> = HashMap::new();
    let mut at = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    for (number, raw) in text[at..].split_inclusive('\n').enumerate() {
        let line = raw.strip_suffix('\n').unwrap_or(raw);
        let line = line.strip_suffix('\r').unwrap_or(line);
        match parse_line(line, at) {
            Ok(None) => {}
            Ok(Some(entry)) => {
                let place = Span { start: entry.line.start, end: entry.value_span.start };
                if let Some(span) = seen.insert(entry.name.clone(), place) {
                    let warning = Problem {
                        span,
                        message: format!(
                            "`{}` is set again on line {}, and the last one counts",
                            entry.name,
                            number + 1
                        ),
                        remedy: "remove one of the two lines".to_owned(),
                    };
                    add(&mut file.warnings, warning);
                }
                file.entries.push(entry);
            }
            Err((range, message, remedy)) => {
                let error = Problem {
                    span: Span { start: at + range.start, end: at + range.end },
                    message,
                    remedy: remedy.to_owned(),
                };
                add(&mut file.errors, error)
            }
        }
        at += raw.len();
    }
    file
}

/// `text` with the line `name=value` at its end, in the file's own line ends; a missing last line end is added.
///
/// Single quotes stand around a value where it needs them, double quotes where single quotes can't hold it.
/// Errors: a `name` that isn't one, a `value` with control characters beyond tab and line feed.
pub fn append(text: &str, name: &str, value: &str) -> Result<String, String> {
    if !is_name(name) {
        return Err(format!(
            "`{name}` is no name of a variable: use letters, digits and `_`, not beginning with a digit"
        ));
    }
    let quoted = quote(value).ok_or_else(|| {
        format!("the value for `{name}` has control characters, which an env file can't hold: choose another value")
    })?;
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let gap = if text.is_empty() || text.ends_with('\n') || text == "\u{feff}" { "" } else { end };
    Ok(format!("{text}{gap}{name}={quoted}{end}"))
}

/// `text` without the lines that set `name`; everything else stays as it was.
pub fn remove(text: &str, name: &str) -> String {
    let mut rest = String::with_capacity(text.len());
    let mut from = 0;
    for entry in parse(text).entries.iter().filter(|entry| entry.name == name) {
        rest.push_str(&text[from..entry.line.start]);
        from = text[entry.line.end..].find('\n').map_or(text.len(), |end| entry.line.end + end + 1);
    }
    rest.push_str(&text[from..]);
    rest
}

/// Whether `name` may be a variable's name.
pub fn is_name(name: &str) -> bool {
    !name.starts_with(|first: char| first.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// The value as it must be written; `None`: it can't be.
fn quote(value: &str) -> Option<String> {
    if value.chars().any(|c| c.is_control() && !matches!(c, '\t' | '\n')) {
        return None;
    }
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:/+=,@%".contains(&byte);
    if value.bytes().all(bare) {
        Some(value.to_owned())
    } else if value.contains(['\'', '\n']) || value.ends_with('\\') {
        let escaped = value.replace('\\', r"\\").replace('"', "\\\"").replace('$', r"\$").replace('\n', r"\n");
        Some(format!("\"{escaped}\""))
    } else {
        Some(format!("'{value}'"))
    }
}

/// A fault in a line or a value: its bytes there, the message and the remedy.
type Fault = (Range<usize>, String, &'static str);

/// Reads one line that begins at byte `at` of the file. `None`: blank or a comment.
fn parse_line(line: &str, at: usize) -> Result<Option<Entry>, Fault> {
    let content = line.trim_start();
    let indent = line.len() - content.len();
    if content.is_empty() || content.starts_with('#') {
        return Ok(None);
    }
    if let Some((start, control)) = line.char_indices().find(|&(_, c)| c.is_control() && c != '\t') {
        let message = format!("control character U+{:04X} in a line", u32::from(control));
        return Err((start..start + control.len_utf8(), message, "remove it; lines end with LF or CRLF"));
    }
    let Some((left, right)) = content.split_once('=') else {
        let remedy = "write `NAME=value`, or `#` before a comment";
        return Err((indent..line.trim_end().len(), "a line without `=`".to_owned(), remedy));
    };
    let name = match left.split_once([' ', '\t']) {
        Some(("export", name)) => name.trim(),
        _ => left.trim_end(),
    };
    if !is_name(name) {
        let message = if name.is_empty() { "no name before `=`".to_owned() } else { format!("`{name}` is no name") };
        return Err((indent..indent + left.len(), message, "use letters, digits and `_`, not beginning with a digit"));
    }
    let written = right.trim();
    let start = line.len() - right.trim_start().len();
    let (value, length) = if written.starts_with('#') && written.len() < right.trim_end().len() {
        Err(COMMENT_IN_VALUE.at(0..1))
    } else {
        parse_value(written)
    }
    .map_err(|(range, message, remedy)| (start + range.start..start + range.end, message, remedy))?;
    Ok(Some(Entry {
        name: name.to_owned(),
        value: Secret::new(value),
        line: Span { start: at, end: at + line.len() },
        value_span: Span { start: at + start, end: at + start + length },
    }))
}

/// A message with its remedy.
struct Rule(&'static str, &'static str);

impl Rule {
    fn at(&self, range: Range<usize>) -> Fault {
        (range, self.0.to_owned(), self.1)
    }
}

const COMMENT_IN_VALUE: Rule = Rule(
    "Compose takes this `#` as part of the value",
    "put a value and one space before the comment, or the comment on a line of its own",
);
const EXPANDED: Rule = Rule("Compose would expand this `$`", "put the value in single quotes");
const NOT_CLOSED: Rule = Rule("the quote isn't closed on its line", "close it; `\\n` in double quotes is a line end");
const AFTER_QUOTE: Rule = Rule("text after the closing quote", "put it inside the quotes, or ` #` before a comment");
const ESCAPED_QUOTE: Rule =
    Rule("Compose takes `\\'` for a quote inside the value", "use double quotes, where `\\\\` is a backslash");
const ESCAPE: Rule = Rule(
    "double quotes know only the escapes `\\\"`, `\\\\`, `\\n` and `\\$`",
    "write `\\\\` for a backslash, or use single quotes",
);

/// Reads a value without blanks around it: its meaning, and the bytes that it takes without a comment.
fn parse_value(written: &str) -> Result<(String, usize), Fault> {
    let (value, length) = match written.as_bytes().first() {
        Some(b'\'') => single_quoted(written)?,
        Some(b'"') => double_quoted(written)?,
        _ => return unquoted(written),
    };
    let rest = &written[length..];
    if rest.trim_start().is_empty() || (rest.starts_with([' ', '\t']) && rest.trim_start().starts_with('#')) {
        Ok((value, length))
    } else {
        Err(AFTER_QUOTE.at(length..written.len()))
    }
}

fn unquoted(written: &str) -> Result<(String, usize), Fault> {
    if let Some(tab) = written.find("\t#") {
        return Err(COMMENT_IN_VALUE.at(tab + 1..tab + 2));
    }
    let value = written.split(" #").next().unwrap_or(written).trim_end();
    match value.match_indices('$').map(|(at, _)| at).find(|at| expands(&value[at + 1..])) {
        Some(dollar) => Err(EXPANDED.at(dollar..dollar + 1)),
        None => Ok((value.to_owned(), value.len())),
    }
}

fn single_quoted(written: &str) -> Result<(String, usize), Fault> {
    let Some(length) = written[1..].find('\'') else { return Err(NOT_CLOSED.at(0..written.len())) };
    let value = &written[1..=length];
    if value.ends_with('\\') {
        return Err(ESCAPED_QUOTE.at(length..length + 2));
    }
    Ok((value.to_owned(), length + 2))
}

fn double_quoted(written: &str) -> Result<(String, usize), Fault> {
    let mut value = String::new();
    let mut chars = written.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((value, at + 1)),
            '\\' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, c @ ('"' | '\\' | '$'))) => value.push(c),
                Some((next, c)) => return Err(ESCAPE.at(at..next + c.len_utf8())),
                None => break,
            },
            '$' if expands(&written[at + 1..]) => return Err(EXPANDED.at(at..at + 1)),
            c => value.push(c),
        }
    }
    Err(NOT_CLOSED.at(0..written.len()))
}

/// Whether Compose would expand a `$` before `rest`: before a letter, `_` or `{`, or doubled.
fn expands(rest: &str) -> bool {
    rest.starts_with(|next: char| next.is_ascii_alphabetic() || matches!(next, '_' | '{' | '$'))
}

/// Adds a problem to a list that stops growing after [`MOST`], since a file may be hostile.
fn add(problems: &mut Vec<Problem>, problem: Problem) {
    if problems.len() < MOST {
        problems.push(problem);
    } else if problems.len() == MOST {
        let message = format!("more than {MOST} lines like those before");
        problems.push(Problem { message, remedy: "is this an env file?".to_owned(), ..problem });
    }
}

#[cfg(test)]
mod tests {

    use proptest::prelude::*;

    use super::*;

    /// Each line's value was read by Compose 2.40.3 (`config --environment`) as it stands here.
    #[test]
    fn values_are_what_compose_reads() {
        for (line, value) in [
            ("A=1", "1"),
            ("A=1\r", "1"),
            ("export A=1", "1"),
            ("  export\tA = '1' ", "1"),
            ("A= 1   ", "1"),
            ("A=", ""),
            ("A=   ", ""),
            ("A=''", ""),
            ("A=\"\"", ""),
            ("A=1 # it's", "1"),
            ("A='x'\t# c", "x"),
            ("A=1#c", "1#c"),
            ("A=#c", "#c"),
            ("A=b=c==", "b=c=="),
            ("A=a'b\"c", "a'b\"c"),
            (r"A=a\nb\\d", r"a\nb\\d"),
            (r"A='a\\b\nc'", r"a\\b\nc"),
            (r#"A="a\"b\\c\nd\$e""#, "a\"b\\c\nd$e"),
            (r#"A="\\n\\\$x""#, r"\n\$x"),
            ("A='$2y$05$abc'", "$2y$05$abc"),
            ("A='${B}'", "${B}"),
            ("A=$1", "$1"),
            ("A=a$", "a$"),
            ("A=\"$(x) $ a$\"", "$(x) $ a$"),
            ("A=`x`!%&()*<>", "`x`!%&()*<>"),
            ("A=äß\u{a0}", "äß"),
            ("A='\u{a0}'", "\u{a0}"),
        ] {
            let file = parse(line);
            assert_eq!(file.errors, [], "{line}");
            assert_eq!(file.get("A").map(|entry| entry.value.reveal()), Some(value), "{line}");
        }
    }

    #[test]
    fn every_fault_is_an_error_with_its_place() {
        for (line, place, message) in [
            ("A=$B", "$", "expand"),
            ("A=$2y$05$abc", "$", "expand"),
            ("A=${B}", "$", "expand"),
            ("A=$_B", "$", "expand"),
            ("A=a$$1", "$", "expand"),
            ("A=\"$B\"", "$", "expand"),
            ("A='x", "'x", "closed"),
            ("A=\"x\\", "\"x\\", "closed"),
            ("A=\"x\\\"", "\"x\\\"", "closed"),
            (r"A='a\'b'", r"\'", "double quotes"),
            ("A='x'y", "y", "after"),
            ("A='x'#c", "#c", "after"),
            ("A=\"x\" y", " y", "after"),
            (r#"A="a\tb""#, r"\t", "escapes"),
            ("A= #c", "#", "part of the value"),
            ("A=1\t#c", "#", "part of the value"),
            ("A", "A", "without `=`"),
            ("export A", "export A", "without `=`"),
            ("A: 1", "A: 1", "without `=`"),
            ("A B=1", "A B", "no name"),
            ("1A=1", "1A", "no name"),
            ("A.B=1", "A.B", "no name"),
            ("=1", "", "no name"),
            ("A=1\rB=2", "\r", "U+000D"),
            ("A=a\0b", "\0", "U+0000"),
        ] {
            let text = format!("# before\n{line}\nB=1\n");
            let file = parse(&text);
            let [problem] = file.errors.as_slice() else { unreachable!("{line}: {:?}", file.errors) };
            assert_eq!(&text[problem.span.start..problem.span.end], place, "{line}");
            assert!(format!("{} {}", problem.message, problem.remedy).contains(message), "{line}: {problem:?}");
            assert!(problem.message.contains("expand") <= problem.remedy.contains("single quotes"), "{line}");
            assert_eq!(file.entries.len(), 1, "{line}: the other line counts");
        }
    }

    #[test]
    fn the_last_of_a_name_counts_and_the_others_are_warned_about() {
        let file = parse("\u{feff}A=1\r\nB=x\r\nA=2\r\nA=3");
        assert_eq!(file.get("A").map(|entry| entry.value.reveal()), Some("3"));
        let messages: Vec<_> = file.warnings.iter().map(|problem| problem.message.as_str()).collect();
        assert_eq!(
            messages,
            [
                "`A` is set again on line 3, and the last one counts",
                "`A` is set again on line 4, and the last one counts"
            ]
        );
        assert_eq!(file.warnings[0].span, Span { start: 3, end: 5 });
    }

    #[test]
    fn lines_come_and_go_and_the_rest_stays() {
        for (text, name, value, after) in [
            ("", "A", "k-_1", "A=k-_1\n"),
            ("\u{feff}", "A", "k", "\u{feff}A=k\n"),
            ("# c", "A", "k", "# c\nA=k\n"),
            ("B=1\r\nC=2", "A", "$2y$05$x", "B=1\r\nC=2\r\nA='$2y$05$x'\r\n"),
            ("B=1\n", "A", "it's $1\n\"\\", "B=1\nA=\"it's \\$1\\n\\\"\\\\\"\n"),
            ("", "A", "a b\\", "A=\"a b\\\\\"\n"),
            ("", "A", "", "A=\n"),
        ] {
            assert_eq!(append(text, name, value).unwrap(), after);
            let rest = remove(&after.replace("A=", " export A = "), name);
            assert_eq!(rest.trim_end(), text.trim_end(), "{after}");
        }
        assert_eq!(remove("A=1\nB=2\n#A=3\nA='4' # c\r\nAA=5", "A"), "B=2\n#A=3\nAA=5");
        assert_eq!(remove("B=2", "A"), "B=2");
        for (name, value) in [("A B", "x"), ("", "x"), ("1", "x"), ("A", "a\0b"), ("A", "a\r")] {
            assert!(append("", name, value).is_err(), "{name} {value:?}");
        }
    }

    #[test]
    fn hostile_files_end_soon_and_with_few_messages() {
        for (megabytes, line) in [
            (10, "A=1\n"),
            (10, "A=\"$ "),
            (1, "x\n"),
            (1, "A=\t"),
            (1, "A='a' "),
            (1, "A='\n"),
            (1, "$"),
            (1, "A=\"\\"),
            (1, "\0"),
            (1, "="),
            (1, "A=$x\n"),
            (1, "\u{feff}"),
        ] {
            let file = parse(&line.repeat(megabytes * 1_000_000 / line.len()));
            assert!(file.errors.len() <= MOST + 1 && file.warnings.len() <= MOST + 1, "{line:?}");
        }
    }

    #[test]
    fn no_message_shows_a_value() {
        let file = parse("A='sk-secret\nB=sk-secret$x\nC=\"sk-secret\" sk-secret\nD=sk-secret\nD=sk-secret");
        assert!(!format!("{file:?}").contains("sk-secret"), "{file:?}");
    }

    proptest! {
        #[test]
        fn what_is_appended_reads_back(
            text in "(#[^\r\n\u{0}]{0,9}\r?\n|[A-Z]{1,3}='[ -&(-\\[\\]-~]{0,9}'\n|B=x){0,4}",
            value in "([^\\pC]|[\\t\\n'\"\\\\$#= ]){0,40}",
        ) {
            let after = append(&text, "NEW_KEY", &value).unwrap();
            prop_assert!(after.starts_with(&text));
            let file = parse(&after);
            let entry = file.get("NEW_KEY").unwrap();
            prop_assert_eq!(entry.value.reveal(), value.as_str());
            prop_assert_eq!(file.entries.len(), parse(&text).entries.len() + 1);
            let rest = remove(&after, "NEW_KEY");
            prop_assert_eq!(rest.trim_end(), text.trim_end());
        }

        #[test]
        fn places_lie_on_character_boundaries(text in "\\PC{0,20}([A-Z]{0,2}[=$'\"\\\\# \\t\\r\\n{äß]{0,5}){0,20}") {
            let file = parse(&text);
            for span in file.entries.iter().flat_map(|entry| [entry.line, entry.value_span])
                .chain(file.errors.iter().chain(&file.warnings).map(|problem| problem.span))
            {
                prop_assert!(text.get(span.start..span.end).is_some(), "{:?} in {:?}", span, text);
            }
            prop_assert!(parse(&remove(&text, "A")).get("A").is_none());
        }
    }
}
