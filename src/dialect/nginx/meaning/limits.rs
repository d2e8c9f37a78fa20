//! `limit_req` and `limit_conn` with their zones.
//!
//! In: zones and lines. Out: [`Limit`]s. Invariant: a limit without its zone is an error, as at nginx's start.

use std::collections::HashMap;
use std::time::Duration;

use crate::gateway::{Function, Limit, LimitKind, Origin, Per, Value};

use super::Reader;
use super::block::Line;

/// The zones of a config.
#[derive(Debug, Default)]
pub struct Zones {
    rates: HashMap<Vec<u8>, ((Per, Value), u32, Duration)>,
    connections: HashMap<Vec<u8>, (Per, Value)>,
}

impl<'c> Reader<'c> {
    /// Reads the zones of `http {}`.
    pub fn find_zones(&mut self, lines: &[Line<'c>]) {
        for line in lines {
            match line.name {
                "limit_req_zone" => {
                    let per = self.per(line, line.arg(0));
                    let (Some(name), Some(rate)) = (zone(line), parameter(line, b"rate=")) else {
                        self.error(
                            line,
                            "`limit_req_zone` takes a key, a zone and a rate",
                            "write `limit_req_zone $binary_remote_addr zone=name:10m rate=10r/s;`",
                        );
                        continue;
                    };
                    let text = String::from_utf8_lossy(&rate).into_owned();
                    let (number, window) = match (text.strip_suffix("r/s"), text.strip_suffix("r/m")) {
                        (Some(number), _) => (number, Duration::from_secs(1)),
                        (_, Some(number)) => (number, Duration::from_secs(60)),
                        _ => ("", Duration::ZERO),
                    };
                    match number.parse() {
                        Ok(requests) if requests > 0 => {
                            self.zones.rates.insert(name, (per, requests, window));
                        }
                        _ => self.error(
                            line,
                            format!("`{text}` is not a rate"),
                            "write a whole number and `r/s` or `r/m`",
                        ),
                    }
                }
                "limit_conn_zone" => {
                    let per = self.per(line, line.arg(0));
                    if let Some(name) = zone(line) {
                        self.zones.connections.insert(name, per);
                    }
                }
                _ => {}
            }
        }
    }

    /// For whom a key counts, and the key.
    fn per(&mut self, line: &Line<'c>, key: &[u8]) -> (Per, Value) {
        let value = self.template(line, key);
        let per = match (depends(&value, &mut |value| matches!(value, Value::ClientIp)), value.as_literal()) {
            (_, Some(_)) => Per::All,
            (true, _) => Per::Ip,
            _ => Per::Key(String::from_utf8_lossy(key).into_owned()),
        };
        (per, value)
    }

    /// One `limit_req`.
    pub fn limit_req(&mut self, line: &Line<'c>, refusal: u16) -> Option<(Limit, Origin)> {
        let name = parameter(line, b"zone=").unwrap_or_default();
        let Some(((per, key), requests, window)) = self.zones.rates.get(&name).cloned() else {
            let message = format!("there is no zone `{}` for `limit_req`", String::from_utf8_lossy(&name));
            self.error(line, message, "define it with `limit_req_zone` in `http`");
            return None;
        };
        let burst = parameter(line, b"burst=").and_then(|burst| std::str::from_utf8(&burst).ok()?.parse::<u32>().ok());
        let waits = !line.args.iter().any(|arg| arg == b"nodelay");
        let burst = burst.unwrap_or(0);
        let kind = LimitKind::Rate { requests, window, burst: burst.saturating_add(1) };
        let origin = line.origin(format!("`{}`: a limit on requests", line.shown()));
        Some((Limit { per, key, kind, refusal, waits: waits && burst > 0 }, origin))
    }

    /// One `limit_conn`.
    pub fn limit_conn(&mut self, line: &Line<'c>, refusal: u16) -> Option<(Limit, Origin)> {
        let Some((per, key)) = self.zones.connections.get(line.arg(0)).cloned() else {
            let message = format!("there is no zone `{}` for `limit_conn`", line.text(0));
            self.error(line, message, "define it with `limit_conn_zone` in `http`");
            return None;
        };
        let Some(max) = line.text(1).parse::<u32>().ok().filter(|&max| max > 0) else {
            self.error(
                line,
                format!("`{}` is not a number of connections", line.text(1)),
                "write a whole number from 1 on",
            );
            return None;
        };
        let origin = line.origin(format!("`{}`: a limit on connections", line.shown()));
        Some((Limit { per, key, kind: LimitKind::Connections { max }, refusal, waits: false }, origin))
    }
}

/// Whether a value is made of nothing but what passes the test, and at least once of it.
fn depends(value: &Value, test: &mut dyn FnMut(&Value) -> bool) -> bool {
    match value {
        Value::Apply(Function::AddressBytes | Function::Lower, inner) => depends(inner, test),
        Value::Lookup(table) => {
            depends(&table.on, test)
                && table
                    .rows
                    .iter()
                    .all(|(_, value)| !matches!(value, Value::Header(..) | Value::Argument(_) | Value::Cookie(_)))
        }
        other => test(other),
    }
}

fn parameter(line: &Line<'_>, name: &[u8]) -> Option<Vec<u8>> {
    line.args.iter().find_map(|arg| arg.strip_prefix(name).map(<[u8]>::to_vec))
}

fn zone(line: &Line<'_>) -> Option<Vec<u8>> {
    let zone = parameter(line, b"zone=")?;
    zone.split(|&byte| byte == b':').next().map(<[u8]>::to_vec)
}
