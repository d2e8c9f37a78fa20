//! The way of one request through a gateway, told so that somebody follows it who doesn't know the server's rules.
//!
//! In: a gateway and a request. Out: an [`Explanation`]: hops with their places and source lines, what changed, how it ended, what the
//! upstream gets. Invariant: no credential's value is in it, only names; where the answer can't be known both ways are told, from the
//! place on where they part.

use std::collections::HashSet;

use crate::gateway::eval::{Change, Changed, Outcome, Verdict, Way, evaluate, ways};
use crate::gateway::predicate::is_credential;
use crate::gateway::{Gateway, Origin};
use crate::http::{Request, Target};
use crate::source::{LineColumn, Span};

use super::words;

/// Headers that carry credentials.
const CREDENTIALS: &[&str] =
    &["Authorization", "X-API-Key", "Api-Key", "X-Auth-Token", "Cookie", "Proxy-Authorization"];

/// Credentials that are worth a word even if this request has none.
const USUAL: usize = 2;

/// What is said of a condition that stands in a line.
const MISSED: &str = "doesn't hold for this request";

/// How many bytes of a value are shown.
const MOST_SHOWN: usize = 120;

/// What a gateway does with a request.
#[derive(Debug)]
pub struct Explanation {
    /// The decision.
    pub outcome: Outcome,
    /// The path that rules see, where it isn't the one that was sent.
    pub compared: Option<String>,
    /// The hops that it makes in any case.
    pub hops: Vec<Hop>,
    /// How it ends; absent: in one of two ways.
    pub end: Option<End>,
    /// The two ways, where the files don't tell which it is; else empty.
    pub branches: Vec<Branch>,
}

/// One place that has a part in the decision.
#[derive(Debug, Clone, PartialEq)]
pub struct Hop {
    /// The place.
    pub place: Place,
    /// What happens there, in order.
    pub notes: Vec<String>,
    /// What changes there.
    pub shifts: Vec<Shift>,
}

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file's name.
    pub file: String,
    /// Line and column.
    pub at: LineColumn,
    /// The line, its secrets hidden, without the blanks around it.
    pub source: String,
}

/// Something that changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shift {
    /// What: `path`, `header Host`, `variable $x`.
    pub what: String,
    /// What it was, as it may be shown.
    pub before: String,
    /// What it is.
    pub now: String,
}

/// One of two ways.
#[derive(Debug)]
pub struct Branch {
    /// What the files don't tell.
    pub because: String,
    /// Whether that is taken for a yes.
    pub assumed: bool,
    /// What happens then, from the place on where the ways part.
    pub hops: Vec<Hop>,
    /// How it ends.
    pub end: End,
}

/// How a request ends.
#[derive(Debug)]
pub struct End {
    /// The decision.
    pub verdict: Verdict,
    /// Who it was.
    pub client: Option<String>,
    /// Whether anything on the way looked at who is asking.
    pub asks_who: bool,
    /// What the upstream gets, if it gets anything.
    pub upstream: Option<Received>,
    /// What bounds the request.
    pub bounds: Vec<Bound>,
}

/// Something that bounds a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Bound {
    /// What, for people.
    pub text: String,
    /// Where that is said; absent: nowhere, it is the server's default.
    pub place: Option<Place>,
    /// Whether generations and long prompts meet it.
    pub matters: bool,
}

/// What an upstream gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// `host:port`.
    pub upstream: String,
    /// The request line without its version.
    pub request: String,
    /// The Host header.
    pub host: String,
    /// Credentials: headers, and what becomes of them.
    pub credentials: Vec<(String, Fate)>,
}

/// What becomes of a header of the caller's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The upstream gets it as it was sent.
    Passed,
    /// It would, had the caller sent one.
    WouldPass,
    /// The gateway's own stands in its place.
    Replaced,
    /// It is taken away.
    Removed,
}

