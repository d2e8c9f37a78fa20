//! `llmguard trace`: the way of one request through the files, step by step.
//!
//! In: a policy or configs, and a request in arguments. Out: on standard output the way and its end, or the decision line.

use std::net::IpAddr;

use anstyle::{AnsiColor, Style};

use super::configs::{self, Subject};
use super::{Exit, Global, fail, print};
use crate::analysis::explain::{End, Explanation, Fate, Hop, Place, Received, explain, shown};
use crate::analysis::{decision, words};
use crate::gateway::eval::Verdict;
use crate::http::line::{Line, text};
use crate::http::{Request, Version};
use crate::project::secrets::Hidden;

/// Where text is wrapped.
const WIDTH: usize = 100;
/// The longest place that others are aligned with.
const WIDEST_PLACE: usize = 32;

const PLACE: Style = AnsiColor::Blue.on_default();
const SOURCE: Style = Style::new().dimmed();
const STRONG: Style = Style::new().bold();
const WARN: Style = AnsiColor::Yellow.on_default();

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    configs: configs::ConfigArgs,
    /// Method and target, such as 'POST /api/pull'.
    #[arg(long, value_name = "REQUEST")]
    request: String,
    /// A header of the request; may be repeated.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(String, String)>,
    /// The address that the request comes from; default: 127.0.0.1.
    #[arg(long, value_name = "IP")]
    client_ip: Option<IpAddr>,
    /// With the credential of this client.
    #[arg(long, value_name = "NAME")]
    client: Option<String>,
    /// The port that it goes to; default: the first listener.
    #[arg(long)]
    port: Option<u16>,
    /// Its protocol: 1.0, 1.1 or 2.
    #[arg(long, value_name = "VERSION", value_parser = ["1.0", "1.1", "2"])]
    http: Option<String>,
    /// Its body.
    #[arg(long, value_name = "TEXT")]
    body: Option<String>,
    /// The length of its body, where the body itself doesn't matter.
    #[arg(long, value_name = "N", conflicts_with = "body")]
    body_bytes: Option<u64>,
    /// It comes by TLS, whatever the listener speaks.
    #[arg(long)]
    tls: bool,
    /// How to tell it: for people, or as the decision line of `decide`.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Human,
    Json,
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("a header is like 'Host: llm.example.com'")?;
    // HTTP/2 keeps the blanks behind a value; other protocols' are taken off when the request is made.
    Ok((name.to_owned(), value.trim_start_matches([' ', '\t']).to_owned()))
}

pub(super) fn run(args: &Args, global: &Global) -> Exit {
    let line = match args.line() {
        Ok(line) => line,
        Err(reason) => return fail(&reason, Some("a request is like 'POST /api/pull'")),
    };
    let subjects = match args.configs.subjects(global) {
        Ok(subjects) => subjects,
        Err(exit) => return exit,
    };
    let (subject, request) = match configs::address(&subjects, &line) {
        Ok(found) => found,
        Err(reason) => return fail(&reason, Some(&remedy(&subjects))),
    };
    let told = explain(&subject.gateway, &request);
    match args.format {
        Format::Json => print(&format!("{}\n", decision::line(&subject.gateway, &told.outcome))),
        Format::Human => print(&page(subject, &request, &told)),
    }
    Exit::Done
}

/// What a request could say instead.
fn remedy(subjects: &[Subject]) -> String {
    let listeners = subjects.iter().flat_map(|subject| &subject.gateway.listeners);
    let mut ports: Vec<String> = listeners.map(|listener| listener.port.to_string()).collect();
    ports.dedup();
    format!("ports here: {}", ports.join(", "))
}

impl Args {
    fn line(&self) -> Result<Line, String> {
        let mut words = self.request.split(' ').filter(|word| !word.is_empty());
        let (method, target) = match (words.next(), words.next(), words.next()) {
            (Some(target), None, _) if target.starts_with('/') => ("GET", target),
            (Some(method), Some(target), None) => (method, target),
            _ => return Err(format!("`{}` is no request", self.request)),
        };
        // A request line's strings stand for bytes.
        let bytes = |word: &str| text(word.as_bytes());
        Ok(Line {
            method: bytes(method),
            target: bytes(target),
            headers: self.headers.iter().map(|(name, value)| (bytes(name), bytes(value))).collect(),
            client_ip: self.client_ip,
            address: None,
            body: self.body.as_deref().map(bytes),
            body_bytes: self.body_bytes,
            port: self.port,
            tls: self.tls.then_some(true),
            sni: None,
            http: self.http.clone(),
            client: self.client.clone(),
        })
    }
}

/// The whole answer for people.
fn page(subject: &Subject, request: &Request, told: &Explanation) -> String {
    let branches = told.branches.iter().flat_map(|branch| &branch.hops);
    let places = told.hops.iter().chain(branches).map(|hop| name(&hop.place).chars().count());
    let column = places.max().unwrap_or_default().min(WIDEST_PLACE);
    let mut page = Page { text: String::new(), column, hidden: Hidden::of(&subject.gateway.files) };
    page.request(subject, request, told.compared.as_deref());
    page.hops(&told.hops);
    if let Some(end) = &told.end {
        page.end(end);
    }
    if let [first, ..] = told.branches.as_slice() {
        page.line(&format!("{STRONG}unknown{STRONG:#}: {}", page.hidden.shown(&first.because)));
        for (branch, word) in told.branches.iter().zip(["either", "or"]) {
            page.line(&format!("\n{STRONG}{word}{STRONG:#}"));
            page.hops(&branch.hops);
            page.end(&branch.end);
        }
    }
    page.text
}

