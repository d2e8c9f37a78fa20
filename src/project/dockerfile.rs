//! A Dockerfile → what a service's image has in it: whose image it starts from, the files that are copied into it, what it runs.
//!
//! In: a text, the folder that it is built in, its arguments. Out: an [`Image`]. Invariant: nothing is built or run; what a command may do
//! to a proxy's configs, or what comes out of another stage, makes them unknown and is never passed over.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use crate::source::names_in;

/// Where the proxies look for their configs and what runs before them.
const CONFIGS: &[&str] = &["/etc/nginx", "/etc/caddy", "/etc/traefik", "/etc/llmguard", "/docker-entrypoint.d"];
/// So many files are taken from a folder.
const MOST_FILES: usize = 2000;
/// So many stages stand on each other.
const MOST_STAGES: usize = 20;

/// What an image has that its base doesn't.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    /// The image that it starts from.
    pub base: String,
    /// Files by their paths in the image.
    pub files: BTreeMap<String, Content>,
    /// Why its configs aren't known.
    pub unknown: Option<String>,
    /// Its variables.
    pub environment: BTreeMap<String, String>,
    /// The folder in which it runs.
    pub working_dir: Option<String>,
    /// What it runs.
    pub command: Option<Vec<String>>,
    /// What starts that.
    pub entrypoint: Option<Vec<String>>,
}

/// What is in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// What a file of this machine has.
    Host(PathBuf),
    /// This text.
    Text(String),
}

/// Reads a Dockerfile. Errors: why what it makes isn't known.
pub fn read(
    text: &str,
    context: &Path,
    arguments: &BTreeMap<String, String>,
    target: Option<&str>,
) -> Result<Image, String> {
    let mut reader = Reader { context, arguments, global: HashMap::new(), stages: Vec::new() };
    for instruction in instructions(text) {
        reader.instruction(&instruction)?;
        let named = |name: &str| target.is_some_and(|target| target.eq_ignore_ascii_case(name));
        // What follows the wanted stage makes other ones.
        if instruction.word == "FROM" && reader.stages.len() > 1 {
            let before = &reader.stages[reader.stages.len() - 2];
            if named(&before.name) {
                reader.stages.pop();
                break;
            }
        }
    }
    match (target, reader.stages.pop()) {
        (Some(target), Some(last)) if !last.name.eq_ignore_ascii_case(target) => Err(format!("no stage `{target}`")),
        (_, Some(last)) => Ok(last.image),
        (_, None) => Err("its Dockerfile has no `FROM`".to_owned()),
    }
}

/// One instruction.
struct Instruction {
    line: usize,
    word: String,
    /// All that stands behind the word.
    rest: String,
    /// Texts that follow it, and whether variables in them are put in.
    documents: Vec<(String, bool)>,
}

/// The instructions of a text, lines that go on joined.
fn instructions(text: &str) -> Vec<Instruction> {
    let mut out = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        let mut whole = String::new();
        let mut next = Some(line);
        while let Some(line) = next {
            let line = line.trim_end();
            let comment = line.trim_start().starts_with('#');
            let goes_on = comment && !whole.is_empty() || !comment && line.ends_with('\\');
            if !comment {
                whole.push_str(line.strip_suffix('\\').unwrap_or(line));
            }
            next = if goes_on { lines.next().map(|(_, line)| line) } else { None };
        }
        let trimmed = whole.trim();
        let (word, rest) = trimmed.split_once(char::is_whitespace).unwrap_or((trimmed, ""));
        if word.is_empty() {
            continue;
        }
        let word = word.to_ascii_uppercase();
        let mut documents = Vec::new();
        if matches!(word.as_str(), "COPY" | "ADD" | "RUN") {
            for mark in rest.split_whitespace().filter_map(|part| part.strip_prefix("<<")) {
                let mark = mark.trim_start_matches('-');
                let bare = mark.trim_matches(['"', '\'']);
                let body: Vec<&str> =
                    lines.by_ref().map(|(_, line)| line).take_while(|line| line.trim() != bare).collect();
                documents.push((body.iter().map(|line| format!("{line}\n")).collect(), bare == mark));
            }
        }
        out.push(Instruction { line: at + 1, word, rest: rest.trim().to_owned(), documents });
    }
    out
}