/// Tells what a gateway does with a request.
pub fn explain(gateway: &Gateway, request: &Request) -> Explanation {
    let outcome = evaluate(gateway, request);
    let all: Vec<Way> = ways(gateway, request).collect();
    let teller = Teller { gateway, request };
    let compared = all.first().and_then(|way| teller.compared(&way.outcome));
    let parted = all.first().filter(|first| all.iter().any(|way| way.outcome.verdict != first.outcome.verdict));
    match parted.and_then(|_| extremes(&all)) {
        Some((first, other)) => {
            let common = first.outcome.steps.iter().zip(&other.outcome.steps).take_while(|(a, b)| a == b).count();
            Explanation {
                compared,
                hops: teller.hops(&first.outcome, 0, common),
                end: None,
                branches: vec![teller.branch(first, other, common), teller.branch(other, first, common)],
                outcome,
            }
        }
        None => Explanation {
            compared,
            hops: all.first().map_or(Vec::new(), |way| teller.hops(&way.outcome, 0, way.outcome.steps.len())),
            end: all
                .first()
                .map(|way| teller.end(&Outcome { verdict: outcome.verdict.clone(), ..way.outcome.clone() })),
            branches: Vec::new(),
            outcome,
        },
    }
}

/// Two ways that end differently: one that the upstream sees, if there is one, and one that it doesn't.
fn extremes(all: &[Way]) -> Option<(&Way, &Way)> {
    let proxied = |way: &&Way| matches!(way.outcome.verdict, Verdict::Proxied { .. });
    let status = |way: &&Way| match way.outcome.verdict {
        Verdict::Refused(status) | Verdict::Answered(status) => status,
        Verdict::Proxied { .. } | Verdict::Unknown { .. } => u16::MAX,
    };
    let first = all.iter().filter(|way| !proxied(way)).min_by_key(status).or(all.first())?;
    let differs = |way: &&Way| way.outcome.verdict != first.outcome.verdict;
    let other = all.iter().find(|way| proxied(way) && differs(way)).or(all.iter().find(differs))?;
    Some((first, other))
}

/// The line of a place. `None`: no such file, or a place that isn't in one.
pub fn place(gateway: &Gateway, origin: &Origin) -> Option<Place> {
    let file = gateway.files.get(origin.file())?;
    let text: &str = &file.text;
    let start = origin.span().start.min(text.len());
    let line = Span {
        start: text[..start].rfind('\n').map_or(0, |at| at + 1),
        end: text[start..].find('\n').map_or(text.len(), |at| start + at),
    };
    let (shown, _) = file.shown(line, line.start);
    let source = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    Some(Place { file: file.name.clone(), at: file.line_column(start), source })
}

struct Teller<'g> {
    gateway: &'g Gateway,
    request: &'g Request,
}

