//! The matrix for programs: every endpoint, every cell with its place, version 1.

use serde_json::{Map, Value, json};

use crate::analysis::matrix::{Answer, Cell, Closed, Difference, Matrix, Row, Way, WayName};

pub(super) fn write(matrix: &Matrix) -> String {
    let id = |at: usize| format!("{}-{}", matrix.columns[at].kind.name(), at + 1);
    let columns = matrix.columns.iter().enumerate();
    let callers = columns.map(|(at, own)| json!({"id": id(at), "kind": own.kind.name(), "names": own.names}));
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| drop(object.insert(key.to_owned(), value));
    put("version", 1.into());
    put("policy", json!(matrix.policy));
    put("upstream", json!(matrix.upstream));
    put("files", json!(matrix.files));
    put("callers", callers.collect());
    put("ways", matrix.ways.iter().map(|own| way(own, &id)).collect());
    put("closed", matrix.closed.iter().map(closed).collect());
    put("limits", json!(matrix.limits));
    put("untold", json!(matrix.untold));
    if matrix.compared {
        let kinds = [Difference::Looser, Difference::MaybeLooser, Difference::Stricter];
        let counts = kinds.map(|own| (own.name().to_owned(), json!(matrix.count(own))));
        put("differences", Value::Object(counts.into_iter().collect()));
    }
    format!("{:#}\n", Value::Object(object))
}

fn way(way: &Way, id: &dyn Fn(usize) -> String) -> Value {
    let row = |row: &Row| {
        let cells = way.columns.iter().zip(&row.cells).map(|(column, own)| cell(id(*column), own));
        json!({"group": row.group, "whole": row.whole, "endpoints": row.endpoints, "cells": cells.collect::<Vec<_>>()})
    };
    json!({
        "names": way.names.iter().map(name).collect::<Vec<_>>(),
        "rows": way.rows.iter().map(row).collect::<Vec<_>>(),
        "limits": way.limits,
    })
}

fn name(name: &WayName) -> Value {
    json!({
        "system": name.system, "listener": name.listener, "tls": name.tls, "host": name.host,
        "other_hosts_differ": !name.only, "below": name.below,
    })
}

fn closed(closed: &Closed) -> Value {
    let mut object = Map::new();
    object.insert("name".to_owned(), name(&closed.name));
    object.insert("answers".to_owned(), closed.answers.iter().map(|own| Value::Object(answer(own))).collect());
    Value::Object(object)
}

fn cell(caller: String, cell: &Cell) -> Value {
    let mut object = Map::new();
    object.insert("caller".to_owned(), caller.into());
    object.extend(answer(&cell.answer));
    if let Some(wanted) = &cell.wanted {
        object.insert("policy".to_owned(), Value::Object(answer(wanted)));
    }
    if let Some(difference) = cell.difference {
        object.insert("difference".to_owned(), difference.name().into());
    }
    if let Some(place) = &cell.place {
        object.insert("file".to_owned(), place.file.clone().into());
        object.insert("line".to_owned(), place.line.into());
        object.insert("note".to_owned(), place.note.clone().into());
    }
    if let Some(remark) = &cell.remark {
        object.insert("remark".to_owned(), remark.clone().into());
    }
    Value::Object(object)
}

/// The outcome as `decide` calls it, and what belongs to it.
fn answer(answer: &Answer) -> Map<String, Value> {
    let value = match answer {
        Answer::Unreachable => json!({"outcome": "unreachable"}),
        Answer::Refused(status) => json!({"outcome": "refused", "status": status}),
        Answer::Answered(status) => json!({"outcome": "answered", "status": status}),
        Answer::Elsewhere(server) => json!({"outcome": "elsewhere", "upstream": server}),
        Answer::Unknown => json!({"outcome": "unknown"}),
        Answer::Passes => json!({"outcome": "proxied"}),
    };
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}
