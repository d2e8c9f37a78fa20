//! The command line as scripts rely on it: exit codes, what goes where, which files are read and written.
//!
//! In: `fixtures/cli`, a policy with its `env`, and request lines for `decide` with the decisions that they get. Out: the program
//! run in a folder of its own with no variables but those given. `LLMGUARD_BLESS=1` writes the decisions that are made now.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "common/program.rs"]
mod program;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use program::{Folder, ran};
use serde_json::Value;

const KEY: &str = "laptop-0123456789-0123456789-0123456789";
const SMALL: &str = "[upstream]\nkind = \"ollama\"\n\n[[client]]\nname = \"laptop\"\napi_key = \"env:LAPTOP_KEY\"\n";

/// With a policy and its `.env`.
fn small() -> Folder {
    Folder::new(&[("llmguard.toml", SMALL), (".env", &format!("LAPTOP_KEY={KEY}\n"))])
}

/// Everything below a folder: path and bytes.
fn all(folder: &Folder, name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.path(name)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push((path.clone(), fs::read(path).unwrap())) }
        }
    }
    found.sort();
    found
}

#[test]
fn the_policy_is_found_upward_or_named() {
    let folder = small();
    fs::create_dir_all(folder.path("a/b")).unwrap();
    let mut below = folder.command("check");
    below.current_dir(folder.path("a/b"));
    let found = ran(&mut below, "");
    found.ends(0).says(&["llmguard.toml: valid: 1 client in front of ollama"]);
    assert!(found.out.is_empty());

    let mut broken = folder.command("check --policy ../../wrong.toml");
    folder.write("wrong.toml", "[upstream]\nkind = \"x\"\n");
    ran(broken.current_dir(folder.path("a/b")), "")
        .ends(2)
        .says(&["--> ../../wrong.toml:2:8", "../../wrong.toml: 2 errors"]);

    // The nearest counts.
    folder.write("a/llmguard.toml", "[upstream]\nkind = \"x\"\n");
    let mut nearest = folder.command("check");
    ran(nearest.current_dir(folder.path("a/b")), "").ends(2).says(&["--> ../llmguard.toml:2:8"]);

    folder.run("check --policy nowhere.toml").ends(2).says(&["can't read the policy `nowhere.toml`: no such file"]);
    folder.run("check --policy a").ends(2).says(&["can't read the policy `a`: is a folder"]);
    let empty = Folder::new(&[]);
    for command in ["check", "render --target caddy", "decide", "key new laptop"] {
        empty.run(command).ends(2).says(&["no llmguard.toml here or above", "--policy FILE"]);
    }
}

#[test]
fn variables_come_from_the_process_else_the_env_file() {
    let folder = small();
    folder.write("other.env", "LAPTOP_KEY=short\n");
    folder.write("broken.env", &format!("LAPTOP_KEY=$A{KEY}\n"));
    // Beside the policy, not in the working directory.
    fs::create_dir_all(folder.path("below")).unwrap();
    folder.write("below/.env", "LAPTOP_KEY=short\n");
    let mut below = folder.command("check");
    ran(below.current_dir(folder.path("below")), "").ends(0).says(&["valid"]);

    folder.run("check --env-file other.env").ends(2).says(&["the key behind `env:LAPTOP_KEY` has 5 characters"]);
    let mut process = folder.command("check --env-file other.env");
    ran(process.env("LAPTOP_KEY", KEY), "").ends(0).says(&["valid"]);
    let mut empty = folder.command("check");
    ran(empty.env("LAPTOP_KEY", ""), "").ends(0).says(&["variable `LAPTOP_KEY` is not set"]);

    let broken = folder.run("check --env-file broken.env");
    broken.ends(2).says(&["broken.env:1:12: Compose would expand this `$`", "single quotes"]);
    assert!(!broken.err.contains(KEY));
    folder.run("check --env-file nowhere").ends(2).says(&["can't read the variables `nowhere`: no such file"]);
    fs::remove_file(folder.path(".env")).unwrap();
    folder.run("check").ends(0).says(&["note: variable `LAPTOP_KEY` is not set", "valid"]);
    // Written into nginx's files, so needed there; named in Caddy's, so not.
    folder.run("render --target nginx --out out").ends(2).says(&["LAPTOP_KEY"]);
    assert!(!folder.path("out").exists());
    folder.run("render --target caddy --out out").ends(0).says(&["wrote"]);
}