impl Teller<'_> {
    /// The hops from one step of an outcome to another, with what changed on them.
    fn hops(&self, outcome: &Outcome, from: usize, to: usize) -> Vec<Hop> {
        let mut hops: Vec<Hop> = Vec::new();
        let skipped = |after: usize| after < from || (from > 0 && after == from);
        let mut changes = outcome.changes.iter().skip_while(|change| skipped(change.after)).peekable();
        // Where something happens, a condition of the same line that doesn't hold is no news.
        let line = |origin: &Origin| place(self.gateway, origin).map(|place| (place.file, place.at.line));
        let told: HashSet<_> = outcome.steps.iter().map(line).collect();
        let missed = outcome.missed.iter().filter(|(_, origin)| !told.contains(&line(origin)));
        let mut missed = missed.skip_while(|(after, _)| *after < from).peekable();
        let whole = to == outcome.steps.len();
        for (index, step) in outcome.steps.iter().enumerate().take(to).skip(from) {
            while let Some((_, origin)) = missed.next_if(|(after, _)| *after <= index) {
                self.stop(&mut hops, origin, Some(MISSED.to_owned()), None);
            }
            self.stop(&mut hops, step, Some(step.note.to_string()), None);
            while let Some(change) = changes.next_if(|change| change.after <= index + 1) {
                if let Some(shift) = self.shift(change) {
                    self.stop(&mut hops, &change.origin, None, Some(shift));
                }
            }
        }
        for (_, origin) in missed.filter(|_| whole) {
            self.stop(&mut hops, origin, Some(MISSED.to_owned()), None);
        }
        once(hops)
    }

    /// Adds to the last hop what happens in the same line, else makes a new one.
    fn stop(&self, hops: &mut Vec<Hop>, origin: &Origin, note: Option<String>, shift: Option<Shift>) {
        let Some(place) = place(self.gateway, origin) else { return };
        let same = |hop: &&mut Hop| (&hop.place.file, hop.place.at.line) == (&place.file, place.at.line);
        match hops.last_mut().filter(same) {
            Some(hop) => {
                hop.notes.extend(note.filter(|note| !hop.notes.contains(note)));
                hop.shifts.extend(shift);
            }
            None => hops.push(Hop { place, notes: note.into_iter().collect(), shifts: shift.into_iter().collect() }),
        }
    }

    /// A change as it may be shown; `None`: it changes nothing that this request has.
    fn shift(&self, change: &Change) -> Option<Shift> {
        if change.before == change.now && change.now.is_some() {
            return None;
        }
        // What a server does by itself with any request is no news; what a line says is.
        let says = |name: &str| {
            let source = place(self.gateway, &change.origin).map(|place| place.source.to_ascii_lowercase());
            source.is_some_and(|source| source.contains(&name.to_ascii_lowercase()))
        };
        let (what, secret) = match &change.what {
            Changed::Header(name) if !says(name) => return None,
            Changed::Variable(name) if !says(name) => return None,
            Changed::Path if self.on_arrival(&change.origin) => return None,
            Changed::Method => ("method".to_owned(), false),
            Changed::Path => ("path".to_owned(), false),
            Changed::Query => ("query".to_owned(), false),
            Changed::Target => ("upstream target".to_owned(), false),
            Changed::Header(name) => (format!("header {name}"), is_credential(name)),
            Changed::Variable(name) => (format!("variable {name}"), false),
        };
        let show = |bytes: &Option<Vec<u8>>| match bytes {
            None => "(not to be known)".to_owned(),
            Some(bytes) if bytes.is_empty() => "(none)".to_owned(),
            Some(_) if secret => "***".to_owned(),
            Some(bytes) if self.holds_credential(bytes) => "***".to_owned(),
            Some(bytes) => shown(bytes),
        };
        Some(Shift { what, before: show(&change.before), now: show(&change.now) })
    }

    /// Whether bytes hold a credential that the request carries.
    fn holds_credential(&self, bytes: &[u8]) -> bool {
        let values = CREDENTIALS.iter().flat_map(|name| self.request.header(name));
        let parts = values.flat_map(|value| value.split(|&byte| byte == b' ')).filter(|part| part.len() > 3);
        let schemes: [&[u8]; 2] = [b"bearer", b"basic"];
        parts
            .filter(|part| !schemes.iter().any(|scheme| part.eq_ignore_ascii_case(scheme)))
            .any(|part| bytes.windows(part.len()).any(|window| window == part))
    }

    /// The path that rules see, where it isn't the one that was sent.
    fn compared(&self, outcome: &Outcome) -> Option<String> {
        let listener = self.gateway.listening(self.request).filter(|listener| !listener.wire.raw)?;
        let sent = Target::parse(&self.request.target)?.path;
        let mut changes = outcome.changes.iter().rev();
        let seen = match changes.find(|change| change.what == Changed::Path && self.on_arrival(&change.origin)) {
            Some(change) => change.now.clone()?,
            None => listener.wire.path.apply(sent).ok()?,
        };
        (seen != sent).then(|| shown(&seen))
    }

    /// Whether a place is the listener's own: what happens there is how the server reads any request.
    fn on_arrival(&self, origin: &Origin) -> bool {
        let listener = self.gateway.listening(self.request);
        let line = |origin: &Origin| place(self.gateway, origin).map(|place| (place.file, place.at.line));
        listener.is_some_and(|listener| line(&listener.origin) == line(origin))
    }

    fn branch(&self, way: &Way, other: &Way, common: usize) -> Branch {
        let parted = way.assumed.iter().zip(&other.assumed).find(|(own, other)| own.1 != other.1);
        let (because, assumed) = parted.map(|(own, _)| own.clone()).unwrap_or_default();
        let outcome = &way.outcome;
        // What repeats the end of what both have in common isn't told again.
        let mut hops = self.hops(outcome, 0, common);
        let before = hops.len();
        hops.extend(self.hops(outcome, common, outcome.steps.len()));
        let hops = once(hops).into_iter().skip(before).collect();
        Branch { because, assumed, hops, end: self.end(outcome) }
    }

    fn end(&self, outcome: &Outcome) -> End {
        let upstream = match &outcome.verdict {
            Verdict::Proxied { upstream, target, host } => Some(Received {
                upstream: upstream.clone(),
                request: format!("{} {}", shown(&outcome.method), shown(target)),
                host: host.clone(),
                credentials: self.credentials(outcome),
            }),
            _ => None,
        };
        let proxied = upstream.is_some();
        let place = |origin: &Origin| place(self.gateway, origin).filter(|_| origin.span() != Span::default());
        let bound = |text: String, origin: &Origin, matters: bool| Bound { text, place: place(origin), matters };
        let mut bounds: Vec<Bound> =
            outcome.limits.iter().map(|(limit, origin)| bound(words::limit(limit), origin, true)).collect();
        // The last of a kind is in force; what bounds an upstream's answer matters only where there is one.
        // A line that does something else as well isn't where a setting is said: that is the server's default.
        let line = |origin: &Origin| place(origin).map(|place| (place.file, place.at.line));
        let busy: HashSet<_> = outcome.steps.iter().map(line).collect();
        for (index, (setting, origin)) in outcome.settings().enumerate().filter(|_| proxied) {
            let mut after = outcome.settings().skip(index + 1);
            let later = after.any(|(other, _)| words::kind(other) == words::kind(setting));
            if let Some(text) = words::bound(setting).filter(|_| !later) {
                let said = !busy.contains(&line(origin));
                let own = bound(text, origin, words::matters(setting));
                bounds.push(Bound { place: own.place.filter(|_| said), ..own });
            }
        }
        End {
            verdict: outcome.verdict.clone(),
            client: outcome.client.clone(),
            asks_who: outcome.asks_who,
            upstream,
            bounds,
        }
    }

    /// What becomes of the caller's credentials.
    fn credentials(&self, outcome: &Outcome) -> Vec<(String, Fate)> {
        let mut list = Vec::new();
        for (index, name) in CREDENTIALS.iter().enumerate() {
            let sent: Vec<&[u8]> = self.request.header(name).collect();
            let got = || outcome.headers.iter().filter(|(own, _)| own.eq_ignore_ascii_case(name.as_bytes()));
            let touched = outcome.changes.iter().any(|change| match &change.what {
                Changed::Header(edited) => covers(edited, name),
                _ => false,
            });
            // The credential of a client who is only named is not among the headers.
            let named = self.request.as_client.is_some() && *name == "Authorization";
            let fate = match (got().next().is_some(), sent.is_empty(), touched) {
                (true, _, true) if !got().any(|(_, value)| sent.contains(&value.as_slice())) => Fate::Replaced,
                (true, _, _) => Fate::Passed,
                (false, true, _) if index >= USUAL => continue,
                (false, false, _) | (false, true, true) => Fate::Removed,
                (false, true, false) if named => Fate::Passed,
                (false, true, false) => Fate::WouldPass,
            };
            match list.iter_mut().find(|(_, own)| *own == fate) {
                Some((names, _)) => *names = format!("{names}, {name}"),
                None => list.push(((*name).to_owned(), fate)),
            }
        }
        list
    }
}

