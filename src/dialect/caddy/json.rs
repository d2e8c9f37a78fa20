//! JSON that is being built, each value with the place of the token that caused it.
//!
//! In: what directives say. Out: a [`Document`]. Invariant: what is shared stays shared: it becomes one node and aliases to it.

use std::collections::HashMap;
use std::rc::Rc;

use super::super::Place;
use super::super::document::{Document, Entry, Kind, NodeId, Style};
use super::token::{Text, Token};

/// A value.
#[derive(Debug, Clone)]
pub struct Json {
    /// The token that caused it.
    pub place: Place,
    /// What it is.
    pub value: Value,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number as JSON writes it.
    Number(Box<str>),
    /// A text.
    Text(Text),
    /// A list.
    List(Vec<Json>),
    /// A map.
    Map(Vec<Member>),
    /// A value that stands in several places.
    Shared(Rc<Json>),
}

/// A key and its value.
#[derive(Debug, Clone)]
pub struct Member {
    /// The key.
    pub key: Text,
    /// The token that caused it.
    pub place: Place,
    /// The value.
    pub value: Json,
}

impl PartialEq for Json {
    /// Places don't matter.
    fn eq(&self, other: &Json) -> bool {
        match (&self.value, &other.value) {
            (Value::Shared(one), Value::Shared(two)) => Rc::ptr_eq(one, two) || one == two,
            (Value::Shared(one), _) => **one == *other,
            (_, Value::Shared(two)) => *self == **two,
            (one, two) => one == two,
        }
    }
}

impl PartialEq for Member {
    fn eq(&self, other: &Member) -> bool {
        *self.key == *other.key && self.value == other.value
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Text) -> bool {
        **self == **other
    }
}

impl Json {
    /// An empty map.
    pub fn map(place: Place) -> Json {
        Json { place, value: Value::Map(Vec::new()) }
    }

    /// A list.
    pub fn list(place: Place, items: Vec<Json>) -> Json {
        Json { place, value: Value::List(items) }
    }

    /// A text.
    pub fn text(place: Place, text: impl Into<Text>) -> Json {
        Json { place, value: Value::Text(text.into()) }
    }

    /// A whole number.
    pub fn number(place: Place, number: impl std::fmt::Display) -> Json {
        Json { place, value: Value::Number(number.to_string().into()) }
    }

    /// A truth value.
    pub fn bool(place: Place, value: bool) -> Json {
        Json { place, value: Value::Bool(value) }
    }

    /// A token's text at its place.
    pub fn word(token: &Token) -> Json {
        Json::text(token.place, token.text.clone())
    }

    /// Tokens as a list of texts; its place is the first one's.
    pub fn words(place: Place, tokens: &[Token]) -> Json {
        let place = tokens.first().map_or(place, |token| token.place);
        Json::list(place, tokens.iter().map(Json::word).collect())
    }

    /// The same value to be used in several places.
    pub fn shared(self) -> Json {
        match self.value {
            Value::Shared(_) => self,
            _ => Json { place: self.place, value: Value::Shared(Rc::new(self)) },
        }
    }

    /// The value itself.
    pub fn inner(&self) -> &Json {
        let mut json = self;
        while let Value::Shared(next) = &json.value {
            json = next;
        }
        json
    }

    /// A map's members; none for anything else.
    pub fn members(&self) -> &[Member] {
        match &self.inner().value {
            Value::Map(members) => members,
            _ => &[],
        }
    }

