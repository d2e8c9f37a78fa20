//! The proof: real servers on loopback with what `render` wrote, asked the same requests as the evaluator.
//!
//! In: a plan and the servers installed on this machine. Out: a [`Report`]: how many requests were asked, and each answer that is not
//! what the policy means. Invariant: nothing of the user's is touched, and every child process, thread and socket ends with the
//! value that owns it, on Ctrl-C, error and panic too.

pub mod answer;
pub mod config;
pub mod corpus;
pub mod differences;
pub mod engine;
pub mod http2;
pub mod judge;
pub mod limits;
pub mod moved;
pub mod question;
pub mod questions;
pub mod server;
pub mod stage;
pub mod upstream;
pub mod wire;

mod body;
mod poll;

use std::collections::BTreeMap;

use crate::gateway::eval::Outcome;
use crate::source::SourceFile;
use differences::Case;
use engine::{Answer, Decides, Engine, Evaluator};
use judge::Observed;
use question::Question;

/// What came of asking one server.
#[derive(Debug, Default)]
pub struct Report {
    /// The server's name and version.
    pub server: String,
    /// How many requests were asked.
    pub asked: usize,
    /// How many were answered otherwise, as the contract says that this server must; by the difference's name.
    pub forced: BTreeMap<&'static str, usize>,
    /// The answers that are not what the policy means.
    pub wrong: Vec<Wrong>,
    /// What came of trying the limits.
    pub limits: limits::Tried,
    /// Secrets that stand in the server's logs.
    pub leaks: Vec<String>,
}

impl Report {
    /// How many things are not as the policy says.
    pub fn problems(&self) -> usize {
        self.wrong.len() + self.limits.problems.len() + self.leaks.len()
    }

    /// Whether the server does what the policy says.
    pub fn is_right(&self) -> bool {
        self.problems() == 0
    }
}

/// An answer that is not what the policy means.
#[derive(Debug)]
pub struct Wrong {
    /// The question.
    pub question: Question,
    /// What the policy means.
    pub expected: Outcome,
    /// What the server did.
    pub observed: Observed,
    /// What is wrong with it.
    pub complaints: Vec<String>,
}

/// Asks a running server every question and judges the answers by the evaluator. `progress` is told how many are done.
pub fn ask(engine: &mut Engine, file: &SourceFile, questions: &[Question], mut progress: impl FnMut(usize)) -> Report {
    let plan = engine.moved.plan.clone();
    let evaluator = Evaluator::new(&plan, file);
    let mut report = Report { server: engine.name(), ..Report::default() };
    for (index, question) in questions.iter().enumerate() {
        progress(index);
        if !differences::speaks(&plan, question.request.version) {
            continue;
        }
        report.asked += 1;
        let expected = evaluator.decide(question);
        let Answer::Observed(observed) = engine.ask(question) else { continue };
        let observed = Observed { exchange: observed.0, seen: observed.1, whole: true };
        let complaints = judge::complaints(&plan, question, &expected, &observed);
        if complaints.is_empty() {
            continue;
        }
        let case = Case {
            target: engine.form.target,
            plan: &plan,
            evaluator: &evaluator,
            question,
            expected: &expected,
            observed: &observed,
            complaints: &complaints,
        };
        match differences::explain(engine.form.proxy, &case) {
            Some(difference) => *report.forced.entry(difference.id).or_default() += 1,
            None => report.wrong.push(Wrong { question: question.clone(), expected, observed, complaints }),
        }
    }
    report
}

/// Keys, passwords and queries that stand in what a server wrote.
pub fn leaks(engine: &Engine, questions: &[Question]) -> Vec<String> {
    let logs = engine.logs();
    let plan = &engine.moved.plan;
    let mut out = Vec::new();
    let keys = plan.clients.iter().flat_map(|client| client.keys.iter().map(move |key| (client.name.as_str(), key)));
    let upstream = plan.upstream.api_key.iter().map(|key| ("the upstream", key));
    for (whose, key) in keys.chain(upstream) {
        if key.value.as_ref().is_some_and(|value| logs.contains(value.reveal())) {
            out.push(format!("the key of {whose} stands in the server's log"));
        }
    }
    for (client, password) in &engine.moved.passwords {
        if logs.contains(password) {
            out.push(format!("the password of {client} stands in the server's log"));
        }
    }
    let asked_query =
        questions.iter().any(|question| question.request.target.windows(8).any(|part| part == b"api_key="));
    if asked_query && logs.contains("api_key=") {
        out.push("a request's query stands in the server's log".to_owned());
    }
    out
}
