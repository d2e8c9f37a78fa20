//! Changes to configs that exist: a setting put where it belongs, in the file's own language and style.
//!
//! In: files, a place in one of them, a [`Repair`]. Out: the bytes of that file that change. Invariant: nothing else is touched, blanks,
//! comments and line ends included; where the change can't be made for sure there is none, and one that is made already changes nothing.

mod caddy;
mod compose;
mod lines;
mod nginx;
#[cfg(test)]
mod tests;
mod toml;
mod traefik;
mod yaml;

use std::sync::OnceLock;
use std::time::Duration;

use self::lines::Lines;
use self::traefik::TraefikFile;
use self::yaml::Yaml;
use super::classify::{What, classify};
use crate::gateway::TimeoutOf;
use crate::source::{SourceFile, Span};

/// What is to hold at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Repair {
    /// How long something may take.
    Timeout(TimeoutOf, Duration),
    /// An answer may take as long as it comes.
    EndlessAnswers,
    /// Answers are passed on as they come.
    StreamAnswers,
    /// Answers aren't compressed.
    NoCompression,
    /// The longest body, in bytes.
    BodyLimit(u64),
    /// HTTP/1.1 towards the upstream.
    UpstreamHttp11,
    /// The server doesn't name its version.
    HideVersion,
    /// The status of requests over a rate.
    RateStatus(u16),
    /// The status of connections over their number.
    ConnectionsStatus(u16),
    /// Requests over a rate are refused at once, not held back.
    RefuseAtOnce,
    /// The upstream doesn't get this request header.
    DropHeader(String),
    /// The Host that the upstream gets.
    UpstreamHost(String),
    /// The file with the logins.
    AuthFile(String),
    /// A published port is the host's own alone.
    OnLoopback,
    /// The server's own interface for administration is closed.
    CloseAdmin,
    /// The upstream's `X-Accel-…` headers steer nothing.
    IgnoreUpstreamOrders,
    /// The header of the answer at the place is on answers of every status.
    OnEveryAnswer,
    /// Every `$` of the value at the place stays one.
    DoubleDollars,
    /// The directive or key at the place has this value.
    Value(String),
    /// The directive, or the key with its value, goes.
    Remove,
}

/// A change to a file: what stands at `span` becomes `text`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// What is replaced; empty: the text goes in between.
    pub span: Span,
    /// What stands there then.
    pub text: String,
}

impl Repair {
    /// What it does, as an order.
    pub fn description(&self) -> String {
        match self {
            Repair::Timeout(of, time) => format!("set the timeout {} to {} s", of_what(*of), time.as_secs()),
            Repair::EndlessAnswers => "let answers take as long as they come".to_owned(),
            Repair::StreamAnswers => "pass answers on as they come".to_owned(),
            Repair::NoCompression => "don't compress answers".to_owned(),
            Repair::BodyLimit(bytes) => format!("take bodies up to {}", size(*bytes, " KiB", " MiB")),
            Repair::UpstreamHttp11 => "speak HTTP/1.1 to the upstream".to_owned(),
            Repair::HideVersion => "don't name the server's version".to_owned(),
            Repair::RateStatus(status) => format!("answer requests over the rate with {status}"),
            Repair::ConnectionsStatus(status) => format!("answer connections over the limit with {status}"),
            Repair::RefuseAtOnce => "refuse requests over the rate at once".to_owned(),
            Repair::DropHeader(name) => format!("don't pass `{name}` to the upstream"),
            Repair::UpstreamHost(host) => format!("send `Host: {host}` to the upstream"),
            Repair::AuthFile(path) => format!("take the logins from `{path}`"),
            Repair::OnLoopback => "publish the port on 127.0.0.1 alone".to_owned(),
            Repair::CloseAdmin => "close the interface for administration".to_owned(),
            Repair::IgnoreUpstreamOrders => "don't follow the upstream's `X-Accel-Redirect`".to_owned(),
            Repair::OnEveryAnswer => "send this header with errors too".to_owned(),
            Repair::DoubleDollars => "write every `$` of it twice".to_owned(),
            Repair::Value(value) => format!("write `{value}` here"),
            Repair::Remove => "take this away".to_owned(),
        }
    }

