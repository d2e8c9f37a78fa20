//! One escaper for each quoting context. A value that a context can't hold is refused, never mangled.
//!
//! In: the user's text. Out: text of the target's language that reads back as exactly that value, or the reason why there is none.

use minijinja::Value;

/// The languages of rendered files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// nginx's configuration.
    Nginx,
    /// A Caddyfile.
    Caddy,
    /// YAML.
    Yaml,
    /// A compose file: YAML in which Compose reads `$` as a variable.
    Compose,
    /// YAML that is a Go template first: Traefik's dynamic file.
    GoYaml,
    /// A Dockerfile, a `.env` file or other plain text: nothing but what is surely safe.
    Plain,
}

impl Language {
    /// The language of a template, by the ending of its name.
    pub fn of(template: &str) -> Option<Language> {
        if template.ends_with("docker-compose.yml") {
            return Some(Language::Compose);
        }
        let ending = template.rsplit(['.', '/']).next()?;
        Some(match ending {
            "conf" => Language::Nginx,
            "Caddyfile" => Language::Caddy,
            "yml" => Language::Yaml,
            "tmpl" => Language::GoYaml,
            "Dockerfile" | "env" | "envsh" | "txt" | "js" => Language::Plain,
            _ => return None,
        })
    }
}

/// Text that an escaper made: it goes into a template as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// The escaped text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Text that the program itself made and that holds nothing of the user's.
    pub(super) fn made(text: String) -> Token {
        Token(text)
    }
}

impl From<Token> for Value {
    fn from(token: Token) -> Value {
        Value::from_safe_string(token.0)
    }
}

/// `text` as one argument of `language`, quotes included.
///
/// Errors: why the language can't hold it.
pub fn argument(language: Language, text: &str) -> Result<String, String> {
    match language {
        Language::Nginx => nginx(text),
        Language::Caddy => caddy(text),
        Language::Yaml => Ok(yaml(text)),
        Language::Compose => Ok(compose(text).0),
        Language::GoYaml => Ok(yaml(text).replace("{{", "{{`{{`}}")),
        Language::Plain => plain(text),
    }
    .map_err(|why| format!("`{}` can't be written here: {why}", text.escape_debug()))
}

/// The longest word of nginx's configuration: it must fit into a buffer of 4096 bytes, together with its end (`NGX_CONF_BUFFER`).
const NGINX_WORD: usize = 4000;

/// One nginx argument. Measured on 1.22.1: a `$` in quotes is a variable and has no escape; NUL ends the file.
fn nginx(text: &str) -> Result<String, String> {
    if text.contains('$') {
        return Err("nginx would read `$` as a variable".to_owned());
    }
    nginx_regex(text)
}

/// One nginx argument in a place where variables are not read (the left side of a `map`).
fn nginx_regex(text: &str) -> Result<String, String> {
    if text.contains(|c: char| c.is_control()) {
        return Err("control characters".to_owned());
    }
    let bare = |c: char| c.is_ascii_alphanumeric() || "._:/@,=+-[]".contains(c);
    let quoted = if !text.is_empty() && text.chars().all(bare) {
        text.to_owned()
    } else {
        format!("\"{}\"", text.replace('\\', r"\\").replace('"', "\\\""))
    };
    if quoted.len() > NGINX_WORD {
        return Err(format!(
            "nginx's reader takes no word of more than {NGINX_WORD} bytes, and this has {}",
            quoted.len()
        ));
    }
    Ok(quoted)
}

/// The left side of an nginx `map` entry, where `$` is no variable.
///
/// Errors: control characters.
pub fn nginx_map_key(text: &str) -> Result<Token, String> {
    nginx_regex(text).map(Token)
}

/// The left side of an nginx `map` entry that is compared as a whole, ignoring case: a leading `\` keeps names that
/// `map` would read as its own words.
///
/// Errors: control characters.
pub fn nginx_map_word(text: &str) -> Result<Token, String> {
    let special = ["default", "hostnames", "include", "volatile"].contains(&text) || text.starts_with(['\\', '~']);
    nginx_regex(&if special { format!("\\{text}") } else { text.to_owned() }).map(Token)
}

/// An nginx variable's name, or a number, size or time of nginx's own writing.
///
/// Errors: anything but letters, digits, `_`, `.` and a leading `$`.
pub fn nginx_word(text: &str) -> Result<Token, String> {
    let name = text.strip_prefix('$').unwrap_or(text);
    if name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.')) {
        Ok(Token(text.to_owned()))
    } else {
        Err(format!("`{}` is no nginx word", text.escape_debug()))
    }
}

