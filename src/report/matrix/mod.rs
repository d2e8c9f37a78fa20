//! A matrix → a picture: for a terminal, for a page, for a document, and for programs.
//!
//! In: a [`Matrix`]. Out: text. Invariant: the same matrix gives the same bytes; nothing is told by colour alone; no secret is in it.

mod html;
mod human;
mod json;
mod svg;

use crate::analysis::matrix::{Answer, BEYOND, Cell, Column, Difference, Kind, Matrix, Row, Way};

/// How a matrix is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A table for the terminal.
    Human,
    /// For programs.
    Json,
    /// A page that needs nothing else.
    Html,
    /// A picture.
    Svg,
}

impl Format {
    /// The matrix as text; `human` with the terminal's colours.
    pub fn write(self, matrix: &Matrix) -> String {
        match self {
            Format::Human => human::write(matrix),
            Format::Json => json::write(matrix),
            Format::Html => html::write(matrix),
            Format::Svg => svg::write(matrix),
        }
    }
}

/// How many names of a column are shown.
const MOST_NAMES: usize = 3;
/// How many endpoints of a row are shown where there is little room.
const MOST_ENDPOINTS: usize = 3;
/// How many differences are told in words.
const MOST_TOLD: usize = 12;

/// What a difference is marked with.
const MARKS: &[(Difference, &str, &str)] = &[
    (Difference::Looser, "▲", "looser than the policy"),
    (Difference::MaybeLooser, "?", "perhaps looser: the files don't tell"),
    (Difference::Stricter, "▽", "stricter than the policy"),
];

/// What is done with the endpoints of a group.
const DEEDS: &[(&str, &str)] = &[
    ("chat", "talk to a model"),
    ("completions", "let a model write on"),
    ("embeddings", "turn texts into vectors"),
    ("audio", "turn speech into text"),
    ("images", "make pictures"),
    ("list", "see which models there are"),
    ("show", "read a model's details"),
    ("admin", "pull, make, push and delete models"),
    ("account", "act on the owner's account"),
    ("root", "see that the server runs"),
];

/// What is done with the endpoints of a group, in a few words.
fn deeds(group: &str) -> Option<&'static str> {
    DEEDS.iter().find(|(own, _)| *own == group).map(|(_, deed)| *deed)
}

/// A difference's mark.
fn mark(difference: Difference) -> &'static str {
    MARKS.iter().find(|(own, ..)| *own == difference).map_or("", |(_, mark, _)| mark)
}

/// What the picture is about.
fn subject(matrix: &Matrix) -> String {
    let policy = match &matrix.policy {
        Some(name) => format!("the policy {name}"),
        None => "the built-in policy".to_owned(),
    };
    let systems = systems(matrix);
    match matrix.compared {
        true => format!("{} beside {policy} for {}", systems.join(", "), matrix.upstream),
        false => format!("{policy} for {}", matrix.upstream),
    }
}

/// The configs, each once.
fn systems(matrix: &Matrix) -> Vec<&str> {
    let open = matrix.ways.iter().flat_map(|way| &way.names);
    let mut systems: Vec<&str> = Vec::new();
    for name in open.chain(matrix.closed.iter().map(|closed| &closed.name)) {
        if !systems.contains(&name.system.as_str()) {
            systems.push(&name.system);
        }
    }
    systems
}

/// The names of a way in; the config's too where there are several.
fn way_names(matrix: &Matrix, way: &Way) -> Vec<String> {
    let several = systems(matrix).len() > 1;
    let name = |name: &crate::analysis::matrix::WayName| match several {
        true => format!("{}: {}", name.system, name.words()),
        false => name.words(),
    };
    way.names.iter().map(name).collect()
}