    /// A list's items; none for anything else.
    pub fn items(&self) -> &[Json] {
        match &self.inner().value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// A text's text.
    pub fn as_text(&self) -> Option<&str> {
        match &self.inner().value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A member's value.
    pub fn get(&self, key: &str) -> Option<&Json> {
        self.members().iter().find(|member| &*member.key == key).map(|member| &member.value)
    }

    /// The member at a path of keys; maps are made on the way, the last value is `null` if it is new.
    pub fn at(&mut self, path: &[&str], place: Place) -> &mut Json {
        let mut json = self;
        for key in path {
            json = json.entry(Text::from(*key), place);
        }
        json
    }

    /// A member's value, `null` if it is new.
    pub fn entry(&mut self, key: Text, place: Place) -> &mut Json {
        if !matches!(self.value, Value::Map(_)) {
            self.value = Value::Map(Vec::new());
        }
        let found = self.members().iter().position(|member| *member.key == *key);
        match self.value {
            Value::Map(ref mut members) => {
                let index = found.unwrap_or_else(|| {
                    // Most maps have one or two.
                    if members.len() == members.capacity() {
                        members.reserve_exact(members.len().max(1));
                    }
                    members.push(Member { key, place, value: Json { place, value: Value::Null } });
                    members.len() - 1
                });
                &mut members[index].value
            }
            _ => self,
        }
    }

    /// Sets a member.
    pub fn set(&mut self, key: &str, value: Json) {
        let place = value.place;
        *self.entry(key.into(), place) = value;
    }

    /// The same with a member.
    pub fn with(mut self, key: &str, value: Json) -> Json {
        self.set(key, value);
        self
    }

    /// Adds an item to a list, which is made if there is none.
    pub fn push(&mut self, item: Json) {
        match &mut self.value {
            Value::List(items) => items.push(item),
            other => {
                self.place = item.place;
                *other = Value::List(vec![item]);
            }
        }
    }

    /// Whether Caddy leaves it out: nothing, an empty text, list or map, zero, `false`.
    pub fn is_empty(&self) -> bool {
        match &self.inner().value {
            Value::Null | Value::Bool(false) => true,
            Value::Bool(true) | Value::Shared(_) => false,
            Value::Number(number) => &**number == "0",
            Value::Text(text) => text.is_empty(),
            Value::List(items) => items.is_empty(),
            Value::Map(members) => members.is_empty(),
        }
    }

    /// Sets a member; an empty value takes it away.
    pub fn set_full(&mut self, key: &str, value: Json) {
        if !value.is_empty() {
            self.set(key, value);
        } else if let Value::Map(members) = &mut self.value {
            members.retain(|member| &*member.key != key);
        }
    }

    /// The map at a path of keys, made if it isn't there.
    pub fn map_at(&mut self, path: &[&str], place: Place) -> &mut Json {
        let json = self.at(path, place);
        if !matches!(json.value, Value::Map(_)) {
            json.value = Value::Map(Vec::new());
        }
        json
    }

    /// Takes a member out.
    pub fn remove(&mut self, key: &str) -> Option<Json> {
        let Value::Map(members) = &mut self.value else { return None };
        let at = members.iter().position(|member| &*member.key == key)?;
        Some(members.remove(at).value)
    }

    /// The document of it.
    pub fn document(self) -> Document {
        let mut document = Document::default();
        let mut shared = HashMap::new();
        // Growing would copy them, more than once if there are many.
        document.nodes.reserve_exact(self.count());
        let root = self.write(&mut document, &mut shared);
        document.root = Some(root);
        document
    }

    /// How many nodes it becomes at least: what is shared counts once.
    fn count(&self) -> usize {
        1 + match &self.value {
            Value::List(items) => items.iter().map(Json::count).sum(),
            Value::Map(members) => members.iter().map(|member| member.value.count()).sum(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => 0,
            Value::Shared(inner) if Rc::strong_count(inner) == 1 => inner.count(),
            Value::Shared(_) => 0,
        }
    }

    /// Adds it to a document. It is as deep as blocks may be nested in a Caddyfile, which is bounded.
    fn write(self, document: &mut Document, shared: &mut HashMap<*const Json, (Rc<Json>, NodeId)>) -> NodeId {
        let kind = match self.value {
            Value::Null => Kind::Null,
            Value::Bool(value) => Kind::Scalar(if value { "true" } else { "false" }.into(), Style::Plain),
            Value::Number(number) => Kind::Scalar(number, Style::Plain),
            Value::Text(text) => Kind::Scalar((*text).into(), Style::Quoted),
            Value::List(items) => Kind::List(items.into_iter().map(|item| item.write(document, shared)).collect()),
            Value::Map(members) => {
                let mut entries = Vec::with_capacity(members.len());
                for member in members {
                    let value = member.value.write(document, shared);
                    entries.push(Entry { key: (*member.key).into(), key_place: member.place, value });
                }
                Kind::Map(entries.into())
            }
            Value::Shared(inner) => match shared.get(&Rc::as_ptr(&inner)) {
                Some((_, id)) => Kind::Alias(*id),
                None => Kind::Alias(match Rc::try_unwrap(inner) {
                    Ok(only) => only.write(document, shared),
                    Err(inner) => {
                        let id = Json::clone(&inner).write(document, shared);
                        // Kept alive, so that its address stays its own.
                        shared.insert(Rc::as_ptr(&inner), (inner, id));
                        id
                    }
                }),
            },
        };
        document.add(self.place, kind)
    }
}
