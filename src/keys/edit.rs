//! A client's `api_key` in the text of the policy: read, made longer, made shorter.
//!
//! In: the text. Out: the text. Invariant: only the bytes of that value (and the comments inside it) change, for `[[client]]`
//! and for an inline list of tables alike; what comes out was read back and holds exactly the keys that it should.

use std::ops::Range;

use toml_edit::visit::Visit;
use toml_edit::{Array, Document, Formatted, Item, TableLike, Value};

use super::Error;

/// The `api_key` entries of one client (`env:NAME`, `file:PATH`), in order; empty: it has none.
///
/// Errors: text that isn't TOML, no such client, an `api_key` that is no text and no list of texts.
pub fn keys(policy: &str, client: &str) -> Result<Vec<String>, Error> {
    Ok(find(&parse(policy)?, client)?.into_iter().map(|key| key.origin).collect())
}

/// The text with one more key at the end of the client's list; a single key becomes a list.
///
/// Errors: as [`keys`], and a client without a key.
pub fn add(policy: &str, client: &str, origin: &str) -> Result<String, Error> {
    let document = parse(policy)?;
    let found = find(&document, client)?;
    let Some(last) = found.last() else { return Err(no_key(client)) };
    let new = format!("\"{origin}\"");
    let edits = match &last.list {
        None => vec![
            (last.span.start..last.span.start, "[".to_owned()),
            (last.span.end..last.span.end, format!(", {new}]")),
        ],
        Some(list) => {
            let after = last.span.end..list.end - 1;
            let line_start = policy[..last.span.start].rfind('\n').map_or(0, |end| end + 1);
            let indent = &policy[line_start..last.span.start];
            match policy[after.clone()].find('\n') {
                // One key a line: the comment behind the last one stays there.
                Some(newline) if indent.trim().is_empty() => {
                    let line = policy[..after.start + newline].trim_end_matches('\r').len();
                    let end = &policy[line..=after.start + newline];
                    let comma = match comma(policy, after.clone()) {
                        Some(_) => ("", ","),
                        None => (",", ""),
                    };
                    vec![
                        (after.start..after.start, comma.0.to_owned()),
                        (line..line, format!("{}{indent}{new}{}", end, comma.1)),
                    ]
                }
                _ => vec![(after.start..after.start, format!(", {new}"))],
            }
        }
    };
    let expected = found.iter().map(|key| key.origin.clone()).chain([origin.to_owned()]).collect();
    verified(splice(policy, edits), client, expected)
}

/// The text without the client's first key, and that key; a list that has one left becomes a single text.
///
/// Errors: as [`keys`], and a client with less than two keys.
pub fn remove_first(policy: &str, client: &str) -> Result<(String, String), Error> {
    let document = parse(policy)?;
    let found = find(&document, client)?;
    let [first, rest @ ..] = found.as_slice() else { return Err(no_key(client)) };
    let ([second, ..], Some(list)) = (rest, &first.list) else {
        let message = format!("the client `{client}` has only one key, and without it it couldn't log in");
        return Err(Error::new(message, format!("give it another one first: `llmguard key rotate {client}`")));
    };
    let kept = after_comment(policy, first.span.end..second.span.start);
    let edits = if rest.len() == 1 {
        // Comments that stood beside the key that stays move above it.
        let line_start = policy[..list.start].rfind('\n').map_or(0, |end| end + 1);
        let line = &policy[line_start..];
        let indent = &line[..line.len() - line.trim_start_matches([' ', '\t']).len()];
        let end = if policy.contains("\r\n") { "\r\n" } else { "\n" };
        let comments = [&policy[kept..second.span.start], &policy[second.span.end..list.end - 1]];
        let above: String = comments
            .iter()
            .flat_map(|between| between.lines())
            .filter_map(|line| line.find('#').map(|hash| format!("{indent}{}{end}", line[hash..].trim_end())))
            .collect();
        let text = policy[second.span.start..second.span.end].to_owned();
        vec![(line_start..line_start, above), (list.clone(), text)]
    } else {
        vec![(first.span.start..kept, String::new())]
    };
    let expected = rest.iter().map(|key| key.origin.clone()).collect();
    Ok((verified(splice(policy, edits), client, expected)?, first.origin.clone()))
}