/// The ways in that lead nowhere, each with its answers.
fn closed(matrix: &Matrix) -> Vec<String> {
    let several = systems(matrix).len() > 1;
    let told = |closed: &crate::analysis::matrix::Closed| {
        let answers: Vec<String> = closed.answers.iter().map(Answer::word).collect();
        let system = if several { format!("{}: ", closed.name.system) } else { String::new() };
        format!("{system}{} ({})", closed.name.words(), answers.join(", "))
    };
    matrix.closed.iter().map(told).collect()
}

/// Who a column is.
fn who(column: &Column) -> String {
    let names = match column.names.len() {
        0..=MOST_NAMES => column.names.join(", "),
        count => format!("{} and {} more", column.names[..MOST_NAMES - 1].join(", "), count + 1 - MOST_NAMES),
    };
    match (column.kind, column.names.as_slice()) {
        (Kind::Container, [one]) if one == "another container" => names,
        (Kind::Container, [_]) => format!("container {names}"),
        (Kind::Container, _) => format!("containers {names}"),
        _ => names,
    }
    .replace(char::is_control, "�")
}

/// How many endpoints a group has.
fn all_of(way: &Way, group: &str) -> usize {
    way.rows.iter().filter(|row| row.group == group).map(|row| row.endpoints.len()).sum()
}

/// How many endpoints of its group a row holds: `4`, `2 of 9`.
fn share(way: &Way, row: &Row) -> String {
    let all = all_of(way, &row.group);
    match row.whole {
        true => all.to_string(),
        false => format!("{} of {all}", row.endpoints.len()),
    }
}

/// The endpoints of a row, as many as there is room for; none where the row is its whole group.
fn shown_endpoints(row: &Row) -> Vec<String> {
    match row.endpoints.len() {
        _ if row.whole && row.group != BEYOND => Vec::new(),
        0..=MOST_ENDPOINTS => row.endpoints.clone(),
        count => {
            let first = row.endpoints[..MOST_ENDPOINTS - 1].iter().cloned();
            first.chain([format!("and {} more", count + 1 - MOST_ENDPOINTS)]).collect()
        }
    }
}

/// What the policy answers, where a cell differs from it.
fn instead(cell: &Cell) -> Option<String> {
    cell.difference.and(cell.wanted.as_ref()).map(Answer::word)
}

/// A difference in words: who, what, where.
struct Told {
    difference: Difference,
    text: String,
    place: Option<String>,
}

/// The differences in words, the worst first, and how many are left out.
fn told(matrix: &Matrix) -> (Vec<Told>, usize) {
    let mut list: Vec<Told> = Vec::new();
    for way in &matrix.ways {
        for (at, column) in way.columns.iter().enumerate() {
            let who = who(&matrix.columns[*column]);
            let rows = way.rows.iter().map(|row| (row, &row.cells[at])).filter(|(_, cell)| cell.difference.is_some());
            // What differs alike at one place is one difference.
            let mut alike: Vec<(&Cell, Vec<&Row>)> = Vec::new();
            for (row, cell) in rows {
                match alike.iter_mut().find(|(other, _)| same_cause(other, cell)) {
                    Some((_, rows)) => rows.push(row),
                    None => alike.push((cell, vec![row])),
                }
            }
            for (cell, rows) in alike {
                let Some(difference) = cell.difference else { continue };
                let text = sentence(&who, matrix.columns[*column].names.len() > 1, &what(way, &rows), cell);
                let place = cell.place.as_ref().map(|place| format!("{}:{}", place.file, place.line));
                list.push(Told { difference, text, place });
            }
        }
    }
    list.sort_by_key(|told| told.difference);
    let mut apart: Vec<Told> = Vec::new();
    for told in list {
        if !apart.iter().any(|own| own.text == told.text && own.place == told.place) {
            apart.push(told);
        }
    }
    let rest = apart.len().saturating_sub(MOST_TOLD);
    apart.truncate(MOST_TOLD);
    (apart, rest)
}