#[test]
fn requests_are_decided_line_by_line() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/cli");
    let requests = fs::read_to_string(fixtures.join("requests.jsonl")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_llmguard"));
    command.args(["decide", "--env-file", "env"]).current_dir(&fixtures).env_clear();
    let got = ran(&mut command, &requests);
    got.ends(2).says(&[]);
    assert_eq!(got.err, "");
    let expected = fixtures.join("decisions.jsonl");
    if std::env::var_os("LLMGUARD_BLESS").is_some() {
        fs::write(&expected, &got.out).unwrap();
    }
    let lines: Vec<&str> = requests.lines().filter(|line| !line.trim().is_empty()).collect();
    let decisions: Vec<&str> = got.out.lines().collect();
    assert_eq!(lines.len(), decisions.len());
    for (expected, (line, decision)) in fs::read_to_string(&expected).unwrap().lines().zip(lines.iter().zip(&decisions))
    {
        assert_eq!(*decision, expected, "{line}");
        let decision: Value = serde_json::from_str(decision).unwrap();
        let right = match decision["outcome"].as_str().unwrap() {
            "refused" => {
                (400..=599).contains(&decision["status"].as_u64().unwrap()) && decision["steps"][0]["line"].is_u64()
            }
            "answered" => (200..=399).contains(&decision["status"].as_u64().unwrap()),
            "proxied" => ["upstream", "target", "host"].iter().all(|field| decision[field].is_string()),
            "invalid" => decision["reason"].is_string(),
            _ => false,
        };
        assert!(right, "{decision}");
        assert!(!decision.to_string().contains("0123456789"), "{decision}");
    }
}

#[test]
fn a_request_is_traced_through_the_policy() {
    let folder = small();
    let mut command = folder.command("trace --client laptop --client-ip 203.0.113.7");
    let told = ran(command.args(["--request", "POST /api/chat", "-H", "Cookie: session=0123456789"]), "");
    told.ends(0).says(&[]);
    for part in [
        "POST /api/chat\nto 127.0.0.1:8080, Host 127.0.0.1:8080, from 203.0.113.7, with the credential of laptop\n",
        "llmguard.toml:4",
        "proxied to 127.0.0.1:11434 for laptop",
        "Host: localhost:11434",
        "Authorization, X-API-Key, Cookie: none, a caller's is taken away",
    ] {
        assert!(told.out.contains(part), "`{part}` is not in:\n{}", told.out);
    }
    assert!(!told.out.contains("0123456789") && !told.out.contains('\u{1b}'), "{}", told.out);
    let line = ran(folder.command("trace --format json").args(["--request", "/api/pull"]), "");
    let decided = ran(&mut folder.command("decide"), "{\"method\": \"GET\", \"target\": \"/api/pull\"}\n");
    assert_eq!((line.code, line.out), (0, decided.out));
    let mut coloured = folder.command("trace --color always");
    assert!(ran(coloured.args(["--request", "GET /health"]), "").out.contains("\u{1b}[1manswered"));
    for (args, words) in [
        (["--request", "GET"], "`GET` is no request"),
        (["--request", "GET / HTTP/1.1"], "is no request"),
        (["--port=1", "--request=GET /"], "no listener on port 1"),
        (["--client=x", "--request=GET /"], "no client `x`"),
    ] {
        ran(folder.command("trace").args(args), "").ends(2).says(&[words]);
    }
}

#[test]
fn a_config_is_a_policy_or_paths_and_one_thing_comes_from_stdin() {
    let folder = small();
    folder.run("decide - --as nginx").ends(2).says(&["can't be both", "llmguard trace - --as"]);
    folder.run("trace - --request /").ends(2).says(&["`-` needs `--as`"]);
    folder.run("decide x.conf --policy llmguard.toml").ends(2).says(&["can't be asked together"]);
    folder.run("decide --as nginx").ends(2).says(&["PATH"]);
    folder.run("decide no-such-file --as nginx").ends(2).says(&["no-such-file"]);
    folder.run("decide x.conf --env-file none.env").ends(2).says(&["can't read the variables `none.env`"]);
    folder.run("decide x.conf --nginx-version one").ends(2).says(&["a version is like 1.22.1"]);
}