/// Whether any value of the policy (not a comment) is `env:NAME`.
///
/// Errors: text that isn't TOML.
pub fn names(policy: &str, variable: &str) -> Result<bool, Error> {
    struct Search(String, bool);
    impl<'doc> Visit<'doc> for Search {
        fn visit_string(&mut self, node: &'doc Formatted<String>) {
            self.1 |= *node.value() == self.0;
        }
    }
    let mut search = Search(format!("env:{variable}"), false);
    search.visit_table(parse(policy)?.as_table());
    Ok(search.1)
}

/// One key of a client.
struct Key {
    origin: String,
    span: Range<usize>,
    /// The list that it stands in, brackets included.
    list: Option<Range<usize>>,
}

fn parse(policy: &str) -> Result<Document<&str>, Error> {
    Document::parse(policy).map_err(|error| {
        let line = error.span().map_or(1, |span| policy[..span.start.min(policy.len())].matches('\n').count() + 1);
        let message = format!("line {line} of the policy: {}", error.message().lines().collect::<Vec<_>>().join(", "));
        Error::new(message, "`llmguard check` shows every error")
    })
}

/// The keys of `client`.
fn find(document: &Document<&str>, client: &str) -> Result<Vec<Key>, Error> {
    let tables: Vec<&dyn TableLike> = match document.as_table().get("client") {
        Some(Item::ArrayOfTables(tables)) => tables.iter().map(|table| table as &dyn TableLike).collect(),
        Some(Item::Value(Value::Array(tables))) => {
            tables.iter().filter_map(Value::as_inline_table).map(|table| table as &dyn TableLike).collect()
        }
        _ => Vec::new(),
    };
    let name = |table: &&dyn TableLike| table.get("name").and_then(Item::as_str).map(str::to_owned);
    let Some(table) = tables.iter().find(|table| name(table).as_deref() == Some(client)) else {
        return Err(no_client(client, &tables.iter().filter_map(name).collect::<Vec<_>>()));
    };
    let unusable = || {
        Error::new(
            format!("the `api_key` of the client `{client}` is no text and no list of texts"),
            "`llmguard check` says more",
        )
    };
    let key = |value: &Value, list: Option<Range<usize>>| {
        let (Some(origin), Some(span)) = (value.as_str(), value.span()) else { return Err(unusable()) };
        Ok(Key { origin: origin.to_owned(), span, list })
    };
    match table.get("api_key").map(Item::as_value) {
        None => Ok(Vec::new()),
        Some(Some(Value::Array(list))) => list.iter().map(|value| key(value, Array::span(list))).collect(),
        Some(Some(value)) => Ok(vec![key(value, None)?]),
        Some(None) => Err(unusable()),
    }
}

fn no_client(client: &str, known: &[String]) -> Error {
    let variable = super::default_variable(client);
    let near = known.iter().find(|name| strsim::jaro_winkler(name, client) > 0.8);
    let near = near.map(|name| format!("did you mean `{name}`? Otherwise ")).unwrap_or_default();
    let lines = format!("[[client]]\nname = \"{client}\"\napi_key = \"env:{variable}\"");
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let message = format!("the policy has no client `{}`", client.escape_debug());
    if (1..=32).contains(&client.len()) && client.bytes().all(allowed) {
        Error::new(message, format!("{near}add these lines to the policy:\n\n{lines}"))
    } else {
        Error::new(message, "a client's name has at most 32 of `a-z`, `0-9` and `-`")
    }
}

/// The error for a client without `api_key`.
pub(super) fn no_key(client: &str) -> Error {
    let line = format!("api_key = \"env:{}\"", super::default_variable(client));
    Error::new(format!("the client `{client}` has no `api_key`"), format!("add this line to it:\n\n{line}"))
}

/// Where a comma stands in `range`, which holds nothing else but blanks and comments.
fn comma(text: &str, range: Range<usize>) -> Option<usize> {
    let mut comment = false;
    text[range.clone()].char_indices().find_map(|(at, c)| {
        comment = (comment || c == '#') && c != '\n';
        (c == ',' && !comment).then_some(range.start + at)
    })
}

