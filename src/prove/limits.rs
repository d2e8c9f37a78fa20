//! The limits themselves: rates and connections, by asking faster than they allow.
//!
//! In: a running server with the policy's true limits. Out: what was tried and what is wrong. Invariant: bounded requests and time; a limit
//! too large to reach within the bounds is left out and not counted as proven.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::engine::{Answer, DEADLINE, Decides as _, Engine};
use super::question::Question;
use super::wire;
use crate::policy::plan::Plan;
use crate::policy::rate::Rate;

/// The largest burst that is tried.
const MOST: u32 = 400;

/// What came of trying the limits.
#[derive(Debug, Default)]
pub struct Tried {
    /// How many limits were tried.
    pub asked: usize,
    /// What is wrong.
    pub problems: Vec<String>,
}

/// Tries every limit of the plan that a server runs.
pub fn ask(engine: &mut Engine) -> Tried {
    let mut tried = Tried::default();
    let plan = engine.moved.plan.clone();
    if let Some(rate) = plan.limits.rate.filter(|rate| rate.burst <= MOST) {
        tried.asked += 1;
        per_address(engine, &plan, rate, &mut tried.problems);
    }
    for (index, client) in plan
        .clients
        .iter()
        .enumerate()
        .filter(|(_, client)| client.rate.is_some_and(|rate| rate.burst <= MOST / 4))
        .take(2)
    {
        let Some(rate) = client.rate else { continue };
        let Some(key) = client.keys.iter().find_map(|key| key.value.as_ref()).filter(|_| plan.auth.bearer) else {
            continue;
        };
        let allowed =
            plan.access.sets.get(client.set).and_then(|set| {
                set.allow.iter().find(|endpoint| endpoint.model == crate::policy::plan::ModelPlace::None)
            });
        let Some(endpoint) = allowed else { continue };
        tried.asked += 1;
        let authorization = format!("Bearer {}", key.reveal());
        // From many addresses: what is counted is the client.
        let target = endpoint.path.to_string().replace("/:", "/x");
        let ask = |engine: &mut Engine, number: u32| {
            let mut question = plain(&plan, &endpoint.method, &target, Some(&authorization));
            question.request.client_ip = IpAddr::from([127, 200, index as u8, 1 + (number % 250) as u8]);
            status(engine, &question)
        };
        exhaust(engine, &format!("the rate of client `{}`", client.name), rate, 200, &mut tried.problems, ask);
    }
    if let Some(max) = plan.limits.connections.filter(|max| *max <= 64) {
        tried.asked += 1;
        connections(engine, &plan, max, &mut tried.problems);
    }
    tried
}

fn plain(plan: &Plan, method: &str, target: &str, authorization: Option<&str>) -> Question {
    let host = plan.listen.server_names.first().map_or("localhost", String::as_str);
    let mut headers = vec![(b"Host".to_vec(), host.as_bytes().to_vec())];
    headers.extend(authorization.map(|value| (b"Authorization".to_vec(), value.as_bytes().to_vec())));
    Question::new("limit", method, target.as_bytes(), headers)
}

fn status(engine: &mut Engine, question: &Question) -> u16 {
    match engine.ask(question) {
        Answer::Observed(observed) => observed.0.status.unwrap_or(444),
        Answer::Decided(_) => 0,
    }
}

/// One address: `burst` pass, then 429 with Retry-After, for a good key too; another address is free.
fn per_address(engine: &mut Engine, plan: &Plan, rate: Rate, problems: &mut Vec<String>) {
    let mut question = plain(plan, "POST", "/api/llmguard-limit", Some("Bearer wrong-key-0000000000000000000000000"));
    question.request.client_ip = IpAddr::from([127, 201, 0, 1]);
    let normal = if plan.auth.anonymous { 403 } else { 401 };
    let over = exhaust(engine, "limits.rate", rate, normal, problems, |engine, _| status(engine, &question));
    let key = plan.clients.iter().flat_map(|client| &client.keys).find_map(|key| key.value.as_ref());
    if let Some(key) = key.filter(|_| over) {
        let mut good = plain(plan, "GET", "/api/llmguard-limit", Some(&format!("Bearer {}", key.reveal())));
        good.request.client_ip = question.request.client_ip;
        // Where buckets are per router, those who are known have one of their own to empty; elsewhere one may have come back.
        let tries = if engine.form.one_bucket { 4 } else { rate.burst + 8 };
        let answers = (0..tries).filter_map(|_| match engine.ask(&good) {
            Answer::Observed(observed) => Some(observed.0),
            Answer::Decided(_) => None,
        });
        let mut last = None;
        for exchange in answers {
            let over = exchange.status == Some(429);
            last = Some(exchange);
            if over {
                break;
            }
        }
        match last {
            Some(exchange) if exchange.status != Some(429) => {
                problems.push(format!("limits.rate: over it a good key gets {:?} instead of 429", exchange.status));
            }
            Some(exchange) if exchange.header("Retry-After").is_none() => {
                problems.push("limits.rate: 429 without Retry-After".to_owned());
            }
            _ => {}
        }
    }
    question.request.client_ip = IpAddr::from([127, 201, 0, 2]);
    let other = status(engine, &question);
    if other != normal {
        problems.push(format!("limits.rate: another address gets {other} instead of {normal}"));
    }
}

