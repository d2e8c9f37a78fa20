//! House rules that the compiler does not know, as tests over the project's own files.
//!
//! In: the working tree. Out: for each rule a test that lists every place that breaks it, as `file:line: why`.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use regex::Regex;

/// The modules in order: each may use only those before it. `ARCHITECTURE.md` says why.
const LAYERS: &[&str] = &[
    "source", "diag", "http", "secret", "catalog", "policy", "render", "gateway", "lower", "dialect", "project",
    "analysis", "finding", "rules", "report", "prove", "probe", "logs", "keys", "cli",
];

/// Pairs that the order would allow: the first must not know the second.
const APART: &[(&str, &str)] = &[
    ("gateway", "policy"),
    ("gateway", "catalog"),
    ("gateway", "render"),
    ("dialect", "policy"),
    ("rules", "dialect"),
];

/// Tables, which may be longer than [`LONGEST`].
const LONG_TABLES: &[&str] = &[];
const LONGEST: usize = 600;
const MEDIAN_BELOW: usize = 200;

/// Where a secret may be opened.
const OPENS_SECRETS: &[&str] = &[
    "src/render/",
    "src/keys",
    "src/prove/",
    "src/policy/",
    "src/gateway/",
    "src/lower.rs",
    "src/project/",
    "src/dialect/compose/",
    "src/rules/keys/",
];

/// Groups that are no part of `inference` or `models`.
const GROUPS_APART: &[&str] = &["admin", "account", "root"];

/// In pieces, so that this file does not hold what it forbids.
const MACHINE_PATHS: &[&[&str]] = &[&["/wo", "rk/"], &["/tmp/e", "xp"], &["/tmp/w", "t/"], &["/ro", "ot/"]];
/// Paths inside container images, not of a machine.
const IMAGE_PATHS: &[&[&str]] = &[&["/ro", "ot/.ollama"]];
const REGISTRIES: &[&[&str]] = &[
    &["crates", ".io"],
    &["pypi", ".org"],
    &["pythonhosted", ".org"],
    &["proxy.golang", ".org"],
    &["sum.golang", ".org"],
    &["npmjs", ".org"],
    &["npmjs", ".com"],
    &["maven", ".org"],
    &["maven.apache", ".org"],
    &["deb.debian", ".org"],
];
/// Written by package clients, which put registries in.
const LOCK_FILES: &[&str] = &["Cargo.lock", "tests/servers/caddy/go.sum"];

#[test]
fn a_module_uses_only_those_before_it() {
    let mut broken = Vec::new();
    for source in sources() {
        let Some(module) = source.module() else { continue };
        let Some(place) = LAYERS.iter().position(|layer| *layer == module) else {
            broken.push(format!("{}:1: `{module}` has no place in the order of modules", source.path));
            continue;
        };
        for (line, used) in used_modules(&source.words) {
            let apart = APART.contains(&(module, used));
            if used != module && (apart || !LAYERS[..place].contains(&used)) {
                broken.push(format!("{}:{line}: `{module}` must not use `{used}`", source.path));
            }
        }
    }
    assert_none(&broken);
}

#[test]
fn the_library_lists_its_modules_in_order() {
    let text = read("src/lib.rs");
    let listed: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    let ordered: Vec<&str> = LAYERS.iter().copied().filter(|layer| listed.contains(layer)).collect();
    assert_eq!(listed, ordered, "src/lib.rs");
}

#[test]
fn files_are_short() {
    let mut sizes: Vec<(usize, String)> =
        sources().into_iter().map(|source| (source.text.lines().count(), source.path)).collect();
    sizes.sort();
    let long = |(lines, path): &(usize, String)| *lines > LONGEST && !LONG_TABLES.contains(&path.as_str());
    let broken: Vec<String> =
        sizes.iter().filter(|file| long(file)).map(|(lines, path)| format!("{path}:{lines}: too long")).collect();
    assert_none(&broken);
    let median = sizes[sizes.len() / 2].0;
    assert!(median < MEDIAN_BELOW, "the median file has {median} lines");
}

