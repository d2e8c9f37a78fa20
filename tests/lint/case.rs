//! A case of `fixtures/lint` read in this process, as `lint` reads it in its folder.
//!
//! In: a case's folder. Out: its systems, with its policy and its variables. Invariant: of variables that no file sets all are unset, as they
//! are for the servers that tests start.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use llmguard::analysis::measure::Measure;
use llmguard::analysis::survey::survey;
use llmguard::diag::{Severity, Sink};
use llmguard::dialect::{Options, Variables};
use llmguard::finding::Finding;
use llmguard::gateway::Gateway;
use llmguard::policy::{env_file, validate, variables};
use llmguard::project::{self, System};
use llmguard::rules::{self, Context, Workbench};
use llmguard::source::SourceFile;

/// A case.
pub struct Case {
    pub folder: PathBuf,
    /// `RULE/CASE`.
    pub name: String,
    pub options: Options,
    pub measure: Measure,
    paths: Vec<PathBuf>,
}

impl Case {
    /// With the arguments that `lint` gets there.
    pub fn read(folder: &Path, arguments: Vec<String>) -> Case {
        let name = folder.display().to_string();
        let name = name.rsplit_once("/lint/").map_or(name.clone(), |(_, name)| name.to_owned());
        let mut case = Case {
            folder: folder.to_owned(),
            name,
            options: Options { copied: true, ..Options::default() },
            measure: Measure::built_in().unwrap(),
            paths: Vec::new(),
        };
        let mut policy = Some(folder.join("llmguard.toml")).filter(|path| path.is_file());
        case.options.variables = Variables { complete: true, ..Variables::default() };
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--policy" => policy = arguments.next().map(|name| folder.join(name)),
                "--env-file" => {
                    let text = std::fs::read_to_string(folder.join(arguments.next().unwrap())).unwrap();
                    let entries = env_file::parse(&text).entries.into_iter();
                    case.options.variables.values = entries.map(|one| (one.name, one.value.reveal().into())).collect();
                }
                "--nginx-version" => {
                    let numbers: Vec<u32> =
                        arguments.next().unwrap().split('.').map(|part| part.parse().unwrap()).collect();
                    case.options.nginx_version = Some((numbers[0], numbers[1], numbers[2]));
                }
                other => {
                    assert!(!other.starts_with('-'), "{}: `{other}` isn't known here", case.name);
                    case.paths.push(folder.join(other));
                }
            }
        }
        if let Some(path) = policy {
            let file = SourceFile::read(&path).unwrap();
            let values = case.options.variables.values.clone();
            let process = values.into_iter().map(|(name, value)| (name, llmguard::secret::Secret::new(value)));
            let variables = variables::Variables { process: process.collect(), file: None };
            let plan = validate::plan(&file, &variables, &mut Sink::default()).unwrap();
            case.measure = Measure::new(plan, &file, Some(file.name.clone())).unwrap();
        }
        case
    }

    /// The same with a value for each variable that its files name.
    pub fn with_variables(&self) -> Option<Case> {
        let arguments = super::arguments(&self.folder);
        let mut case = Case::read(&self.folder, arguments.clone());
        if arguments.iter().any(|argument| argument == "--env-file") {
            return None;
        }
        let files = self.systems().into_iter().flat_map(|system| system.gateway.files);
        for file in files {
            for start in ["{$", "{env."] {
                let names = file.text.split(start).skip(1).filter_map(|rest| rest.split(['}', ':']).next());
                let value = |name: &str| (name.to_owned(), format!("made-for-this-proof-{name}"));
                case.options.variables.values.extend(names.map(value));
            }
        }
        (!case.options.variables.values.is_empty()).then_some(case)
    }

    /// What is there; nothing where a server would refuse it.
    pub fn systems(&self) -> Vec<System> {
        let mut sink = Sink::default();
        let systems = project::load(&self.paths, None, &self.options, &mut sink);
        let refused = sink.list.iter().any(|problem| problem.severity == Severity::Error);
        if refused { Vec::new() } else { systems }
    }

    /// The rules that its expectation names, each once.
    pub fn expected(&self) -> Vec<&'static str> {
        let text = std::fs::read_to_string(self.folder.join("expected.txt")).unwrap_or_default();
        let named =
            |id: &&&str| ["error", "warning", "info"].iter().any(|how| text.contains(&format!(" {how}[{id}] ")));
        rules::RULES.iter().map(|rule| &rule.id).filter(named).copied().collect()
    }

    /// What rules find in a gateway that have a request to show for it.
    pub fn findings(&self, gateway: &Gateway) -> Vec<Finding> {
        // What listens everywhere was moved to loopback.
        let mut gateway = gateway.clone();
        for listener in &mut gateway.listeners {
            listener.address = Ipv4Addr::UNSPECIFIED.into();
        }
        self.findings_of(&gateway).into_iter().filter(|finding| finding.witness.is_some()).collect()
    }

    /// What the rules find in a gateway as it is.
    pub fn findings_of(&self, gateway: &Gateway) -> Vec<Finding> {
        let survey = survey(gateway, &self.measure, true);
        let workbench = &Workbench::new(&gateway.files);
        let context = Context {
            gateway,
            workbench,
            measure: &self.measure,
            survey: &survey,
            unset: None,
            problems: &[],
            deployed: None,
        };
        rules::check(&context)
    }
}