struct Stage {
    name: String,
    image: Image,
    variables: HashMap<String, String>,
}

struct Reader<'a> {
    context: &'a Path,
    arguments: &'a BTreeMap<String, String>,
    /// Arguments before the first stage.
    global: HashMap<String, String>,
    stages: Vec<Stage>,
}

impl Reader<'_> {
    fn instruction(&mut self, of: &Instruction) -> Result<(), String> {
        let rest = of.rest.as_str();
        match of.word.as_str() {
            "FROM" => return self.from(rest),
            "ARG" => {
                let (name, default) = rest.split_once('=').map_or((rest, None), |(name, value)| (name, Some(value)));
                let default = default.map(|value| value.trim_matches(['"', '\'']).to_owned());
                let value = self.arguments.get(name).cloned().or(default);
                let value = value.or_else(|| self.global.get(name).cloned());
                let into = self.stages.last_mut().map_or(&mut self.global, |stage| &mut stage.variables);
                into.extend(value.map(|value| (name.to_owned(), value)));
            }
            _ => {}
        }
        let Some(mut stage) = self.stages.pop() else { return Ok(()) };
        stage.instruction(of, self.context);
        self.stages.push(stage);
        Ok(())
    }

    fn from(&mut self, rest: &str) -> Result<(), String> {
        let words: Vec<&str> = rest.split_whitespace().filter(|word| !word.starts_with("--")).collect();
        let base = words.first().and_then(|word| replaced(word, &self.global));
        let base = base.ok_or_else(|| format!("`FROM {rest}` names an image by an argument that isn't known"))?;
        let name = words.get(2).map_or(String::new(), |name| (*name).to_owned());
        let before = self.stages.iter().find(|stage| !stage.name.is_empty() && stage.name.eq_ignore_ascii_case(&base));
        let image = before.map_or(Image { base, ..Image::default() }, |stage| stage.image.clone());
        if self.stages.len() > MOST_STAGES {
            return Err(format!("its Dockerfile has more than {MOST_STAGES} stages"));
        }
        let variables = image.environment.clone().into_iter().collect();
        self.stages.push(Stage { name, image, variables });
        Ok(())
    }
}

impl Stage {
    fn instruction(&mut self, of: &Instruction, context: &Path) {
        let rest = of.rest.as_str();
        match of.word.as_str() {
            "COPY" | "ADD" => {
                if let Err(why) = self.copy(of, context) {
                    self.image.unknown.get_or_insert(format!("`{} {rest}` in line {}: {why}", of.word, of.line));
                }
            }
            "RUN" => self.run(of),
            "WORKDIR" => self.image.working_dir = Some(self.path(&replaced(rest, &self.variables).unwrap_or_default())),
            "ENV" => {
                for (name, value) in pairs(rest) {
                    let value = replaced(&value, &self.variables).unwrap_or_default();
                    self.variables.insert(name.clone(), value.clone());
                    self.image.environment.insert(name, value);
                }
            }
            "CMD" => self.image.command = Some(words(rest)),
            "ENTRYPOINT" => (self.image.entrypoint, self.image.command) = (Some(words(rest)), None),
            _ => {}
        }
    }

    /// A path of the image, from the folder on in which it works.
    fn path(&self, path: &str) -> String {
        match path.starts_with('/') {
            true => path.to_owned(),
            false => {
                let folder = self.image.working_dir.as_deref().unwrap_or("/").trim_end_matches('/');
                format!("{folder}/{}", path.trim_start_matches("./"))
            }
        }
    }

