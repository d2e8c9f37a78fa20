//! minijinja with strict undefined values and one way out for text: the escaper of the file's own language.
//!
//! In: a template's name and its values. Out: text. Invariant: a plain string in `{{ }}` becomes exactly one argument of the target's
//! language; only [`super::escape::Token`]s, made by an escaper, pass as they are. Lists, maps and undefined values are errors.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::ValueKind;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, Value};

use super::escape::{self, Language};

/// A template's name under `templates/`, and its text.
pub type Template = (&'static str, &'static str);

/// Renders the template `name` of `templates` (which may include the others). The name's ending tells the language.
///
/// Errors: a value that can't be written safely in that language, or a template that names what isn't there.
pub fn render(templates: &[Template], name: &str, values: Value) -> Result<String, String> {
    let language = Language::of(name).ok_or_else(|| format!("no language for template `{name}`"))?;
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_syntax(
        SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .keep_trailing_newline(true)
            .build()
            .map_err(told)?,
    );
    for filter in ["safe", "escape", "e"] {
        environment.remove_filter(filter);
    }
    environment.set_auto_escape_callback(|_| AutoEscape::Custom("target".into()));
    environment.set_formatter(move |out, _state, value| {
        let text = match value.kind() {
            ValueKind::Number | ValueKind::Bool => value.to_string(),
            ValueKind::String => {
                let text = value.as_str().unwrap_or_default();
                if value.is_safe() {
                    text.to_owned()
                } else {
                    escape::argument(language, text)
                        .map_err(|reason| Error::new(ErrorKind::InvalidOperation, reason))?
                }
            }
            kind => return Err(Error::new(ErrorKind::InvalidOperation, format!("a {kind} can't be written"))),
        };
        out.write_str(&text).map_err(Error::from)
    });
    for (name, text) in templates {
        environment.add_template(name, text).map_err(told)?;
    }
    environment.get_template(name).map_err(told)?.render(values).map_err(told)
}

/// What went wrong, with the template's line where there is one.
fn told(error: Error) -> String {
    format!("{error:#}")
}