/// The end of what belongs to the key before `range`, which holds a comma, blanks and comments: its comma, the comment on
/// the comma's line, and the blanks after it.
fn after_comment(text: &str, range: Range<usize>) -> usize {
    let Some(comma) = comma(text, range.clone()) else { return range.end };
    let rest = &text[comma + 1..range.end];
    let comment = rest.trim_start_matches([' ', '\t']);
    let own = if comment.starts_with('#') { comment.split_once('\n').map_or("", |(_, after)| after) } else { comment };
    range.end - own.trim_start().len()
}

/// The text with every range replaced; the ranges stand in order.
fn splice(text: &str, edits: Vec<(Range<usize>, String)>) -> String {
    let mut out = String::with_capacity(text.len() + 64);
    let mut from = 0;
    for (range, new) in edits {
        out.push_str(&text[from..range.start]);
        out.push_str(&new);
        from = range.end;
    }
    out + &text[from..]
}

/// The edited text if it reads as it should.
fn verified(text: String, client: &str, expected: Vec<String>) -> Result<String, Error> {
    match keys(&text, client) {
        Ok(found) if found == expected => Ok(text),
        _ => Err(Error::new(
            format!("the `api_key` of the client `{client}` is written in a way that can't be edited safely"),
            "write it as `api_key = [\"env:A\", \"env:B\"]` by hand",
        )),
    }
}

#[cfg(test)]
mod tests {

    use proptest::prelude::*;

    use super::*;

    /// Before, with three keys (or after one was added), after the first left.
    #[test]
    fn only_the_value_changes() {
        for (before, added, removed) in [
            // A text becomes a list and a text again.
            (
                "# head\n[[client]]\nname = \"a\" # who\napi_key = 'env:A'   # key\nrate = false\n",
                "# head\n[[client]]\nname = \"a\" # who\napi_key = ['env:A', \"env:NEW\"]   # key\nrate = false\n",
                "# head\n[[client]]\nname = \"a\" # who\napi_key = \"env:NEW\"   # key\nrate = false\n",
            ),
            // The other clients, CRLF and a byte-order mark stay.
            (
                "\u{feff}[[client]]\r\nname='b'\r\napi_key=\"env:A\"\r\n[[client]]\r\nname='a'\r\napi_key=\"env:A\"\r\n",
                "\u{feff}[[client]]\r\nname='b'\r\napi_key=\"env:A\"\r\n[[client]]\r\nname='a'\r\napi_key=[\"env:A\", \"env:NEW\"]\r\n",
                "\u{feff}[[client]]\r\nname='b'\r\napi_key=\"env:A\"\r\n[[client]]\r\nname='a'\r\napi_key=\"env:NEW\"\r\n",
            ),
            // Inline tables.
            (
                "client = [\n  { name = \"a\", api_key = \"env:A\" }, # one\n  { name = \"b\", api_key = \"env:B\" },\n]\n",
                "client = [\n  { name = \"a\", api_key = [\"env:A\", \"env:NEW\"] }, # one\n  { name = \"b\", api_key = \"env:B\" },\n]\n",
                "client = [\n  { name = \"a\", api_key = \"env:NEW\" }, # one\n  { name = \"b\", api_key = \"env:B\" },\n]\n",
            ),
            // Lists on one line.
            (
                "[[client]]\nname = \"a\"\napi_key = [ \"env:A\",\"env:B\" , ] # c\n",
                "[[client]]\nname = \"a\"\napi_key = [ \"env:A\",\"env:B\", \"env:NEW\" , ] # c\n",
                "[[client]]\nname = \"a\"\napi_key = [ \"env:B\", \"env:NEW\" , ] # c\n",
            ),
            // Lists on several lines, with comments.
            (
                "[[client]]\nname = \"a\"\napi_key = [\n  \"env:A\", # old, on it\n  # new\n  \"env:B\" # on it\n  # end\n]\n",
                "[[client]]\nname = \"a\"\napi_key = [\n  \"env:A\", # old, on it\n  # new\n  \"env:B\", # on it\n  \"env:NEW\"\n  # end\n]\n",
                "[[client]]\nname = \"a\"\napi_key = [\n  # new\n  \"env:B\", # on it\n  \"env:NEW\"\n  # end\n]\n",
            ),
            (
                "[[client]]\r\nname = \"a\"\r\napi_key = [\r\n\t\"file:A\",\r\n\t\"env:B\",\r\n]\r\n",
                "[[client]]\r\nname = \"a\"\r\napi_key = [\r\n\t\"file:A\",\r\n\t\"env:B\",\r\n\t\"env:NEW\",\r\n]\r\n",
                "[[client]]\r\nname = \"a\"\r\napi_key = [\r\n\t\"env:B\",\r\n\t\"env:NEW\",\r\n]\r\n",
            ),
            (
                "[[client]]\nname = \"a\"\napi_key = [\"env:A\",\n  \"env:B\"]\n",
                "[[client]]\nname = \"a\"\napi_key = [\"env:A\",\n  \"env:B\", \"env:NEW\"]\n",
                "[[client]]\nname = \"a\"\napi_key = [\"env:B\", \"env:NEW\"]\n",
            ),
            // A list of one is a list.
            (
                "  [[client]]\n  name = \"a\"\n  api_key = [\n    # first\n    \"env:A\"  # old, one\n  ]\n",
                "  [[client]]\n  name = \"a\"\n  api_key = [\n    # first\n    \"env:A\",  # old, one\n    \"env:NEW\"\n  ]\n",
                "  [[client]]\n  name = \"a\"\n  api_key = \"env:NEW\"\n",
            ),
        ] {
            let longer = add(before, "a", "env:NEW").unwrap();
            assert_eq!(longer, added);
            let (shorter, first) = remove_first(&longer, "a").unwrap();
            assert_eq!(shorter, removed);
            assert_eq!(first, keys(before, "a").unwrap()[0]);
        }
    }

