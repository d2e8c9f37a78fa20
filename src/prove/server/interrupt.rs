//! What must not outlive this process when it is interrupted: groups of child processes and folders with rendered secrets.
//!
//! In: registrations. Out: on SIGINT, SIGTERM or SIGHUP every group is killed, every folder removed, and the process ends with
//! 130. Invariant: a child is registered in the same moment in which it exists (the registry is locked while it is started).

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

#[derive(Default)]
struct Registry {
    groups: HashSet<i32>,
    folders: HashSet<PathBuf>,
}

/// The exit code of a program that Ctrl-C ended, as shells count it.
const INTERRUPTED: i32 = 130;

/// The registry; the first use sets the signal handler. `Err`: why there is none.
static REGISTRY: LazyLock<(Mutex<Registry>, Result<(), String>)> = LazyLock::new(|| {
    let handler = ctrlc::set_handler(|| {
        end_all();
        std::process::exit(INTERRUPTED);
    });
    (Mutex::default(), handler.map_err(|error| format!("the signal handler can't be set: {error}")))
});

fn registry() -> MutexGuard<'static, Registry> {
    REGISTRY.0.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends what is registered. The registry stays locked for ever, so that nothing new starts before the process has ended.
fn end_all() {
    let registry = registry();
    for pid in registry.groups.iter().filter_map(|&group| Pid::from_raw(group)) {
        // It may have ended by itself.
        let _ = kill_process_group(pid, Signal::KILL);
    }
    for folder in &registry.folders {
        // A process that is being killed may still add a file.
        (0..20).find(|_| {
            std::fs::remove_dir_all(folder).is_ok() || !folder.exists() || {
                std::thread::sleep(Duration::from_millis(10));
                false
            }
        });
    }
    std::mem::forget(registry);
}

/// Starts a command, which must make its own process group, and registers the group. Errors: what the system says.
pub(super) fn spawn(command: &mut Command) -> Result<Child, String> {
    REGISTRY.1.clone()?;
    let mut registry = registry();
    let child = command.spawn().map_err(|error| error.to_string())?;
    registry.groups.insert(Pid::from_child(&child).as_raw_pid());
    Ok(child)
}

/// Forgets the group of a child. Call it before the child is reaped: afterwards its number may be somebody else's.
pub(super) fn forget(child: &Child) {
    registry().groups.remove(&Pid::from_child(child).as_raw_pid());
}

/// A new empty folder of mode 0700 that is removed with all that is in it when this is dropped or the process is interrupted.
#[derive(Debug)]
pub struct Scratch {
    folder: tempfile::TempDir,
    kept: bool,
}

impl Scratch {
    /// Makes the folder where temporary files belong. Errors: what the system says.
    pub fn new() -> Result<Self, String> {
        REGISTRY.1.clone()?;
        let mut registry = registry();
        let folder = tempfile::Builder::new().prefix("llmguard-").tempdir().map_err(|error| error.to_string())?;
        registry.folders.insert(folder.path().to_owned());
        Ok(Scratch { folder, kept: false })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// It stays, with all that is in it. Returns where it is.
    pub fn keep(mut self) -> PathBuf {
        self.kept = true;
        self.folder.disable_cleanup(true);
        self.folder.path().to_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Removed before it is forgotten, so that an interrupt in between finds it. What fails here is tried again below.
        if !self.kept {
            let _ = std::fs::remove_dir_all(self.folder.path());
        }
        registry().folders.remove(self.folder.path());
    }
}