/// The inside of a quoted-string of HTTP, as nginx's `auth_basic` writes it without looking.
pub fn http_quoted(text: &str) -> String {
    text.replace('\\', r"\\").replace('"', "\\\"")
}

/// A hash in an htpasswd file.
///
/// Errors: what would end the field or the line.
pub fn htpasswd_hash(text: &str) -> Result<Token, String> {
    if text.is_empty() || text.contains(|c: char| c.is_control() || c.is_whitespace() || c == ':') {
        return Err("a password hash with blanks or colons".to_owned());
    }
    Ok(Token(text.to_owned()))
}

/// A JavaScript array of strings.
pub fn js_strings<S: AsRef<str>>(texts: &[S]) -> Token {
    let quoted = texts.iter().map(|text| yaml(text.as_ref()));
    Token(format!("[{}]", quoted.collect::<Vec<_>>().join(", ")))
}

/// One Caddyfile argument. Backticks have no escapes; in double quotes only `\"` is one (measured on 2.11.7).
/// Braces would be placeholders at run time or in the reader.
fn caddy(text: &str) -> Result<String, String> {
    if text.contains(['{', '}']) {
        return Err("Caddy would read `{` as a placeholder".to_owned());
    }
    caddy_quoted(text)
}

fn caddy_quoted(text: &str) -> Result<String, String> {
    if text.contains(|c: char| c.is_control()) {
        return Err("control characters".to_owned());
    }
    if !text.contains('`') {
        Ok(format!("`{text}`"))
    } else if !text.contains('\\') {
        Ok(format!("\"{}\"", text.replace('"', "\\\"")))
    } else {
        Err("Caddy can't quote a backtick beside a backslash".to_owned())
    }
}

/// One Caddyfile argument that may hold placeholders or repetitions in braces: only for text that the program made.
///
/// Errors: control characters, or a backtick beside a backslash.
pub fn caddy_with_braces(text: &str) -> Result<Token, String> {
    if text.contains("{$") {
        return Err("Caddy would expand `{$` before reading".to_owned());
    }
    caddy_quoted(text).map(Token)
}

/// One Caddyfile argument without quotes: names, numbers, addresses, lengths of time.
///
/// Errors: an empty text, or signs that would need quotes.
pub fn caddy_word(text: &str) -> Result<Token, String> {
    let safe = |c: char| c.is_ascii_alphanumeric() || "._/:*+,-[]@".contains(c);
    if !text.is_empty() && text.chars().all(safe) && !text.starts_with('@') {
        Ok(Token(text.to_owned()))
    } else {
        Err(format!("`{}` can't be written here: it would need quotes", text.escape_debug()))
    }
}

/// What a placeholder of Caddy names.
#[derive(Debug, Clone, Copy)]
pub enum CaddyPlace<'a> {
    /// An environment variable.
    Env(&'a str),
    /// A file, without its last line end.
    File(&'a str),
}

impl CaddyPlace<'_> {
    fn placeholder(self) -> Result<String, String> {
        match self {
            CaddyPlace::Env(name) if name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') => {
                Ok(format!("{{env.{name}}}"))
            }
            CaddyPlace::File(path)
                if !path.contains(['{', '}', '`', '"', '\\']) && !path.contains(char::is_control) =>
            {
                Ok(format!("{{file.{path}}}"))
            }
            CaddyPlace::Env(text) | CaddyPlace::File(text) => {
                Err(format!("`{}` can't be written as a placeholder of Caddy", text.escape_debug()))
            }
        }
    }
}

/// One Caddyfile argument: `before`, and the value that stands at `place` when the server runs.
///
/// Errors: what can't be quoted or named.
pub fn caddy_secret(before: &str, place: CaddyPlace<'_>) -> Result<Token, String> {
    let text = format!("{before}{}", place.placeholder()?);
    if text.contains(' ') { caddy_quoted(&text).map(Token) } else { Ok(Token(text)) }
}

/// One Caddyfile argument: the hash in the variable `name`, and a line end. Both algorithms ignore the line end (Caddy 2.11.7 and
/// 2.11.9: bcrypt reads 60 signs, base64 skips line ends); with it an unset variable is a hash that fits nothing instead of a failed start.
///
/// Errors: a name that can't stand in a placeholder.
pub fn caddy_hash(name: &str) -> Result<Token, String> {
    Ok(Token(format!("\"{}\n\"", CaddyPlace::Env(name).placeholder()?)))
}

