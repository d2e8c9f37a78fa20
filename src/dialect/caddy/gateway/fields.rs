//! Which fields the parts of Caddy's JSON have: Caddy loads nothing with another one (its modules are decoded strictly).
//!
//! In: the document, and the table of Caddy's Go types (`fields.txt`). Out: an error at each other field. Invariant: names are compared
//! without their case, as Go's encoding/json does; what begins with `@` is a mark for people and programs; modules that aren't in the table
//! may have any.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::Compiler;
use crate::dialect::document::Ref;

/// What a value is, in the words of the table; empty: plain.
type Shape = &'static str;

/// The parts of a type or a module.
enum Parts {
    /// Its fields, and what they are.
    Fields(Vec<(&'static str, Shape)>),
    /// It is this as a whole.
    Whole(Shape),
}

/// Types (`#…`) and modules by their names.
static TABLE: LazyLock<HashMap<&'static str, Parts>> = LazyLock::new(|| {
    let lines = include_str!("fields.txt").lines().filter(|line| !line.starts_with("//"));
    let read = |line: &'static str| {
        let (name, parts) = line.split_once(' ').unwrap_or((line, ""));
        let field = |text: &'static str| text.split_at(text.find(['#', '*', '%', '@']).unwrap_or(text.len()));
        let parts = match parts.strip_prefix('=') {
            Some(shape) => Parts::Whole(shape),
            None => Parts::Fields(parts.split_ascii_whitespace().map(field).collect()),
        };
        (name, parts)
    };
    lines.map(read).collect()
});

/// What a whole config is.
const CONFIG: Shape = "#caddy.Config";

impl<'d> Compiler<'d, '_> {
    /// Tells of fields that aren't there.
    pub(super) fn fields(&mut self, root: Ref<'d>) {
        let mut open: Vec<(Ref<'d>, Shape)> = vec![(root, CONFIG)];
        while let Some((node, shape)) = open.pop() {
            let mut items = node.items().peekable();
            if items.peek().is_some() {
                open.extend(items.map(|item| (item, shape)));
                continue;
            }
            match shape.split_at_checked(1) {
                Some(("#", _)) => self.parts(node, shape, "", &mut open),
                Some(("*", inner)) => open.extend(node.entries().map(|(_, value)| (value, inner))),
                Some(("%", namespace)) => {
                    for (entry, value) in node.entries() {
                        self.parts(value, &module(namespace, &entry.key), "", &mut open);
                    }
                }
                Some(("@", rest)) => {
                    let (namespace, key) = rest.split_once('/').unwrap_or((rest, ""));
                    self.parts(node, &module(namespace, super::text(node, key).unwrap_or_default()), key, &mut open);
                }
                _ => {}
            }
        }
    }

    /// The fields of one type or module; `key` is where its own name stands.
    fn parts(&mut self, node: Ref<'d>, name: &str, key: &str, open: &mut Vec<(Ref<'d>, Shape)>) {
        let fields = match TABLE.get(name) {
            None => return,
            Some(Parts::Whole(shape)) => return open.push((node, shape)),
            Some(Parts::Fields(fields)) => fields,
        };
        for (entry, value) in node.entries() {
            if let Some((_, shape)) = fields.iter().find(|(own, _)| own.eq_ignore_ascii_case(&entry.key)) {
                if !shape.is_empty() {
                    open.push((value, shape));
                }
            } else if !entry.key.starts_with('@') && !entry.key.eq_ignore_ascii_case(key) {
                let of = name.trim_start_matches('#');
                self.refused(entry.key_place, format!("`{}` is no field of `{of}`", entry.key));
            }
        }
    }
}

/// The name of a module.
fn module(namespace: &str, name: &str) -> String {
    if namespace.is_empty() { name.to_owned() } else { format!("{namespace}.{name}") }
}
