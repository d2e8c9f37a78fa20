//! `try_files`: the first that is there, else the last.
//!
//! In: a scope and its content. Out: the chain before the content. Invariant: what is looked for on a disk that isn't here is absent only
//! where its whole folder is; else nobody knows.

use crate::gateway::{Chain, Clause, Origin, Predicate, Rewrite, Step, Terminal, Test, Value};

use super::Reader;
use super::block::Line;
use super::content::Folder;
use super::scope::Scope;
use super::server::Server;

impl<'c> Reader<'c> {
    /// What comes before the content of a scope.
    pub fn try_files(&mut self, server: &mut Server<'c>, scope: &Scope, content: Chain) -> Chain {
        let Some((files, origin)) = scope.try_files.as_deref() else { return content };
        let line = Line::lone("try_files", &[], origin);
        let Some((last, files)) = files.split_last() else { return content };
        let folder = self.folder(&scope.root);
        let content = self.gateway.add(content);
        let mut clauses = Vec::new();
        for file in files {
            let (name, is_folder) = match file.strip_suffix(b"/") {
                Some(name) => (name, true),
                None => (file.as_slice(), false),
            };
            let computed = name.contains(&b'$');
            match folder {
                Folder::Absent => continue,
                Folder::Empty if !is_folder => continue,
                Folder::Empty if name == b"$uri" && !scope.root.alias => {
                    let top = Predicate::Value(Value::Path, Test::Equals(b"/".to_vec()));
                    clauses.push(Clause::new(top, Terminal::Then(content), origin.noted("the folder itself is there")));
                    continue;
                }
                _ => {}
            }
            if !computed && !scope.root.alias && !scope.root.name.contains(&b'$') {
                let mut path = scope.root.name.to_vec();
                path.extend_from_slice(name);
                let there = self.below_prefix(&path);
                let there = if is_folder { there.is_dir() } else { there.is_file() };
                if !there {
                    continue;
                }
            }
            let value = self.template(&line, name);
            let shown = String::from_utf8_lossy(file).into_owned();
            let why = format!("depends on whether the file `{shown}` is there");
            let steps = match name {
                b"$uri" => Vec::new(),
                _ => {
                    let rewrite = Rewrite { path: Some(value), ..Rewrite::default() };
                    vec![Step::rewrite(rewrite, origin.noted("the file is there: the path becomes"))]
                }
            };
            let clause = Clause::new(Predicate::Opaque(why.into()), Terminal::Then(content), origin.clone());
            clauses.push(Clause { steps, ..clause });
        }
        let shown = String::from_utf8_lossy(last).into_owned();
        let (otherwise, note) = match last.as_slice() {
            [b'=', code @ ..] => {
                let code: Option<u16> = std::str::from_utf8(code).ok().and_then(|code| code.parse().ok());
                let then = match code {
                    Some(444) => {
                        clauses.push(Clause::steps(vec![Step::OnError(None)], Origin::default()));
                        Terminal::Error(444)
                    }
                    Some(status @ 300..=999) => Terminal::Error(status),
                    Some(status @ (201 | 204)) => Terminal::Respond(status),
                    Some(_) => Terminal::unknown("`try_files` with a status below 300 sends no answer"),
                    None => {
                        self.error(&line, format!("`{shown}` is not a status"), "write `=404`");
                        Terminal::unknown("`try_files` is not understood")
                    }
                };
                (then, format!("`try_files`: no file is there, so `{shown}`"))
            }
            [b'@', ..] => {
                let chain = self.named(server, last, origin);
                (Terminal::Restart(chain), format!("`try_files`: no file is there, so `{shown}`"))
            }
            _ => {
                let at = origin.noted("`try_files`: no file is there: an internal redirect to");
                let chain = self.redirect(server, &line, last, at);
                (Terminal::Then(chain), String::new())
            }
        };
        Chain { clauses, otherwise, origin: origin.noted(note) }
    }
}
