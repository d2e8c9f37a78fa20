//! `llmguard explain RULE` and `llmguard rules`: what a rule finds and why, and which there are.

use anstyle::{AnsiColor, Style};
use serde_json::json;

use super::{Exit, fail, print, print_json, width};
use crate::finding::Severity;
use crate::report::page;
use crate::rules::{RULES, Rule};

#[derive(Debug, clap::Args)]
pub(super) struct Explain {
    /// The rule's name, as findings show it in brackets.
    rule: String,
}

#[derive(Debug, clap::Args)]
pub(super) struct List {
    /// How to write the list.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Human,
    Json,
}

pub(super) fn explain(args: &Explain) -> Exit {
    match Rule::find(&args.rule) {
        Some(rule) => {
            print(&page::terminal(&rule.page(), width().min(100)));
            Exit::Done
        }
        None => {
            let near = |rule: &&Rule| strsim::osa_distance(rule.id, &args.rule);
            let nearest = RULES.iter().min_by_key(near).filter(|rule| near(rule) <= 2 + rule.id.len() / 4);
            let contains = || RULES.iter().find(|rule| args.rule.len() > 3 && rule.id.contains(&args.rule));
            let help = match nearest.or_else(contains) {
                Some(rule) => format!("did you mean `{}`? `llmguard rules` lists all", rule.id),
                None => "`llmguard rules` lists all".to_owned(),
            };
            fail(&format!("there is no rule `{}`", args.rule), Some(&help))
        }
    }
}

pub(super) fn rules(args: &List) -> Exit {
    match args.format {
        Format::Json => {
            let list = RULES
                .iter()
                .map(|rule| json!({"id": rule.id, "severity": rule.severity.name(), "summary": rule.summary()}));
            print_json(&list.collect())
        }
        Format::Human => {
            let longest = RULES.iter().map(|rule| rule.id.len()).max().unwrap_or_default();
            let strong = Style::new().bold();
            for rule in RULES {
                let color = match rule.severity {
                    Severity::Error => AnsiColor::Red,
                    Severity::Warning => AnsiColor::Yellow,
                    Severity::Info => AnsiColor::Cyan,
                };
                let color = color.on_default();
                let (id, severity) = (rule.id, rule.severity.name());
                print(&format!("{strong}{id:longest$}{strong:#}  {color}{severity:7}{color:#}  {}\n", rule.summary()));
            }
            Exit::Done
        }
    }
}
