//! Caddy's lexer: text → words (Caddy 2.11, caddyconfig/caddyfile/lexer.go; measured with `caddy adapt`).
//!
//! In: a text whose variables are replaced. Out: its words one after the other, with their places in that text. Invariant: words stand in
//! order and don't overlap; time and memory grow with the text alone.

use std::borrow::Cow;
use std::ops::Range;

use super::token::Quote;

/// A cursor over a text.
#[derive(Debug)]
pub struct Lexer<'t> {
    text: &'t str,
    at: usize,
    line: u32,
    /// Line ends that a backslash hid, counted at the next one that it doesn't.
    hidden: u32,
    comments: Vec<Range<usize>>,
}

/// A word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word<'t> {
    /// What it says.
    pub text: Cow<'t, str>,
    /// Where it stands, quotes included.
    pub span: Range<usize>,
    /// Its line as Caddy counts: after a continued line, or a backslash in a comment, it isn't the editor's.
    pub line: u32,
    /// Its quotes.
    pub quote: Quote,
}

/// Why a text can't be cut into words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The reason.
    pub reason: String,
    /// Where.
    pub span: Range<usize>,
    /// The line as Caddy counts.
    pub line: u32,
}

/// Bytes that are part of a bare word whatever stands around them.
const ORDINARY: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = b'!' as usize;
    while byte < 0x7f {
        table[byte] = !matches!(byte as u8, b'"' | b'#' | b'`' | b'\\' | b'<');
        byte += 1;
    }
    table
};

/// The word that is being read: a slice of the text as long as nothing was dropped from its middle.
#[derive(Default)]
struct Value {
    start: usize,
    end: usize,
    owned: Option<String>,
}

impl Value {
    fn push(&mut self, text: &str, at: Range<usize>) {
        match &mut self.owned {
            Some(owned) => owned.push_str(&text[at]),
            None if self.start == self.end => (self.start, self.end) = (at.start, at.end),
            None if self.end == at.start => self.end = at.end,
            None => self.owned = Some([&text[self.start..self.end], &text[at]].concat()),
        }
    }

    fn get<'v>(&'v self, text: &'v str) -> &'v str {
        self.owned.as_deref().unwrap_or(&text[self.start..self.end])
    }

    fn take(self, text: &str) -> Cow<'_, str> {
        match self.owned {
            Some(owned) => Cow::Owned(owned),
            None => Cow::Borrowed(&text[self.start..self.end]),
        }
    }
}

impl<'t> Lexer<'t> {
    /// Starts at the beginning, behind a byte-order mark.
    pub fn new(text: &'t str) -> Self {
        let at = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        Lexer { text, at, line: 1, hidden: 0, comments: Vec::new() }
    }

    /// The comments that were passed.
    pub fn comments(self) -> Vec<Range<usize>> {
        self.comments
    }

    fn peek(&self) -> Option<char> {
        let byte = *self.text.as_bytes().get(self.at)?;
        if byte < 0x80 { Some(byte as char) } else { self.text[self.at..].chars().next() }
    }

    fn end_line(&mut self) {
        self.line += 1 + self.hidden;
        self.hidden = 0;
    }

