//! A server as a child process. In: a program with its arguments, environment, folder and log. Out: a [`Running`] server.
//!
//! Invariant: each child has its own process group, and the whole group is dead once its [`Running`] is gone, be it by
//! [`Running::stop`], drop, panic, or an interrupt of this process.

mod find;
mod interrupt;

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

pub use find::{Program, find, nginx_build, nginx_module, output, program, version};
pub use interrupt::Scratch;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid};

/// The variables that a server inherits. Others could change what it does (`TRAEFIK_…`, `CADDY_ADMIN`, `NGINX`).
const INHERITED: [&str; 5] = ["PATH", "LD_LIBRARY_PATH", "TMPDIR", "LANG", "TZ"];
/// How often a child and its port are looked at.
const LOOK: Duration = Duration::from_millis(10);
/// How much of the log an error shows.
const TAIL: u64 = 4 * 1024;

/// The variables that are inherited, with their values.
fn inherited() -> impl Iterator<Item = (&'static str, OsString)> {
    INHERITED.iter().filter_map(|name| Some((*name, std::env::var_os(name)?)))
}

/// What is started.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The program.
    pub program: PathBuf,
    /// Its arguments. They are visible to every user of the machine: no secrets.
    pub args: Vec<OsString>,
    /// Variables beside the few that are inherited (PATH, LD_LIBRARY_PATH, TMPDIR, LANG, TZ).
    pub env: Vec<(OsString, OsString)>,
    /// The folder it runs in.
    pub cwd: PathBuf,
    /// The file that gets its standard output and standard error, behind what is there.
    pub log: PathBuf,
}

/// A child process and its process group.
#[derive(Debug)]
pub struct Running {
    child: Child,
    log: Option<PathBuf>,
    exited: Option<ExitStatus>,
}

impl Running {
    /// Starts a server. Errors: the log can't be opened or the program not be started, as a sentence.
    pub fn start(launch: &Launch) -> Result<Self, String> {
        let no_log = |error: std::io::Error| format!("the log `{}` can't be written: {error}", launch.log.display());
        let output = File::options().create(true).append(true).open(&launch.log).map_err(no_log)?;
        let errors = output.try_clone().map_err(no_log)?;
        let mut command = Command::new(&launch.program);
        command.args(&launch.args).env_clear().envs(inherited());
        command.envs(launch.env.iter().map(|(name, value)| (name, value)));
        command.current_dir(&launch.cwd).stdin(Stdio::null()).stdout(output).stderr(errors).process_group(0);
        Running::spawn(command, Some(launch.log.clone()))
            .map_err(|reason| format!("`{}` can't be started: {reason}", launch.program.display()))
    }

    /// Starts a command that makes its own process group.
    fn spawn(mut command: Command, log: Option<PathBuf>) -> Result<Self, String> {
        Ok(Running { child: interrupt::spawn(&mut command)?, log, exited: None })
    }

    /// Waits up to `limit` until `addr` accepts a connection. Errors: it ended or does not listen, with the end of its log.
    pub fn wait_ready(&mut self, addr: SocketAddr, limit: Duration) -> Result<(), String> {
        let until = Instant::now() + limit;
        loop {
            let listens = TcpStream::connect_timeout(&addr, Duration::from_secs(1)).is_ok();
            // Looked at after the connect: a child that could not bind has ended while somebody else answered.
            if let Some(status) = self.wait_exit(if listens { LOOK } else { Duration::ZERO }) {
                return Err(format!("the server ended ({status}); the end of its log:\n{}", self.log_tail()));
            }
            if listens {
                return Ok(());
            }
            if Instant::now() >= until {
                let log = self.log_tail();
                return Err(format!("nothing listens on {addr} after {limit:?}; the end of the server's log:\n{log}"));
            }
            std::thread::sleep(LOOK);
        }
    }

    /// The process id of the server, which is its process group's too.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    pub fn alive(&mut self) -> bool {
        self.wait_exit(Duration::ZERO).is_none()
    }

    /// The last few KiB of the log.
    pub fn log_tail(&self) -> String {
        self.log.as_deref().map(tail).unwrap_or_default()
    }

    /// Asks the server to end (SIGTERM), kills its whole group after `limit`, and returns how it ended.
    pub fn stop(mut self, limit: Duration) -> Option<ExitStatus> {
        if self.exited.is_none() {
            // It may be ending already; then the wait below sees it.
            let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        }
        self.wait_exit(limit);
        self.end();
        self.exited
    }

    /// Waits up to `limit` for the child's end; when it comes, what is left of its group is killed.
    fn wait_exit(&mut self, limit: Duration) -> Option<ExitStatus> {
        let until = Instant::now() + limit;
        while self.exited.is_none() {
            // NOWAIT leaves the child unreaped, so that its number still names its group alone.
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
            if let Ok(Some(_)) = waitid(WaitId::Pid(Pid::from_child(&self.child)), options) {
                self.end();
            } else if Instant::now() >= until {
                break;
            } else {
                std::thread::sleep(LOOK.min(until.saturating_duration_since(Instant::now())));
            }
        }
        self.exited
    }

    /// Kills the group and reaps the child.
    fn end(&mut self) {
        if self.exited.is_none() {
            // An error means that nobody is left in it.
            let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
            interrupt::forget(&self.child);
            self.exited = self.child.wait().ok();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

fn tail(path: &Path) -> String {
    let read = || {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
        let mut bytes = Vec::new();
        file.take(TAIL).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
    };
    read().unwrap_or_else(|error: std::io::Error| format!("(the log can't be read: {error})"))
}

/// A port of 127.0.0.1 that is free and that this process gave to nobody else. It lies below those that the system gives out by itself, so that
/// no connection takes it before its server does. Errors: what the system says.
pub fn free_port() -> std::io::Result<u16> {
    const FIRST: u16 = 10_000;
    const COUNT: u16 = 20_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Processes beside this one begin elsewhere.
    let start = (std::process::id() % u32::from(COUNT)) as u16;
    for _ in 0..COUNT {
        let next = NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
        let port = FIRST + ((u32::from(start) * 97 + u32::from(next)) % u32::from(COUNT)) as u16;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

#[cfg(test)]
mod tests;
