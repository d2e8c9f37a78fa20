//! The compose project as Docker Compose itself reads it: every variant loads, and what matters in it is as the policy says.
//!
//! Needs Compose v2 (`LLMGUARD_COMPOSE`); no engine and no image.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use llmguard::diag::Sink;
use llmguard::policy::validate;
use llmguard::policy::variables::Variables;
use llmguard::render::{self, Site, compose};
use llmguard::secret::Secret;
use llmguard::source::SourceFile;
use serde_json::Value;

const PROXIES: [&str; 3] = ["caddy", "nginx", "traefik"];
/// bcrypt of `open sesame`, with every sign that Compose could take for a variable.
const HASH: &str = "$2y$05$XDNgYCSFGuKAdXoFPBxpCOJAVqJzrgGyvQkzPj8LpOxQG5lmHJ4Xa";
const KEY: &str = "sk-0123456789abcdefghijklmnopqrstuvwxyz";

/// Compose v2; without it the test says that it is skipped.
fn compose_binary() -> Option<PathBuf> {
    common::server("compose-config", "LLMGUARD_COMPOSE")
}

/// A policy: the clients, and what a variant adds.
fn policy(proxy: &str, head: &str, deploy: &str) -> String {
    let file_key =
        if proxy == "traefik" { "" } else { "\n[[client]]\nname = \"9-by-file\"\napi_key = \"file:by-file.key\"\n" };
    let upstream = if head.contains("[upstream]") { "" } else { "[upstream]\nkind = \"ollama\"\n" };
    format!(
        "{upstream}{head}\n[[client]]\nname = \"laptop\"\napi_key = [\"env:LAPTOP_KEY\", \"env:LAPTOP_KEY_2\"]\n\
         [[client]]\nname = \"carol\"\npassword_hash = \"env:CAROL_HASH\"\n\
         [[client]]\nname = \"dora\"\npassword_hash = '{HASH}'\n{file_key}\
         [cors]\norigins = [\"https://app.example.com\"]\n\
         [deploy]\nproxy = \"{proxy}\"\n{deploy}\n"
    )
}

/// Renders a policy text; the gaps, or the files written under `to`.
fn render(text: &str, to: &Path) -> Result<render::Output, Vec<String>> {
    fs::write(to.join("by-file.key"), format!("{KEY}-file\n")).unwrap();
    let file = SourceFile::new("llmguard.toml", to.join("llmguard.toml"), text);
    let values = [("LAPTOP_KEY", KEY), ("CAROL_HASH", HASH)];
    let process = values.map(|(name, value)| (name.to_owned(), Secret::new(value)));
    let variables = Variables { process: BTreeMap::from(process), file: None };
    let mut sink = Sink::default();
    let Some(plan) = validate::plan(&file, &variables, &mut sink) else {
        panic!("{:?}", sink.list.iter().map(|problem| &problem.message).collect::<Vec<_>>());
    };
    let site = Site { command: "llmguard render --target compose".to_owned(), root: false };
    let mut out = render::Output::default();
    compose::render(&plan, &site, &mut out);
    if !out.gaps.is_empty() {
        return Err(out.gaps.iter().map(|gap| format!("{}: {} ({})", gap.key, gap.reason, gap.instead)).collect());
    }
    for file in &out.files {
        let path = to.join(&file.path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &file.content).unwrap();
    }
    for folder in &out.folders {
        fs::create_dir_all(to.join(folder)).unwrap();
    }
    Ok(out)
}

/// Runs Compose in the project; none of the policy's variables comes from this test's own environment.
fn run(binary: &Path, project: &Path, words: &[&str]) -> Output {
    Command::new(binary).args(words).current_dir(project.join("compose")).env_clear().output().unwrap()
}

