//! How much and how long: rates, connections, sizes and times in nginx's own units.
//!
//! Invariant: a value that nginx must round by more than 5 % is recorded as weaker, with the nearest that fits.

use std::collections::BTreeMap;
use std::time::Duration;

use minijinja::{Value, context};

use super::Output;
use crate::policy::plan::{Client, Plan};
use crate::policy::rate::Rate;
use crate::render::escape;
use crate::source::Span;

/// Each one is a `limit_req` line that every request passes, and a shared memory zone.
const DIFFERENT_RATES: usize = 200;

/// nginx stores the number of connections in 16 bits.
const CONNECTIONS: u32 = 65_535;

/// The values for rates, connections, sizes and times.
pub fn limits(plan: &Plan, out: &mut Output) -> Result<Value, String> {
    let limits = &plan.limits;
    let rate = limits.rate.map(|rate| written(rate, "limits.rate", plan.places.at("limits.rate"), out));
    let connections = limits.connections.map(|connections| {
        if connections > CONNECTIONS {
            let instead = format!("at most {CONNECTIONS}");
            out.weaker("limits.connections", plan.places.at("limits.connections"), "nginx counts in 16 bits", instead);
        }
        connections.min(CONNECTIONS)
    });
    if limits.body == 0 {
        out.refuse("limits.body", plan.places.at("limits.body"), "nginx reads 0 as no limit", "at least 1 byte");
    }
    let client_rates = client_rates(plan, out)?;
    let times = &plan.timeouts;
    let wait = limits.rate.map_or(1, wait);
    // Kept in memory for `access.models`, beside the sizes of its chunks; half of the limit is the longest line, and three buffers of that size are
    // what lets every head up to the limit pass and none of twice the limit (measured).
    let body_buffer = if plan.access.models.is_empty() { 131_072 } else { limits.body.saturating_mul(2) };
    Ok(context! {
        rate => rate.map(|(rate, burst)| context! { rate => Value::from(rate), burst => Value::from(burst) }),
        connections => connections,
        client_rates => client_rates,
        wait => wait,
        body => limits.body,
        body_buffer => body_buffer,
        line => limits.header / 2 + 64,
        timeouts => context! {
            connect => time(times.connect)?,
            read => time(times.read)?,
            send => time(times.send)?,
            client_header => time(times.client_header)?,
            client_body => time(times.client_body)?,
        },
    })
}

/// One entry for each different rate; a zone is bound to one key, and a `limit_req` line to one burst.
fn client_rates(plan: &Plan, out: &mut Output) -> Result<Vec<Value>, String> {
    let mut rates: BTreeMap<Rate, Vec<&Client>> = BTreeMap::new();
    for client in &plan.clients {
        if let Some(rate) = client.rate {
            rates.entry(rate).or_default().push(client);
        }
    }
    if rates.len() > DIFFERENT_RATES {
        let span = plan.clients.iter().find(|client| client.rate.is_some()).map(|client| client.places.at("rate"));
        out.refuse(
            "rate",
            span.unwrap_or_default(),
            format!("nginx passes every request through each of {} different client rates", rates.len()),
            format!("at most {DIFFERENT_RATES} different rates; clients may share one"),
        );
        return Ok(Vec::new());
    }
    let mut entries = Vec::new();
    for (rate, clients) in rates {
        let span = clients.first().map(|client| client.places.at("rate")).unwrap_or_default();
        let (shown, burst) = written(rate, "rate", span, out);
        let names = clients
            .iter()
            .map(|client| escape::nginx_map_word(&client.name).map(Value::from))
            .collect::<Result<Vec<_>, _>>()?;
        let wait = wait(rate).max(plan.limits.rate.map_or(1, self::wait));
        // 1 MiB holds some 8,000 clients (and addresses of Basic clients) at once.
        let zone = escape::nginx_word(&format!("{}m", 1 + names.len() / 4_000))?;
        entries.push(context! {
            rate => Value::from(shown), burst => Value::from(burst), wait => wait, clients => names, zone => Value::from(zone),
        });
    }
    Ok(entries)
}

/// `rate=` and ` burst=` of nginx, which knows whole numbers a second or a minute, kept in thousandths of a request a second.
fn written(rate: Rate, key: &str, span: Span, out: &mut Output) -> (escape::Token, escape::Token) {
    let exact = rate.per_second();
    let (error, number, unit, kept) = nearest(exact);
    if error > 0.05 {
        let nearest = match unit {
            's' => format!("{number}/s"),
            _ => format!("{number}/min"),
        };
        out.weaker(
            key,
            span,
            format!("nginx would keep {kept:.3} requests a second instead of {exact:.3}"),
            format!("`{nearest}`, the nearest that nginx keeps"),
        );
    }
    let burst = if rate.burst > 1 { format!(" burst={}", rate.burst - 1) } else { String::new() };
    (escape::Token::made(format!("{number}r/{unit}")), escape::Token::made(burst))
}

/// The nearest rate that nginx keeps: the deviation, the number, its unit, and what it is a second.
fn nearest(exact: f64) -> (f64, u64, char, f64) {
    let candidate = |unit: char, seconds: f64| {
        let around = (exact * seconds).floor().max(1.0);
        [around, around + 1.0].map(|number| {
            let kept = (number * 1000.0 / seconds).floor() / 1000.0;
            (Rate::deviation(exact, kept), number as u64, unit, kept)
        })
    };
    let [first, second] = candidate('s', 1.0);
    let [third, fourth] = candidate('m', 60.0);
    [second, third, fourth].into_iter().fold(first, |best, next| if next.0 < best.0 { next } else { best })
}

/// Whole seconds until the next request fits.
fn wait(rate: Rate) -> u64 {
    (1.0 / rate.per_second()).ceil().max(1.0) as u64
}

/// A time as nginx writes it.
fn time(time: Duration) -> Result<Value, String> {
    let milliseconds = time.as_millis();
    let text = if milliseconds.is_multiple_of(1000) {
        format!("{}s", milliseconds / 1000)
    } else {
        format!("{milliseconds}ms")
    };
    escape::nginx_word(&text).map(Value::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_whole_numbers_a_second_or_a_minute() {
        let kept = |requests: u32, seconds: u64| {
            let rate = Rate { requests, per: Duration::from_secs(seconds), burst: 1 };
            let (error, number, unit, _) = nearest(rate.per_second());
            (format!("{number}r/{unit}"), error <= 0.05)
        };
        assert_eq!(kept(600, 60), ("10r/s".to_owned(), true));
        assert_eq!(kept(30, 60), ("30r/m".to_owned(), true));
        assert_eq!(kept(100, 60), ("100r/m".to_owned(), true));
        assert_eq!(kept(1, 60), ("1r/m".to_owned(), true));
        assert_eq!(kept(90, 3600), ("2r/m".to_owned(), false));
        assert_eq!(kept(1, 3600), ("1r/m".to_owned(), false));
        assert_eq!(kept(1_000_000, 1), ("1000000r/s".to_owned(), true));
    }
}
