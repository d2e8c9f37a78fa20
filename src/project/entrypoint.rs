//! What the entry point of nginx's image does before nginx starts: scripts that set variables, then templates that take them.
//!
//! In: a container and its variables. Out: the container with the files that its templates become. Invariant: nothing is run; a
//! script's plain assignments are followed, and what it sets in any other way is unknown (docker-nginx 1.29:
//! `docker-entrypoint.sh`, `20-envsubst-on-templates.sh`).

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;

use super::container::Container;
use crate::dialect::{Variable, Variables};
use crate::source::{io_reason, names_in};

/// Where the image looks for scripts.
const SCRIPTS: &str = "/docker-entrypoint.d";

/// An assignment on a line of its own.
static ASSIGNMENT: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)$").ok());
/// An assignment anywhere in a line.
static ASSIGNED: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"(?:^|[\s;("'&|])([A-Za-z_][A-Za-z0-9_]*)="#).ok());

/// Commands by which a script sets variables that its text doesn't name.
const SETTERS: &[&str] = &["eval", "source", ".", "unset", "read", "for", "set"];

/// Fills the container's templates. Errors: why what comes of them isn't known.
pub fn fill_templates(container: &mut Container<'_>, variables: &Variables) -> Result<(), String> {
    let variables = after_scripts(container, variables)?;
    let setting = |name: &str, default: &str| match variables.get(name) {
        Variable::Set(value) => Ok(value.to_owned()),
        Variable::Unset => Ok(default.to_owned()),
        Variable::Unknown => Err(format!("`{name}` isn't known")),
    };
    let folder = setting("NGINX_ENVSUBST_TEMPLATE_DIR", "/etc/nginx/templates")?;
    let suffix = setting("NGINX_ENVSUBST_TEMPLATE_SUFFIX", ".template")?;
    let output = setting("NGINX_ENVSUBST_OUTPUT_DIR", "/etc/nginx/conf.d")?;
    let filter = setting("NGINX_ENVSUBST_FILTER", "")?;
    let filter = Regex::new(&filter).map_err(|_| "`NGINX_ENVSUBST_FILTER` is no regular expression".to_owned())?;
    let mut files = Vec::new();
    files_below(&container.at(&folder), "", 0, &mut files);
    for name in files {
        let Some(plain) = name.strip_suffix(&suffix) else { continue };
        let from = format!("{folder}/{name}");
        let file = container.read(&from).map_err(|reason| format!("`{from}`: {reason}"))?;
        let text = fill(&file.text, &variables, &filter)
            .map_err(|name| format!("`{from}` takes the variable `{name}`, which isn't known"))?;
        let host = container.host_name(&from);
        container.write(&format!("{output}/{plain}"), &text, host.0, host.1).map_err(|error| io_reason(&error))?;
    }
    Ok(())
}

/// The paths of the files below a folder, in the order of their names.
fn files_below(folder: &Path, start: &str, depth: usize, out: &mut Vec<String>) {
    let mut names = names_in(folder);
    names.sort();
    for name in names {
        let path = folder.join(&name);
        let name = format!("{start}{}", name.to_string_lossy());
        if path.is_dir() && depth < 16 {
            files_below(&path, &format!("{name}/"), depth + 1, out);
        } else if path.is_file() {
            out.push(name);
        }
    }
}

/// The variables as the scripts leave them. Errors: a script that can't be read.
fn after_scripts(container: &Container<'_>, variables: &Variables) -> Result<Variables, String> {
    let mut out = variables.clone();
    let mut names = Vec::new();
    files_below(&container.at(SCRIPTS), "", 0, &mut names);
    for name in names.into_iter().filter(|name| name.ends_with(".envsh")) {
        let path = format!("{SCRIPTS}/{name}");
        // The image passes over one that can't be executed.
        let runs = container.at(&path).metadata().is_ok_and(|meta| meta.permissions().mode() & 0o111 != 0);
        if runs {
            let script = container.read(&path).map_err(|reason| format!("`{path}`: {reason}"))?;
            let read = |path: &str| container.read(path).ok().map(|file| file.text.to_string());
            run(&script.text, &mut out, &read);
        }
    }
    Ok(out)
}

/// What a script's assignments do to the variables; `read` gives the text of a file.
fn run(script: &str, variables: &mut Variables, read: &dyn Fn(&str) -> Option<String>) {
    let mut shell = variables.clone();
    let mut exported: BTreeSet<String> = variables.values.keys().chain(&variables.unknown).cloned().collect();
    for line in script.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [] => continue,
            [first, ..] if first.starts_with('#') => continue,
            [first, ..] if SETTERS.contains(first) => (shell.complete, variables.complete) = (false, false),
            ["export", names @ ..] => {
                exported.extend(names.iter().filter_map(|word| word.split('=').next()).map(str::to_owned));
            }
            _ => {}
        }
        // What is indented runs under a condition, or when a function is called.
        let whole = ASSIGNMENT.as_ref().and_then(|pattern| pattern.captures(line));
        if let Some((_, [name, text])) = whole.map(|found| found.extract()) {
            let value = word(text, &shell, read);
            set(&mut shell, name, value);
            continue;
        }
        let assigned = ASSIGNED.iter().flat_map(|pattern| pattern.captures_iter(line));
        let names: Vec<String> = assigned.filter_map(|found| Some(found.get(1)?.as_str().to_owned())).collect();
        names.iter().for_each(|name| set(&mut shell, name, None));
    }
    for name in exported {
        let value = match shell.get(&name) {
            Variable::Set(value) => Some(value.to_owned()),
            Variable::Unset => continue,
            Variable::Unknown => None,
        };
        set(variables, &name, value);
    }
}

