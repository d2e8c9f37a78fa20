//! What must stand in the files, and what never; the rest is proven on the real server.

use super::*;
use crate::diag::Sink;
use crate::policy::validate;
use crate::policy::variables::Variables;
use crate::source::SourceFile;

/// A client of each kind, one of them with a credential that Traefik can't verify.
const POLICY: &str = r#"
upstream = { kind = "ollama" }
limits = { body = "1MiB" }
[[client]]
name = "no"
api_key = ["env:A_KEY", "file:key"]
[[client]]
name = "carol"
password_hash = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$e5sqT9bWZ3xYJ0j1k2l3m4n5o6p7q8r9s0t1u2v3w4w"
"#;

fn plan(text: &str) -> Result<Plan, String> {
    let mut sink = Sink::default();
    let file = SourceFile::new("llmguard.toml", "/policy/llmguard.toml", text);
    let plan = validate::plan(&file, &Variables::default(), &mut sink);
    plan.ok_or_else(|| sink.list.iter().map(|problem| problem.message.clone()).collect::<Vec<_>>().join("; "))
}

fn rendered(plan: &Plan, target: fn(&Plan, &Site, &mut Output)) -> Output {
    let mut out = Output::default();
    target(plan, &Site { command: "llmguard render".to_owned(), root: true }, &mut out);
    out
}

fn content<'a>(out: &'a Output, path: &str) -> &'a str {
    out.files.iter().find(|file| file.path == path).map_or("", |file| &file.content)
}

#[test]
fn what_traefik_cannot_do_is_said() -> Result<(), String> {
    let plan = plan(&format!("{POLICY}[access]\nmodels = [\"llama3\"]\n"))?;
    let out = rendered(&plan, render);
    let keys: Vec<&str> = out.gaps.iter().map(|gap| gap.key.as_str()).collect();
    assert_eq!(keys, ["access.models", "api_key", "password_hash"]);
    assert!(content(&out, "traefik/dynamic.yml").contains("# WEAKER THAN THE POLICY: `access.models`"));
    Ok(())
}

#[test]
fn text_of_the_policy_starts_no_go_template() -> Result<(), String> {
    let mut plan = plan(POLICY)?;
    plan.auth.realm = "a {{ b }} \" c".to_owned();
    let out = rendered(&plan, render);
    let dynamic = content(&out, "traefik/dynamic.yml");
    assert!(dynamic.contains(r#"WWW-Authenticate: "Bearer realm=\"a {{`{{`}} b }} \\\" c\", Basic"#), "{dynamic}");
    assert!(dynamic.contains(r#"X-Llmguard-Client: "no""#));
    Ok(())
}

#[test]
fn without_a_usable_credential_nothing_is_open() -> Result<(), String> {
    let mut plan = plan(POLICY)?;
    plan.clients.retain(|client| client.name == "carol");
    let tree = Tree::new(&plan);
    let roots: Vec<&str> = tree.routers.iter().filter(|r| r.parents.is_empty()).map(|r| r.name.as_str()).collect();
    assert_eq!(roots, ["lg-root"]);
    assert!(tree.routers.iter().all(|router| router.service != Some(routers::UPSTREAM)));
    let labels = rendered(&plan, labels::render);
    let labels = content(&labels, "traefik-labels/labels.yml");
    let open = labels.lines().filter(|line| line.contains(".service\": \"lg-upstream"));
    assert_eq!(open.count(), 0, "{labels}");
    Ok(())
}

#[test]
fn durations_are_exact_in_go() {
    for (millis, text) in [(1000, "1s"), (1500, "1500ms"), (60_000, "60s")] {
        assert_eq!(go_duration(Duration::from_millis(millis)).to_string(), text);
    }
    assert_eq!(go_duration(Duration::from_nanos(1_500)).to_string(), "1500ns");
}