#[test]
fn configs_are_decided_like_policies() {
    let one = "server { listen 8080; location /api/ { return 403; } location / { proxy_pass http://llm:11434; } }\n";
    let asked = "server { listen 8081; location / { auth_request /a; proxy_pass http://llm; }\n\
                 location = /a { internal; proxy_pass http://auth; } }\n";
    let folder = Folder::new(&[("one.conf", one), ("two.conf", asked), ("broken.conf", "server {\n  listen 80\n}\n")]);
    let lines = "{\"method\": \"GET\", \"target\": \"/api/pull\"}\n{\"method\": \"GET\", \"target\": \"/x?y\"}\n\
                 {\"method\": \"GET\", \"target\": \"/\", \"port\": 8081}\n";
    let got = ran(&mut folder.command("decide one.conf two.conf"), lines);
    got.ends(0).says(&[]);
    let decisions: Vec<Value> = got.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [refused, proxied, unknown] = decisions.as_slice() else { panic!("{}", got.out) };
    assert_eq!((&refused["outcome"], &refused["status"]), (&"refused".into(), &403.into()));
    assert_eq!(refused["steps"][0]["file"], "one.conf");
    assert_eq!(proxied["upstream"], "llm:11434");
    assert_eq!((&proxied["target"], &proxied["host"]), (&"/x?y".into(), &"llm:11434".into()));
    assert_eq!(unknown["outcome"], "unknown");
    assert!(unknown["reason"].as_str().unwrap().contains("auth"), "{unknown}");

    let nowhere =
        ran(&mut folder.command("decide one.conf"), "{\"method\": \"GET\", \"target\": \"/\", \"port\": 1}\n");
    assert_eq!((nowhere.code, nowhere.out.contains("\"invalid\"")), (2, true), "{}", nowhere.out);
    let broken = ran(&mut folder.command("decide broken.conf --as nginx"), lines);
    broken.ends(2).says(&["broken.conf:3", "nothing done"]);
    assert_eq!(broken.out, "");
    let mut piped = folder.command("trace - --as nginx");
    let piped = ran(piped.args(["--request", "GET /api/x"]), one);
    piped.ends(0).says(&[]);
    assert!(piped.out.contains("<stdin>:1") && piped.out.contains("refused with 403 Forbidden"), "{}", piped.out);
}

#[test]
fn decide_without_a_bad_line_ends_with_zero() {
    let folder = small();
    let mut command = folder.command("decide");
    let got = ran(&mut command, "{\"method\": \"GET\", \"target\": \"/health\"}\n\n");
    assert_eq!((got.code, got.out.lines().count()), (0, 1));
    let mut nothing = folder.command("decide");
    let got = ran(&mut nothing, "");
    assert_eq!((got.code, got.out.as_str(), got.err.as_str()), (0, "", ""));
}

#[test]
fn one_main_file_goes_to_stdout_and_the_rest_needs_a_folder() {
    let folder = small();
    let caddy = folder.run("render --target caddy");
    caddy.ends(0).says(&[]);
    assert!(caddy.out.starts_with("# Made by llmguard ") && !caddy.out.contains(KEY), "{}", caddy.out);
    let quiet = folder.run("render --target caddy -q");
    assert_eq!((quiet.code, quiet.out, quiet.err.as_str()), (0, caddy.out, ""));
    let labels = folder.run("render --target traefik");
    labels.ends(0).says(&["with --out DIR also:"]);
    for args in [
        "--target nginx",
        "--target traefik-file",
        "--target caddy,traefik",
        "--target caddy --target nginx",
        "--target all",
    ] {
        folder.run(&format!("render {args}")).ends(2).says(&["--out DIR"]);
    }
    for args in ["--target caddy --check", "--target caddy --diff"] {
        folder.run(&format!("render {args}")).ends(2).says(&["compares with a folder", "--out DIR"]);
    }
    for args in [
        "render",
        "render --target apache",
        "render --target",
        "rendr",
        "",
        "check --nonsense",
        "render --target caddy --out a --check --diff",
    ] {
        let wrong = folder.run(args);
        assert_eq!((wrong.code, wrong.out.as_str()), (2, ""), "{args}: {}", wrong.err);
    }
    folder.run("render --target apache").ends(2).says(&["nginx", "caddy", "traefik-file"]);
}