    /// The next word; absent at the end.
    ///
    /// One pass over Caddy's own states, so that its oddities come out alike: a carriage return inside a word is dropped, a backslash
    /// before a blank is lost, one inside a comment hides the line's end, and a quote that isn't closed makes a bare word.
    pub fn next_word(&mut self) -> Result<Option<Word<'t>>, Refused> {
        let text = self.text;
        let bytes = text.as_bytes();
        let mut value = Value::default();
        let mut open: Option<Quote> = None;
        let (mut escaped, mut no_heredoc) = (false, false);
        let mut comment: Option<usize> = None;
        let (mut start, mut line) = (None, self.line);
        let mut backslash = self.at;
        while let Some(ch) = self.peek() {
            let here = self.at..self.at + ch.len_utf8();
            let word = value.get(text);
            if open.is_none() && !no_heredoc && word.starts_with("<<") {
                match ch {
                    ' ' => break,
                    '\r' => self.at = here.end,
                    '\n' => return self.heredoc(&value, start.unwrap_or(here.start), line),
                    _ => {
                        value.push(text, here.clone());
                        self.at = here.end;
                    }
                }
                continue;
            }
            if ch == '\\' && !escaped && open != Some(Quote::Back) {
                escaped = true;
                backslash = here.start;
                self.at = here.end;
                continue;
            }
            if let Some(quote) = open {
                self.at = here.end;
                if escaped && quote == Quote::Double {
                    if ch != '"' {
                        value.push(text, backslash..backslash + 1);
                    }
                    escaped = false;
                } else if ch == if quote == Quote::Back { '`' } else { '"' } {
                    let span = start.unwrap_or(here.start)..here.end;
                    return Ok(Some(Word { text: value.take(text), span, line, quote }));
                }
                if ch == '\n' {
                    self.end_line();
                }
                value.push(text, here.clone());
                self.at = here.end + plain_run(&bytes[here.end..]);
                if self.at > here.end {
                    value.push(text, here.end..self.at);
                }
                continue;
            }
            if ch.is_whitespace() {
                if ch == '\r' {
                    self.at = here.end;
                    continue;
                }
                if ch == '\n' {
                    if escaped {
                        self.hidden += 1;
                        escaped = false;
                    } else {
                        self.end_line();
                    }
                    if let Some(from) = comment.take() {
                        self.comments.push(from..here.start);
                    }
                }
                self.at = here.end;
                if !word.is_empty() {
                    let span = start.unwrap_or(here.start)..here.start;
                    return Ok(Some(Word { text: value.take(text), span, line, quote: Quote::Bare }));
                }
                continue;
            }
            let empty = word.is_empty();
            if ch == '#' && empty && comment.is_none() {
                comment = Some(here.start);
            }
            if comment.is_some() {
                self.at = here.end;
                continue;
            }
            if empty {
                line = self.line;
                start = Some(if escaped { backslash } else { here.start });
                let quote = match ch {
                    '"' => Some(Quote::Double),
                    '`' => Some(Quote::Back),
                    _ => None,
                };
                if quote.is_some() {
                    open = quote;
                    self.at = here.end;
                    continue;
                }
            }
            if escaped {
                if ch == '<' {
                    no_heredoc = true;
                } else {
                    value.push(text, backslash..backslash + 1);
                }
                escaped = false;
            }
            value.push(text, here.clone());
            self.at = here.end;
            let run = bytes[self.at..].iter().take_while(|byte| ORDINARY[**byte as usize]).count();
            if run > 0 {
                value.push(text, self.at..self.at + run);
                self.at += run;
            }
        }
        if let Some(from) = comment {
            self.comments.push(from..self.at);
        }
        let span = start.unwrap_or(self.at)..self.at;
        let text = value.take(text);
        Ok((!text.is_empty()).then_some(Word { text, span, line, quote: Quote::Bare }))
    }

    /// A heredoc whose marker is `opening` without its `<<`; the cursor stands on the marker's line end.
    fn heredoc(&mut self, opening: &Value, start: usize, line: u32) -> Result<Option<Word<'t>>, Refused> {
        let text = self.text;
        let opening = opening.get(text);
        let marker = &opening[2..];
        let refused = |reason: String, span: Range<usize>, line: u32| Err(Refused { reason, span, line });
        let head = start..self.at;
        if marker.is_empty() {
            return refused("a heredoc needs a marker behind `<<`".into(), head, self.line);
        }
        if marker.starts_with('<') {
            return refused("too many `<` for a heredoc: two are enough, as in `<<END`".into(), head, self.line);
        }
        if !marker.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
            let reason = format!("the heredoc's marker `{marker}` may hold letters, digits, `-` and `_` only");
            return refused(reason, head, self.line);
        }
        let body = self.at + 1;
        let Some(length) = text[body..].find(marker) else {
            let breaks = count(&text[body..]) + 1;
            self.at = text.len();
            if body == text.len() {
                return Ok(None);
            }
            let reason = format!("the heredoc `<<{marker}` has no end: `{marker}` isn't found behind it");
            return refused(reason, head, self.line + self.hidden + breaks);
        };
        let end = body + length + marker.len();
        let content = self.strip(&text[body..body + length], marker, body)?;
        self.hidden += 1 + count(&text[body..end]);
        self.line += self.hidden;
        self.hidden = 0;
        self.at = end;
        Ok(Some(Word { text: Cow::Owned(content), span: start..end, line, quote: Quote::Heredoc }))
    }

    /// The lines of a heredoc without the indentation that its closing marker has.
    fn strip(&self, body: &str, marker: &str, offset: usize) -> Result<String, Refused> {
        let last = body.rfind('\n').map_or(0, |at| at + 1);
        let padding = &body[last..];
        let mut out = String::with_capacity(last);
        let mut at = offset;
        for (index, full) in body[..last].split_inclusive('\n').enumerate() {
            let one = full.strip_suffix('\n').unwrap_or(full);
            if !matches!(one, "" | "\r") {
                let Some(rest) = one.strip_prefix(padding) else {
                    let line = self.line + 1 + u32::try_from(index).unwrap_or(u32::MAX);
                    let reason = format!("a line of the heredoc `<<{marker}` is indented less than its closing marker");
                    return Err(Refused { reason, span: at..at + one.len(), line });
                };
                out.extend(rest.chars().filter(|ch| *ch != '\r'));
            }
            out.push('\n');
            at += full.len();
        }
        out.pop();
        Ok(out)
    }
}

