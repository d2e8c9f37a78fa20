//! `nginx -t` about texts. In: a program and a text. Out: what it says against it, and where.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use llmguard::diag::{Diagnostic, Severity};
use llmguard::dialect::nginx::table::TABLE;
use tempfile::TempDir;

/// What nginx says of values, files and the like: no matter of form.
const FORM: &[&str] = &[
    "unexpected ",
    "unknown directive",
    "is not allowed here",
    "is not terminated by",
    "has no opening",
    "invalid number of arguments",
    "directive is duplicate",
    "too long parameter",
    "it must be \"on\" or \"off\"",
    "invalid number of the",
];

/// A server that is asked about configs.
pub struct Nginx {
    program: PathBuf,
    folder: TempDir,
}

/// What it says against a config.
pub struct Refusal {
    message: Vec<u8>,
    /// The line that it names, if it is of the main file.
    pub line: Option<usize>,
}

impl Nginx {
    pub fn new(program: &Path) -> Nginx {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("logs")).unwrap();
        Nginx { program: program.to_owned(), folder }
    }

    /// What nginx says against a text; none: it would start. `@LISTEN@` becomes an address that nobody uses.
    pub fn refuses(&self, text: &[u8]) -> Option<Refusal> {
        let main = self.folder.path().join("nginx.conf");
        std::fs::File::create(&main).unwrap().write_all(text).unwrap();
        let folder = self.folder.path().to_str().unwrap();
        let output = Command::new(&self.program)
            .args(["-t", "-q", "-e", "stderr", "-p", folder, "-c", main.to_str().unwrap()])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let mark: &[u8] = b"[emerg] ";
        let at = output.stderr.windows(mark.len()).position(|part| part == mark)?;
        let message = &output.stderr[at + mark.len()..];
        let verdict: &[u8] = b"\nnginx: configuration file ";
        let end = message.windows(verdict.len()).rposition(|part| part == verdict);
        let message = message[..end.unwrap_or(message.len())].trim_ascii_end();
        // nginx's process number stands before it.
        let number = message.iter().position(|byte| *byte == b' ').map_or(0, |at| at + 1);
        let message = &message[number..];
        let place = [b" in ", main.to_str().unwrap().as_bytes(), b":"].concat();
        let named = message.windows(place.len()).rposition(|part| part == place);
        let line = named.and_then(|at| std::str::from_utf8(&message[at + place.len()..]).ok()?.parse().ok());
        Some(Refusal { message: message[..named.unwrap_or(message.len())].to_vec(), line })
    }
}

impl std::fmt::Debug for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` on line {:?}", shown(&self.message), self.line)
    }
}

impl Refusal {
    /// Whether it says this.
    pub fn says(&self, what: &str) -> bool {
        self.message.windows(what.len()).any(|part| part == what.as_bytes())
    }

    /// Whether it is about the form of the text, not about what its values mean.
    pub fn is_of_form(&self) -> bool {
        FORM.iter().any(|what| self.says(what))
    }

    /// Whether a module is only missing in this build.
    pub fn is_of_build(&self) -> bool {
        self.unknown().is_some_and(|name| TABLE.find(name).any(|(_, rule)| rule.until.is_none()))
    }

    /// The directive that it doesn't know.
    pub fn unknown(&self) -> Option<&[u8]> {
        let start: &[u8] = b"unknown directive \"";
        let at = self.message.windows(start.len()).position(|part| part == start)?;
        self.message[at + start.len()..].strip_suffix(b"\"")
    }
}

/// Bytes for people.
pub fn shown(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| std::ascii::escape_default(*byte))
        .map(char::from)
        .collect::<String>()
        .replace("\\n", "\n")
}

/// A problem in a line, with the folder taken out.
pub fn line(problem: &Diagnostic, folder: &Path) -> String {
    let severity = match problem.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    };
    let place = problem.file.as_ref().zip(problem.span.as_ref()).map_or(String::new(), |(file, (span, _))| {
        let at = file.line_column(span.start);
        format!("{}:{}:{}: ", file.name, at.line, at.column)
    });
    let help = problem.help.as_ref().map_or(String::new(), |help| format!(" ({help})"));
    format!("{place}{severity}: {}{help}", problem.message).replace(&format!("{}/", folder.display()), "")
}

/// The number in a variable of the environment.
pub fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{variable} is no number")))
}
