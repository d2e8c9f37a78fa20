//! `upstream {}` and addresses of upstreams.
//!
//! In: blocks and URLs. Out: `host:port` of the first server. Invariant: a port is always written.

use foldhash::{HashMap, HashMapExt};

use super::Reader;
use super::block::Line;

/// The servers of an `upstream`: the first that is neither a backup nor down.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// `host:port`.
    pub first: Vec<u8>,
}

impl<'c> Reader<'c> {
    /// Reads the `upstream` blocks of `http {}`.
    pub fn find_upstreams(&mut self, lines: &[Line<'c>]) {
        let found = self.upstreams_of(lines);
        self.upstreams = found;
    }

    /// The `upstream` blocks among these lines.
    pub fn upstreams_of(&mut self, lines: &[Line<'c>]) -> HashMap<Vec<u8>, Upstream> {
        let mut found = HashMap::new();
        for line in lines.iter().filter(|line| line.is("upstream")) {
            let servers: Vec<Line<'c>> = self.inner(line).into_iter().filter(|inner| inner.is("server")).collect();
            let has = |server: &Line<'_>, word: &[u8]| server.args.iter().skip(1).any(|arg| arg == word);
            let first = servers
                .iter()
                .find(|server| !has(server, b"backup") && !has(server, b"down"))
                .or_else(|| servers.iter().find(|server| !has(server, b"down")))
                .or(servers.first());
            let Some(first) = first else {
                self.error(line, "an `upstream` without a server", "write `server host:port;` in it");
                continue;
            };
            let upstream = Upstream { first: with_port(first.arg(0), 80) };
            if found.insert(line.arg(0).to_vec(), upstream).is_some() {
                self.error(line, format!("two upstreams are called `{}`", line.text(0)), "rename one of them");
            }
        }
        found
    }
}

/// An address with its port.
pub fn with_port(authority: &[u8], default: u16) -> Vec<u8> {
    let mut out = authority.to_vec();
    let behind = match authority.iter().rposition(|&byte| byte == b']') {
        Some(end) => &authority[end..],
        None => authority,
    };
    if !behind.contains(&b':') && !authority.starts_with(b"unix:") {
        out.extend_from_slice(format!(":{default}").as_bytes());
    }
    out
}
