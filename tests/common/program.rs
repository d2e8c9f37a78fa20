//! The program, run in a folder of its own.
//!
//! In: files, arguments, standard input. Out: a [`Ran`]: exit code and what was printed. Invariant: no variable of this process is seen; the
//! folder is gone with its value.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A folder with files.
pub struct Folder(tempfile::TempDir);

/// What a run gave.
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Folder {
    pub fn new(files: &[(&str, &str)]) -> Folder {
        let folder = Folder(tempfile::tempdir().unwrap());
        files.iter().for_each(|(name, text)| folder.write(name, text));
        folder
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// A run with these arguments, which have no blanks.
    pub fn command(&self, args: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_llmguard"));
        command.args(args.split_whitespace()).current_dir(self.0.path()).env_clear().env("PATH", "/usr/bin:/bin");
        command
    }

    pub fn run(&self, args: &str) -> Ran {
        ran(&mut self.command(args), "")
    }
}

/// Runs a command with this on its standard input.
pub fn ran(command: &mut Command, input: &str) -> Ran {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    // A program that ends early closes its standard input.
    let writer = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
    let out = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: out.status.code().unwrap_or(-1), out: text(out.stdout), err: text(out.stderr) }
}

impl Ran {
    /// Ends the test unless the run ended so.
    #[track_caller]
    pub fn ends(&self, code: i32) -> &Ran {
        assert_eq!(self.code, code, "{}{}", self.out, self.err);
        self
    }

    /// Ends the test unless the run printed all this.
    #[track_caller]
    pub fn says(&self, words: &[&str]) -> &Ran {
        let all = format!("{}{}", self.out, self.err);
        words.iter().for_each(|word| assert!(all.contains(word), "`{word}` is not in:\n{all}"));
        self
    }
}
