//! Who asks: one seat for each caller that may make a column.
//!
//! In: gateways, their ways in, and the policy. Out: [`Seat`]s. Invariant: every client of the policy has a seat, unless its credential can't be
//! told from those that the config accepts; the value of a credential stands in requests only, never in a name.

use std::collections::BTreeSet;

use super::{Kind, Subject};
use crate::analysis::boundary::Boundaries;
use crate::analysis::caller::{self, Caller, Trick, Who};
use crate::analysis::entry::Entry;
use crate::analysis::measure::{Measure, On};
use crate::analysis::survey::asked;
use crate::analysis::witness::Ask;
use crate::gateway::environment_variable;
use crate::gateway::eval::ways;
use crate::policy::plan::KeyOrigin;

/// How many clients of a policy are looked for in a config.
const MOST_CLIENTS: usize = 24;
/// Of how many credentials near misses are tried.
const MOST_NEARLY: usize = 4;

/// A caller, by all means that it has.
#[derive(Debug, Clone)]
pub struct Seat {
    pub kind: Kind,
    pub names: Vec<String>,
    /// What the policy takes it for.
    pub on: On,
    /// The only system that knows it; absent: all.
    pub system: Option<usize>,
    /// The plainest first; none: it doesn't come through a gateway.
    pub callers: Vec<Caller>,
}

impl Seat {
    fn new(kind: Kind, name: impl Into<String>, on: On, system: Option<usize>, callers: Vec<Caller>) -> Seat {
        Seat { kind, names: vec![name.into()], on, system, callers }
    }
}

