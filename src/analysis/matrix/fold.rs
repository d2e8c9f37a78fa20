//! What is alike becomes one: callers, ways in, endpoints of a group.
//!
//! In: the answers of every way in, caller and endpoint. Out: a [`Matrix`]. Invariant: nothing that differs is folded.

use super::ask::{Asker, Endpoint, RawWay, endpoints, level};
use super::seats::{Seat, seats};
use super::{Answer, Cell, Closed, Column, Difference, Kind, Matrix, Row, Subject, Way, WayName};
use crate::analysis::entry;
use crate::analysis::measure::Measure;
use crate::analysis::witness::Ask;
use crate::catalog::LEAF_GROUPS;

pub(super) fn matrix(subjects: &[Subject<'_>], measure: &Measure, compared: bool, every_upstream: bool) -> Matrix {
    let endpoints = endpoints(measure);
    let entries: Vec<_> = subjects.iter().map(|subject| entry::entries(subject.gateway)).collect();
    let asks: Vec<Ask> = endpoints.iter().map(|endpoint| endpoint.ask.clone()).collect();
    let (seats, untold) = seats(subjects, &entries, measure, &asks, compared);
    let asker = Asker { subjects, measure, endpoints: &endpoints, seats: &seats, compared, every_upstream };
    let found = entries.iter().enumerate().flat_map(|(system, entries)| asker.ways(system, entries));
    let mut ways: Vec<RawWay> = found.collect();
    let limits = if compared { asker.limits() } else { Vec::new() };
    let seats = telling(&seats, &mut ways);
    unset(&mut ways);
    let closed = closed(&mut ways);
    if compared {
        stricter(&seats, &mut ways);
    }
    let (columns, seats) = columns(&seats, &ways);
    let mut out: Vec<Way> = Vec::new();
    for way in ways {
        let own: Vec<usize> = (0..seats.len()).filter(|column| way.cells[seats[*column]].is_some()).collect();
        let cells: Vec<&Vec<Cell>> = own.iter().filter_map(|column| way.cells[seats[*column]].as_ref()).collect();
        let rows = rows(&endpoints, &cells);
        let same = |other: &&mut Way| other.columns == own && other.limits == way.limits && alike(&other.rows, &rows);
        match out.iter_mut().find(same) {
            Some(other) => other.names.push(way.name),
            None => out.push(Way { names: vec![way.name], columns: own, rows, limits: way.limits }),
        }
    }
    let files = subjects.iter().flat_map(|subject| &subject.gateway.files).map(|file| file.name.replace('\\', "/"));
    let mut files: Vec<String> = files.collect();
    files.sort();
    files.dedup();
    let upstream = measure.kind.title.clone();
    Matrix { policy: measure.name.clone(), compared, upstream, files, columns, ways: out, closed, limits, untold }
}

/// Leaves out the seats that tell nothing: what opens nothing that nobody gets is no credential and no trick.
fn telling(seats: &[Seat], ways: &mut [RawWay]) -> Vec<Seat> {
    let further = |at: usize, than: usize| {
        ways.iter().any(|way| match (&way.cells[at], &way.cells[than]) {
            (Some(own), Some(other)) => {
                own.iter().zip(other).any(|(own, other)| level(&own.answer) > level(&other.answer).max(2))
            }
            _ => false,
        })
    };
    // Several keys at once only matter where one alone opens nothing.
    let opens = |at: usize| further(at, 0);
    let single = |seat: &Seat| seat.callers.iter().all(|own| own.headers.len() < 2);
    let is_client = |seat: &Seat| matches!(seat.kind, Kind::Client | Kind::Credential);
    let one = (0..seats.len()).any(|at| is_client(&seats[at]) && single(&seats[at]) && opens(at));
    let kept: Vec<usize> = (0..seats.len())
        .filter(|at| match seats[*at].kind {
            Kind::Trick => opens(*at),
            Kind::Credential => opens(*at) && (single(&seats[*at]) || !one),
            Kind::Nobody | Kind::WrongKey | Kind::Client | Kind::Container => true,
        })
        .collect();
    for way in ways {
        way.cells = kept.iter().map(|at| way.cells[*at].take()).collect();
    }
    kept.into_iter().map(|at| seats[at].clone()).collect()
}

/// Of the ways that take unknown variables for unset, keeps those that are looser for it.
fn unset(ways: &mut Vec<RawWay>) {
    let (twins, mut read): (Vec<RawWay>, Vec<RawWay>) =
        std::mem::take(ways).into_iter().partition(|way| way.name.unset);
    let opens = |twin: &RawWay| {
        let own = WayName { unset: false, ..twin.name.clone() };
        let base = read.iter().find(|way| way.name == own);
        let mut cells = twin.cells.iter().flatten().flatten();
        let others = base.map(|way| way.cells.iter().flatten().flatten());
        match others {
            Some(mut others) => cells.any(|cell| {
                let other = others.next().and_then(|other| other.difference);
                cell.difference == Some(Difference::Looser) && other != Some(Difference::Looser)
            }),
            None => cells.any(|cell| cell.difference == Some(Difference::Looser)),
        }
    };
    let kept: Vec<RawWay> = twins.into_iter().filter(opens).collect();
    read.extend(kept);
    *ways = read;
}

/// Takes out the ways that lead nobody to the upstream, if any way does.
fn closed(ways: &mut Vec<RawWay>) -> Vec<Closed> {
    // A container needs no way in.
    let through = |cell: &Cell| cell.place.is_some() && level(&cell.answer) >= level(&Answer::Unknown);
    let leads = |way: &RawWay| way.cells.iter().flatten().flatten().any(through);
    if !ways.iter().any(leads) {
        return Vec::new();
    }
    let (open, shut): (Vec<RawWay>, Vec<RawWay>) = std::mem::take(ways).into_iter().partition(leads);
    *ways = open;
    let closed = shut.into_iter().map(|way| {
        let cells = way.cells.iter().flatten().flatten().filter(|cell| cell.place.is_some());
        let mut answers: Vec<Answer> = cells.map(|cell| cell.answer.clone()).collect();
        answers.sort();
        answers.dedup();
        Closed { name: way.name, answers }
    });
    closed.collect()
}

/// Marks what the policy lets a caller do, and no way in does.
fn stricter(seats: &[Seat], ways: &mut [RawWay]) {
    let count = ways.iter().flat_map(|way| way.cells.iter().flatten()).map(Vec::len).max().unwrap_or_default();
    for endpoint in 0..count {
        for at in 0..seats.len() {
            let alike = (0..seats.len()).filter(|other| seats[*other].on == seats[at].on);
            let mut cells = alike.flat_map(|seat| ways.iter().filter_map(move |way| way.cells[seat].as_ref()));
            if cells.any(|cells| level(&cells[endpoint].answer) >= level(&Answer::Unknown)) {
                continue;
            }
            for cells in ways.iter_mut().filter_map(|way| way.cells[at].as_mut()) {
                let cell = &mut cells[endpoint];
                let moved = matches!(cell.answer, Answer::Answered(300..400));
                if cell.wanted == Some(Answer::Passes) && !moved {
                    cell.difference = Some(Difference::Stricter);
                }
            }
        }
    }
}

/// One column for callers of a kind who are treated alike everywhere, and a seat of each.
fn columns(seats: &[Seat], ways: &[RawWay]) -> (Vec<Column>, Vec<usize>) {
    let mut out: Vec<(Column, usize)> = Vec::new();
    for (at, seat) in seats.iter().enumerate() {
        let same = |other: usize| {
            seats[other].kind == seat.kind
                && ways.iter().all(|way| match (&way.cells[other], &way.cells[at]) {
                    (Some(other), Some(own)) => other.iter().zip(own).all(|(a, b)| key(a) == key(b)),
                    (None, None) => true,
                    _ => false,
                })
        };
        match out.iter_mut().find(|(_, other)| same(*other)) {
            Some((column, _)) => {
                let new = seat.names.iter().filter(|name| !column.names.contains(name));
                let new: Vec<String> = new.cloned().collect();
                column.names.extend(new);
            }
            None => out.push((Column { kind: seat.kind, names: seat.names.clone() }, at)),
        }
    }
    out.into_iter().unzip()
}

/// What makes two cells differ.
fn key(cell: &Cell) -> (&Answer, Option<&Answer>, Option<Difference>) {
    (&cell.answer, cell.wanted.as_ref(), cell.difference)
}

/// One row for the endpoints of a group that are treated alike.
fn rows(endpoints: &[Endpoint], cells: &[&Vec<Cell>]) -> Vec<Row> {
    let groups = LEAF_GROUPS.iter().copied().chain(endpoints.iter().map(|endpoint| endpoint.group.as_str()));
    let mut seen: Vec<&str> = Vec::new();
    let mut out = Vec::new();
    for group in groups {
        if seen.contains(&group) {
            continue;
        }
        seen.push(group);
        let mut rows: Vec<Row> = Vec::new();
        for (at, endpoint) in endpoints.iter().enumerate().filter(|(_, endpoint)| endpoint.group == group) {
            let own: Vec<&Cell> = cells.iter().map(|column| &column[at]).collect();
            let same = |row: &&mut Row| row.cells.iter().zip(&own).all(|(a, b)| key(a) == key(b));
            match rows.iter_mut().find(same) {
                Some(row) => row.endpoints.push(endpoint.name.clone()),
                None => rows.push(Row {
                    group: group.to_owned(),
                    whole: true,
                    endpoints: vec![endpoint.name.clone()],
                    cells: own.into_iter().cloned().collect(),
                }),
            }
        }
        let whole = rows.len() == 1;
        out.extend(rows.into_iter().map(|row| Row { whole, ..row }));
    }
    out
}

/// Whether two ways have the same rows.
fn alike(one: &[Row], other: &[Row]) -> bool {
    let same = |(a, b): (&Row, &Row)| {
        a.endpoints == b.endpoints && a.cells.iter().zip(&b.cells).all(|(a, b)| key(a) == key(b))
    };
    one.len() == other.len() && one.iter().zip(other).all(same)
}
