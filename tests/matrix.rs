//! `llmguard matrix` over policies and configs: every format as it was agreed on, and the pictures looked at in a real browser.
//!
//! In: `fixtures/matrix/NAME/`: a policy or configs, and `arguments` with one argument of `matrix` in each line. Out: `expected.txt`,
//! `expected.json`, `expected.html`, `expected.svg`; `LLMGUARD_BLESS=1` writes what is drawn now. Chromium is told by `LLMGUARD_CHROMIUM`.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "tests")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const FORMATS: &[(&str, &str)] = &[("human", "txt"), ("json", "json"), ("html", "html"), ("svg", "svg")];

/// How long the browser may take for one picture.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a page that is measured says of itself: what is cut off or too wide, and every text whose contrast is too low.
const MEASURE: &str = include_str!("matrix/measure.js");

/// Gathers what the frames of a page say, when all are there; in pieces, so that the script isn't taken for what it writes.
const COLLECT: &str = r#"addEventListener("load", () => {
  for (const frame of [...document.querySelectorAll("iframe")]) {
    const told = document.createElement("pre");
    told.className = "told";
    told.textContent = `${frame.name}: ${frame.contentDocument.getElementById("told")?.textContent}`;
    document.body.append(told);
    frame.remove();
  }
});"#;

fn fixtures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/matrix");
    let mut all: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.sort();
    all
}

