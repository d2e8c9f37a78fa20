//! The policies of `fixtures/conformance`.

use std::collections::BTreeMap;
use std::path::Path;

use llmguard::diag::Sink;
use llmguard::policy::variables::Variables;
use llmguard::policy::{env_file, validate};
use llmguard::source::SourceFile;

use crate::ask::{self, Way};

fn every_policy(way: &'static Way) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/conformance");
    let mut folders: Vec<_> = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.retain(|folder| folder.join("llmguard.toml").is_file());
    folders.sort();
    let mut wrong = Vec::new();
    let mut judged = 0;
    for folder in folders {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let file = SourceFile::read(&folder.join("llmguard.toml")).unwrap();
        let env = env_file::parse(&std::fs::read_to_string(folder.join("env")).unwrap_or_default());
        let values = env.entries.into_iter().map(|entry| (entry.name, entry.value)).collect();
        let variables = Variables { process: BTreeMap::new(), file: Some(values) };
        let plan = validate::plan(&file, &variables, &mut Sink::default()).unwrap();
        let Ok(read) = ask::read(&plan, way) else { continue };
        let told = ask::ask(&read, &file, way, 0, usize::MAX);
        println!("{name}: {} questions, forced {:?}, unknown {:?}", told.asked, told.forced, told.unknown);
        judged += told.asked;
        wrong.extend(told.wrong.into_iter().map(|wrong| format!("{name}: {wrong}")));
        if !told.unknown.is_empty() {
            wrong.push(format!("{name}: unknown: {:?}", told.unknown));
        }
    }
    assert!(judged > 4000, "only {judged} questions");
    assert!(wrong.is_empty(), "{} answers are not the policy's:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn nginx_files_mean_what_the_policy_says() {
    every_policy(&ask::NGINX);
}

#[test]
fn a_caddyfile_means_what_the_policy_says() {
    every_policy(&ask::CADDY);
}

#[test]
fn traefik_files_mean_what_the_policy_says() {
    every_policy(&ask::TRAEFIK);
}