/// The project as Compose reads it, with a `.env` as `llmguard` writes it.
fn config(binary: &Path, project: &Path) -> Value {
    let keys = format!("LAPTOP_KEY={KEY}\nLAPTOP_KEY_2={KEY}-2\nCAROL_HASH='{HASH}'\nUPSTREAM_KEY={KEY}-up\n");
    fs::write(project.join("compose/.env"), keys).unwrap();
    let output = run(binary, project, &["config", "--format", "json"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{said}\n{}",
        fs::read_to_string(project.join("compose/docker-compose.yml")).unwrap()
    );
    assert_eq!(said, "", "Compose has warnings");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What holds for every project.
fn check(variant: &str, proxy: &str, config: &Value) {
    assert_eq!(config["name"], "llmguard", "{variant}");
    let services = config["services"].as_object().unwrap();
    for (name, service) in services {
        let place = format!("{variant}: {name}");
        assert_eq!(service["cap_drop"], serde_json::json!(["ALL"]), "{place}");
        assert_eq!(service["security_opt"], serde_json::json!(["no-new-privileges:true"]), "{place}");
        assert_eq!(service["restart"], "unless-stopped", "{place}");
        assert!(service["healthcheck"]["test"].is_array(), "{place}");
        assert!(service["networks"].get("default").is_none(), "{place}");
        assert_eq!(service.get("ports").is_some(), name == proxy, "{place}");
        assert!(!service.to_string().contains("docker.sock"), "{place}");
        match service["image"].as_str() {
            Some(image) => assert!(image.rsplit_once(':').is_some_and(|(_, tag)| tag != "latest"), "{place}: {image}"),
            None => assert_eq!(service["build"]["dockerfile"], "Dockerfile", "{place}"),
        }
    }
    let environment = &services[proxy]["environment"];
    assert_eq!(
        environment["CAROL_HASH"].as_str().map(|hash| hash.replace("$$", "$")).as_deref(),
        Some(HASH),
        "{variant}"
    );
    assert_eq!(environment["LAPTOP_KEY"], KEY, "{variant}");
    assert_eq!(services[proxy]["read_only"], true, "{variant}");
    if let Some(ollama) = services.get("ollama") {
        assert_eq!(ollama["environment"], serde_json::json!({"OLLAMA_NO_CLOUD": "1"}), "{variant}");
        assert_eq!(config["networks"]["inner"]["internal"], true, "{variant}");
        assert_eq!(services[proxy]["depends_on"]["ollama"]["condition"], "service_healthy", "{variant}");
        assert!(ollama["networks"].get("edge").is_none() && services[proxy]["networks"].get("egress").is_none());
    }
}

#[test]
fn every_variant_is_read_by_compose() {
    let Some(binary) = compose_binary() else { return };
    let heads = [
        "",
        "[listen]\nserver_names = [\"llm.test\"]\n[access]\nhealth = false\n",
        "[listen]\nserver_names = [\"llm.test\"]\ntls = \"internal\"\naddress = \"0.0.0.0:8443\"\n",
        "[upstream]\nkind = \"vllm\"\nservers = [\"host.docker.internal:8000\"]\napi_key = \"env:UPSTREAM_KEY\"\n",
        "[log]\npath = \"logs/x/access.log\"\n[timeouts]\nread = \"30s\"\n",
        "[limits]\nrate = false\n",
    ];
    let deploys = [
        "",
        "gpu = { vendor = \"nvidia\", count = 2 }\negress = false\n",
        "gpu = { vendor = \"nvidia\", device_ids = [\"GPU-1\", \"1\"] }\nmodels_dir = \"/srv/models/x\"\n",
        "gpu = { vendor = \"amd\" }\npublish = \"[::1]:443:8443\"\n",
        "gpu = false\npublish = \"0.0.0.0:443:443\"\n",
    ];
    // Every pair of a head and a deploy once, and with the next proxy: so each proxy meets each of both.
    for (at, (head, deploy)) in
        heads.iter().flat_map(|head| deploys.iter().map(move |deploy| (head, deploy))).enumerate()
    {
        let proxy = PROXIES[(at + at / deploys.len()) % PROXIES.len()];
        let variant = format!("{proxy} / {head} / {deploy}");
        let folder = tempfile::tempdir().unwrap();
        let out = render(&policy(proxy, head, deploy), folder.path());
        let out = out.unwrap_or_else(|gaps| panic!("{variant}: {gaps:?}"));
        for file in &out.files {
            assert!(!file.content.contains(KEY), "{variant}: a key in {}", file.path);
        }
        check(&variant, proxy, &config(&binary, folder.path()));
    }
}

#[test]
fn without_its_variables_it_does_not_start() {
    let Some(binary) = compose_binary() else { return };
    for proxy in PROXIES {
        let folder = tempfile::tempdir().unwrap();
        render(&policy(proxy, "", ""), folder.path()).unwrap_or_else(|gaps| panic!("{gaps:?}"));
        // What `.env.example` gives before anybody filled it in.
        for env in [None, Some(folder.path().join("compose/.env.example"))] {
            if let Some(example) = env {
                fs::copy(example, folder.path().join("compose/.env")).unwrap();
            }
            let output = run(&binary, folder.path(), &["config", "-q"]);
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(!output.status.success() && said.contains("in .env"), "{proxy}: {said}");
        }
    }
}

#[test]
fn the_forms_of_gpus_networks_and_ports() {
    let Some(binary) = compose_binary() else { return };
    let of = |proxy: &str, head: &str, deploy: &str| {
        let folder = tempfile::tempdir().unwrap();
        render(&policy(proxy, head, deploy), folder.path()).unwrap_or_else(|gaps| panic!("{gaps:?}"));
        config(&binary, folder.path())
    };
    let devices =
        |config: &Value| config["services"]["ollama"]["deploy"]["resources"]["reservations"]["devices"].clone();

    let default = of("caddy", "", "");
    assert_eq!(devices(&default)[0]["count"], -1);
    assert_eq!(default["services"]["caddy"]["ports"][0]["host_ip"], "127.0.0.1");
    assert_eq!(default["services"]["caddy"]["ports"][0]["published"], "8080");
    assert!(default["services"]["ollama"]["networks"].get("egress").is_some());
    assert_eq!(default["services"]["caddy"]["stop_grace_period"], "2m0s");

    let counted = of("nginx", "", "gpu = { vendor = \"nvidia\", count = 2 }\negress = false\n");
    assert_eq!(devices(&counted)[0]["count"], 2);
    assert_eq!(counted["services"]["ollama"]["networks"].as_object().unwrap().len(), 1);
    assert!(counted["networks"].get("egress").is_none());

    let named =
        of("traefik", "", "gpu = { vendor = \"nvidia\", device_ids = [\"1\"] }\nmodels_dir = \"/srv/models\"\n");
    assert_eq!(devices(&named)[0]["device_ids"], serde_json::json!(["1"]));
    let source = named["services"]["ollama"]["volumes"][1]["source"].as_str().unwrap();
    assert_eq!(source, "/srv/models");

    let amd = of("caddy", "", "gpu = { vendor = \"amd\" }\n");
    assert_eq!(amd["services"]["ollama"]["devices"].as_array().unwrap().len(), 2);
    assert!(amd["services"]["ollama"]["image"].as_str().unwrap().ends_with("-rocm"));

    let own = of("caddy", "[upstream]\nkind = \"ollama\"\nservers = [\"host.docker.internal:11434\"]\n", "");
    assert_eq!(own["services"].as_object().unwrap().len(), 1);
    assert_eq!(own["services"]["caddy"]["extra_hosts"], serde_json::json!(["host.docker.internal=host-gateway"]));
}

#[test]
fn what_a_container_cannot_reach_is_refused() {
    let refused = |head: &str| {
        let folder = tempfile::tempdir().unwrap();
        render(&policy("caddy", head, ""), folder.path()).err().unwrap_or_default().join("\n")
    };
    let said = refused("[upstream]\nkind = \"ollama\"\nservers = [\"127.0.0.1:11434\", \"gpu.lan:11434\"]\n");
    assert!(said.contains("127.0.0.1:11434") && said.contains("host.docker.internal:11434"), "{said}");
    assert!(refused("[upstream]\nkind = \"vllm\"\n").contains("Ollama only"));
    assert!(refused("[log]\npath = \"access.log\"\n").contains("log.path"));
}