/// The seats, and the clients of the policy who have none.
pub fn seats(
    subjects: &[Subject<'_>],
    entries: &[Vec<Entry>],
    measure: &Measure,
    asks: &[Ask],
    compared: bool,
) -> (Vec<Seat>, Vec<String>) {
    let mut found = Found::default();
    let read = subjects.iter().zip(entries).enumerate().filter(|(_, (subject, _))| !subject.unset);
    for (index, (subject, entries)) in read {
        found.system(index, subject, entries, measure, asks);
    }
    let nobody = Seat::new(Kind::Nobody, "nobody", On::Nobody, None, vec![Caller::nobody()]);
    let known = found.clients.iter().chain(&found.credentials).flat_map(|seat| &seat.callers);
    let known = known.filter(|caller| caller.as_client.is_none()).take(MOST_NEARLY);
    for caller in known.flat_map(caller::nearly).collect::<Vec<_>>() {
        if let Who::Stranger(Trick::Nearly(what)) = &caller.who {
            put(&mut found.tricks, Kind::Trick, format!("nearly a key ({what})"), None, caller);
        }
    }
    found.wrong.sort_by_key(|(noticed, _)| !noticed);
    let wrong: Vec<Caller> = std::mem::take(&mut found.wrong).into_iter().map(|(_, caller)| caller).collect();
    let wrong = Seat::new(Kind::WrongKey, "a wrong key", On::Nobody, None, wrong);
    let (clients, untold) = match compared {
        true => found.of_policy(measure, &wrong),
        false => (by_set(measure), Vec::new()),
    };
    let mut seats = vec![nobody, wrong];
    seats.extend(found.tricks);
    seats.extend(clients);
    if compared {
        seats.extend(found.credentials);
    }
    seats.extend(found.containers);
    (seats, untold)
}

/// The clients of the policy as the policy's own gateway knows them: one for those who may do the same.
fn by_set(measure: &Measure) -> Vec<Seat> {
    let mut seats: Vec<(usize, Seat)> = Vec::new();
    for client in &measure.plan.clients {
        if let Some((_, seat)) = seats.iter_mut().find(|(set, _)| *set == client.set) {
            seat.names.push(client.name.clone());
            continue;
        }
        let on = On::Client(client.name.clone());
        let caller = Caller::client(on.clone(), Some(client.name.clone()));
        seats.push((client.set, Seat::new(Kind::Client, &client.name, on, None, vec![caller])));
    }
    seats.into_iter().map(|(_, seat)| seat).collect()
}

/// What the configs know.
#[derive(Default)]
struct Found {
    /// What opens nothing, and whether the config looks at it at all.
    wrong: Vec<(bool, Caller)>,
    tricks: Vec<Seat>,
    /// Clients of the policy whose credentials stand in a config.
    clients: Vec<Seat>,
    credentials: Vec<Seat>,
    containers: Vec<Seat>,
}

impl Found {
    fn system(&mut self, index: usize, subject: &Subject<'_>, entries: &[Entry], measure: &Measure, asks: &[Ask]) {
        for entry in entries {
            let boundaries = entry.boundaries(subject.gateway);
            for caller in caller::strangers(boundaries) {
                self.stranger(index, caller, boundaries);
            }
            for caller in caller::candidates(boundaries, measure) {
                if caller.knows_environment {
                    self.by_variables(index, subject, entry, &caller, measure, asks);
                } else {
                    self.client(index, caller);
                }
            }
        }
        if let Some(neighbours) = subject.neighbours {
            let guarded = neighbours.iter().filter(|own| measure.guards(&format!("{}:{}", own.service, own.port)));
            let from: BTreeSet<&str> = guarded.flat_map(|own| &own.from).map(String::as_str).collect();
            let mut seat = Seat::new(Kind::Container, "another container", On::Nobody, Some(index), Vec::new());
            if !from.is_empty() {
                seat.names = from.into_iter().map(str::to_owned).collect();
            }
            match self.containers.iter_mut().find(|other| other.names == seat.names) {
                // The systems of one project have the same neighbours.
                Some(other) => other.system = None,
                None => self.containers.push(seat),
            }
        }
    }

    fn stranger(&mut self, index: usize, caller: Caller, boundaries: &Boundaries) {
        match &caller.who {
            Who::Stranger(Trick::Empty) => put(&mut self.tricks, Kind::Trick, "an empty key".to_owned(), None, caller),
            Who::Stranger(Trick::Wrong) => {
                let named = |name: &str| boundaries.headers.contains_key(&name.to_ascii_lowercase());
                let mut names = caller.headers.iter().map(|(name, _)| String::from_utf8_lossy(name));
                let login = caller.headers.iter().any(|(_, value)| value.starts_with(b"Basic "));
                let noticed = names.any(|name| named(&name)) || login && !boundaries.clients.is_empty();
                match self.wrong.iter_mut().find(|(_, other)| *other == caller) {
                    Some((known, _)) => *known |= noticed,
                    None => self.wrong.push((noticed, caller)),
                }
            }
            Who::Stranger(trick @ (Trick::Header(name) | Trick::Argument(name) | Trick::Cookie(name))) => {
                let name = match trick {
                    Trick::Argument(_) => format!("anybody with ?{name}="),
                    Trick::Cookie(_) => format!("anybody with cookie {name}"),
                    _ => format!("anybody with header {name}"),
                };
                put(&mut self.tricks, Kind::Trick, name, Some(index), caller);
            }
            Who::Nobody | Who::Client | Who::Stranger(Trick::Nearly(_)) => {}
        }
    }

    fn client(&mut self, index: usize, caller: Caller) {
        let login = caller.logging_in();
        match &caller.on {
            On::Client(name) => {
                for caller in [Some(caller.clone()), login].into_iter().flatten() {
                    put(&mut self.clients, Kind::Client, name.clone(), None, caller);
                }
            }
            On::Nobody | On::SomeClient => {
                let name = match (&caller.as_client, caller.headers.as_slice(), &caller.argument) {
                    (Some(name), ..) => name.clone(),
                    (_, [], Some((name, _))) => format!("a key in ?{name}="),
                    (_, [(name, _)], _) => format!("a key in {}", String::from_utf8_lossy(name)),
                    _ => "several keys at once".to_owned(),
                };
                let known = self.clients.iter().chain(&self.credentials).flat_map(|seat| &seat.callers);
                if !known.clone().any(|other| same_key(other, &caller)) {
                    let callers = std::iter::once(caller).chain(login).collect();
                    self.credentials.push(Seat::new(Kind::Credential, name, On::SomeClient, Some(index), callers));
                }
            }
        }
    }

    /// Credentials that are values of variables: one caller for each variable that some answer depends on.
    fn by_variables(
        &mut self,
        index: usize,
        subject: &Subject<'_>,
        entry: &Entry,
        caller: &Caller,
        measure: &Measure,
        asks: &[Ask],
    ) {
        let mut names: BTreeSet<String> = BTreeSet::new();
        for ask in asks {
            let (witness, _) = asked(subject.gateway, entry, caller, ask);
            for way in ways(subject.gateway, &witness.request) {
                names.extend(way.assumed.iter().filter_map(|(why, _)| environment_variable(why)).map(str::to_owned));
            }
        }
        for name in names {
            let from = KeyOrigin::Env(name.clone());
            let mut clients = measure.plan.clients.iter();
            let owner = clients.find(|client| client.keys.iter().any(|key| key.origin == from));
            let on = owner.map_or(On::SomeClient, |client| On::Client(client.name.clone()));
            let caller = Caller { variable: Some(name.clone()), on, ..caller.clone() };
            match &caller.on {
                On::Client(client) => {
                    let client = client.clone();
                    put(&mut self.clients, Kind::Client, client, None, caller);
                }
                On::Nobody | On::SomeClient => {
                    let name = format!("the key in ${name}");
                    put(&mut self.credentials, Kind::Credential, name, Some(index), caller);
                }
            }
        }
    }

    /// The clients of the policy in its order, and those who can't be told apart.
    fn of_policy(&mut self, measure: &Measure, wrong: &Seat) -> (Vec<Seat>, Vec<String>) {
        let (mut seats, mut untold) = (Vec::new(), Vec::new());
        if measure.is_built_in() {
            return (seats, untold);
        }
        let unowned = !self.credentials.is_empty();
        let hidden = |seat: &Seat| seat.callers.iter().any(|own| own.knows_environment || own.as_client.is_some());
        let unseen = self.credentials.iter().any(hidden);
        for (index, client) in measure.plan.clients.iter().enumerate() {
            let on = On::Client(client.name.clone());
            let own = client.key_lines(&measure.plan.auth).into_iter().map(|line| Caller::by_key(on.clone(), line));
            if let Some(at) = self.clients.iter().position(|seat| seat.on == on) {
                let mut seat = self.clients.swap_remove(at);
                seat.callers.extend(own);
                seats.push(seat);
                continue;
            }
            let known = client.password.is_none() && client.keys.iter().all(|key| key.value.is_some());
            if index >= MOST_CLIENTS || unowned && (unseen || !known) {
                untold.push(client.name.clone());
                continue;
            }
            // Where no config knows its credential it is a wrong one.
            let wrong = wrong.callers.iter().map(|caller| Caller { on: on.clone(), ..caller.clone() });
            seats.push(Seat::new(Kind::Client, &client.name, on.clone(), None, wrong.chain(own).collect()));
        }
        (seats, untold)
    }
}

/// Whether two callers show one credential, written in capitals or not.
fn same_key(one: &Caller, other: &Caller) -> bool {
    one.as_client == other.as_client
        && one.argument == other.argument
        && one.headers.len() == other.headers.len()
        && one
            .headers
            .iter()
            .zip(&other.headers)
            .all(|((name, value), (other, key))| name.eq_ignore_ascii_case(other) && value.eq_ignore_ascii_case(key))
}

/// Adds a caller to the seat of this name.
fn put(seats: &mut Vec<Seat>, kind: Kind, name: String, system: Option<usize>, caller: Caller) {
    match seats.iter_mut().find(|seat| seat.names == [name.as_str()] && seat.system == system) {
        Some(seat) if seat.callers.contains(&caller) => {}
        Some(seat) => seat.callers.push(caller),
        None => seats.push(Seat::new(kind, name, caller.on.clone(), system, vec![caller])),
    }
}
