//! What a container sees of the host: `volumes`, `configs`, `secrets`, `tmpfs`.
//!
//! In: a service and what the project declares. Out: [`Mount`]s, the last of each target. Invariant: as compose-go 2.9.1
//! (format/volume.go); relative paths start at the folder of the project, or of the file that is extended or included.

use std::collections::HashMap;
use std::path::{Component, PathBuf};

use super::super::document::NodeId;
use super::load::Loader;
use super::model::{Mount, Source, Text};

/// Where Docker mounts what has no target of its own: the top key, the service's key, the folder.
const FILES: &[(&str, &str)] = &[("configs", "/"), ("secrets", "/run/secrets/")];

impl Loader<'_> {
    /// What a service mounts; `top` is the project's map.
    pub(super) fn mounts(&mut self, service: NodeId, top: NodeId) -> Vec<Mount> {
        let mut out: Vec<Mount> = Vec::new();
        let mut seen: HashMap<String, usize> = HashMap::new();
        let mut add = |mount: Mount| match seen.get(&mount.target.text) {
            Some(&at) => out[at] = mount,
            None => {
                seen.insert(mount.target.text.clone(), out.len());
                out.push(mount);
            }
        };
        for item in self.list(service, "volumes") {
            match self.volume(item, top) {
                Ok(mount) => add(mount),
                Err(reason) => self.error(self.place(item), &reason),
            }
        }
        for (key, folder) in FILES {
            for item in self.list(service, key) {
                match self.file_mount(item, top, key, folder) {
                    Ok(mount) => add(mount),
                    Err(reason) => self.error(self.place(item), &reason),
                }
            }
        }
        for item in self.list(service, "tmpfs") {
            let Some(text) = self.text(item) else { continue };
            let place = text.place;
            let target = Text { text: text.text.split(':').next().unwrap_or_default().to_owned(), ..text };
            add(Mount { source: Source::Memory, target, read_only: false, place });
        }
        out
    }

    fn list(&self, map: NodeId, key: &str) -> Vec<NodeId> {
        let list = self.get(map, key);
        list.map(|list| self.at(list).one_or_more().map(|item| item.id).collect()).unwrap_or_default()
    }

    fn volume(&self, item: NodeId, top: NodeId) -> Result<Mount, String> {
        let place = self.place(item);
        let Some(text) = self.text(item) else { return self.long_volume(item, top) };
        let parts = parts(&text.text)?;
        let (source, target, options) = match parts.as_slice() {
            [target] => (None, target, ""),
            [source, target] => (Some(source), target, ""),
            [source, target, options] => (Some(source), target, options.as_str()),
            _ => return Err("a volume is SOURCE:TARGET:OPTIONS".to_owned()),
        };
        let read_only = options.split(',').rfind(|option| ["ro", "rw"].contains(option)) == Some("ro");
        let source = match source {
            None => Source::Volume(String::new()),
            Some(_) if text.unknown.is_some() => hanging(&text),
            Some(source) if is_path(source) => Source::Host(self.host_path(source, place)),
            Some(name) => self.named_volume(name, top)?,
        };
        let target = Text { text: clean(target), ..text };
        Ok(Mount { source, target, read_only, place })
    }

    fn long_volume(&self, item: NodeId, top: NodeId) -> Result<Mount, String> {
        let place = self.place(item);
        let part = |key: &str| self.get(item, key).and_then(|id| self.text(id));
        let target = part("target").ok_or("say where it is mounted: `target: PATH`")?;
        let read_only = self.get(item, "read_only").and_then(|id| self.at(id).bool()).unwrap_or(false);
        let source = part("source");
        let kind = part("type").ok_or("say what it is: `type: bind` or `type: volume`")?;
        let source = match (kind.text.as_str(), source) {
            ("tmpfs", _) => Source::Memory,
            (_, Some(source)) if source.unknown.is_some() => hanging(&source),
            ("bind", Some(source)) => Source::Host(self.host_path(&source.text, place)),
            ("bind", None) => return Err("say which path of the host: `source: PATH`".to_owned()),
            ("volume", Some(source)) => self.named_volume(&source.text, top)?,
            ("volume", None) => Source::Volume(String::new()),
            (other, _) => Source::Unknown(format!("a mount of the type `{other}`")),
        };
        Ok(Mount { source, target: Text { text: clean(&target.text), ..target }, read_only, place })
    }

    /// A volume by its name: a folder of the host where it is declared as one.
    fn named_volume(&self, name: &str, top: NodeId) -> Result<Source, String> {
        let declared = self.get(top, "volumes").and_then(|volumes| self.get(volumes, name));
        let declared = declared.ok_or_else(|| format!("no volume `{name}` is declared"))?;
        let Some(options) = self.get(declared, "driver_opts") else { return Ok(Source::Volume(name.to_owned())) };
        let part = |key: &str| self.get(options, key).and_then(|id| self.text(id));
        let binds = part("o").is_some_and(|text| text.text.split(',').any(|option| option == "bind"));
        Ok(match part("device") {
            Some(device) if binds && device.unknown.is_some() => hanging(&device),
            Some(device) if binds => Source::Host(self.host_path(&device.text, device.place)),
            _ => Source::Volume(name.to_owned()),
        })
    }

    fn file_mount(&self, item: NodeId, top: NodeId, key: &str, folder: &str) -> Result<Mount, String> {
        let place = self.place(item);
        let long = self.at(item).is_map();
        let part = |key: &str| if long { self.get(item, key).and_then(|id| self.text(id)) } else { None };
        let name = if long { part("source") } else { self.text(item) };
        let name = name.ok_or_else(|| format!("say which of `{key}`: `source: NAME`"))?;
        let declared = self.get(top, key).and_then(|all| self.get(all, &name.text));
        let declared = declared.ok_or_else(|| format!("no `{}` is declared in `{key}`", name.text))?;
        let source = |key: &str| self.get(declared, key).and_then(|id| self.text(id));
        let source = match (source("file"), source("content")) {
            (Some(file), _) if file.unknown.is_some() => hanging(&file),
            (Some(file), _) => Source::Host(self.host_path(&file.text, file.place)),
            (None, Some(content)) => Source::Content(content),
            (None, None) => Source::Unknown(format!("what `{}` holds is not in the files", name.text)),
        };
        let target = match part("target") {
            Some(target) if target.text.starts_with('/') => target,
            Some(target) => Text { text: format!("{folder}{}", target.text), ..target },
            None => Text { text: format!("{folder}{}", name.text), ..name },
        };
        Ok(Mount { source, target: Text { text: clean(&target.text), ..target }, read_only: true, place })
    }

    /// A path of the host, from where it is written.
    fn host_path(&self, path: &str, place: super::super::Place) -> PathBuf {
        let at_home = |rest: &str| Some(self.home.as_ref()?.join(rest.trim_start_matches('/')));
        let path = match path.strip_prefix('~').and_then(at_home) {
            Some(path) => path,
            None => self.folder(place).join(path),
        };
        let mut out = PathBuf::new();
        for part in path.components() {
            match part {
                Component::CurDir => {}
                Component::ParentDir if matches!(out.components().next_back(), Some(Component::Normal(_))) => {
                    out.pop();
                }
                part => out.push(part),
            }
        }
        out
    }
}

