//! Every policy that labels can carry, on a real Traefik that reads them by its Docker provider: the rendered `labels.yml` is put on a
//! container by Compose, which fills in the keys, and Traefik runs on the rendered `traefik.yml`.
//!
//! Needs `LLMGUARD_DOCKER_HOST` and `LLMGUARD_DOCKER_IMAGE` (`tests/servers/docker.sh`), `LLMGUARD_COMPOSE`, `LLMGUARD_TRAEFIK`; without one
//! of them it is a named skip.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends where something is not there")]

mod common;
mod suite;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use llmguard::policy::plan::Plan;
use llmguard::prove::engine::{Engine, NoEngine};
use llmguard::prove::moved::{self, Phase};
use llmguard::prove::stage::{LABELS, Stage};
use suite::Started;

const TEST: &str = "labels";

/// What is needed.
struct Docker {
    traefik: PathBuf,
    compose: PathBuf,
    host: String,
    image: String,
}

/// A Compose project that is gone with its value.
struct Project {
    compose: PathBuf,
    host: String,
    name: String,
}

impl Project {
    /// Runs Compose in a folder, with these variables and nothing of this test's own environment but the engine.
    fn compose(&self, folder: &Path, words: &[&str], variables: &[(String, String)]) -> Output {
        let mut command = Command::new(&self.compose);
        command.args(["--project-name", &self.name]).args(words).current_dir(folder).stdin(Stdio::null());
        command.env_clear().env("HOME", folder).env("DOCKER_HOST", &self.host);
        command.envs(variables.iter().map(|(name, value)| (name, value))).output().unwrap()
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        // By its name alone: its files may be gone already.
        let output = self.compose(Path::new("/"), &["down", "--timeout", "0"], &[]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if !output.status.success() && !std::thread::panicking() {
            panic!("the container is still there: {said}");
        }
    }
}

/// Traefik and the container with its labels.
struct Labelled {
    engine: Engine,
    project: Project,
}

impl Docker {
    fn find() -> Option<Docker> {
        Some(Docker {
            host: common::setting(TEST, "LLMGUARD_DOCKER_HOST")?,
            image: common::setting(TEST, "LLMGUARD_DOCKER_IMAGE")?,
            compose: common::server(TEST, "LLMGUARD_COMPOSE")?,
            traefik: common::server(TEST, "LLMGUARD_TRAEFIK")?,
        })
    }

    fn start(&self, plan: &Plan, phase: Phase) -> Result<Labelled, NoEngine> {
        let stage = Stage::new(plan, LABELS, phase)?;
        let variables = moved::environment(&stage.moved.plan);
        let project = self.up(stage.folder.path(), &variables);
        // The one thing that is not as rendered: the engine is not the machine's own.
        let file = stage.cwd().join("traefik.yml");
        let rendered = fs::read_to_string(&file).unwrap();
        let (before, after) = rendered.split_once("  docker:\n").unwrap();
        fs::write(&file, format!("{before}  docker:\n    endpoint: \"{}\"\n{after}", self.host)).unwrap();
        let mut launch = stage.launch(&self.traefik);
        // Compose has put the keys in: Traefik needs no variable.
        launch.env.retain(|(name, _)| !variables.iter().any(|(own, _)| name == own.as_str()));
        let engine = Engine::run(stage, &launch)?;
        // A router that is not valid is left out, and the next one has its requests.
        let log = fs::read_to_string(engine.folder.path().join("server.log")).unwrap();
        assert!(!log.contains(" ERR "), "Traefik doesn't take all labels: {log}");
        Ok(Labelled { engine, project })
    }

    /// Puts the labels on a container, whose project has the folder's name.
    fn up(&self, folder: &Path, variables: &[(String, String)]) -> Project {
        let own = format!(
            "services:\n  traefik:\n    image: {}\n    network_mode: none\n    command: [sleep, \"3600\"]\n",
            self.image
        );
        fs::write(folder.join("docker-compose.yml"), own).unwrap();
        let name = folder.file_name().unwrap().to_string_lossy().to_lowercase();
        let project = Project { compose: self.compose.clone(), host: self.host.clone(), name };
        let files = ["-f", "docker-compose.yml", "-f", "traefik-labels/labels.yml"];
        let run = |words: &[&str], variables| project.compose(folder, &[&files[..], words].concat(), variables);
        if !variables.is_empty() {
            let output = run(&["config", "-q"], &[]);
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(!output.status.success() && said.contains("not set"), "without its variables: {said}");
        }
        let output = run(&["up", "--detach", "--pull", "never"], variables);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        project
    }
}

impl Started for Labelled {
    fn engine(&mut self) -> &mut Engine {
        &mut self.engine
    }

    fn end(self) {
        self.engine.stop();
        drop(self.project);
    }
}

#[test]
fn traefik_answers_by_every_policy_from_labels() {
    let Some(docker) = Docker::find() else { return };
    suite::conforms(LABELS, |plan, phase| docker.start(plan, phase));
}
