//! What a gateway does with one request.
//!
//! In: a [`Gateway`] and a [`Request`]. Out: an [`Outcome`]. Invariant: total (no panic, at most [`HOPS`] chains), without a special
//! case for any server, and every outcome names at least one place that caused it.

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock};

use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use base64::{Engine as _, alphabet};

use super::*;
use crate::http::{self, Request, Target, Version};

/// How many chains a request may pass: nginx allows ten internal redirects, nobody needs more.
pub const HOPS: usize = 16;

/// What became of a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The decision.
    pub verdict: Verdict,
    /// Who it was, when that was verified.
    pub client: Option<String>,
    /// The limits that applied on the way.
    pub limits: Vec<Limit>,
    /// The places that led here, in order.
    pub steps: Vec<Origin>,
}

/// The decision about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The gateway refuses: a status from 400 on, 444 for a connection that is closed without an answer.
    Refused(u16),
    /// The gateway answers by itself with another status.
    Answered(u16),
    /// The upstream sees it.
    Proxied {
        /// `host:port` of the first server.
        upstream: String,
        /// The request target that it gets.
        target: Vec<u8>,
        /// The Host header that it gets.
        host: String,
    },
    /// Not to be known from the files.
    Unknown(String),
}

struct State<'r> {
    request: &'r Request,
    target: Target<'r>,
    host: Option<String>,
    client: Option<String>,
}

/// Decides about one request.
pub fn evaluate(gateway: &Gateway, request: &Request) -> Outcome {
    let mut outcome = Outcome {
        verdict: Verdict::Unknown("no listener on this port".to_owned()),
        client: None,
        limits: Vec::new(),
        steps: Vec::new(),
    };
    let Some(listener) = gateway.listener(request.port) else { return outcome };
    outcome.steps.push(listener.origin.clone());
    let (target, host) = match well_formed(listener, request) {
        Ok(parts) => parts,
        Err((status, why)) => {
            outcome.steps.push(Origin { note: why.to_owned(), ..listener.origin.clone() });
            outcome.verdict = Verdict::Refused(status);
            return outcome;
        }
    };
    let mut state = State { request, target, host, client: None };
    let mut next = listener.chain;
    for _ in 0..HOPS {
        let Some(chain) = gateway.chains.get(next.0) else { break };
        let clause = chain.clauses.iter().find(|clause| holds(&clause.when, &state));
        let (steps, then, origin) = match clause {
            Some(clause) => (clause.steps.as_slice(), &clause.then, &clause.origin),
            None => (&[][..], &chain.otherwise, &chain.origin),
        };
        if !origin.note.is_empty() {
            outcome.steps.push(origin.clone());
        }
        for step in steps {
            if let Some(status) = run(step, &mut state, &mut outcome) {
                outcome.verdict = Verdict::Refused(status);
                return outcome;
            }
        }
        match then {
            Terminal::Then(chain) => next = *chain,
            Terminal::Respond(status) => {
                outcome.verdict = if *status >= 400 { Verdict::Refused(*status) } else { Verdict::Answered(*status) };
                return outcome;
            }
            Terminal::Forward { upstream, host } => {
                outcome.verdict = Verdict::Proxied {
                    upstream: upstream.clone(),
                    target: state.target.origin_form(),
                    host: host.clone(),
                };
                return outcome;
            }
        }
    }
    outcome.verdict = Verdict::Unknown("the chains of this gateway never end".to_owned());
    outcome
}

/// What every HTTP server refuses before any rule of its config (RFC 9112, sections 3 and 5).
fn well_formed<'r>(
    listener: &Listener,
    request: &'r Request,
) -> Result<(Target<'r>, Option<String>), (u16, &'static str)> {
    if request.tls.is_some_and(|tls| tls != listener.tls) {
        return Err((400, "this listener doesn't speak that protocol"));
    }
    if request.method.is_empty() || !request.method.iter().all(|&byte| http::is_token_byte(byte)) {
        return Err((400, "the method is malformed"));
    }
    if request.target.iter().any(|&byte| byte <= b' ' || byte == 0x7f) {
        return Err((400, "the request target holds a blank or a control character"));
    }
    for (name, value) in &request.headers {
        let name_ok = !name.is_empty() && name.iter().all(|&byte| http::is_token_byte(byte));
        if !name_ok || value.iter().any(|byte| matches!(byte, 0 | b'\r' | b'\n')) {
            return Err((400, "a header is malformed"));
        }
    }
    let hosts: Vec<&[u8]> = request.header("host").collect();
    if hosts.len() > 1 {
        return Err((400, "two Host headers"));
    }
    if hosts.is_empty() && request.version == Version::Http11 {
        return Err((400, "no Host header"));
    }
    if hosts.iter().any(|host| host.iter().any(|&byte| byte <= b' ' || byte == 0x7f)) {
        return Err((400, "the Host header holds a blank or a control character"));
    }
    if request.head_bytes() >= 2 * listener.head_bytes {
        return Err((431, "the request head is too large"));
    }
    let target = Target::parse(&request.target).ok_or((400, "the request target is malformed"))?;
    let host = http::host_name(target.authority.or(hosts.first().copied()).unwrap_or_default());
    Ok((target, host))
}