/// Asks until the first 429. Before it `burst` must pass, and no more than that and what came back meanwhile. Says whether it came.
fn exhaust(
    engine: &mut Engine,
    what: &str,
    rate: Rate,
    normal: u16,
    problems: &mut Vec<String>,
    ask: impl Fn(&mut Engine, u32) -> u16,
) -> bool {
    let started = Instant::now();
    for passed in 0..2 * rate.burst + 20 {
        let status = ask(engine, passed);
        let most = f64::from(rate.burst) + started.elapsed().as_secs_f64() * rate.per_second() + 1.0;
        match status {
            429 if passed < rate.burst => {
                problems.push(format!("{what}: request {} of a burst of {} gets 429", passed + 1, rate.burst));
                return true;
            }
            429 => return true,
            status if status != normal => {
                problems.push(format!("{what}: request {} gets {status} instead of {normal}", passed + 1));
                return false;
            }
            _ if f64::from(passed + 1) > most => {
                problems.push(format!("{what}: request {} passes beyond a burst of {}", passed + 1, rate.burst));
                return false;
            }
            _ => {}
        }
    }
    // More came back than could be asked: this machine can't tell.
    false
}

/// `max` slow requests at once pass, one more from the same address is 429, from another it passes.
fn connections(engine: &mut Engine, plan: &Plan, max: u32, problems: &mut Vec<String>) {
    let Some(authorized) = slow(plan) else { return };
    let same = IpAddr::from([127, 202, 0, 1]);
    let mut list: Vec<(wire::Target, Vec<u8>)> = Vec::new();
    for number in 0..max + 2 {
        let mut question = authorized.clone();
        question.request.client_ip = if number == max + 1 { IpAddr::from([127, 202, 0, 2]) } else { same };
        let id = engine.id();
        list.push((engine.target(&question), question.bytes(id)));
    }
    let method = String::from_utf8_lossy(&authorized.request.method).into_owned();
    let statuses: Vec<Option<u16>> = std::thread::scope(|scope| {
        let handles: Vec<_> = list
            .iter()
            .enumerate()
            .map(|(number, (target, bytes))| {
                let method = &method;
                // The last two come when the first are surely being served.
                let wait = if number as u32 >= max { Duration::from_millis(400) } else { Duration::ZERO };
                scope.spawn(move || {
                    std::thread::sleep(wait);
                    wire::exchange(target, method, bytes, DEADLINE).status
                })
            })
            .collect();
        handles.into_iter().map(|handle| handle.join().ok().flatten()).collect()
    });
    let passed = statuses.iter().take(max as usize).filter(|status| **status == Some(200)).count();
    if passed != max as usize {
        problems.push(format!("limits.connections: {passed} of {max} requests at once passed: {statuses:?}"));
    }
    if statuses.get(max as usize) != Some(&Some(429)) {
        problems.push(format!(
            "limits.connections: one more than {max} at once gets {:?} instead of 429",
            statuses.get(max as usize)
        ));
    }
    if statuses.last() != Some(&Some(200)) {
        problems.push(format!("limits.connections: another address gets {:?}", statuses.last()));
    }
}

/// A request that takes a second and passes.
fn slow(plan: &Plan) -> Option<Question> {
    let client = plan
        .clients
        .iter()
        .find_map(|client| Some((client.keys.iter().find_map(|key| key.value.clone())?, client.set)));
    let (authorization, set) = match client {
        Some((key, set)) => (Some(format!("Bearer {}", key.reveal())), set),
        None => (None, 0),
    };
    let endpoint = plan.access.sets.get(set)?.allow.iter().find(|endpoint| endpoint.path.literal().is_some())?;
    let mut question = plain(plan, &endpoint.method, &endpoint.path.to_string(), authorization.as_deref());
    question.script = "slow:1500";
    Some(question)
}