    #[test]
    fn comments_of_the_key_that_stays_move_above_it() {
        let text =
            "[[client]]\nname = \"a\"\n  api_key = [\n  \"env:A\", # old\n  # new\n  \"env:B\", # mine\n  # end\n]\n";
        let after = "[[client]]\nname = \"a\"\n  # new\n  # mine\n  # end\n  api_key = \"env:B\"\n";
        assert_eq!(remove_first(text, "a").unwrap(), (after.to_owned(), "env:A".to_owned()));
    }

    #[test]
    fn what_cannot_be_edited_is_an_error_with_a_remedy() {
        let two = "[[client]]\nname = 'laptop'\napi_key = 'env:A'\n[[client]]\nname = 'phone'\npassword_hash = 'x'\n";
        for (policy, client, message, remedy) in [
            ("a = \n", "a", "line 1 of the policy", "check"),
            ("", "vercel", "no client `vercel`", "[[client]]\nname = \"vercel\"\napi_key = \"env:VERCEL_KEY\""),
            (two, "lapto", "no client", "did you mean `laptop`?"),
            (two, "my-2nd", "no client", "env:MY_2ND_KEY"),
            (two, "Big Name\n", "no client `Big Name\\n`", "a-z"),
            (two, "phone", "no `api_key`", "env:PHONE_KEY"),
            (two, "laptop", "only one key", "key rotate laptop"),
            ("[[client]]\nname = 'a'\napi_key = 1\n", "a", "no text", "check"),
            ("[[client]]\nname = 'a'\napi_key = ['env:A', 1]\n", "a", "no text", "check"),
            ("[[client]]\nname = 'a'\n[client.api_key]\nx = 1\n", "a", "no text", "check"),
            ("client = 1\n", "a", "no client", "[[client]]"),
        ] {
            let error = remove_first(policy, client).unwrap_err();
            assert!(error.message.contains(message) && error.remedy.contains(remedy), "{client}: {error}");
        }
    }

    proptest! {
        #[test]
        fn whatever_stands_between_keys_survives(gaps in prop::collection::vec("( |\t|\n|\r\n|#[ a,\"\\[]{0,4}\n){0,4}", 7)) {
            let text = format!(
                "[[client]]\nname = 'a'\napi_key = [{}'env:A'{},{}'env:B'{},{}'env:C'{}]{}",
                gaps[0], gaps[1], gaps[2], gaps[3], gaps[4], gaps[5], gaps[6]
            );
            let longer = add(&text, "a", "env:D").unwrap();
            prop_assert_eq!(keys(&longer, "a").unwrap(), ["env:A", "env:B", "env:C", "env:D"]);
            let mut left = longer;
            while keys(&left, "a").unwrap().len() > 1 {
                left = remove_first(&left, "a").unwrap().0;
            }
            prop_assert_eq!(keys(&left, "a").unwrap(), ["env:D"]);
        }
    }
}
