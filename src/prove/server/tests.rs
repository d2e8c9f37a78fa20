use rustix::process::test_kill_process_group;

use super::*;

const LIMIT: Duration = Duration::from_secs(20);
/// Names what this test program does when a test starts it as a child; see [`child`].
const ROLE: &str = "LLMGUARD_TEST_ROLE";

/// Not a test: what the tests below start. Without its variable it does nothing.
#[test]
fn child() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let (role, value) = role.split_once('=').unwrap();
    match role {
        "listen" => {
            let _listener = TcpListener::bind(value).unwrap();
            std::thread::sleep(LIMIT);
        }
        "parent" => {
            let scratch = Scratch::new().unwrap();
            let running = Running::start(&shell("sleep 60 & sleep 60", scratch.path())).unwrap();
            let told = Path::new(value);
            std::fs::write(told.with_extension("new"), format!("{} {}", running.pid(), scratch.path().display()))
                .unwrap();
            std::fs::rename(told.with_extension("new"), told).unwrap();
            std::thread::sleep(LIMIT);
        }
        other => unreachable!("{other}"),
    }
}

fn launch_self(role: String, folder: &Path) -> Launch {
    Launch {
        program: std::env::current_exe().unwrap(),
        args: ["--exact", "prove::server::tests::child"].map(OsString::from).to_vec(),
        env: vec![(ROLE.into(), role.into())],
        cwd: folder.to_owned(),
        log: folder.join("log"),
    }
}

fn shell(script: &str, folder: &Path) -> Launch {
    let args = ["-c", script].map(OsString::from).to_vec();
    Launch { program: "/bin/sh".into(), args, env: vec![], cwd: folder.to_owned(), log: folder.join("log") }
}

/// Whether a process of this group runs. One that is dead and not yet reaped by init does not.
fn runs(group: u32) -> bool {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return test_kill_process_group(Pid::from_raw(group.cast_signed()).unwrap()).is_ok();
    };
    let stats = entries.flatten().filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok());
    stats.into_iter().any(|stat| {
        // proc_pid_stat(5): pid (name) state ppid pgrp …; a name may hold blanks and parentheses.
        let mut fields = stat.rsplit(") ").next().unwrap_or("").split(' ');
        fields.next() != Some("Z") && fields.nth(1) == Some(&group.to_string())
    })
}

fn gone(group: u32) -> bool {
    let until = Instant::now() + LIMIT;
    while runs(group) && Instant::now() < until {
        std::thread::sleep(LOOK);
    }
    !runs(group)
}

#[test]
fn a_server_is_awaited_and_stopped() {
    let folder = Scratch::new().unwrap();
    let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port().unwrap()));
    let mut running = Running::start(&launch_self(format!("listen={addr}"), folder.path())).unwrap();
    running.wait_ready(addr, LIMIT).unwrap();
    assert!(running.alive());
    let pid = running.pid();
    assert!(runs(pid));
    assert!(running.stop(LIMIT).is_some());
    assert!(gone(pid));
    assert!(TcpStream::connect(addr).is_err());
}

#[test]
fn an_early_end_shows_the_log() {
    let folder = Scratch::new().unwrap();
    let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port().unwrap()));
    // Only what is passed on, and what is given, is in its environment.
    let mut broken = shell("echo out; echo ${CARGO_MANIFEST_DIR:-no such} $X >&2; exit 3", folder.path());
    broken.env.push(("X".into(), "directive".into()));
    let mut running = Running::start(&broken).unwrap();
    let reason = running.wait_ready(addr, LIMIT).unwrap_err();
    assert!(reason.contains("exit status: 3") && reason.contains("out\nno such directive"), "{reason}");
    let mut running = Running::start(&shell("echo idle; sleep 60", folder.path())).unwrap();
    let reason = running.wait_ready(addr, Duration::from_millis(100)).unwrap_err();
    assert!(reason.contains("nothing listens") && reason.contains("idle"), "{reason}");
    let missing = Launch { program: "/no/such/server".into(), ..shell("", folder.path()) };
    assert!(Running::start(&missing).unwrap_err().contains("`/no/such/server` can't be started"));
}

#[test]
fn the_whole_group_dies_with_it() {
    let folder = Scratch::new().unwrap();
    // Deaf to SIGTERM, and with a child of its own.
    let deaf = shell("trap '' TERM; sleep 60 & echo ready; sleep 60; sleep 60", folder.path());
    let running = Running::start(&deaf).unwrap();
    let pid = running.pid();
    while !running.log_tail().contains("ready") {
        std::thread::sleep(LOOK);
    }
    assert!(!running.stop(Duration::from_millis(100)).unwrap().success());
    assert!(gone(pid));
    let running = Running::start(&deaf).unwrap();
    let pid = running.pid();
    drop(running);
    assert!(gone(pid));
    // The leader ends, what it started stays: that must not stay either.
    let mut running = Running::start(&shell("sleep 60 & exit 0", folder.path())).unwrap();
    let pid = running.pid();
    assert!(running.wait_exit(LIMIT).unwrap().success());
    assert!(gone(pid));
}

#[test]
fn an_interrupt_ends_children_and_folders() {
    for signal in [Signal::INT, Signal::TERM] {
        let folder = Scratch::new().unwrap();
        let told = folder.path().join("told");
        let mut parent = Running::start(&launch_self(format!("parent={}", told.display()), folder.path())).unwrap();
        let until = Instant::now() + LIMIT;
        while !told.exists() && Instant::now() < until {
            std::thread::sleep(LOOK);
        }
        let text = std::fs::read_to_string(told).unwrap();
        let (group, scratch) = text.split_once(' ').unwrap();
        assert!(Path::new(scratch).exists());
        kill_process(Pid::from_child(&parent.child), signal).unwrap();
        assert_eq!(parent.wait_exit(LIMIT).and_then(|status| status.code()), Some(130));
        assert!(gone(group.parse().unwrap()));
        assert!(!Path::new(scratch).exists());
    }
}