/// Sets a variable; `None`: to what isn't known.
fn set(variables: &mut Variables, name: &str, value: Option<String>) {
    variables.unknown.remove(name);
    variables.values.remove(name);
    match value {
        Some(value) => drop(variables.values.insert(name.to_owned(), value)),
        None => drop(variables.unknown.insert(name.to_owned())),
    }
}

/// The value of a word: plain text, one variable or the text of one file. `None`: it isn't followed.
fn word(text: &str, shell: &Variables, read: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let text = text.trim_end();
    let quoted = |mark: char| text.strip_prefix(mark)?.strip_suffix(mark);
    if let Some(literal) = quoted('\'') {
        return (!literal.contains('\'')).then(|| literal.to_owned());
    }
    let inner = quoted('"').unwrap_or(text);
    if let Some(path) = inner.strip_prefix("$(cat ").and_then(|rest| rest.strip_suffix(')')) {
        let plain = path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte));
        return plain.then(|| read(path))?.map(|text| text.trim_end_matches('\n').to_owned());
    }
    let name = inner.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')).or_else(|| inner.strip_prefix('$'));
    match name {
        Some(name) if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') => match shell.get(name) {
            Variable::Set(value) => Some(value.to_owned()),
            Variable::Unset => Some(String::new()),
            Variable::Unknown => None,
        },
        Some(_) => None,
        None => {
            let blank_or_special = |c: char| "$`\\\"'&|;<>()".contains(c) || (inner == text && c.is_whitespace());
            (!inner.contains(blank_or_special)).then(|| inner.to_owned())
        }
    }
}

/// `$NAME` and `${NAME}` of variables that are set and pass the filter; all else stays. Errors: a name whose value isn't known.
fn fill(text: &str, variables: &Variables, filter: &Regex) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let behind = &rest[at + 1..];
        let open = behind.strip_prefix('{');
        let word = open.unwrap_or(behind);
        let end = word.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(word.len());
        let closed = open.is_none() || word[end..].starts_with('}');
        let length = 1 + end + if open.is_some() { 2 } else { 0 };
        let name = &word[..end];
        let taken = closed && !name.is_empty() && filter.is_match(name);
        match variables.values.get(name).filter(|_| taken) {
            Some(value) => {
                out.push_str(value);
                rest = &rest[at + length..];
            }
            None if taken && variables.unknown.contains(name) => return Err(name.to_owned()),
            None => {
                out.push('$');
                rest = behind;
            }
        }
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> Variables {
        let values = pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        Variables { values, complete: true, ..Variables::default() }
    }

    #[test]
    fn templates_take_the_variables_that_are_set() {
        let mut variables = variables(&[("HOST", "a.example"), ("P", "8080")]);
        let all = Regex::new("").unwrap();
        let text = "listen ${P}; server_name $HOST; set $x $host; y ${Q} ${P $";
        assert_eq!(
            fill(text, &variables, &all).unwrap(),
            "listen 8080; server_name a.example; set $x $host; y ${Q} ${P $"
        );
        assert_eq!(fill("$P $HOST", &variables, &Regex::new("^H").unwrap()).unwrap(), "$P a.example");
        set(&mut variables, "P", None);
        assert_eq!(fill(text, &variables, &all).unwrap_err(), "P");
    }

    #[test]
    fn plain_assignments_of_scripts_are_followed() {
        let mut after = variables(&[("KEY", "k"), ("OTHER", "o")]);
        let script = "# A=1\nA=${KEY}\nexport A\nexport B=\"$(cat /run/secrets/b)\"\nC=hidden\nexport D='x y'\n\
                      f() {\n    length=$(printf %s \"$value\" | wc -c)\n    OTHER=$1\n}\nexport E=$(date)\nexport G=${H:-x}\n";
        run(script, &mut after, &|path| (path == "/run/secrets/b").then(|| "b\n\n".to_owned()));
        let set = |name: &str| after.values.get(name).map(String::as_str);
        assert_eq!([set("A"), set("B"), set("C"), set("D")], [Some("k"), Some("b"), None, Some("x y")]);
        assert_eq!(after.unknown.iter().collect::<Vec<_>>(), ["E", "G", "OTHER"]);
        assert!(after.complete);
        run("eval \"$X\"\n", &mut after, &|_| None);
        assert!(!after.complete);
    }
}