/// What is drawn, with what is said beside it.
fn drawn(fixture: &Path, format: &str) -> (String, String) {
    let arguments = fs::read_to_string(fixture.join("arguments")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_llmguard"));
    command.arg("matrix").args(arguments.lines()).args(["--format", format]).current_dir(fixture).env_clear();
    let out = command.output().unwrap();
    let (drawn, said) = (String::from_utf8(out.stdout).unwrap(), String::from_utf8(out.stderr).unwrap());
    let differs = said.contains(" than the policy");
    assert_eq!(out.status.code(), Some(if differs { 1 } else { 0 }), "{}: {said}", fixture.display());
    (drawn, said)
}

#[test]
fn every_format_is_as_agreed() {
    let mut wrong = Vec::new();
    for fixture in fixtures() {
        for (format, ending) in FORMATS {
            let (mut drawn, said) = drawn(&fixture, format);
            assert!(!drawn.contains("not-a-real-key") && !drawn.contains("$2a$"), "{}: {format}", fixture.display());
            match *format {
                "human" => {
                    assert!(drawn.lines().all(|line| line.chars().count() <= 100), "{}", fixture.display());
                    assert!(!drawn.contains('\u{1b}'), "{}: colours, but no terminal", fixture.display());
                    drawn.push_str(&said);
                }
                "json" => drop(serde_json::from_str::<serde_json::Value>(&drawn).unwrap()),
                _ => assert!(!drawn.contains("<script") && !drawn.contains("src="), "{}", fixture.display()),
            }
            let expected = fixture.join(format!("expected.{ending}"));
            if std::env::var_os("LLMGUARD_BLESS").is_some() {
                fs::write(&expected, &drawn).unwrap();
            }
            if fs::read_to_string(&expected).unwrap_or_default() != drawn {
                wrong.push(format!("{}:\n{drawn}", expected.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_cell_is_what_decide_says() {
    let fixture = fixtures().into_iter().find(|fixture| fixture.ends_with("nginx-any-key")).unwrap();
    let (drawn, _) = drawn(&fixture, "json");
    let matrix: serde_json::Value = serde_json::from_str(&drawn).unwrap();
    let nobody = matrix["callers"][0]["id"].clone();
    let (mut requests, mut expected) = (String::new(), Vec::new());
    for row in matrix["ways"][0]["rows"].as_array().unwrap() {
        let cell = row["cells"].as_array().unwrap().iter().find(|cell| cell["caller"] == nobody).unwrap();
        for endpoint in row["endpoints"].as_array().unwrap() {
            let (method, path) = endpoint.as_str().unwrap().split_once(' ').unwrap();
            let path = path.replace(":model", "x").replace(":digest", "x").replace(":encodedKey", "x");
            let line = serde_json::json!({
                "method": method, "target": path, "port": 8080, "headers": [["Host", "llm.example.com"]],
            });
            requests.push_str(&format!("{line}\n"));
            expected.push((cell["outcome"].clone(), cell["status"].clone()));
        }
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_llmguard"));
    command.args(["decide", "nginx.conf"]).current_dir(&fixture).env_clear();
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), requests.as_bytes()).unwrap();
    let out = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    let decided: Vec<_> = out.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()).collect();
    assert_eq!(decided.len(), expected.len());
    for (line, decision) in requests.lines().zip(&decided).zip(&expected).map(|((line, own), told)| (line, (own, told)))
    {
        let (own, (outcome, status)) = decision;
        assert_eq!((&own["outcome"], &own["status"]), (outcome, status), "{line}");
    }
}

#[test]
fn rendered_configs_are_as_the_policy_wants() {
    let folder = tempfile::tempdir().unwrap();
    let policy = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/conformance/team");
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_llmguard"));
        command.args(arguments).args(["--policy", "llmguard.toml", "--env-file", "env"]);
        command.current_dir(folder.path()).env_clear().output().unwrap()
    };
    for name in ["llmguard.toml", "env"] {
        fs::copy(policy.join(name), folder.path().join(name)).unwrap();
    }
    for target in ["nginx", "caddy", "traefik-file"] {
        let rendered = run(&["render", "--target", target, "--out", target, "--accept-weaker"]);
        assert!(rendered.status.success(), "{target}: {}", String::from_utf8_lossy(&rendered.stderr));
        let out = run(&["matrix", target]);
        let said = format!("{}{}", String::from_utf8_lossy(&out.stderr), String::from_utf8_lossy(&out.stdout));
        assert_eq!(out.status.code(), Some(0), "{target}: {said}");
        assert!(said.contains("as the policy wants it"), "{target}: {said}");
    }
}

#[test]
fn the_pictures_look_right_in_a_browser() {
    let Some(chromium) = common::server("the_pictures_look_right_in_a_browser", "LLMGUARD_CHROMIUM") else { return };
    let folder = tempfile::tempdir().unwrap();
    let browser = Browser { program: chromium, folder: folder.path() };
    let blank = browser.screenshot("blank", "<!doctype html><title>x</title>", 1200);
    let (mut pages, mut seen) = (Vec::new(), Vec::new());
    for fixture in fixtures() {
        let name = fixture.file_name().unwrap().to_str().unwrap();
        let ((page, _), (svg, _)) = (drawn(&fixture, "html"), drawn(&fixture, "svg"));
        let svg = format!("<!doctype html><title>x</title>{svg}");
        for (kind, text) in [("page", page), ("picture", svg)] {
            // Seen by whoever prefers dark, too: the rules of that preference for everybody.
            let dark = text.replace("(prefers-color-scheme: dark)", "all");
            for (colours, text) in [("light", &text), ("dark", &dark)] {
                pages.extend(
                    [1200, 700].map(|width| (format!("{name}, {colours} {kind}, {width} wide"), width, text.clone())),
                );
            }
            seen.push((format!("{name}-{kind}"), text));
        }
    }
    let broken =
        "<style>p { width: 20px; white-space: nowrap; color: #aaa }</style><main><p>cut off and pale</p></main>";
    pages.push(("a broken page".to_owned(), 700, broken.to_owned()));
    let mut told = browser.measured(&pages);
    let (own, _) = (told.pop().unwrap_or_default(), pages.pop());
    assert!(own.contains("cut off: ") && own.contains("contrast 2") && own.contains("only 1 texts"), "{own}");
    let wrong: Vec<&String> = told.iter().filter(|told| !told.contains(": measured ") || told.contains('\n')).collect();
    assert!(told.len() == pages.len() && wrong.is_empty(), "{} of {}: {wrong:#?}", told.len(), pages.len());

    // All of them only for somebody who wants to look.
    let kept = std::env::var_os("LLMGUARD_SCREENSHOTS");
    let looked_at = if kept.is_some() { seen.len() } else { 2 };
    for (name, text) in &seen[..looked_at] {
        let size = browser.screenshot(name, text, 1200);
        assert!(size > 4 * blank, "{name} is blank ({size} bytes, {blank} are none)");
        if let Some(kept) = &kept {
            fs::copy(folder.path().join(format!("{name}.png")), Path::new(kept).join(format!("{name}.png"))).unwrap();
        }
    }
}

/// A browser without a screen that reaches nothing but the files in its folder.
struct Browser<'f> {
    program: PathBuf,
    folder: &'f Path,
}

impl Browser<'_> {
    /// What each page says of itself, behind its name: all of them stand in frames of one page.
    fn measured(&self, pages: &[(String, usize, String)]) -> Vec<String> {
        let frame = |(name, width, page): &(String, usize, String)| {
            let page = format!("{page}<script>{MEASURE}</script>").replace('&', "&amp;").replace('"', "&quot;");
            format!("<iframe name=\"{name}\" width=\"{width}\" height=\"900\" srcdoc=\"{page}\"></iframe>\n")
        };
        let frames: String = pages.iter().map(frame).collect();
        let page = self.page("frames", &format!("<!doctype html>{frames}<script>{COLLECT}</script>"));
        let dom = self.run(&["--dump-dom".to_owned(), "--window-size=1400,900".to_owned(), page]);
        let told = dom.split("<pre class=\"told\">").skip(1).filter_map(|rest| rest.split("</pre>").next());
        told.map(str::to_owned).collect()
    }

    /// The size of a screenshot in bytes: what is blank takes few.
    fn screenshot(&self, name: &str, page: &str, width: usize) -> u64 {
        let page = self.page(name, page);
        let image = self.folder.join(format!("{name}.png"));
        let argument = format!("--screenshot={}", image.display());
        self.run(&[argument, "--hide-scrollbars".to_owned(), format!("--window-size={width},1400"), page]);
        fs::metadata(&image).map_or(0, |image| image.len())
    }

    fn page(&self, name: &str, text: &str) -> String {
        let path = self.folder.join(format!("{name}.html"));
        fs::write(&path, text).unwrap();
        format!("file://{}", path.display())
    }

    fn run(&self, arguments: &[String]) -> String {
        let log = fs::File::create(self.folder.join("log")).unwrap();
        let mut command = Command::new(&self.program);
        command.args(["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-extensions"]);
        command.args(["--disable-background-networking", "--disable-component-update", "--disable-sync"]);
        // Nothing but files: whatever else is asked for, it goes to a port where nobody listens.
        command.args(["--proxy-server=127.0.0.1:9", "--disable-dev-shm-usage"]);
        command.arg(format!("--user-data-dir={}", self.folder.join("profile").display())).args(arguments);
        let out = self.folder.join("out");
        command.stdin(Stdio::null()).stdout(fs::File::create(&out).unwrap()).stderr(log);
        let mut child = command.spawn().unwrap();
        let deadline = Instant::now() + PATIENCE;
        while child.try_wait().unwrap().is_none() {
            if Instant::now() > deadline {
                child.kill().unwrap();
                child.wait().unwrap();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        fs::read_to_string(out).unwrap()
    }
}