    /// Files that are copied in. Errors: why they aren't known, where that matters.
    fn copy(&mut self, of: &Instruction, context: &Path) -> Result<(), &'static str> {
        let (flags, names): (Vec<String>, Vec<String>) =
            words_of_list(&of.rest).into_iter().partition(|word| word.starts_with("--"));
        let Some((to, from)) = names.split_last() else { return Ok(()) };
        let to = replaced(to, &self.variables).ok_or("its target isn't known")?;
        let target = self.path(if to == "." { "./" } else { &to });
        if flags.iter().any(|flag| flag.starts_with("--from")) {
            return if concerns(&target) { Err("comes from another image") } else { Ok(()) };
        }
        let into_folder = target.ends_with('/') || from.len() > 1;
        let place = |name: &str| match into_folder {
            true => format!("{}/{name}", target.trim_end_matches('/')),
            false => target.clone(),
        };
        let mut documents = of.documents.iter();
        for from in from {
            if let Some(name) = from.strip_prefix("<<") {
                let Some((text, variables)) = documents.next() else { continue };
                if *variables && text.contains('$') {
                    return if concerns(&target) { Err("variables are put into its text") } else { Ok(()) };
                }
                self.image.files.insert(place(name), Content::Text(text.clone()));
                continue;
            }
            let from = replaced(from, &self.variables).ok_or("its source isn't known")?;
            if from.contains("://") || from.contains(['*', '?', '[']) {
                return if concerns(&target) { Err("its files aren't followed") } else { Ok(()) };
            }
            let source = context.join(from.trim_start_matches('/'));
            if source.is_dir() {
                let mut left = MOST_FILES;
                self.folder(&source, target.trim_end_matches('/'), &mut left);
                if left == 0 && concerns(&target) {
                    return Err("has too many files");
                }
            } else if source.is_file() {
                let name = source.file_name().unwrap_or_default().to_string_lossy().into_owned();
                self.image.files.insert(place(&name), Content::Host(source));
            } else if concerns(&target) {
                return Err("its source isn't here");
            }
        }
        Ok(())
    }

    fn folder(&mut self, from: &Path, to: &str, left: &mut usize) {
        for name in names_in(from) {
            let (path, target) = (from.join(&name), format!("{to}/{}", name.to_string_lossy()));
            if *left == 0 {
                return;
            }
            *left -= 1;
            match path.is_dir() && !path.is_symlink() {
                true => self.folder(&path, &target, left),
                false => drop(self.image.files.insert(target, Content::Host(path))),
            }
        }
    }

    /// A command: removals are followed; another one that names configs makes them unknown.
    fn run(&mut self, of: &Instruction) {
        let text = of.documents.iter().fold(of.rest.clone(), |text, (more, _)| text + " && " + more);
        for command in text.split(['&', ';', '|', '\n']).filter(|command| !command.is_empty()) {
            let mut words = command.split_whitespace();
            let named = CONFIGS.iter().any(|folder| command.contains(folder));
            match words.next() {
                Some("rm") => words.filter(|word| !word.starts_with('-')).for_each(|path| self.remove(path)),
                Some("chown" | "chmod" | "mkdir" | "ls" | "cat" | "nginx" | "caddy" | "touch")
                    if !command.contains('>') => {}
                _ if named => {
                    let why = format!("`RUN` in line {} may change its configs", of.line);
                    self.image.unknown.get_or_insert(why);
                }
                _ => {}
            }
        }
    }

    fn remove(&mut self, path: &str) {
        let path = self.path(path);
        let folder = path.strip_suffix('*').unwrap_or(&path).trim_end_matches('/').to_owned();
        self.image.files.retain(|own, _| *own != folder && !own.starts_with(&format!("{folder}/")));
        // The base image's own file: an empty one says as little as none.
        let default = "/etc/nginx/conf.d/default.conf";
        if default == folder || default.starts_with(&format!("{folder}/")) {
            self.image.files.insert(default.to_owned(), Content::Text(String::new()));
        }
    }
}

/// Whether a path of the image is, holds or belongs to a proxy's configs.
fn concerns(path: &str) -> bool {
    let path = path.trim_end_matches('/');
    CONFIGS.iter().any(|folder| path.starts_with(folder) || folder.starts_with(path))
}

/// `$NAME` and `${NAME}` replaced. `None`: a variable isn't known.
fn replaced(text: &str, variables: &HashMap<String, String>) -> Option<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('$') {
        out.push_str(before);
        let open = behind.strip_prefix('{');
        let word = open.unwrap_or(behind);
        let end = word.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(word.len());
        let (name, left) = word.split_at(end);
        let (default, left) = match open {
            None => (None, left),
            Some(_) => {
                let (inner, left) = left.split_once('}')?;
                (inner.strip_prefix(":-").map(str::to_owned), left)
            }
        };
        out.push_str(&variables.get(name).cloned().or(default)?);
        rest = left;
    }
    out.push_str(rest);
    Some(out)
}