/// Whether an edit of one header, with `*` at an end for anything, is one of another's.
fn covers(edited: &str, name: &str) -> bool {
    let (edited, name) = (edited.to_ascii_lowercase(), name.to_ascii_lowercase());
    match (edited.strip_suffix('*'), edited.strip_prefix('*')) {
        (Some(start), _) => name.starts_with(start),
        (_, Some(end)) => name.ends_with(end),
        _ => edited == name,
    }
}

/// Hops that repeat as a whole, told once: a config may ask the same several times.
fn once(hops: Vec<Hop>) -> Vec<Hop> {
    let mut out: Vec<Hop> = Vec::with_capacity(hops.len());
    for hop in hops {
        out.push(hop);
        for length in 2..=out.len() / 2 {
            let (before, last) = out.split_at(out.len() - length);
            if before.ends_with(last) {
                out.truncate(out.len() - length);
                break;
            }
        }
    }
    out
}

/// Bytes for people.
pub fn shown(bytes: &[u8]) -> String {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
        _ => bytes.escape_ascii().to_string(),
    };
    match text.char_indices().nth(MOST_SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::Arc;

    use super::*;
    use crate::gateway::*;
    use crate::http::{Sni, Version};
    use crate::source::SourceFile;

    const TEXT: &str = "listen 80;\nset $key;\nif (lua) { return 403; }\nAuthorization;\nproxy_pass b;\n";

    /// The place of a piece of [`TEXT`].
    fn at(piece: &str, note: &'static str) -> Origin {
        let start = TEXT.find(piece).unwrap();
        Origin::new(0, Span::new(start..start + piece.len()), note)
    }

    fn gateway() -> Gateway {
        let name = || Value::Header("X-API-Key".to_owned(), value::Join::First);
        let forward = Forward { upstream: Value::literal("b:80"), target: Value::Target, host: Value::literal("b") };
        let replaced = HeaderEdit { name: "Authorization".to_owned(), edit: Edit::Set(Value::literal("Bearer own")) };
        let clauses = vec![
            Clause::steps(
                vec![Step::set("key".into(), name(), at("set $key", "a copy of the key"))],
                Origin::default(),
            ),
            Clause::new(
                Predicate::Opaque("depends on lua code".into()),
                Terminal::Respond(403),
                at("if (lua)", "the code says no"),
            ),
            Clause {
                when: Predicate::Always.into(),
                steps: vec![Step::request_header(replaced, at("Authorization", ""))],
                then: Terminal::Forward(Arc::new(forward)),
                origin: at("proxy_pass", "sent to b"),
            },
        ];
        let chain = Chain { clauses, otherwise: Terminal::Respond(404), origin: Origin::default() };
        let listener = Listener {
            address: IpAddr::from([127, 0, 0, 1]),
            both: false,
            port: 80,
            tls: false,
            wire: Wire::strict(1000),
            handshake: None,
            chain: ChainId(0),
            origin: at("listen 80", "listens on 127.0.0.1:80"),
        };
        Gateway {
            files: vec![SourceFile::new("x.conf", "x.conf", TEXT)],
            listeners: vec![listener],
            chains: vec![chain],
            ..Gateway::default()
        }
    }

    fn request() -> Request {
        let headers = [("Host", "h"), ("X-API-Key", "key-of-somebody"), ("Authorization", "Bearer other-key")];
        Request {
            method: b"GET".to_vec(),
            target: b"/a?b".to_vec(),
            headers: headers
                .iter()
                .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
                .collect(),
            version: Version::Http11,
            client_ip: IpAddr::from([127, 0, 0, 1]),
            to: None,
            body: None,
            body_bytes: 0,
            port: None,
            tls: None,
            sni: Sni::AsHost,
            as_client: None,
        }
    }

    #[test]
    fn both_ways_are_told_where_the_files_do_not_tell_which() {
        let told = explain(&gateway(), &request());
        assert!(matches!(&told.outcome.verdict, Verdict::Unknown { reached: false, .. }));
        let lines = |hops: &[Hop]| hops.iter().map(|hop| hop.place.at.line).collect::<Vec<_>>();
        assert_eq!((lines(&told.hops), told.end.is_none()), (vec![1, 2], true));
        let [yes, no] = told.branches.as_slice() else { panic!("{told:?}") };
        assert_eq!((no.because.as_str(), no.assumed, yes.assumed), ("depends on lua code", false, true));
        assert_eq!((lines(&no.hops), lines(&yes.hops)), (vec![5, 4], vec![3]));
        assert_eq!(yes.end.verdict, Verdict::Refused(403));
        let received = no.end.upstream.as_ref().unwrap();
        assert_eq!((received.request.as_str(), received.host.as_str()), ("GET /a?b", "b"));
        let fates = [("Authorization".to_owned(), Fate::Replaced), ("X-API-Key".to_owned(), Fate::Passed)];
        assert_eq!(received.credentials, fates);
    }

    #[test]
    fn no_credential_is_told() {
        let told = explain(&gateway(), &request());
        let shifts: Vec<&Shift> = told.hops.iter().chain(&told.branches[1].hops).flat_map(|hop| &hop.shifts).collect();
        let all: Vec<(&str, &str, &str)> =
            shifts.iter().map(|shift| (shift.what.as_str(), shift.before.as_str(), shift.now.as_str())).collect();
        assert_eq!(all, [("variable key", "(none)", "***"), ("header Authorization", "***", "***")]);
    }
}