fn hanging(text: &Text) -> Source {
    Source::Unknown(format!(
        "it hangs on the variable `{}`, which isn't known",
        text.unknown.as_deref().unwrap_or_default()
    ))
}

/// The parts of a short form between its colons; the colon of a Windows drive is none.
fn parts(text: &str) -> Result<Vec<String>, String> {
    if text.is_empty() {
        return Err("the volume is empty".to_owned());
    }
    if text.chars().count() <= 2 {
        return Ok(vec![text.to_owned()]);
    }
    let mut parts = vec![String::new()];
    for c in text.chars() {
        let Some(part) = parts.last_mut() else { break };
        let drive = part.chars().count() == 1 && part.starts_with(char::is_alphabetic);
        if c == ':' && !drive { parts.push(String::new()) } else { part.push(c) }
    }
    match parts.iter().any(String::is_empty) {
        true => Err(format!("`{text}` has nothing between its colons")),
        false => Ok(parts),
    }
}

/// Whether a source is a path, not the name of a volume.
fn is_path(source: &str) -> bool {
    let drive = source.as_bytes().get(1) == Some(&b':');
    source.starts_with(['.', '/', '~']) || source.starts_with("\\\\") || drive
}

/// A path of a container without `.`, `..` and doubled slashes, as Go's `path.Clean`.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let start = if path.starts_with('/') { "/" } else { "" };
    format!("{start}{}", parts.join("/"))
}
