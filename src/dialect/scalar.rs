//! What a bare scalar of a YAML file means to a Go program: Compose and Traefik both read with Go's yaml.v3.
//!
//! In: a node of a [`super::document::Document`]. Out: its value, or the text that Go prints for it. Invariant: total; what is in
//! quotes is text (source of the rules: yaml.v3's resolve.go, and measured with Compose 2.40.3).

use super::document::{Kind, Ref, Style};

/// A scalar's value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scalar<'d> {
    /// Nothing.
    Null,
    /// `true` or `false`; `yes` and `on` are texts.
    Bool(bool),
    /// A whole number: also `0x1f`, `0o17`, `017`, `1_000`.
    Int(i128),
    /// Any other number.
    Float(f64),
    /// A text.
    Text(&'d str),
}

impl<'d> Ref<'d> {
    /// The value of a scalar; absent: it is a list or a map.
    pub fn scalar(self) -> Option<Scalar<'d>> {
        match &self.node()?.kind {
            Kind::Null => Some(Scalar::Null),
            Kind::Scalar(text, Style::Quoted) => Some(Scalar::Text(text)),
            Kind::Scalar(text, Style::Plain) if self.tag() == Some("!!str") => Some(Scalar::Text(text)),
            Kind::Scalar(text, Style::Plain) => Some(resolve(text)),
            Kind::List(_) | Kind::Map(_) | Kind::Alias(_) => None,
        }
    }

    /// The text that a Go program makes of a scalar: `010` is `8`, `1.0` is `1`; nothing is empty. Absent: a list or a map.
    pub fn printed(self) -> Option<String> {
        Some(match self.scalar()? {
            Scalar::Null => String::new(),
            Scalar::Bool(value) => value.to_string(),
            Scalar::Int(value) => value.to_string(),
            Scalar::Float(value) => print_float(value),
            Scalar::Text(text) => text.to_owned(),
        })
    }

    /// A whole number, also one in quotes.
    pub fn int(self) -> Option<i128> {
        match self.scalar()? {
            Scalar::Int(value) => Some(value),
            Scalar::Text(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// A truth value, also one in quotes that Go's `ParseBool` takes.
    pub fn bool(self) -> Option<bool> {
        match self.scalar()? {
            Scalar::Bool(value) => Some(value),
            Scalar::Text(text) => parse_bool(text),
            Scalar::Int(0) => Some(false),
            Scalar::Int(1) => Some(true),
            _ => None,
        }
    }
}

/// Go's `strconv.ParseBool`.
pub fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// Whether a bare scalar means nothing.
pub fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

/// Whether a bare scalar is what one of YAML's own tags says; any other tag fits.
pub fn fits(text: &str, tag: &str) -> bool {
    let value = resolve(text);
    match tag {
        "!!null" => value == Scalar::Null,
        "!!bool" => matches!(value, Scalar::Bool(_)),
        "!!int" => matches!(value, Scalar::Int(_)),
        "!!float" => matches!(value, Scalar::Int(_) | Scalar::Float(_)),
        _ => true,
    }
}

fn resolve(text: &str) -> Scalar<'_> {
    match text {
        _ if is_null(text) => return Scalar::Null,
        "true" | "True" | "TRUE" => return Scalar::Bool(true),
        "false" | "False" | "FALSE" => return Scalar::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Scalar::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Scalar::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Scalar::Float(f64::NEG_INFINITY),
        _ => {}
    }
    if !text.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '+' | '-' | '.')) {
        return Scalar::Text(text);
    }
    let plain = text.replace('_', "");
    match whole(&plain) {
        Some(value) => Scalar::Int(value),
        None if is_float(&plain) => plain.parse().map_or(Scalar::Text(text), Scalar::Float),
        None => Scalar::Text(text),
    }
}

/// Go's `ParseInt` with base 0, as far as an unsigned 64-bit number goes.
fn whole(text: &str) -> Option<i128> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, &lower[..]),
    };
    if !digits.starts_with(|first: char| first.is_ascii_alphanumeric()) {
        return None;
    }
    let value = sign * i128::from_str_radix(digits, radix).ok()?;
    (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&value).then_some(value)
}

/// yaml.v3's form of a number: `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`.
fn is_float(text: &str) -> bool {
    let rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match rest.find(['e', 'E']) {
        Some(at) => (&rest[..at], Some(&rest[at + 1..])),
        None => (rest, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let whole = match mantissa.split_once('.') {
        Some(("", after)) => digits(after),
        Some((before, after)) => digits(before) && (after.is_empty() || digits(after)),
        None => digits(mantissa),
    };
    whole && exponent.is_none_or(|exponent| digits(exponent.strip_prefix(['-', '+']).unwrap_or(exponent)))
}

/// Go's `%v` of a number: the shortest digits; with an exponent below 1e-4 and from 1e21 on.
fn print_float(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let size = value.abs();
    if size != 0.0 && !(1e-4..1e21).contains(&size) {
        let text = format!("{value:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, digits) = match exponent.strip_prefix('-') {
            Some(digits) => ('-', digits),
            None => ('+', exponent),
        };
        return format!("{mantissa}e{sign}{digits:0>2}");
    }
    value.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_scalars_mean_what_they_mean_to_go() {
        for (text, value) in [
            ("true", Scalar::Bool(true)),
            ("yes", Scalar::Text("yes")),
            ("~", Scalar::Null),
            ("010", Scalar::Int(8)),
            ("0o10", Scalar::Int(8)),
            ("0x1F", Scalar::Int(31)),
            ("1_000", Scalar::Int(1000)),
            ("-5", Scalar::Int(-5)),
            ("08", Scalar::Float(8.0)),
            ("1.", Scalar::Float(1.0)),
            (".5e3", Scalar::Float(500.0)),
            ("1:30", Scalar::Text("1:30")),
            ("-", Scalar::Text("-")),
            ("--1", Scalar::Text("--1")),
            ("0x", Scalar::Text("0x")),
            ("18446744073709551615", Scalar::Int(u64::MAX.into())),
            ("1e3", Scalar::Float(1000.0)),
        ] {
            assert_eq!(resolve(text), value, "{text}");
        }
        for (value, text) in
            [(1.0, "1"), (0.5, "0.5"), (1e21, "1e+21"), (1e-5, "1e-05"), (123456789.0, "123456789"), (0.0, "0")]
        {
            assert_eq!(print_float(value), text);
        }
    }
}