/// The bytes up to the next one that means something between quotes.
fn plain_run(bytes: &[u8]) -> usize {
    let stop = |byte: &u8| matches!(byte, b'"' | b'`' | b'\\' | b'\n') || *byte >= 0x80;
    bytes.iter().position(stop).unwrap_or(bytes.len())
}

fn count(text: &str) -> u32 {
    u32::try_from(text.bytes().filter(|byte| *byte == b'\n').count()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<(String, u32)> {
        let mut lexer = Lexer::new(text);
        std::iter::from_fn(|| lexer.next_word().unwrap()).map(|word| (word.text.into_owned(), word.line)).collect()
    }

    fn texts(text: &str) -> Vec<String> {
        words(text).into_iter().map(|(text, _)| text).collect()
    }

    #[test]
    fn quotes_open_at_a_words_start_only() {
        assert_eq!(texts(r#"respond "a\"b\n\\c" x"#), ["respond", r#"a"b\n\\c"#, "x"]);
        assert_eq!(texts(r#"a"b"c "a""b" "q"#), [r#"a"b"c"#, "a", "b", "q"]);
        assert_eq!(texts(r#"\"a b\""#), [r#"\a b""#]);
        assert_eq!(texts("`a\nb` a`b`c"), ["a\nb", "a`b`c"]);
        assert_eq!(texts("\"a\"#b\nc#d"), ["a", "c#d"]);
    }

    #[test]
    fn lines_are_counted_as_caddy_counts() {
        let line = |text: &str| words(text).into_iter().map(|(_, line)| line).collect::<Vec<_>>();
        assert_eq!(line("a \\\nb\nc"), [1, 1, 3]);
        assert_eq!(line("a # x \\ y\nb\nc"), [1, 1, 3]);
        assert_eq!(line("a <<E\n x\n E b\nc"), [1, 1, 3, 4]);
        assert_eq!(line("\"a\nb\" c\nd"), [1, 2, 3]);
    }

    #[test]
    fn heredocs_lose_their_indentation() {
        assert_eq!(texts("r <<EOF\n\ta\n\t\tb\n\n\tEOF 201"), ["r", "a\n\tb\n", "201"]);
        assert_eq!(texts("r \\<<EOF x"), ["r", "<<EOF", "x"]);
        assert_eq!(texts("r << EOF"), ["r", "<<", "EOF"]);
        for bad in ["a <<\nx", "a <<<E\nE", "a <<E!\nE!", "a <<E\nx", "a <<E\nx\n E"] {
            let mut lexer = Lexer::new(bad);
            lexer.next_word().unwrap();
            assert!(lexer.next_word().is_err(), "{bad}");
        }
    }

    #[test]
    fn carriage_returns_and_marks_are_dropped() {
        assert_eq!(texts("\u{feff}a\r\nb\rc \\\r\nd"), ["a", "bc", "d"]);
    }
}
