//! Which fields Traefik knows: its Go structs as a table.
//!
//! In: `fields/*.txt`. Out: a tree of fields. Invariant: names are compared without their case, as Traefik does.

use std::sync::LazyLock;

/// A field.
#[derive(Debug, Default)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What stands in it.
    pub kind: Kind,
    /// Whether a group may be empty: being there is enough.
    pub may_be_empty: bool,
    /// Known, but not read from files.
    pub not_from_files: bool,
    /// Not read from labels.
    pub not_from_labels: bool,
    /// What a list of groups is called in labels, which give one of them.
    pub in_labels: Option<&'static str>,
    /// The fields inside.
    pub fields: Vec<Field>,
}

/// What stands in a field.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// A truth value as Go's `ParseBool` reads it.
    Bool,
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// A duration: seconds, or Go's `1h2m`.
    Time,
    /// Texts.
    List,
    /// Texts by name.
    Texts,
    /// Anything.
    Any,
    /// A group of fields.
    #[default]
    Group,
    /// Groups by name.
    Named,
    /// A list of groups.
    Groups,
}

/// The fields of the dynamic configuration.
pub static DYNAMIC: LazyLock<Field> = LazyLock::new(|| read(include_str!("fields/dynamic.txt")));

/// The fields of the static configuration.
pub static STATIC: LazyLock<Field> = LazyLock::new(|| read(include_str!("fields/static.txt")));

impl Field {
    /// The field of a name, in any case; `labels`: as labels call it.
    pub fn get(&self, name: &str, labels: bool) -> Option<&Field> {
        let called = |field: &&Field| field.in_labels.filter(|_| labels).unwrap_or(field.name);
        self.fields.iter().find(|field| called(field).eq_ignore_ascii_case(name))
    }
}

fn read(table: &'static str) -> Field {
    let mut open: Vec<Field> = vec![Field::default()];
    for line in table.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let depth = line.len() - line.trim_start().len();
        close(&mut open, depth + 1);
        open.push(field(line));
    }
    close(&mut open, 1);
    open.pop().unwrap_or_default()
}

/// Puts finished fields into those that hold them.
fn close(open: &mut Vec<Field>, depth: usize) {
    while open.len() > depth {
        let Some(field) = open.pop() else { return };
        if let Some(holder) = open.last_mut() {
            holder.fields.push(field);
        }
    }
}

fn field(line: &'static str) -> Field {
    let mut words = line.split_whitespace();
    let mut field = Field { name: words.next().unwrap_or_default(), ..Field::default() };
    while let Some(word) = words.next() {
        match word {
            "text" => field.kind = Kind::Text,
            "bool" => field.kind = Kind::Bool,
            "int" => field.kind = Kind::Int,
            "float" => field.kind = Kind::Float,
            "time" => field.kind = Kind::Time,
            "list" => field.kind = Kind::List,
            "texts" => field.kind = Kind::Texts,
            "any" | "*any" => field.kind = Kind::Any,
            "*" => field.kind = Kind::Named,
            "[]" => field.kind = Kind::Groups,
            "as" => field.in_labels = words.next(),
            flags => {
                field.may_be_empty |= flags.contains('?');
                field.not_from_files |= flags.contains('-');
                field.not_from_labels |= flags.contains('!');
            }
        }
    }
    field
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_trees() {
        let routers = DYNAMIC.get("HTTP", false).unwrap().get("routers", false).unwrap();
        assert_eq!(routers.kind, Kind::Named);
        assert_eq!(routers.get("PARENTREFS", false).unwrap().kind, Kind::List);
        assert!(routers.get("tls", false).unwrap().may_be_empty);
        let balancer = DYNAMIC.get("http", true).unwrap().get("services", true).unwrap();
        let balancer = balancer.get("loadBalancer", true).unwrap();
        assert!(balancer.get("servers", true).is_none());
        assert_eq!(balancer.get("server", true).unwrap().kind, Kind::Groups);
        assert_eq!(STATIC.get("entryPoints", false).unwrap().get("address", false).unwrap().kind, Kind::Text);
        assert_eq!(DYNAMIC.fields.len(), 4);
    }
}