fn same_cause(one: &Cell, other: &Cell) -> bool {
    let place = |cell: &'_ Cell| cell.place.as_ref().map(|place| (place.file.clone(), place.line));
    (one.difference, &one.answer, &one.wanted) == (other.difference, &other.answer, &other.wanted)
        && place(one) == place(other)
}

/// The endpoints of some rows: by their groups where these are whole.
fn what(way: &Way, rows: &[&Row]) -> String {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for row in rows {
        match counts.iter_mut().find(|(group, _)| *group == row.group) {
            Some((_, count)) => *count += row.endpoints.len(),
            None => counts.push((&row.group, row.endpoints.len())),
        }
    }
    let told = counts.into_iter().map(|(group, count)| {
        let all = all_of(way, group);
        if count == all { group.to_owned() } else { format!("{group} ({count} of {all})") }
    });
    told.collect::<Vec<_>>().join(", ")
}

fn sentence(who: &str, several: bool, what: &str, cell: &Cell) -> String {
    let wanted = cell.wanted.as_ref().map(Answer::word).unwrap_or_default();
    let remark = cell.remark.as_ref().map(|remark| format!(" ({remark})")).unwrap_or_default();
    let verb = |one: &'static str, many: &'static str| if several { many } else { one };
    match cell.difference {
        Some(Difference::Looser) => {
            format!("{who} {} {what}{remark}; the policy says {wanted}", verb("reaches", "reach"))
        }
        Some(Difference::MaybeLooser) => format!("{who} may reach {what}{remark}; the policy says {wanted}"),
        _ => {
            format!("{who} {} {} for {what}{remark}; the policy lets it pass", verb("gets", "get"), cell.answer.word())
        }
    }
}

/// What stands below the tables, as a name and a text.
fn footnotes(matrix: &Matrix) -> Vec<(&'static str, String)> {
    let mut notes = Vec::new();
    let closed = closed(matrix);
    if !closed.is_empty() {
        notes.push(("no way to the upstream", closed.join("; ")));
    }
    if !matrix.limits.is_empty() {
        notes.push(("limits of the policy", matrix.limits.join("; ")));
    }
    if !matrix.untold.is_empty() {
        let names = matrix.untold.join(", ");
        notes.push((
            "not told apart",
            format!("{names}: which of the config's credentials is theirs can't be told here"),
        ));
    }
    notes
}

/// The limits of a way, for the line below it; absent: there are none to speak of.
fn limits(matrix: &Matrix, way: &Way) -> Option<String> {
    match (way.limits.is_empty(), matrix.limits.is_empty()) {
        (false, _) => Some(way.limits.join("; ")),
        (true, false) => Some("none".to_owned()),
        (true, true) => None,
    }
}

/// What every answer means that occurs, for whoever sees the picture for the first time.
fn legend(matrix: &Matrix) -> Vec<(String, &'static str)> {
    let cells = || matrix.ways.iter().flat_map(|way| &way.rows).flat_map(|row| &row.cells);
    let occurs = |test: &dyn Fn(&Answer) -> bool| cells().any(|cell| test(&cell.answer));
    let mut out: Vec<(String, &'static str)> = Vec::new();
    let mut put = |word: &str, meaning: &'static str, occurs: bool| {
        if occurs {
            out.push((word.to_owned(), meaning));
        }
    };
    put("passes", "the upstream gets the request", occurs(&|answer| *answer == Answer::Passes));
    put(
        "401 …",
        "the gateway answers with this status",
        occurs(&|answer| matches!(answer, Answer::Refused(_) | Answer::Answered(_))),
    );
    put("elsewhere", "another server gets it", occurs(&|answer| matches!(answer, Answer::Elsewhere(_))));
    put("unknown", "the files don't tell", occurs(&|answer| *answer == Answer::Unknown));
    put("no way", "it shares no network with the upstream", occurs(&|answer| *answer == Answer::Unreachable));
    for (difference, mark, meaning) in MARKS {
        put(mark, meaning, cells().any(|cell| cell.difference == Some(*difference)));
    }
    out
}
