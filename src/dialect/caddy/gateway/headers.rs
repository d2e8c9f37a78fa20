//! The `headers` handler and the header operations of `reverse_proxy` (HeaderOps).
//!
//! In: operations. Out: steps, in Caddy's order: delete all, add, set, delete, replace. Invariant: the Host is a variable of its own
//! ([`var::HOST`]), since Caddy keeps it apart from the headers.

use super::placeholder::Unknown;
use super::{Compiler, apply, set, text, texts, var, variable};
use crate::dialect::document::Ref;
use crate::gateway::value::Replace;
use crate::gateway::*;

impl<'d> Compiler<'d, '_> {
    pub(super) fn headers(&mut self, node: Ref<'d>) -> Clause {
        let mut steps = self.request_headers(node.get("request"));
        steps.extend(self.response_headers(node.get("response")));
        Clause::steps(steps, Origin::default())
    }

    /// Operations on the request's headers.
    pub(super) fn request_headers(&mut self, ops: Option<Ref<'d>>) -> Vec<Step> {
        let edits = ops.map_or(Vec::new(), |ops| self.edits(ops));
        Self::edited(edits)
    }

    /// The same for the copy of a request that a proxy sends: what the values name is the request's own, whatever becomes of the copy. First
    /// what is to be done before the copy changes.
    pub(super) fn copied_headers(&mut self, ops: Option<Ref<'d>>) -> (Vec<Step>, Vec<Step>) {
        let mut edits = ops.map_or(Vec::new(), |ops| self.edits(ops));
        let mut before = Vec::new();
        for (at, (edit, _)) in edits.iter_mut().enumerate() {
            let (Edit::Add(value) | Edit::Set(value) | Edit::SetLate(value)) = &mut edit.edit else { continue };
            if value.as_literal().is_none() {
                let name = format!("copied:{at}");
                before.push(set(&name, std::mem::replace(value, variable(&name))));
            }
        }
        (before, Self::edited(edits))
    }

    /// What edits do.
    fn edited(edits: Vec<(HeaderEdit, Origin)>) -> Vec<Step> {
        let mut steps = Vec::new();
        for (edit, origin) in edits {
            if covers(&edit.name, "host") {
                match &edit.edit {
                    Edit::Remove => steps.push(set(var::HOST, Value::literal(""))),
                    Edit::Add(value) | Edit::Set(value) | Edit::SetLate(value) => {
                        steps.push(set(var::HOST, value.clone()))
                    }
                    Edit::Change(function) => steps.push(set(var::HOST, apply(function.clone(), variable(var::HOST)))),
                    Edit::Default(_) | Edit::RemoveListed => {}
                }
                if edit.name.eq_ignore_ascii_case("host") {
                    continue;
                }
            }
            if let Edit::Set(value) = edit.edit {
                // Also an empty value is a header here.
                let remove = HeaderEdit { name: edit.name.clone(), edit: Edit::Remove };
                steps.push(Step::request_header(remove, Origin::default()));
                steps.push(Step::request_header(HeaderEdit { name: edit.name, edit: Edit::Add(value) }, origin));
                continue;
            }
            steps.push(Step::request_header(edit, origin));
        }
        steps
    }

    /// Operations on the answer's headers; deferred ones don't hold for the gateway's own errors.
    pub(super) fn response_headers(&mut self, ops: Option<Ref<'d>>) -> Vec<Step> {
        let Some(ops) = ops else { return Vec::new() };
        let deferred = text(ops, "deferred") == Some("true") || ops.get("require").is_some();
        let answers = if deferred { Answers::Unfailed } else { Answers::All };
        let mut steps = Vec::new();
        for (edit, origin) in self.edits(ops) {
            // What is done last stands instead of the upstream's own.
            if deferred && matches!(edit.edit, Edit::Set(_) | Edit::Remove) {
                let gone = HeaderEdit { name: edit.name.clone(), edit: Edit::Remove };
                steps.push(Step::setting(Setting::UpstreamHeader(gone), origin.clone()));
            }
            steps.push(Step::setting(Setting::ResponseHeader(edit, answers), origin));
        }
        steps
    }

    /// Operations on the headers of the upstream's answer.
    pub(super) fn upstream_headers(&mut self, ops: Option<Ref<'d>>) -> Vec<Step> {
        let Some(ops) = ops else { return Vec::new() };
        let edits = self.edits(ops).into_iter();
        edits.map(|(edit, origin)| Step::setting(Setting::UpstreamHeader(edit), origin)).collect()
    }

    fn edits(&mut self, ops: Ref<'d>) -> Vec<(HeaderEdit, Origin)> {
        let mut edits = Vec::new();
        let deleted = texts(ops.get("delete"));
        let place = ops.place();
        let origin = self.origin(place, "");
        if deleted.iter().any(|name| name == "*") {
            edits.push((HeaderEdit { name: "*".to_owned(), edit: Edit::Remove }, origin.clone()));
        }
        for (entry, values) in ops.get("add").into_iter().flat_map(|ops| ops.entries()) {
            for value in texts(Some(values)) {
                let value = self.value(&value, Unknown::Stays, values.place());
                edits.push((
                    HeaderEdit { name: entry.key.to_string(), edit: Edit::Add(value) },
                    self.origin(values.place(), ""),
                ));
            }
        }
        for (entry, values) in ops.get("set").into_iter().flat_map(|ops| ops.entries()) {
            let values_place = values.place();
            let list = texts(Some(values));
            let mut parts = Vec::new();
            for (at, value) in list.iter().enumerate() {
                if at > 0 {
                    parts.push(Value::literal(","));
                }
                parts.push(self.value(value, Unknown::Stays, values_place));
            }
            let edit = HeaderEdit { name: entry.key.to_string(), edit: Edit::Set(Value::concat(parts)) };
            edits.push((edit, self.origin(values_place, "")));
        }
        for name in deleted.into_iter().filter(|name| name != "*") {
            edits.push((HeaderEdit { name, edit: Edit::Remove }, origin.clone()));
        }
        for (entry, replacements) in ops.get("replace").into_iter().flat_map(|ops| ops.entries()) {
            for replacement in replacements.items() {
                let place = replacement.place();
                let with = self.value(text(replacement, "replace").unwrap_or_default(), Unknown::Stays, place);
                let search = text(replacement, "search").unwrap_or_default();
                let regex = text(replacement, "search_regexp").filter(|regex| !regex.is_empty());
                let function = match (regex, with.as_literal()) {
                    (Some(regex), Some(with)) => {
                        let replace = Replace { pattern: self.pattern(regex, place), with: with.to_vec(), all: true };
                        Function::Replace(Box::new(replace))
                    }
                    (None, Some(with)) => Function::ReplaceText(vec![(search.into(), with.to_vec())]),
                    (_, None) => {
                        let why = self.reason(place, "a replacement in a header");
                        let pattern = std::sync::Arc::new(Pattern::Opaque(why));
                        Function::Replace(Box::new(Replace { pattern, with: Vec::new(), all: true }))
                    }
                };
                edits.push((
                    HeaderEdit { name: entry.key.to_string(), edit: Edit::Change(function) },
                    self.origin(place, ""),
                ));
            }
        }
        for (edit, origin) in &edits {
            if edit.name.contains('{') {
                let message =
                    format!("the header name `{}` holds a placeholder, which is not followed here", edit.name);
                let place = crate::dialect::Place::new(origin.file(), origin.span());
                self.problem(crate::diag::Severity::Warning, place, message, "");
            }
        }
        edits
    }
}

/// Whether a name, with `*` at its ends for anything, covers a header.
fn covers(name: &str, header: &str) -> bool {
    let name = name.to_ascii_lowercase();
    match (name.strip_prefix('*'), name.strip_suffix('*')) {
        (Some(""), _) => true,
        (Some(end), Some(_)) => header.contains(&end[..end.len() - 1]),
        (Some(end), None) => header.ends_with(end),
        (None, Some(start)) => header.starts_with(start),
        (None, None) => header == name,
    }
}