    /// Whether no request that was right before is treated otherwise, and nobody loses a way in that may be meant. Whoever knows more about a
    /// case may say otherwise.
    pub fn is_safe(&self) -> bool {
        match self {
            Repair::Timeout(of, _) => matches!(of, TimeoutOf::Read | TimeoutOf::UpstreamSend | TimeoutOf::Connect),
            Repair::EndlessAnswers
            | Repair::StreamAnswers
            | Repair::NoCompression
            | Repair::UpstreamHttp11
            | Repair::HideVersion
            | Repair::RateStatus(_)
            | Repair::ConnectionsStatus(_)
            | Repair::UpstreamHost(_)
            | Repair::IgnoreUpstreamOrders
            | Repair::OnEveryAnswer
            | Repair::DoubleDollars => true,
            Repair::BodyLimit(_)
            | Repair::RefuseAtOnce
            | Repair::DropHeader(_)
            | Repair::AuthFile(_)
            | Repair::OnLoopback
            | Repair::CloseAdmin
            | Repair::Value(_)
            | Repair::Remove => false,
        }
    }
}

fn of_what(of: TimeoutOf) -> &'static str {
    match of {
        TimeoutOf::ClientHeader => "for a request's head",
        TimeoutOf::ClientBody => "for a request's body",
        TimeoutOf::Request => "for a whole request",
        TimeoutOf::Send => "for sending an answer",
        TimeoutOf::Answer => "for a whole answer",
        TimeoutOf::KeepAlive => "of idle connections",
        TimeoutOf::Connect => "for reaching the upstream",
        TimeoutOf::Read => "for the upstream's answer",
        TimeoutOf::UpstreamSend => "for sending to the upstream",
    }
}

/// Files that are to be repaired. Each is read once, when the first repair asks for it: one file may need thousands.
#[derive(Debug)]
pub struct Workbench<'f> {
    files: &'f [SourceFile],
    read: Vec<OnceLock<Option<Language<'f>>>>,
    /// The files of nginx that set headers for the upstream.
    setting_headers: OnceLock<Vec<&'f SourceFile>>,
}

/// A file as its language's repairs see it.
#[derive(Debug)]
enum Language<'f> {
    Nginx(Lines<'f>),
    Caddyfile(Lines<'f>),
    Traefik(TraefikFile<'f>),
    Compose(Yaml<'f>),
}

impl<'f> Workbench<'f> {
    /// None of them read so far.
    pub fn new(files: &'f [SourceFile]) -> Workbench<'f> {
        Workbench { files, read: files.iter().map(|_| OnceLock::new()).collect(), setting_headers: OnceLock::new() }
    }

    /// What changes in `files[file]`, so that this holds at a place in it: that of the setting itself, or where none is written, that of what
    /// it is about (a `proxy_pass`, a `reverse_proxy`, an entry point, a published port). `None`: it can't be done, or it holds already.
    pub fn repair(&self, file: usize, at: Span, repair: &Repair) -> Option<Vec<Change>> {
        let source = self.files.get(file)?;
        let changes = match self.read.get(file)?.get_or_init(|| Language::read(source)).as_ref()? {
            Language::Nginx(lines) => nginx::changes(self, source, lines, at, repair),
            Language::Caddyfile(lines) => caddy::changes(lines, at, repair),
            Language::Traefik(file) => traefik::changes(file, at, repair),
            Language::Compose(yaml) => compose::changes(source, yaml, at, repair),
        }?;
        changes.iter().any(|change| source.slice(change.span) != change.text).then_some(changes)
    }
}

impl<'f> Language<'f> {
    /// `None`: no language whose files are repaired, or not valid.
    fn read(source: &'f SourceFile) -> Option<Language<'f>> {
        Some(match classify(&source.path, &source.text)? {
            What::Nginx | What::NginxPart => Language::Nginx(nginx::read(source)?),
            What::Caddyfile => Language::Caddyfile(caddy::read(source)),
            What::Traefik => Language::Traefik(TraefikFile::read(source)?),
            What::Compose => Language::Compose(Yaml::read(source)?),
            What::CaddyJson | What::Htpasswd => return None,
        })
    }
}

/// A number of bytes as nginx (`k`, `m`) or Caddy (`KiB`, `MiB`) writes it.
fn size(bytes: u64, kilo: &str, mega: &str) -> String {
    match bytes {
        _ if bytes > 0 && bytes.is_multiple_of(1 << 20) => format!("{}{mega}", bytes >> 20),
        _ if bytes > 0 && bytes.is_multiple_of(1 << 10) => format!("{}{kilo}", bytes >> 10),
        _ => bytes.to_string(),
    }
}

/// A time in seconds, or in milliseconds where it is none.
fn time(time: Duration) -> String {
    match time.subsec_millis() {
        0 => format!("{}s", time.as_secs()),
        _ => format!("{}ms", time.as_millis()),
    }
}
