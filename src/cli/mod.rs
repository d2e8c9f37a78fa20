//! The command line: one file a subcommand; the only place that prints.
//!
//! In: arguments, standard input, files. Out: standard output, standard error, an [`Exit`]. Invariant: standard output holds only what
//! was asked for; everything that is said to the user goes to standard error.

mod check;
mod configs;
mod decide;
mod explain;
mod key;
mod lint;
mod load;
mod matrix;
mod mend;
mod prove;
mod prove_config;
mod render;
mod trace;

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

/// How a run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Nothing found, nothing differs.
    Done = 0,
    /// Findings, or a difference.
    Differs = 1,
    /// Usage error, invalid policy, a target that can't enforce it, a server that isn't there. Nothing was written.
    Failed = 2,
}

/// One policy for the gateway in front of an LLM server.
#[derive(Debug, Parser)]
#[command(name = "llmguard", version, about, propagate_version = true, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    global: Global,
}

/// What every command takes.
#[derive(Debug, clap::Args)]
struct Global {
    /// When to use colours.
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto)]
    color: Color,
    /// Say less: errors only.
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Say more: notes too.
    #[arg(short, long, global = true)]
    verbose: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Color {
    Auto,
    Always,
    Never,
}

/// Where the policy and its variables are.
#[derive(Debug, clap::Args)]
struct PolicyArgs {
    /// The policy; default: the nearest llmguard.toml from here upward.
    #[arg(long, value_name = "FILE")]
    policy: Option<std::path::PathBuf>,
    /// Variables that the environment doesn't set; default: .env beside the policy.
    #[arg(long, value_name = "FILE")]
    env_file: Option<std::path::PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Validate the policy: every problem with its place and what to do.
    Check(PolicyArgs),
    /// Write the configs of one or more targets.
    Render(render::Args),
    /// Find the gaps between existing configs and the policy, each with the request that shows it.
    Lint(lint::Args),
    /// Tell what a rule finds, why it matters and what to write instead.
    Explain(explain::Explain),
    /// List the rules.
    Rules(explain::List),
    /// Show who reaches what: endpoints against callers, for the policy or for configs beside it.
    Matrix(matrix::Args),
    /// Decide about requests: JSON lines in, decisions as JSON lines out.
    Decide(decide::Args),
    /// Show what becomes of one request, step by step, each with its place in the files.
    Trace(trace::Args),
    /// Start the installed servers on loopback with the rendered policy, or with a config, and report every difference.
    Prove(prove::Args),
    /// Make, rotate and retire API keys; hash passwords.
    #[command(subcommand)]
    Key(key::Args),
    /// Print the JSON Schema of the policy.
    Schema,
}

/// Runs the program with the process's arguments.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    match cli.global.color {
        Color::Auto => {}
        Color::Always => anstream::ColorChoice::Always.write_global(),
        Color::Never => anstream::ColorChoice::Never.write_global(),
    }
    let exit = match cli.command {
        Command::Check(args) => check::run(&args, &cli.global),
        Command::Render(args) => render::run(&args, &cli.global),
        Command::Lint(args) => lint::run(&args, &cli.global),
        Command::Explain(args) => explain::explain(&args),
        Command::Rules(args) => explain::rules(&args),
        Command::Matrix(args) => matrix::run(&args, &cli.global),
        Command::Decide(args) => decide::run(&args, &cli.global),
        Command::Trace(args) => trace::run(&args, &cli.global),
        Command::Prove(args) => prove::run(&args, &cli.global),
        Command::Key(args) => key::run(&args, &cli.global),
        Command::Schema => print_json(&crate::policy::file::schema()),
    };
    ExitCode::from(exit as u8)
}

/// Prints a text to standard output; a closed pipe is no error.
fn print(text: &str) {
    use std::io::Write as _;
    let mut out = anstream::stdout().lock();
    if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
        std::process::exit(Exit::Done as i32);
    }
}

fn print_json(value: &serde_json::Value) -> Exit {
    print(&format!("{value:#}\n"));
    Exit::Done
}

/// The columns of the terminal; where there is none, always the same.
fn width() -> usize {
    terminal_size::terminal_size_of(std::io::stdout()).map_or(140, |(width, _)| usize::from(width.0).max(40))
}

/// Says something to the user.
fn say(text: &str) {
    anstream::eprintln!("{text}");
}

/// Says why nothing was done.
fn fail(message: &str, help: Option<&str>) -> Exit {
    let mut problem = crate::diag::Diagnostic::new(crate::diag::Severity::Error, message);
    if let Some(help) = help {
        problem = problem.help(help);
    }
    say(&problem.render(true));
    Exit::Failed
}
