//! A container's files as a folder of this machine: what its service mounts, in the places where the container sees it.
//!
//! In: a service. Out: a temporary folder of links, and names that lead back to the host's own files. Invariant: nothing is written
//! but that folder, which goes with the [`Container`]; a file's name is the host's, also in messages.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use tempfile::TempDir;

use super::inside::{Given, Inside};

use crate::diag::Sink;
use crate::dialect::compose::model::{Service, Source, Variable};
use crate::dialect::{Options, Variables};
use crate::gateway::Gateway;
use crate::source::{SourceFile, Texts};

/// The files of a container.
pub struct Container<'s> {
    folder: TempDir,
    service: &'s Service,
    /// Files that were written here, by their path in the container: what people call them, and where they come from.
    made: BTreeMap<String, (String, PathBuf)>,
    /// What files hold that nobody has written yet.
    texts: Texts,
}

impl<'s> Container<'s> {
    /// Lays out what a service mounts. Errors: what the system says.
    pub fn new(service: &'s Service, texts: &Texts) -> std::io::Result<Container<'s>> {
        let (made, texts) = (BTreeMap::new(), texts.clone());
        let mut container = Container { folder: TempDir::new()?, service, made, texts };
        let mut mounts: Vec<_> = service.mounts.iter().collect();
        mounts.sort_by_key(|mount| mount.target.text.len());
        for mount in mounts {
            let target = mount.target.text.as_str();
            match &mount.source {
                Source::Host(host) if host.exists() => container.link(target, host)?,
                Source::Content(text) => {
                    let name = format!("the config at {target}");
                    container.write(target, &text.text, name, PathBuf::from(target))?;
                }
                Source::Host(_) | Source::Volume(_) | Source::Memory | Source::Unknown(_) => {}
            }
        }
        Ok(container)
    }

    /// A path of the container on this machine.
    pub fn at(&self, path: &str) -> PathBuf {
        let mut out = self.folder.path().to_owned();
        out.extend(Path::new(path).components().filter(|part| matches!(part, Component::Normal(_))));
        out
    }

    /// A path of the container that begins where it works: in `home` unless the service says so.
    pub fn path(&self, path: &str, home: &str) -> String {
        let folder = self.service.working_dir.as_ref().map_or(home, |folder| folder.text.as_str());
        match path.starts_with('/') {
            true => path.to_owned(),
            false => format!("{}/{path}", folder.trim_end_matches('/')),
        }
    }

    /// Whether the container has something there, as far as it is known.
    pub fn has(&self, path: &str) -> bool {
        self.at(path).exists()
    }

    /// Makes the folder of a path, so that something can be put into it: a link on the way becomes a folder of links.
    fn make_way(&self, path: &str) -> std::io::Result<PathBuf> {
        let target = self.at(path);
        let below = target.strip_prefix(self.folder.path()).unwrap_or(Path::new("")).to_owned();
        let mut at = self.folder.path().to_owned();
        for part in below.parent().into_iter().flat_map(Path::components) {
            at.push(part);
            if at.is_symlink() && at.is_dir() {
                let real = at.canonicalize()?;
                std::fs::remove_file(&at)?;
                std::fs::create_dir(&at)?;
                for entry in std::fs::read_dir(&real)? {
                    let entry = entry?;
                    symlink(&entry.path(), &at.join(entry.file_name()))?;
                }
            } else if !at.is_dir() {
                std::fs::create_dir(&at)?;
            }
        }
        if target.is_symlink() || target.is_file() {
            std::fs::remove_file(&target)?;
        }
        Ok(target)
    }

    fn link(&mut self, path: &str, host: &Path) -> std::io::Result<()> {
        let target = self.make_way(path)?;
        if target.is_dir() {
            return Ok(());
        }
        symlink(&host.canonicalize()?, &target)
    }

    /// Puts a text into the container; `name` is what messages call it, `from` the file that it is made of.
    pub fn write(&mut self, path: &str, text: &str, name: String, from: PathBuf) -> std::io::Result<()> {
        let target = self.make_way(path)?;
        std::fs::write(&target, text)?;
        self.made.insert(path.to_owned(), (name, from));
        Ok(())
    }

    /// A file of the container, by the name that it has on the host. Errors: what the system says.
    pub fn read(&self, path: &str) -> Result<SourceFile, String> {
        self.texts.read_config(self.host_name(path).0, &self.at(path))
    }

    /// How a reader sees the container: its files, and the service's environment.
    pub fn options(&self, options: &Options) -> Options {
        let (known, unknown): (Vec<_>, Vec<_>) =
            self.service.environment.iter().partition(|variable| variable.unknown.is_none());
        let value = |variable: &Variable| Some((variable.name.clone(), variable.value.as_ref()?.reveal().to_owned()));
        let variables = Variables {
            values: known.into_iter().filter_map(value).collect(),
            unknown: unknown.into_iter().map(|variable| variable.name.clone()).collect(),
            // A variable of the image's own may be there too; configs don't name those.
            complete: true,
            ..Variables::default()
        };
        let mounted = self.service.mounts.iter().filter_map(|mount| match &mount.source {
            Source::Host(host) => Some((self.at(&mount.target.text), host.display().to_string())),
            Source::Volume(_) | Source::Content(_) | Source::Memory | Source::Unknown(_) => None,
        });
        let made = self.made.iter().map(|(path, (name, _))| (self.at(path), name.clone()));
        let own = (self.folder.path().to_owned(), format!("{}:", self.service.name));
        let names = mounted.chain(made).chain([own]).collect();
        Options { root: Some(self.folder.path().to_owned()), variables, names, ..options.clone() }
    }

    /// What a server is started with that is given this.
    pub fn inside(self, given: Given, options: &Options) -> Inside {
        let options = self.options(options);
        Inside { given, options, published: Vec::new(), _files: Some(self.folder) }
    }

    /// Gives the files of a gateway and of problems the names that they have on the host.
    pub fn rename(&self, gateway: &mut Gateway, sink: &mut Sink) {
        gateway.files.iter_mut().for_each(|file| self.rename_file(file));
        let root = self.folder.path().display().to_string();
        for problem in &mut sink.list {
            problem.file.iter_mut().for_each(|file| self.rename_file(file));
            problem.message = self.outside(&problem.message, &root);
            problem.help = problem.help.take().map(|help| self.outside(&help, &root));
        }
    }

    fn rename_file(&self, file: &mut SourceFile) {
        let inside = |path: &Path| {
            let below = path.strip_prefix(self.folder.path()).ok()?;
            Some(format!("/{}", below.display()))
        };
        let Some(path) = inside(&file.path).or_else(|| inside(Path::new(&file.name))) else { return };
        let (name, host) = self.host_name(&path);
        (file.name, file.path) = (name, host);
    }

    /// What a path of the container is called, and where it lies on the host.
    pub fn host_name(&self, path: &str) -> (String, PathBuf) {
        if let Some((name, from)) = self.made.get(path) {
            return (name.clone(), from.clone());
        }
        match self.service.host_path(path) {
            Some(host) => (host.display().to_string(), host),
            None => (path.to_owned(), PathBuf::from(path)),
        }
    }

    /// A message with the container's own paths.
    fn outside(&self, message: &str, root: &str) -> String {
        if message.contains(root) {
            message.replace(root, &format!("{}:", self.service.name))
        } else {
            message.to_owned()
        }
    }
}

/// A link that is relative, since readers take an absolute one for a path of the container.
fn symlink(to: &Path, at: &Path) -> std::io::Result<()> {
    let depth = at.parent().map_or(0, |folder| folder.components().count().saturating_sub(1));
    let mut target: PathBuf = std::iter::repeat_n("..", depth).collect();
    target.extend(to.components().filter(|part| matches!(part, Component::Normal(_))));
    std::os::unix::fs::symlink(target, at)
}