/// Several Caddyfile arguments.
pub fn caddy_arguments(tokens: impl IntoIterator<Item = Token>) -> Token {
    Token(tokens.into_iter().map(|token| token.0).collect::<Vec<_>>().join(" "))
}

/// One Caddyfile argument, in quotes only where it needs them.
///
/// Errors: braces and control characters, or a backtick beside a backslash.
pub fn caddy_argument(text: &str) -> Result<Token, String> {
    caddy_word(text).or_else(|_| argument(Language::Caddy, text).map(Token))
}

/// Whether YAML takes a character for itself: no control character, no line break of its own (YAML 1.1 has three more), no byte-order
/// mark and no noncharacter, which its readers refuse.
fn printable(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

/// A YAML scalar in double quotes, by JSON's escapes and those of YAML's own line breaks.
fn yaml(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str(r"\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if !printable(c) => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A YAML scalar in a compose file, where Compose reads `$` as a variable: every `$` doubled.
pub fn compose(text: &str) -> Token {
    Token(yaml(&text.replace('$', "$$")))
}

/// A scalar in a compose file that is the value of the variable `name`; without it Compose refuses to start.
///
/// Errors: a name that isn't `[A-Za-z_][A-Za-z0-9_]*`.
pub fn compose_variable(name: &str) -> Result<Token, String> {
    shell_name(name).map(|name| Token(format!("\"${{{name}:?set {name} in .env}}\"")))
}

/// The name of a service, volume or secret in a compose file.
///
/// Errors: anything but `[a-z][a-z0-9-]*`.
pub fn compose_name(name: &str) -> Result<Token, String> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.chars().all(allowed) && name.starts_with(|c: char| c.is_ascii_lowercase()) {
        Ok(Token(name.to_owned()))
    } else {
        Err(format!("`{}` is no name for Compose", name.escape_debug()))
    }
}

/// The name of a variable, as shells, env files and Compose read it.
///
/// Errors: a name that isn't `[A-Za-z_][A-Za-z0-9_]*`.
fn shell_name(name: &str) -> Result<&str, String> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.chars().all(word) && name.starts_with(|c: char| !c.is_ascii_digit()) {
        Ok(name)
    } else {
        Err(format!("`{}` is no variable's name", name.escape_debug()))
    }
}

/// A YAML scalar in single quotes that may hold Go template actions: only for text that the program made.
///
/// Errors: control characters.
pub fn yaml_with_actions(text: &str) -> Result<Token, String> {
    if text.contains(|c: char| c.is_control()) {
        return Err("control characters".to_owned());
    }
    Ok(Token(format!("'{}'", text.replace('\'', "''"))))
}

/// A flow list of names in YAML, `[a, b]`, without quotes.
///
/// Errors: a name that isn't letters, digits and `-` with a letter first.
pub fn yaml_names<S: AsRef<str>>(names: &[S]) -> Result<Token, String> {
    let names =
        names.iter().map(|name| yaml_name(name.as_ref()).map(|token| token.0)).collect::<Result<Vec<_>, _>>()?;
    Ok(Token(format!("[{}]", names.join(", "))))
}

/// A name in YAML without quotes.
///
/// Errors: anything but letters, digits and `-` with a letter first, and what YAML would not read as text.
pub fn yaml_name(name: &str) -> Result<Token, String> {
    let plain = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        && name.contains('-');
    if plain { Ok(Token(name.to_owned())) } else { Err(format!("`{}` is no name here", name.escape_debug())) }
}

/// Plain text: printable, without anything that a shell or an env file reads.
fn plain(text: &str) -> Result<String, String> {
    let safe = |c: char| c.is_ascii_alphanumeric() || "._/:@=+,-".contains(c);
    if text.chars().all(safe) { Ok(text.to_owned()) } else { Err("only letters, digits and ._/:@=+,-".to_owned()) }
}

/// Text inside a `#` comment: control characters and YAML's line breaks escaped, `{$` parted, which Caddy would expand even here (measured on 2.11.7),
/// and `{{`, which Traefik's Go template would.
pub fn comment(text: &str) -> Token {
    let shown: String =
        text.chars().flat_map(|c| if printable(c) { vec![c] } else { c.escape_unicode().collect() }).collect();
    Token(shown.replace("{$", "{ $").replace("{{", "{ {"))
}
