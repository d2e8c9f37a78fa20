//! Lines of a block that set one value each, as tables.
//!
//! In: a table and a cursor on a line's first word. Out: the value in its place. Invariant: an empty value is left out, as Caddy does.

use super::super::dispenser::{Dispenser, Read};
use super::super::json::Json;
use super::value;

/// What stands behind the word.
#[derive(Debug, Clone, Copy)]
pub enum Take {
    /// A text.
    Text,
    /// A text and nothing more.
    OnlyText,
    /// Nothing: the value is `true`.
    Flag,
    /// The value is `true`, whatever follows.
    Mark,
    /// Nothing: the value is `false`.
    Off,
    /// One or more words.
    Words,
    /// Words that are added to those before.
    MoreWords,
    /// A duration.
    Duration,
    /// A duration and nothing more.
    OnlyDuration,
    /// A whole number, taken for nanoseconds, or a duration.
    Nanoseconds,
    /// A whole number.
    Integer,
    /// A whole number and nothing more.
    OnlyInteger,
    /// A size in bytes.
    Size,
    /// A size in bytes and nothing more.
    OnlySize,
}

/// A line: its first word, what follows, and where the value goes.
pub type Field = (&'static str, Take, &'static [&'static str]);

/// Reads a line that the table knows. Out: whether it knows it.
pub fn take(table: &[Field], tokens: &mut Dispenser, json: &mut Json) -> Read<bool> {
    let name = tokens.text();
    let Some((_, kind, path)) = table.iter().find(|(known, ..)| *known == &*name) else { return Ok(false) };
    let place = tokens.place();
    let (last, path) = path.split_last().unwrap_or((&"", &[]));
    let bad = |tokens: &Dispenser, what: &str| tokens.fault(format!("`{}`: `{}` isn't {what}", &*name, tokens.val()));
    let value = match kind {
        Take::Text => {
            let text = tokens.need()?;
            Json::text(tokens.place(), text)
        }
        Take::OnlyText => {
            let text = tokens.only()?;
            Json::text(tokens.place(), text)
        }
        Take::Flag => {
            tokens.no_more()?;
            Json::bool(place, true)
        }
        Take::Mark => Json::bool(place, true),
        Take::Off => {
            tokens.no_more()?;
            json.map_at(path, place).set(last, Json::bool(place, false));
            return Ok(true);
        }
        Take::Words => {
            let words = tokens.args();
            if words.is_empty() {
                return Err(tokens.wrong_count());
            }
            Json::words(place, &words)
        }
        Take::MoreWords => {
            let words = tokens.args();
            let map = json.map_at(path, place);
            if !words.is_empty() {
                let list = map.at(&[last], place);
                words.iter().for_each(|word| list.push(Json::word(word)));
            }
            return Ok(true);
        }
        Take::Duration | Take::OnlyDuration => {
            let text = if matches!(kind, Take::Duration) { tokens.need() } else { tokens.only() }?;
            let number = value::duration(&text).ok_or_else(|| bad(tokens, "a duration"))?;
            Json::number(tokens.place(), number)
        }
        Take::Nanoseconds => {
            let text = tokens.need()?;
            let number = value::integer(&text).or_else(|| value::duration(&text));
            Json::number(tokens.place(), number.ok_or_else(|| bad(tokens, "a duration"))?)
        }
        Take::Integer | Take::OnlyInteger => {
            let text = if matches!(kind, Take::Integer) { tokens.need() } else { tokens.only() }?;
            let number = value::integer(&text).ok_or_else(|| bad(tokens, "a whole number"))?;
            Json::number(tokens.place(), number)
        }
        Take::Size | Take::OnlySize => {
            let text = if matches!(kind, Take::Size) { tokens.need() } else { tokens.only() }?;
            let number = value::bytes(&text).ok_or_else(|| bad(tokens, "a size"))?;
            Json::number(tokens.place(), number)
        }
    };
    json.map_at(path, place).set_full(last, value);
    Ok(true)
}

/// Reads a block whose lines the table knows; other lines are faults.
pub fn block(table: &[Field], tokens: &mut Dispenser, json: &mut Json) -> Read<()> {
    while tokens.next_block(0) {
        if !take(table, tokens, json)? {
            return Err(unknown(tokens));
        }
    }
    Ok(())
}

/// The fault of a line that nobody knows.
pub fn unknown(tokens: &Dispenser) -> super::super::dispenser::Fault {
    tokens.fault(format!("`{}` isn't known in this block", tokens.val()))
}

/// The networks that `private_ranges` stands for (Caddy 2.11, internal/ranges.go).
const PRIVATE: [&str; 6] = ["192.168.0.0/16", "172.16.0.0/12", "10.0.0.0/8", "127.0.0.1/8", "fd00::/8", "::1"];

/// The arguments that are left as networks.
pub fn networks(tokens: &mut Dispenser) -> Vec<Json> {
    let mut networks = Vec::new();
    while let Some(text) = tokens.arg() {
        let place = tokens.place();
        match &*text {
            "private_ranges" => networks.extend(PRIVATE.map(|network| Json::text(place, network))),
            _ => networks.push(Json::text(place, text)),
        }
    }
    networks
}
