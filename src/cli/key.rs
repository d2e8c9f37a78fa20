//! `llmguard key`: new, rotated and retired API keys of a policy's clients, and password hashes.
//!
//! Standard output holds the key or the hash alone, so that it can be piped; everything else goes to standard error.

use std::io::{IsTerminal as _, Read as _};

use super::{Exit, Global, PolicyArgs, fail, load, print, say};
use crate::keys::files::{Done, Files};
use crate::keys::hash::{self, Algorithm};
use crate::keys::{self, Error};
use crate::secret::Secret;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Args {
    /// Append a fresh key to .env, under the name that the policy gives it, and print it.
    New(ClientArgs),
    /// Give a client a second key beside the first, and print it: both are accepted.
    Rotate(ClientArgs),
    /// Take a client's older key out of the policy and .env.
    Retire(ClientArgs),
    /// Hash a password for `password_hash`: asked for without echo, or read from standard input.
    Hash(HashArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct ClientArgs {
    /// A client of the policy.
    name: String,
    #[command(flatten)]
    policy: PolicyArgs,
}

#[derive(Debug, clap::Args)]
pub(super) struct HashArgs {
    /// What to hash with: every target verifies bcrypt, only Caddy argon2id.
    #[arg(long, value_enum, default_value_t = Kind::Bcrypt)]
    algorithm: Kind,
    /// bcrypt's cost, 5 to 14: each step doubles the work of every login.
    #[arg(long, value_name = "N", default_value_t = hash::DEFAULT_COST)]
    cost: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    Bcrypt,
    Argon2id,
}

pub(super) fn run(args: &Args, global: &Global) -> Exit {
    let done = match args {
        Args::New(client) => change(client, global, Files::new_key, |name, _| {
            format!("`{name}` is set in {{env}}; give the key to the client and render again")
        }),
        Args::Rotate(client) => change(client, global, Files::rotate, |name, client| {
            format!(
                "`{name}` is set in {{env}} and accepted beside the older key; render again, give it to the client, then: llmguard key retire {client}"
            )
        }),
        Args::Retire(client) => change(client, global, Files::retire, |name, _| {
            format!("`{name}` opens nothing once you have rendered again and reloaded the server")
        }),
        Args::Hash(args) => hash(args, global),
    };
    match done {
        Ok(exit) => exit,
        Err(Failure::Said(exit)) => exit,
        Err(Failure::Key(error)) => fail(&error.message, Some(&error.remedy)),
    }
}

/// Why a command ended.
enum Failure {
    /// The user knows already.
    Said(Exit),
    /// The user must be told.
    Key(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Key(error)
    }
}

/// Does something to a client's keys; `told` makes the sentence about the variable, `{env}` being the file's name.
fn change(
    args: &ClientArgs,
    global: &Global,
    act: fn(&Files, &str) -> Result<Done, Error>,
    told: fn(&str, &str) -> String,
) -> Result<Exit, Failure> {
    let policy = load::find(&args.policy).map_err(Failure::Said)?;
    let env = load::env_path(&args.policy, &policy);
    let shown = env.display().to_string();
    let done = act(&Files { policy, env }, &args.name)?;
    if let Some(key) = &done.key {
        print(&keys::line(key));
    }
    if !global.quiet {
        if let Some(variable) = &done.variable {
            say(&told(variable, &args.name).replace("{env}", &shown));
        }
        done.notes.iter().for_each(|note| say(&format!("note: {note}")));
    }
    Ok(Exit::Done)
}

fn hash(args: &HashArgs, global: &Global) -> Result<Exit, Failure> {
    let algorithm = match args.algorithm {
        Kind::Bcrypt => Algorithm::Bcrypt { cost: args.cost },
        Kind::Argon2id if args.cost != hash::DEFAULT_COST => {
            return Err(Error::new("`--cost` is for bcrypt", "leave it out with argon2id").into());
        }
        Kind::Argon2id => Algorithm::Argon2id,
    };
    let hashed = hash::hash(&password()?, algorithm)?;
    print(&keys::line(&hashed.hash));
    if !global.quiet {
        hashed.warnings.iter().for_each(|warning| say(&format!("warning: {warning}")));
        say(&hash::explanation(algorithm));
        say("put it into .env in single quotes, and name its variable: password_hash = \"env:NAME\"");
    }
    Ok(Exit::Done)
}

/// The password: typed twice without echo, or all of standard input without its last line end.
fn password() -> Result<Secret, Failure> {
    let unread = |error: &std::io::Error| {
        let reason = crate::source::io_reason(error);
        Error::new(format!("can't read the password: {reason}"), "type it, or send it to standard input")
    };
    let mut text = String::new();
    if std::io::stdin().is_terminal() {
        let ask = |prompt: &str| rpassword::prompt_password(prompt).map(Secret::new).map_err(|error| unread(&error));
        let password = ask("Password: ")?;
        if ask("Again: ")? != password {
            return Err(Error::new("the two passwords differ", "try again").into());
        }
        return Ok(password);
    }
    std::io::stdin().read_to_string(&mut text).map_err(|error| unread(&error))?;
    let end = text.strip_suffix('\n').map_or(text.len(), |line| line.strip_suffix('\r').unwrap_or(line).len());
    text.truncate(end);
    Ok(Secret::new(text))
}