#[test]
fn every_file_says_what_it_is() {
    let broken: Vec<String> = sources()
        .iter()
        .filter(|source| !source.text.starts_with("//!"))
        .map(|source| format!("{}:1: does not begin with `//!`", source.path))
        .collect();
    assert_none(&broken);
}

#[test]
fn nothing_is_left_open_outside_tests() {
    const LEFT_OPEN: &[&[&str]] = &[
        &["#", "[", "allow"],
        &["#", "!", "[", "allow"],
        &[".", "unwrap", "(", ")"],
        &["todo", "!"],
        &["unimplemented", "!"],
    ];
    let mut broken = Vec::new();
    for source in sources() {
        for wanted in LEFT_OPEN {
            broken.extend(
                occurrences(&source.words, wanted)
                    .map(|line| format!("{}:{line}: `{}` outside of tests", source.path, wanted.concat())),
            );
        }
    }
    assert_none(&broken);
}

#[test]
fn secrets_are_opened_only_where_they_are_written_or_compared() {
    let mut broken = Vec::new();
    for source in sources() {
        if OPENS_SECRETS.iter().any(|place| source.path.starts_with(place)) {
            continue;
        }
        let opened = [&[".", "reveal"][..], &[":", "reveal"]].map(|wanted| occurrences(&source.words, wanted));
        broken.extend(opened.into_iter().flatten().map(|line| format!("{}:{line}: opens a secret", source.path)));
    }
    assert_none(&broken);
}

#[test]
fn no_file_names_a_machine_path_or_a_registry() {
    let [paths, images, hosts] =
        [MACHINE_PATHS, IMAGE_PATHS, REGISTRIES].map(|list| list.iter().map(|p| p.concat()).collect::<Vec<_>>());
    let mut broken = Vec::new();
    for path in project_files().iter().filter(|path| !LOCK_FILES.contains(&path.as_str())) {
        let Ok(bytes) = fs::read(root().join(path)) else { continue };
        for (number, line) in String::from_utf8_lossy(&bytes).lines().enumerate() {
            let rest = images.iter().fold(line.to_owned(), |line, image| line.replace(image, ""));
            let found = paths.iter().filter(|word| has_path(&rest, word));
            for word in found.chain(hosts.iter().filter(|word| rest.contains(*word))) {
                broken.push(format!("{path}:{}: `{word}`", number + 1));
            }
        }
    }
    assert_none(&broken);
}

#[test]
fn templates_leave_quoting_to_the_escapers() {
    let mut broken = Vec::new();
    for path in files_below("templates") {
        let mut raw = false;
        for (number, line) in read(&path).lines().enumerate() {
            // A server's own template language stands in raw blocks: no placeholder of ours.
            raw = raw && !line.contains("{% endraw %}") || line.contains("{% raw %}");
            if !raw && quotes_a_placeholder(line) {
                broken.push(format!("{path}:{}: a quote beside a placeholder", number + 1));
            }
        }
    }
    assert_none(&broken);
}

#[test]
fn every_endpoint_of_the_catalogue_has_a_known_group() {
    let files = files_below("schemas/upstreams");
    assert!(!files.is_empty());
    let mut broken = Vec::new();
    for path in files.iter().filter(|path| path.ends_with(".toml")) {
        let table: toml::Table = match read(path).parse() {
            Ok(table) => table,
            Err(error) => {
                broken.push(format!("{path}: {error}"));
                continue;
            }
        };
        let stem = Path::new(path).file_stem().and_then(|stem| stem.to_str());
        if table.get("kind").and_then(toml::Value::as_str) != stem {
            broken.push(format!("{path}: `kind` is not the file's name"));
        }
        let parts = table.get("groups").and_then(toml::Value::as_table).into_iter().flat_map(toml::Table::values);
        let parts = parts.filter_map(toml::Value::as_array).flatten().filter_map(toml::Value::as_str);
        let known: Vec<&str> = parts.chain(GROUPS_APART.iter().copied()).collect();
        for endpoint in table.get("endpoint").and_then(toml::Value::as_array).into_iter().flatten() {
            let [method, target, group] =
                ["method", "path", "group"].map(|key| endpoint.get(key).and_then(toml::Value::as_str).unwrap_or(""));
            if method.is_empty() || !target.starts_with('/') || !known.contains(&group) {
                broken
                    .push(format!("{path}: `{method} {target}` has the unknown group `{group}`, no method or no path"));
            }
        }
    }
    assert_none(&broken);
}

