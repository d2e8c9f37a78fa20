//! `stream {}`: listeners that pass on bytes.
//!
//! In: its directives. Out: raw listeners. Invariant: no rule of `http {}` applies to them.

use std::sync::Arc;

use crate::gateway::{Forward, Listener, Terminal, Value, Wire};

use super::block::Line;
use super::upstream::with_port;
use super::{Reader, listen};

impl<'c> Reader<'c> {
    /// Reads `stream {}`.
    pub fn stream(&mut self, lines: &[Line<'c>]) {
        let servers: Vec<Vec<Line<'c>>> =
            lines.iter().filter(|line| line.is("server")).map(|line| self.inner(line)).collect();
        self.stream_servers(&servers, lines);
    }

    /// Reads its servers.
    pub fn stream_servers(&mut self, servers: &[Vec<Line<'c>>], around: &[Line<'c>]) {
        let upstreams = self.upstreams_of(around);
        for lines in servers {
            let pass = lines.iter().find(|line| line.is("proxy_pass"));
            for line in lines.iter().filter(|line| line.is("listen")) {
                if line.args.iter().any(|arg| arg == b"udp") {
                    continue;
                }
                let Some((addresses, port)) = listen::address(&line.text(0)) else {
                    self.warning(line, format!("`{}` is left out", line.shown()), "");
                    continue;
                };
                let then = match pass {
                    None => Terminal::unknown("what this listener of `stream` does is not understood"),
                    Some(pass) if pass.arg(0).contains(&b'$') => {
                        Terminal::unknown(format!("depends on the computed address at {}", self.place(pass)))
                    }
                    Some(pass) => {
                        let upstream = match upstreams.get(pass.arg(0)) {
                            Some(upstream) => upstream.first.clone(),
                            None => with_port(pass.arg(0), 0),
                        };
                        let forward = Forward {
                            upstream: Value::literal(upstream),
                            target: Value::Target,
                            host: Value::Authority,
                        };
                        Terminal::Forward(Arc::new(forward))
                    }
                };
                let note = "`stream`: bytes are passed on, no rule of `http` applies";
                let origin = pass.unwrap_or(line).origin(note);
                let chain = self.end(then, origin);
                for address in addresses {
                    let tls = line.args.iter().any(|arg| arg == b"ssl");
                    let wire = Wire { raw: true, ..Wire::strict(8192) };
                    self.gateway.listeners.push(Listener {
                        address,
                        both: false,
                        port,
                        tls,
                        wire,
                        handshake: None,
                        chain,
                        origin: line.silent(),
                    });
                }
            }
        }
    }
}