/// A list in JSON, or words.
fn words_of_list(text: &str) -> Vec<String> {
    let flags = text.split_whitespace().take_while(|word| word.starts_with("--"));
    let flags: Vec<String> = flags.map(str::to_owned).collect();
    let list =
        text.find('[').filter(|_| text.split_whitespace().nth(flags.len()).is_some_and(|word| word.starts_with('[')));
    let names = list.and_then(|at| serde_json::from_str::<Vec<String>>(&text[at..]).ok());
    match names {
        Some(names) => flags.into_iter().chain(names).collect(),
        None => text.split_whitespace().map(|word| word.trim_matches('"').to_owned()).collect(),
    }
}

/// What is run: a list in JSON, else a shell's command.
fn words(text: &str) -> Vec<String> {
    serde_json::from_str(text).unwrap_or_else(|_| text.split_whitespace().map(str::to_owned).collect())
}

/// `NAME=VALUE …`, or `NAME VALUE`.
fn pairs(text: &str) -> Vec<(String, String)> {
    let plain = |value: &str| value.trim_matches(['"', '\'']).to_owned();
    match text.split_once(char::is_whitespace) {
        Some((name, value)) if !name.contains('=') => vec![(name.to_owned(), plain(value.trim()))],
        _ => {
            let words = text.split_whitespace().filter_map(|word| word.split_once('='));
            words.map(|(name, value)| (name.to_owned(), plain(value))).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(text: &str, folder: &Path) -> Image {
        read(text, folder, &BTreeMap::from([("TAG".to_owned(), "1.29".to_owned())]), None).unwrap()
    }

    #[test]
    fn files_and_commands_of_the_last_stage() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("conf")).unwrap();
        std::fs::write(folder.path().join("conf/a.conf"), "").unwrap();
        std::fs::write(folder.path().join("n.conf"), "").unwrap();
        let text = "# x\nARG TAG=1\nFROM node AS build\nRUN npm build > /etc/nginx/x\nFROM nginx:${TAG} AS web\n\
                    RUN rm -f /etc/nginx/conf.d/default.conf \\\n  && apk add curl\nWORKDIR /etc/nginx\n\
                    COPY --chown=1 conf/ conf.d/\nCOPY [\"n.conf\", \"/etc/nginx/nginx.conf\"]\n\
                    COPY --from=build /app /usr/share/nginx/html\nCOPY <<'EOF' /etc/nginx/b.conf\nset $x 1;\nEOF\n\
                    ENV A=1 B=\"2\"\nCMD [\"nginx\", \"-g\", \"daemon off;\"]\n";
        let made = image(text, folder.path());
        assert_eq!((made.base.as_str(), made.unknown.as_deref()), ("nginx:1.29", None));
        let host = |name: &str| Content::Host(folder.path().join(name));
        let text = |text: &str| Content::Text(text.to_owned());
        let files = [
            ("/etc/nginx/b.conf", text("set $x 1;\n")),
            ("/etc/nginx/conf.d/a.conf", host("conf/a.conf")),
            ("/etc/nginx/conf.d/default.conf", text("")),
            ("/etc/nginx/nginx.conf", host("n.conf")),
        ];
        assert_eq!(made.files, files.map(|(path, content)| (path.to_owned(), content)).into());
        assert_eq!(made.environment.len(), 2);
        assert_eq!(made.command.unwrap().len(), 3);
    }

    #[test]
    fn what_may_change_configs_is_unknown() {
        let folder = tempfile::tempdir().unwrap();
        for line in [
            "COPY --from=build /app/nginx.conf /etc/nginx/nginx.conf",
            "COPY gone.conf /etc/nginx/nginx.conf",
            "RUN sed -i s/a/b/ /etc/nginx/nginx.conf",
            "RUN echo x >> /etc/nginx/nginx.conf && true",
            "ADD https://example.com/x /etc/caddy/Caddyfile",
            "COPY *.conf /etc/nginx/conf.d/",
            "COPY $X /etc/nginx/conf.d/",
        ] {
            assert!(image(&format!("FROM nginx\n{line}\n"), folder.path()).unknown.is_some(), "{line}");
        }
        assert!(read("FROM $X\n", folder.path(), &BTreeMap::new(), None).is_err());
        assert!(read("RUN x\n", folder.path(), &BTreeMap::new(), None).is_err());
    }
}
