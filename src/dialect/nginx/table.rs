//! What nginx knows about each directive: where it may stand, how many arguments it takes.
//!
//! In: `directives.txt`. Out: the [`Rule`]s of a name. Invariant: the same facts as nginx's own tables of commands (`ngx_command_t`), so that
//! a directive is refused here when `nginx -t` refuses it for its place or its number of arguments.

use foldhash::{HashMap, HashMapExt};
use std::sync::LazyLock;

use super::context::{Context, Contexts};

/// A version of nginx.
pub type Version = (u32, u32, u32);

/// What one module knows about a directive.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Its name.
    pub name: &'static str,
    /// The module that brings it.
    pub module: &'static str,
    /// Where it may stand.
    pub contexts: Contexts,
    /// How many arguments it takes.
    pub args: Args,
    /// What its first argument must be.
    pub kind: Kind,
    /// Whether it has a block; if so it must.
    pub block: bool,
    /// A second one with the same word in the same block is refused.
    pub once: Option<&'static str>,
    /// The first version that knows it.
    pub since: Option<Version>,
    /// The first version that no longer knows it.
    pub until: Option<Version>,
}

/// Numbers of arguments: a bit for each from 0 to 7, and those of [`Args::ONE_OR_MORE`], [`Args::TWO_OR_MORE`], [`Args::ANY`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Args(u16);

/// What an argument must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Judged by the directive itself.
    Own,
    /// `on` or `off`.
    Flag,
    /// A whole number.
    Number,
    /// A number of bytes, with `k` or `m`.
    Size,
    /// A number of bytes, with `k`, `m` or `g`.
    Offset,
    /// A duration.
    Milliseconds,
    /// A duration of whole seconds.
    Seconds,
}

/// The rules of all names.
pub struct Table {
    rules: Vec<Rule>,
    by_name: HashMap<&'static str, Vec<u16>>,
}

/// The table.
pub static TABLE: LazyLock<Table> = LazyLock::new(|| Table::of(include_str!("directives.txt")));

impl Table {
    fn of(text: &'static str) -> Table {
        let mut table = Table { rules: Vec::new(), by_name: HashMap::new() };
        let mut module = "";
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if let Some(section) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                module = section;
            } else if let Some(rule) = Rule::of(line, module) {
                table.by_name.entry(rule.name).or_default().push(table.rules.len() as u16);
                table.rules.push(rule);
            }
        }
        table
    }

    /// All rules, in the order of the file.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The rules of a name, with their indices; none: nobody knows it.
    pub fn find(&self, name: &[u8]) -> impl Iterator<Item = (u16, &Rule)> {
        let known = std::str::from_utf8(name).ok().and_then(|name| self.by_name.get(name));
        known.into_iter().flatten().filter_map(|&index| Some((index, self.rules.get(index as usize)?)))
    }

    /// The name that is most like one that nobody knows.
    pub fn similar(&self, name: &str) -> Option<&'static str> {
        let most = 1 + name.len() / 6;
        let near = self.by_name.keys().filter(|known| known.len().abs_diff(name.len()) <= most);
        let likeness = |known: &&'static str| (strsim::damerau_levenshtein(name, known), *known);
        near.map(likeness).min().filter(|(distance, _)| *distance <= most).map(|(_, known)| known)
    }
}

impl Rule {
    /// A line of the file; none: it isn't one.
    fn of(line: &'static str, module: &'static str) -> Option<Rule> {
        let mut columns = line.split_ascii_whitespace();
        let (name, contexts, args) = (columns.next()?, columns.next()?, columns.next()?);
        let (args, kind) = args.split_once(':').unwrap_or((args, ""));
        let kind = match (args, kind) {
            ("flag", _) => Kind::Flag,
            (_, "number") => Kind::Number,
            (_, "size") => Kind::Size,
            (_, "offset") => Kind::Offset,
            (_, "ms") => Kind::Milliseconds,
            (_, "s") => Kind::Seconds,
            _ => Kind::Own,
        };
        let contexts = contexts.split(',').filter_map(Contexts::named).fold(Contexts::NONE, Contexts::or);
        let (block, once, since, until) = (false, None, None, None);
        let mut rule = Rule { name, module, contexts, args: Args::of(args)?, kind, block, once, since, until };
        for column in columns {
            match column.split_once('=').unwrap_or((column, name)) {
                ("{}", _) => rule.block = true,
                ("once", group) => rule.once = Some(group),
                ("since", since) => rule.since = version(since),
                ("until", until) => rule.until = version(until),
                _ => return None,
            }
        }
        Some(rule)
    }

    /// Whether this version of nginx has it; absent: the newest.
    pub fn is_in(&self, asked: Option<Version>) -> bool {
        match asked {
            None => self.until.is_none(),
            Some(asked) => {
                self.since.is_none_or(|since| asked >= since) && self.until.is_none_or(|until| asked < until)
            }
        }
    }

    /// Whether its module is one of nginx's own.
    pub fn standard(&self) -> bool {
        self.module.starts_with("ngx_")
    }

    /// Whether it may stand there.
    pub fn fits(&self, context: Context) -> bool {
        self.contexts.has(context)
    }
}

impl Args {
    const ONE_OR_MORE: u16 = 1 << 8;
    const TWO_OR_MORE: u16 = 1 << 9;
    const ANY: u16 = 1 << 10;

    fn of(text: &str) -> Option<Args> {
        let mut bits = 0;
        for part in text.split(',') {
            bits |= match part {
                "flag" => 1 << 1,
                "1+" => Args::ONE_OR_MORE,
                "2+" => Args::TWO_OR_MORE,
                "any" => Args::ANY,
                _ => {
                    let (first, last) = part.split_once('-').unwrap_or((part, part));
                    (first.parse().ok()?..=last.parse::<u16>().ok()?).fold(0, |bits, count| bits | 1 << count)
                }
            };
        }
        Some(Args(bits))
    }

    /// Whether so many are right.
    pub fn has(self, count: usize) -> bool {
        let exact = count < 8 && self.0 & 1 << count != 0;
        exact
            || self.0 & Args::ANY != 0
            || self.0 & Args::ONE_OR_MORE != 0 && count >= 1
            || self.0 & Args::TWO_OR_MORE != 0 && count >= 2
    }

    /// How many are right, in words.
    pub fn told(self) -> String {
        let exact: Vec<String> =
            (0..8).filter(|count| self.0 & 1 << count != 0).map(|count| count.to_string()).collect();
        match (self.0 & Args::ONE_OR_MORE != 0, self.0 & Args::TWO_OR_MORE != 0) {
            (true, _) => "one or more arguments".to_owned(),
            (_, true) => "two or more arguments".to_owned(),
            _ if exact == ["0"] => "no argument".to_owned(),
            _ if exact == ["1"] => "one argument".to_owned(),
            _ => format!("{} arguments", exact.join(" or ")),
        }
    }
}

/// `1.25.1` as numbers.
fn version(text: &str) -> Option<Version> {
    let mut parts = text.split('.').map(str::parse);
    Some((parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_read() {
        let text = include_str!("directives.txt");
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with(['#', '['])).count();
        assert_eq!(TABLE.rules().len(), lines);
        for rule in TABLE.rules() {
            assert!(rule.contexts != Contexts::NONE && rule.args.0 != 0, "{rule:?}");
            let twice = TABLE.find(rule.name.as_bytes()).filter(|(_, other)| other.contexts.meets(rule.contexts));
            assert_eq!(twice.count(), 1, "two rules in one context: {}", rule.name);
        }
    }
}
