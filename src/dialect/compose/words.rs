//! `command` and `entrypoint` as one text: how Compose cuts it into words.
//!
//! In: the text. Out: its words, or nothing where Compose refuses it. Invariant: as mattn/go-shellwords 1.0.12, which Compose uses without
//! its own variables: a bare `;`, `&`, `|`, `<` or `>` ends the command.

/// The words of a command.
pub fn split(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word = String::new();
    let (mut begun, mut escaped) = (false, false);
    let (mut single, mut double, mut back, mut dollar) = (false, false, false, false);
    for c in text.chars() {
        if escaped {
            word.push(c);
            (escaped, begun) = (false, true);
            continue;
        }
        match c {
            '\\' if single => word.push(c),
            '\\' => escaped = true,
            ' ' | '\t' | '\r' | '\n' if single || double || back || dollar => word.push(c),
            ' ' | '\t' | '\r' | '\n' => {
                if std::mem::take(&mut begun) {
                    words.push(std::mem::take(&mut word));
                }
            }
            '(' if !(single || double || back) => {
                if dollar || !word.ends_with('$') {
                    return None;
                }
                dollar = true;
                word.push(c);
            }
            '"' if !single && !dollar => {
                begun |= double;
                double = !double;
            }
            '\'' if !double && !dollar => {
                begun |= single;
                single = !single;
            }
            ';' | '&' | '|' | '<' | '>' if !(single || double || back || dollar) => {
                if c == '>' && word.starts_with(|first: char| first.is_ascii_digit()) {
                    begun = false;
                }
                break;
            }
            _ => {
                if c == '`' && !(single || double || dollar) {
                    back = !back;
                }
                if c == ')' && !(single || double || back) {
                    dollar = !dollar;
                }
                begun = true;
                word.push(c);
            }
        }
    }
    if begun {
        words.push(word);
    }
    (!(escaped || single || double || back || dollar)).then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_cut_as_compose_cuts_them() {
        for (text, words) in [
            ("a  b\tc", &["a", "b", "c"][..]),
            ("--x='a b' \"c d\"e '' f\\ g", &["--x=a b", "c de", "", "f g"]),
            ("a 'b\\'", &["a", "b\\"]),
            ("a && b", &["a"]),
            ("a 2>x", &["a"]),
            ("a $(b c) d", &["a", "$(b c)", "d"]),
            ("--rule='Path(`/a`)'", &["--rule=Path(`/a`)"]),
            ("", &[]),
        ] {
            assert_eq!(
                split(text).as_deref().map(|words| words.iter().map(String::as_str).collect()),
                Some(words.to_vec()),
                "{text}"
            );
        }
        for text in ["'a", "a(b)", "\\", "`a"] {
            assert_eq!(split(text), None, "{text}");
        }
    }
}
