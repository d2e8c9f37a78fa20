//! Numbers, sizes and durations as nginx writes them.
//!
//! In: an argument's bytes. Out: the number, or none where nginx says "invalid value". Source: `ngx_parse.c` of 1.28.3.

/// Digits and nothing else.
pub fn number(text: &[u8]) -> Option<u64> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let number = std::str::from_utf8(text).ok().filter(|_| digits)?.parse::<i64>().ok()?;
    u64::try_from(number).ok()
}

/// Bytes: a number with `k` or `m`.
pub fn size(text: &[u8]) -> Option<u64> {
    scaled(text, false)
}

/// Bytes: a number with `k`, `m` or `g`.
pub fn offset(text: &[u8]) -> Option<u64> {
    scaled(text, true)
}

fn scaled(text: &[u8], giga: bool) -> Option<u64> {
    let shift = match text.last()? {
        b'k' | b'K' => 10,
        b'm' | b'M' => 20,
        b'g' | b'G' if giga => 30,
        _ => return number(text),
    };
    let most = i64::MAX as u64 >> shift;
    number(&text[..text.len() - 1]).filter(|number| *number <= most).map(|number| number << shift)
}

/// The units of durations, the largest first, with their milliseconds.
const UNITS: &[(&[u8], u64)] = &[
    (b"y", 365 * 86_400_000),
    (b"M", 30 * 86_400_000),
    (b"w", 7 * 86_400_000),
    (b"d", 86_400_000),
    (b"h", 3_600_000),
    (b"m", 60_000),
    (b"s", 1000),
    (b"ms", 1),
];

/// Milliseconds: numbers with units, the larger unit first; without a unit seconds. Years and months are only for whole seconds,
/// milliseconds only for the others.
pub fn duration(text: &[u8], whole_seconds: bool) -> Option<u64> {
    let allowed = if whole_seconds { 0..7 } else { 2..8 };
    let mut from = allowed.start;
    let (mut total, mut rest) = (0u64, text);
    let mut any = false;
    while !rest.is_empty() {
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let value = if digits == 0 { 0 } else { number(&rest[..digits])? };
        any |= digits > 0;
        rest = &rest[digits..];
        let letters = if rest.starts_with(b"ms") { 2 } else { rest.len().min(1) };
        let (unit, behind) = rest.split_at(letters);
        let scale = match unit {
            // A number without a unit ends it.
            b"" | b" " if from <= 6 => {
                from = 8;
                1000
            }
            _ => {
                let at = UNITS.iter().position(|(name, _)| *name == unit)?;
                if at < from || !allowed.contains(&at) {
                    return None;
                }
                from = at + 1;
                UNITS.get(at)?.1
            }
        };
        total = total.checked_add(value.checked_mul(scale)?).filter(|total| *total <= i64::MAX as u64)?;
        rest = behind.trim_ascii_start();
    }
    any.then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_are_nginxs() {
        let cases: &[(&str, bool, Option<u64>)] = &[
            ("60", false, Some(60_000)),
            ("1h 30m", false, Some(5_400_000)),
            ("1d2h", true, Some(93_600_000)),
            ("500ms", false, Some(500)),
            ("500ms", true, None),
            ("1M", false, None),
            ("1y", true, Some(31_536_000_000)),
            ("30m 1h", false, None),
            ("60x", false, None),
            ("", false, None),
            ("1s 500ms", false, Some(1500)),
            ("-1", false, None),
        ];
        for (text, whole, expected) in cases {
            assert_eq!(duration(text.as_bytes(), *whole), *expected, "{text}");
        }
        assert_eq!((size(b"8k"), size(b"1G"), offset(b"1G"), size(b"k")), (Some(8192), None, Some(1 << 30), None));
    }
}