/// The rules above see code, not text: this is what they rest on.
#[test]
fn code_is_told_from_comments_strings_and_tests() {
    let (words, test_modules) = words(
        r##"
        //! crate::cli
        use crate::{diag, policy::plan::Plan};
        fn f(a: &'a str) { crate::http::get("crate::keys \" .unwrap()", r#"} todo!"#, '"', '\'').unwrap() } // .unwrap()
        #[cfg(test)]
        mod fixture;
        #[cfg(test)]
        #[expect(clippy::panic)]
        mod tests { use crate::prove; fn g() { todo!("}") } }
        #[allow(x)] const A: [u8; 1] = [0];
        "##,
    );
    assert_eq!(used_modules(&words), [(3, "diag"), (3, "policy"), (4, "http")]);
    assert_eq!(occurrences(&words, &[".", "unwrap", "(", ")"]).collect::<Vec<_>>(), [4]);
    assert_eq!(occurrences(&words, &["#", "[", "allow"]).collect::<Vec<_>>(), [10]);
    assert_eq!(occurrences(&words, &["todo", "!"]).count(), 0);
    assert_eq!(test_modules, ["fixture", "tests"]);

    assert!(quotes_a_placeholder(r#"name "{{ x }}";"#) && quotes_a_placeholder("{{- x -}}'"));
    assert!(!quotes_a_placeholder(r#"name {{ x }} "y";"#));
    assert!(has_path("cd /a/b", "/a/") && !has_path("https://host/x/a/b", "/a/"));
}

/// A file of `src` that is part of the program, and its code as words without comments and tests.
struct Source {
    path: String,
    text: String,
    words: Vec<Word>,
}

impl Source {
    /// The module below the crate's root: `render` for `src/render/nginx.rs`; none for the roots themselves.
    fn module(&self) -> Option<&str> {
        let below = self.path.strip_prefix("src/")?.trim_end_matches(".rs");
        Some(below.split('/').next()?).filter(|module| !["lib", "main"].contains(module))
    }
}

/// A token's text and its line.
type Word = (usize, String);

fn sources() -> Vec<Source> {
    let mut sources = Vec::new();
    let mut tests = Vec::new();
    for path in files_below("src").into_iter().filter(|path| path.ends_with(".rs")) {
        let text = read(&path);
        let (words, test_modules) = words(&text);
        let stem = path.trim_end_matches(".rs");
        let folder = ["/mod", "/lib", "/main"].iter().find_map(|root| stem.strip_suffix(root)).unwrap_or(stem);
        tests.extend(test_modules.iter().flat_map(|name| [format!("{folder}/{name}.rs"), format!("{folder}/{name}/")]));
        sources.push(Source { path, text, words });
    }
    sources.retain(|source| !tests.iter().any(|test| source.path.starts_with(test.as_str())));
    sources
}

/// The words of a file without what stands under `#[cfg(test)]`, and the names of the modules that do.
fn words(text: &str) -> (Vec<Word>, Vec<String>) {
    let all = lex(text);
    let (mut words, mut test_modules) = (Vec::new(), Vec::new());
    let mut rest = all.as_slice();
    while let Some((first, after)) = rest.split_first() {
        if occurrences(rest.get(..7).unwrap_or(&[]), &["#", "[", "cfg", "(", "test", ")", "]"]).next().is_none() {
            words.push(first.clone());
            rest = after;
            continue;
        }
        // The item ends with its first `;` or with the braces that it opens.
        let mut depth = 0;
        let end = rest.iter().position(|(_, word)| {
            match word.as_str() {
                "{" | "(" | "[" => depth += 1,
                "}" | ")" | "]" => depth -= 1,
                _ => {}
            }
            depth == 0 && (word == ";" || word == "}")
        });
        let (item, after) = rest.split_at(end.map_or(rest.len(), |end| end + 1));
        let module = item.iter().position(|(_, word)| word == "mod").and_then(|at| item.get(at + 1));
        test_modules.extend(module.map(|(_, name)| name.clone()));
        rest = after;
    }
    (words, test_modules)
}

/// Words and signs; a string or a character is `""`, comments are left out.
fn lex(text: &str) -> Vec<Word> {
    let token = Regex::new(
        r###"(?sx) (?<comment> //[^\n]* | /\*.*?\*/ )
        | (?<literal> [bc]?r\#\#".*?"\#\# | [bc]?r\#".*?"\# | [bc]?r".*?" | [bc]?"(?:\\.|[^"\\])*" | b?'(?:\\.[^']*|[^\\'])' )
        | '?\w+ | \S"###,
    );
    let mut line = 1;
    let mut end = 0;
    let mut words = Vec::new();
    for found in token.unwrap().captures_iter(text) {
        let whole = found.get_match();
        line += text[end..whole.start()].matches('\n').count();
        if found.name("literal").is_some() {
            words.push((line, "\"\"".to_owned()));
        } else if found.name("comment").is_none() {
            words.push((line, whole.as_str().to_owned()));
        }
        line += whole.as_str().matches('\n').count();
        end = whole.end();
    }
    words
}

/// The lines where `wanted` stands.
fn occurrences<'a>(words: &'a [Word], wanted: &'a [&str]) -> impl Iterator<Item = usize> + 'a {
    words.windows(wanted.len()).filter(move |found| found.iter().map(|word| &word.1).eq(wanted)).map(|found| found[0].0)
}

/// What follows each `crate::`: one module, or several in braces.
fn used_modules(words: &[Word]) -> Vec<(usize, &str)> {
    let mut used = Vec::new();
    for (start, found) in words.windows(3).enumerate() {
        if !found.iter().map(|word| word.1.as_str()).eq(["crate", ":", ":"]) {
            continue;
        }
        let after = &words[start + 3..];
        if after.first().is_some_and(|word| word.1 != "{") {
            used.push((after[0].0, after[0].1.as_str()));
            continue;
        }
        let mut depth = 0;
        for pair in after.windows(2) {
            match pair[0].1.as_str() {
                "{" => depth += 1,
                "}" => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                break;
            }
            if depth == 1 && ["{", ","].contains(&pair[0].1.as_str()) && pair[1].1 != "}" {
                used.push((pair[1].0, pair[1].1.as_str()));
            }
        }
    }
    used
}

/// Whether a quote touches `{{ … }}` from outside.
fn quotes_a_placeholder(line: &str) -> bool {
    let quote = |c: Option<char>| c.is_some_and(|c| "\"'`".contains(c));
    line.match_indices("{{").any(|(at, _)| quote(line[..at].chars().next_back()))
        || line.match_indices("}}").any(|(at, _)| quote(line[at + 2..].chars().next()))
}

/// Whether a path that begins with `start` stands in the line, not as the middle of a longer one.
fn has_path(line: &str, start: &str) -> bool {
    line.match_indices(start).any(|(at, _)| {
        !line[..at].chars().next_back().is_some_and(|before| before.is_alphanumeric() || "._-}*".contains(before))
    })
}

/// Everything that is or could be committed, relative to the root.
fn project_files() -> Vec<String> {
    let git = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(git.status.success(), "git ls-files: {}", String::from_utf8_lossy(&git.stderr));
    let files: Vec<String> =
        git.stdout.split(|byte| *byte == 0).map(|path| String::from_utf8_lossy(path).into_owned()).collect();
    files.into_iter().filter(|path| !path.is_empty()).collect()
}

/// The files below a folder, sorted, relative to the root; none where there is no such folder.
fn files_below(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root().join(folder)).into_iter().flatten() {
        let entry = entry.unwrap();
        let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
        if entry.file_type().unwrap().is_dir() { found.extend(files_below(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| format!("{path}: {error}"))
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn assert_none(broken: &[String]) {
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}
