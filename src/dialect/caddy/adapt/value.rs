//! Numbers, durations and sizes as Caddy reads them.
//!
//! In: a token's text. Out: the number, or nothing where Caddy refuses. Invariant: what Go's standard library takes is taken.

/// A duration in nanoseconds: Go's `time.ParseDuration` with days (Caddy 2.11, caddy.go).
pub fn duration(text: &str) -> Option<i64> {
    if text.len() > 1024 {
        return None;
    }
    let (negative, mut rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut total: u128 = 0;
    while !rest.is_empty() || total == 0 {
        let whole = rest.find(|ch: char| !ch.is_ascii_digit()).unwrap_or(rest.len());
        let (digits, after) = rest.split_at(whole);
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => after.split_at(after.find(|ch: char| !ch.is_ascii_digit()).unwrap_or(after.len())),
            None => ("", after),
        };
        if digits.is_empty() && fraction.is_empty() {
            return None;
        }
        let unit = after.find(|ch: char| ch.is_ascii_digit() || ch == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(unit);
        let (unit, after) = match unit.find('d') {
            // Days are replaced before the rest is read, so a unit may follow them without a number: that is refused there.
            Some(0) if unit.len() > 1 => return None,
            _ => (unit, after),
        };
        let unit: u128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            "d" => 86_400_000_000_000,
            _ => return None,
        };
        let digits: u128 = if digits.is_empty() { 0 } else { digits.parse().ok()? };
        total = total.checked_add(digits.checked_mul(unit)?)?;
        if !fraction.is_empty() {
            let fraction = &fraction[..fraction.len().min(18)];
            let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
            total = total.checked_add(fraction.parse::<u128>().ok()? * unit / scale)?;
        }
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    let total = i64::try_from(total).ok()?;
    Some(if negative { -total } else { total })
}

/// A size in bytes (go-humanize 1.1 `ParseBytes`).
pub fn bytes(text: &str) -> Option<u64> {
    let end = text.find(|ch: char| !(ch.is_numeric() || matches!(ch, '.' | ','))).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number = number.replace(',', "");
    let unit = unit.trim().to_lowercase();
    let (prefix, base) = match unit.strip_suffix('b').unwrap_or(&unit) {
        prefix if prefix.ends_with('i') => (prefix.trim_end_matches('i'), 1024_u64),
        prefix => (prefix, 1000),
    };
    let power = ["", "k", "m", "g", "t", "p", "e"].iter().position(|known| *known == prefix)?;
    if base == 1024 && (power == 0 || !unit.contains('i')) {
        return None;
    }
    let unit = base.checked_pow(u32::try_from(power).ok()?)?;
    if !number.contains('.')
        && let Ok(whole) = number.parse::<u64>()
    {
        return whole.checked_mul(unit);
    }
    let number: f64 = number.parse().ok()?;
    let size = number * unit as f64;
    (size < u64::MAX as f64).then_some(size as u64)
}

/// A whole number as Go's `strconv.Atoi` reads it.
pub fn integer(text: &str) -> Option<i64> {
    text.parse().ok()
}

/// A number as Go's `strconv.ParseFloat` reads it, as JSON writes it.
pub fn float(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+' | b'e' | b'E'));
    text.parse().ok().filter(|number: &f64| plain && number.is_finite())
}

/// A number as Go's JSON encoder writes it.
pub fn json_float(number: f64) -> String {
    let size = number.abs();
    if number != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format!("{number:e}");
        return match text.split_once('e') {
            Some((digits, power)) if !power.starts_with('-') => format!("{digits}e+{power:0>2}"),
            _ => text,
        };
    }
    format!("{number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_are_gos() {
        let s = 1_000_000_000;
        let cases = [
            ("5s", Some(5 * s)),
            ("1h30m", Some(5400 * s)),
            ("1.5s", Some(1_500_000_000)),
            ("2d", Some(172_800 * s)),
            ("1d2h", Some(93_600 * s)),
            ("-1s", Some(-s)),
            ("0", Some(0)),
            ("5", None),
            ("", None),
            ("s", None),
            (".s", None),
            ("1x", None),
            ("100µs", Some(100_000)),
        ];
        for (text, expected) in cases {
            assert_eq!(duration(text), expected, "{text}");
        }
        let cases = [
            ("1MB", Some(1_000_000)),
            ("16KiB", Some(16384)),
            ("1.5k", Some(1500)),
            ("10", Some(10)),
            ("1 mb", Some(1_000_000)),
            ("1,000", Some(1000)),
            ("x", None),
            ("1ib", None),
            ("1i", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(bytes(text), expected, "{text}");
        }
    }
}