fn holds(predicate: &Predicate, state: &State<'_>) -> bool {
    match predicate {
        Predicate::Always => true,
        Predicate::Method(methods) => methods.iter().any(|method| method.as_bytes() == state.request.method),
        Predicate::Path(PathTest::Exact(path)) => path.as_bytes() == state.target.path,
        Predicate::Path(PathTest::Regex(regex)) => regex.is_match(state.target.path),
        Predicate::Host(names) => state.host.as_ref().is_some_and(|host| names.contains(host)),
        Predicate::Header(name, HeaderTest::Present) => state.request.header(name).any(|value| !value.is_empty()),
        Predicate::Header(name, HeaderTest::OneOf(values)) => {
            state.request.single_header(name).is_some_and(|given| values.iter().any(|value| value.as_bytes() == given))
        }
        Predicate::Header(name, HeaderTest::Scheme(word)) => {
            state.request.header(name).any(|value| credentials_of(value, word).is_some())
        }
        Predicate::Client(name) => state.client.as_ref() == Some(name),
        Predicate::Model(models) => body::model(state.request).is_some_and(|model| {
            models.iter().any(|test| if test.prefix { model.starts_with(&test.text) } else { model == test.text })
        }),
        Predicate::All(parts) => parts.iter().all(|part| holds(part, state)),
        Predicate::Any(parts) => parts.iter().any(|part| holds(part, state)),
        Predicate::Not(part) => !holds(part, state),
    }
}

/// Does one step; gives the status when it ends the request.
fn run(step: &Step, state: &mut State<'_>, outcome: &mut Outcome) -> Option<u16> {
    let (status, origin) = match step {
        Step::Limit(limit, _) => {
            outcome.limits.push(limit.clone());
            return None;
        }
        Step::Authenticate(authenticate, origin) => {
            state.client = who(authenticate, state.request);
            outcome.client.clone_from(&state.client);
            if state.client.is_some() {
                return None;
            }
            (401, origin)
        }
        Step::BodyLimit(bytes, origin) => {
            if state.request.body_bytes <= *bytes {
                return None;
            }
            (413, origin)
        }
    };
    outcome.steps.push(origin.clone());
    Some(status)
}

/// Who a request's credentials belong to: Bearer's client, else X-API-Key's, else Basic's.
fn who(authenticate: &Authenticate, request: &Request) -> Option<String> {
    let of = |test: &dyn Fn(&Proof) -> bool| -> Option<String> {
        let found = authenticate.credentials.iter().find(|credential| credential.proof.as_ref().is_some_and(test));
        found.map(|credential| credential.client.clone())
    };
    let by_key = |given: &[u8]| of(&|proof| matches!(proof, Proof::Key(key) if key.equals(given)));
    if let Some(name) = &request.as_client
        && authenticate.credentials.iter().any(|credential| credential.client == *name)
    {
        return Some(name.clone());
    }
    let authorization = request.single_header("authorization");
    if authenticate.bearer
        && let Some(client) = authorization.and_then(|value| credentials_of(value, "bearer")).and_then(by_key)
    {
        return Some(client);
    }
    if authenticate.x_api_key
        && let Some(client) = request.single_header("x-api-key").and_then(by_key)
    {
        return Some(client);
    }
    let (user, password) = basic_credentials(authorization.filter(|_| authenticate.basic)?)?;
    let own = authenticate.credentials.iter().filter(|credential| credential.client == user);
    own.filter_map(|credential| match &credential.proof {
        Some(Proof::PasswordHash(hash)) => Some(hash),
        _ => None,
    })
    .any(|hash| verify(hash, &password))
    .then_some(user)
}

/// What follows an authentication scheme and its blanks (RFC 9110, section 11.4); the scheme in any case.
fn credentials_of<'v>(value: &'v [u8], scheme: &str) -> Option<&'v [u8]> {
    let (start, rest) = value.split_at_checked(scheme.len())?;
    let blanks = rest.iter().take_while(|&&byte| byte == b' ').count();
    (start.eq_ignore_ascii_case(scheme.as_bytes()) && blanks > 0).then(|| &rest[blanks..])
}

/// User and password of a Basic header (RFC 7617).
fn basic_credentials(value: &[u8]) -> Option<(String, Vec<u8>)> {
    // Bits behind the last byte mean nothing (RFC 4648, section 3.5): every server overlooks them, and asks for exact padding.
    let config = GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true);
    let engine = GeneralPurpose::new(&alphabet::STANDARD, config);
    let decoded = engine.decode(credentials_of(value, "basic")?).ok()?;
    let colon = decoded.iter().position(|&byte| byte == b':')?;
    Some((String::from_utf8(decoded[..colon].to_vec()).ok()?, decoded[colon + 1..].to_vec()))
}

/// Whether a password belongs to a hash. Remembered, since each check costs what an attacker's guess should cost.
fn verify(hash: &Secret, password: &[u8]) -> bool {
    type Known = Mutex<HashMap<(String, Vec<u8>), bool>>;
    static KNOWN: OnceLock<Known> = OnceLock::new();
    let key = (hash.reveal().to_owned(), password.to_vec());
    let known = KNOWN.get_or_init(Known::default);
    if let Ok(known) = known.lock()
        && let Some(answer) = known.get(&key)
    {
        return *answer;
    }
    let answer = check(&key.0, password);
    if let Ok(mut known) = known.lock() {
        known.insert(key, answer);
    }
    answer
}

fn check(hash: &str, password: &[u8]) -> bool {
    use argon2::PasswordVerifier as _;
    if hash.starts_with("$argon2id$") {
        let Ok(parsed) = argon2::password_hash::phc::PasswordHash::new(hash) else { return false };
        return argon2::Argon2::default().verify_password(password, &parsed).is_ok();
    }
    bcrypt::verify(password, hash).unwrap_or(false)
}