/// Where something stands, for people and editors.
fn name(place: &Place) -> String {
    format!("{}:{}", place.file, place.at.line)
}

/// What is printed, and where its second column begins.
struct Page {
    text: String,
    column: usize,
    hidden: Hidden,
}

impl Page {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// A line in the second column, wrapped.
    fn beside(&mut self, style: Style, line: &str) {
        let indent = " ".repeat(self.column + 4);
        for part in wrapped(line, WIDTH.saturating_sub(indent.len()).max(30)) {
            self.line(&format!("{indent}{style}{part}{style:#}"));
        }
    }

    fn request(&mut self, subject: &Subject, request: &Request, compared: Option<&str>) {
        let mut parts = Vec::new();
        if let Some(listener) = subject.gateway.listening(request) {
            parts.push(format!("to {}:{}", listener.address, listener.port));
        }
        parts.extend(request.header("host").map(|host| format!("Host {}", shown(host))));
        parts.push(format!("from {}", request.client_ip));
        parts.extend(request.as_client.as_ref().map(|client| format!("with the credential of {client}")));
        match request.version {
            Version::Http10 => parts.push("HTTP/1.0".to_owned()),
            Version::Http11 => {}
            Version::Http2 => parts.push("HTTP/2".to_owned()),
        }
        let (method, target) = (shown(&request.method), shown(&request.target));
        self.line(&format!("{STRONG}{method} {target}{STRONG:#}\n{SOURCE}{}{SOURCE:#}", parts.join(", ")));
        if let Some(compared) = compared {
            self.line(&format!("{SOURCE}rules see the path {compared}{SOURCE:#}"));
        }
        self.text.push('\n');
    }

    fn hops(&mut self, hops: &[Hop]) {
        for hop in hops {
            let place = name(&hop.place);
            let gap = " ".repeat((self.column + 2).saturating_sub(place.chars().count()).max(2));
            let source: String = clipped(&hop.place.source, WIDTH.saturating_sub(self.column + 4));
            self.line(&format!("  {PLACE}{place}{PLACE:#}{gap}{SOURCE}{source}{SOURCE:#}"));
            for note in &hop.notes {
                self.beside(Style::new(), note);
            }
            for shift in &hop.shifts {
                self.beside(Style::new(), &format!("{}: {} → {}", shift.what, shift.before, shift.now));
            }
        }
        if !hops.is_empty() {
            self.text.push('\n');
        }
    }

    fn end(&mut self, end: &End) {
        let who = end.client.as_ref().map(|client| format!(" for {client}")).unwrap_or_default();
        let (word, rest) = match &end.verdict {
            Verdict::Refused(444) => ("refused", ": the connection is closed without an answer".to_owned()),
            Verdict::Refused(status) => ("refused", format!(" with {}", words::status(*status))),
            Verdict::Answered(status) => ("answered", format!(" with {}", words::status(*status))),
            Verdict::Proxied { upstream, .. } if end.asks_who => ("proxied", format!(" to {upstream}{who}")),
            Verdict::Proxied { upstream, .. } => {
                ("proxied", format!(" to {upstream}: {WARN}nothing on the way looks at who is asking{WARN:#}"))
            }
            Verdict::Unknown { reason, .. } => ("unknown", format!(": {}", self.hidden.shown(reason))),
        };
        self.line(&format!("{STRONG}{word}{STRONG:#}{rest}"));
        if let Some(received) = &end.upstream {
            self.received(received);
        }
        let (said, by_default): (Vec<_>, Vec<_>) = end.bounds.iter().partition(|bound| bound.place.is_some());
        let by_default: Vec<&str> =
            by_default.iter().filter(|bound| bound.matters).map(|bound| bound.text.as_str()).collect();
        if !said.is_empty() || !by_default.is_empty() {
            self.line("\n  what bounds it");
        }
        for bound in said {
            let place = bound.place.as_ref().map(name).unwrap_or_default();
            self.line(&format!("    {}  {PLACE}{place}{PLACE:#}", bound.text));
        }
        if !by_default.is_empty() {
            self.line(&format!("    {SOURCE}by default: {}{SOURCE:#}", by_default.join(", ")));
        }
    }

    fn received(&mut self, received: &Received) {
        self.line(&format!("\n  what the upstream gets\n    {}\n    Host: {}", received.request, received.host));
        for (headers, fate) in &received.credentials {
            let (style, said) = match fate {
                Fate::Passed => (WARN, "passed on as the caller sent it"),
                Fate::WouldPass => (SOURCE, "not sent here; a caller's would be passed on"),
                Fate::Replaced => (Style::new(), "the gateway's own, not the caller's"),
                Fate::Removed => (Style::new(), "none, a caller's is taken away"),
            };
            self.line(&format!("    {headers}: {style}{said}{style:#}"));
        }
    }
}

/// The beginning of a text that is too long.
fn clipped(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// A text in lines of at most so many characters, cut at blanks.
fn wrapped(text: &str, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > most {
            lines.push(std::mem::replace(&mut line, "  ".to_owned()));
        } else if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}