#[test]
fn what_is_on_disk_is_checked_and_shown() {
    let folder = small();
    let render = "render --target nginx,caddy --out out";
    folder.run(&format!("{render} --check")).ends(1).says(&["Caddyfile is missing", "nginx.conf is missing"]);
    assert!(!folder.path("out").exists());
    let new = folder.run(&format!("{render} --diff"));
    assert_eq!(new.code, 1);
    assert!(new.out.contains("--- /dev/null\n+++ b/caddy/Caddyfile\n"), "{}", new.out);
    assert!(new.out.contains("(a secret file)") && !new.out.contains(KEY), "{}", new.out);

    let wrote = folder.run(render);
    wrote.ends(0).says(&["nginx: wrote out/nginx/", "caddy: wrote out/caddy/Caddyfile", "run: "]);
    assert_eq!(wrote.out, "");
    let before = all(&folder, "out");
    folder.run(render).ends(0).says(&[]);
    assert_eq!(all(&folder, "out"), before);
    for args in ["--check", "--diff"] {
        let same = folder.run(&format!("{render} {args}"));
        assert_eq!((same.code, same.out.as_str(), same.err.as_str()), (0, "", ""));
    }

    let secret = before.iter().find(|(path, bytes)| {
        path.to_string_lossy().contains("secrets") && String::from_utf8_lossy(bytes).contains(KEY)
    });
    let secret = &secret.unwrap().0;
    assert_eq!(fs::metadata(secret).unwrap().permissions().mode() & 0o777, 0o600);
    folder.write("out/caddy/Caddyfile", &folder.read("out/caddy/Caddyfile").replace("admin off", "admin on"));
    fs::write(secret, "another-secret").unwrap();
    folder.write("out/caddy/own.txt", "left alone");
    let differs = folder.run(&format!("{render} --diff"));
    assert_eq!(differs.code, 1);
    assert!(differs.out.contains("-\tadmin on\n+\tadmin off\n"), "{}", differs.out);
    assert!(differs.out.contains("differs (a secret file)"), "{}", differs.out);
    assert!(
        ![KEY, "another-secret", "own.txt"].iter().any(|text| differs.out.contains(text) || differs.err.contains(text))
    );
    folder.run(&format!("{render} --check")).ends(1).says(&["Caddyfile differs"]);

    folder.run(render).ends(0).says(&[]);
    assert_eq!(folder.read("out/caddy/own.txt"), "left alone");
    fs::set_permissions(secret, fs::Permissions::from_mode(0o644)).unwrap();
    folder.run(&format!("{render} --check")).ends(1).says(&["has mode 644, not 600"]);
    folder.run(render).ends(0).says(&[]);
    assert_eq!(fs::metadata(secret).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_failed_render_leaves_what_was_there() {
    let folder = small();
    folder.run("render --target nginx,caddy --out out").ends(0).says(&[]);
    let before = all(&folder, "out");
    let unchanged = |what: &str| assert_eq!(all(&folder, "out"), before, "{what}");

    // A policy with an error, and one that a target can't enforce.
    folder.write("llmguard.toml", &SMALL.replace("ollama", "x"));
    folder.run("render --target nginx,caddy --out out").ends(2).says(&["1 error, nothing done"]);
    unchanged("an error");
    folder.write("llmguard.toml", &format!("{SMALL}\n[limits]\nconnections = 4\n"));
    folder.run("render --target nginx,caddy --out out").ends(2).says(&[
        "target `caddy` can't enforce `limits.connections`",
        "--> llmguard.toml:9:",
        "nothing was written",
        "--accept-weaker",
    ]);
    unchanged("a target that can't");

    // A disk that takes no more than a kilobyte in a file.
    folder.write("llmguard.toml", &SMALL.replace("laptop", "phone"));
    let mut full = Command::new("/bin/sh");
    let script = format!(
        "trap '' XFSZ; ulimit -f 1; exec {} render --target nginx,caddy --out out",
        env!("CARGO_BIN_EXE_llmguard")
    );
    ran(full.args(["-c", &script]).current_dir(folder.path("")).env_clear(), "")
        .ends(2)
        .says(&["can't write", "nothing was changed"]);
    unchanged("a full disk");

    // A folder where a file should be, and the other way round.
    fs::remove_file(folder.path("out/caddy/Caddyfile")).unwrap();
    fs::create_dir(folder.path("out/caddy/Caddyfile")).unwrap();
    let nginx = all(&folder, "out/nginx");
    folder.run("render --target nginx,caddy --out out").ends(2).says(&["Caddyfile", "is a folder"]);
    assert_eq!(all(&folder, "out/nginx"), nginx);
    folder.write("file", "");
    folder.run("render --target caddy --out file").ends(2).says(&["`file/caddy/Caddyfile`: not a folder"]);
    assert_eq!(folder.read("file"), "");
    // A folder that nobody may write to, root neither.
    folder.run("render --target caddy --out /proc/llmguard").ends(2).says(&["can't write `/proc/llmguard"]);
}

#[test]
fn weaker_is_said_in_the_file_and_on_stderr() {
    let folder = small();
    folder.write("llmguard.toml", &format!("{SMALL}\n[limits]\nconnections = 4\n"));
    let weaker = folder.run("render --target caddy --accept-weaker");
    weaker.ends(0).says(&["warning: target `caddy` is rendered without `limits.connections`"]);
    assert!(weaker.out.contains("# WEAKER THAN THE POLICY: `limits.connections`"), "{}", weaker.out);
    // What no file could be right about stays an error.
    folder
        .write("llmguard.toml", &format!("{SMALL}\n[listen]\ntls = \"auto\"\nserver_names = [\"llm.example.com\"]\n"));
    folder
        .run("render --target nginx --out out --accept-weaker")
        .ends(2)
        .says(&["target `nginx` can't enforce `listen.tls`", "certbot"]);
    assert!(!folder.path("out").exists());
}

#[test]
fn colours_and_quietness_are_as_asked() {
    let folder = small();
    folder.write("llmguard.toml", &format!("{SMALL}\n[limits]\nrate = false\n"));
    let coloured = |args: &str, variable: Option<&str>| {
        let mut command = folder.command(args);
        command.envs(variable.map(|name| (name, "1")));
        ran(&mut command, "").err.contains('\u{1b}')
    };
    assert!(!coloured("check", None));
    assert!(coloured("check --color always", None));
    assert!(coloured("check", Some("CLICOLOR_FORCE")));
    assert!(!coloured("check --color never", Some("CLICOLOR_FORCE")));
    assert!(!coloured("check", Some("NO_COLOR")));

    folder.run("check").ends(0).says(&["warning: without a rate limit", "1 warning"]);
    assert_eq!(folder.run("check -q").err, "");
    folder.write("llmguard.toml", &format!("{SMALL}\n[limits]\nrate = true\n"));
    folder.run("check -q").ends(2).says(&["error: "]);
    // Notes are for `check`, and for others when asked.
    folder.write("llmguard.toml", SMALL);
    folder.write(".env", "");
    assert!(!folder.run("render --target caddy").err.contains("note:"));
    folder.run("render --target caddy -v").ends(0).says(&["note: variable `LAPTOP_KEY` is not set"]);
}

#[test]
fn a_closed_pipe_is_no_error() {
    let folder = small();
    for (args, input) in [
        ("schema", ""),
        ("render --target caddy", ""),
        ("decide", "{\"method\": \"GET\", \"target\": \"/\"}\n"),
        ("--help", ""),
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut child =
            folder.command(args).stdin(Stdio::piped()).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let out = child.wait_with_output().unwrap();
        let err = String::from_utf8(out.stderr).unwrap();
        assert!(out.status.success() && !err.contains("panic"), "{args}: {:?} {err}", out.status);
    }
}

#[test]
fn keys_are_made_rotated_and_retired() {
    let folder = Folder::new(&[("llmguard.toml", SMALL)]);
    let made = folder.run("key new laptop");
    made.ends(0).says(&["`LAPTOP_KEY` is set in .env"]);
    let key = made.out.trim_end().to_owned();
    assert!(key.len() == 43 && !made.err.contains(&key), "{}", made.out);
    assert_eq!(folder.read(".env"), format!("LAPTOP_KEY={key}\n"));
    assert_eq!(fs::metadata(folder.path(".env")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(folder.read("llmguard.toml"), SMALL);
    folder.run("check").ends(0).says(&["valid"]);

    let again = folder.run("key new laptop");
    again.ends(2).says(&["`LAPTOP_KEY` is set in `.env` already", "llmguard key rotate laptop"]);
    assert_eq!(again.out, "");
    let second = folder.run("key rotate laptop");
    second.ends(0).says(&["`LAPTOP_KEY_2` is set in .env", "llmguard key retire laptop"]);
    assert_ne!(second.out, made.out);
    assert!(folder.read("llmguard.toml").contains("api_key = [\"env:LAPTOP_KEY\", \"env:LAPTOP_KEY_2\"]\n"));
    folder.run("check").ends(0).says(&["valid"]);
    let retired = folder.run("key retire laptop");
    retired.ends(0).says(&["`LAPTOP_KEY` opens nothing"]);
    assert_eq!(retired.out, "");
    assert_eq!(folder.read(".env"), format!("LAPTOP_KEY_2={}", second.out));
    assert_eq!(folder.read("llmguard.toml"), SMALL.replace("LAPTOP_KEY", "LAPTOP_KEY_2"));
    folder.run("key retire laptop").ends(2).says(&["only one key"]);

    let unknown = folder.run("key new my-phone");
    unknown.ends(2).says(&[
        "no client `my-phone`",
        "[[client]]",
        "name = \"my-phone\"",
        "api_key = \"env:MY_PHONE_KEY\"",
    ]);
    assert_eq!(unknown.out, "");
    folder.run("key new laptop --env-file other").ends(0).says(&["`LAPTOP_KEY_2` is set in other"]);
    assert_eq!(folder.run("key rotate laptop -q").err, "");
}

#[test]
fn passwords_are_hashed_from_stdin() {
    let folder = Folder::new(&[]);
    let hash = |args: &str, input: &str| ran(&mut folder.command(&format!("key hash {args}")), input);
    let word = "correct horse battery staple";
    for (args, input, start) in [
        ("", word.to_owned(), "$2y$08$"),
        ("--cost 5", format!("{word}\r\n"), "$2y$05$"),
        ("--algorithm bcrypt", format!("{word}\n"), "$2y$08$"),
        ("--algorithm argon2id", format!("{word}\n"), "$argon2id$v=19$m=47104,t=1,p=1$"),
    ] {
        let hashed = hash(args, &input);
        hashed.ends(0).says(
            &["every single request", "API key"].map(|text| if args.contains("argon") { "only Caddy" } else { text }),
        );
        assert!(hashed.out.starts_with(start) && hashed.out.lines().count() == 1, "{}", hashed.out);
        if start.starts_with("$2y") {
            assert!(bcrypt::verify(word, hashed.out.trim_end()).unwrap());
        }
        assert!(!hashed.err.contains(word) && hash(&format!("{args} -q"), &input).err.is_empty());
    }
    for (args, input, told) in [
        ("", "short", "12 are the least"),
        ("", "", "12 are the least"),
        ("", "two lines are\nnot a password", "control characters"),
        ("--cost 3", word, "out of range"),
        ("--cost 15", word, "out of range"),
        ("--algorithm argon2id --cost 9", word, "`--cost` is for bcrypt"),
        ("--algorithm md5", word, "argon2id"),
    ] {
        let refused = hash(args, input);
        refused.ends(2).says(&[told]);
        assert_eq!(refused.out, "");
    }
}

#[test]
fn the_certificate_is_read_before_a_server_does() {
    let folder = small();
    let listen = "\n[listen]\nserver_names = [\"llm.example.com\"]\ntls = \"files\"\ncertificate = \"tls/cert.pem\"\nprivate_key = \"tls/key.pem\"\n";
    folder.write("llmguard.toml", &format!("{SMALL}{listen}"));
    folder.run("check").ends(2).says(&[
        "can't read `tls/cert.pem`, the `listen.certificate`: no such file",
        "`tls/key.pem`",
        "--> llmguard.toml:11:1",
    ]);
    // Rendering for another machine is possible.
    folder.run("render --target caddy").ends(0).says(&["warning: can't read `tls/cert.pem`"]);

    let pair = |name: &str| rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    let (good, other) = (pair("llm.example.com"), pair("other.example.com"));
    folder.write("tls/cert.pem", &good.cert.pem());
    folder.write("tls/key.pem", &good.signing_key.serialize_pem());
    fs::set_permissions(folder.path("tls/key.pem"), fs::Permissions::from_mode(0o600)).unwrap();
    folder.run("check").ends(0).says(&["valid: 1 client"]);
    assert_eq!(folder.run("check -q").err, "");

    folder.write("tls/cert.pem", &other.cert.pem());
    for command in ["check", "render --target caddy"] {
        folder.run(command).ends(2).says(&["does not belong", "is not for `llm.example.com`", "2 errors"]);
    }
    folder.write("tls/cert.pem", &good.cert.pem());
    fs::set_permissions(folder.path("tls/key.pem"), fs::Permissions::from_mode(0o644)).unwrap();
    folder.run("check").ends(0).says(&["warning: `tls/key.pem` has mode 0644", "--> llmguard.toml:12:1", "chmod 600"]);
    // What a policy means doesn't hang on the files.
    fs::remove_file(folder.path("tls/key.pem")).unwrap();
    assert_eq!(folder.run("decide").code, 0);
}
