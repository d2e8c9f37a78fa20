//! What a block's directives may name.
//!
//! In: the definitions of a block and of those around it. Out: matchers by name. Invariant: a block sees the definitions around it, which
//! are not copied.

use std::collections::HashMap;
use std::rc::Rc;

use super::super::json::Json;
use super::super::token::Text;

/// The names of one block.
#[derive(Debug)]
pub struct Scope {
    matchers: HashMap<Text, Json>,
    outer: Option<Rc<Scope>>,
    /// How deep the block is nested.
    pub depth: usize,
    /// The paths of the files that the site's tokens come from.
    pub files: Rc<[String]>,
}

impl Scope {
    /// A site's scope.
    pub fn top(files: Rc<[String]>) -> Self {
        Scope { matchers: HashMap::new(), outer: None, depth: 0, files }
    }

    /// The scope of a block inside.
    pub fn inner(self: &Rc<Self>) -> Self {
        let files = Rc::clone(&self.files);
        Scope { matchers: HashMap::new(), outer: Some(Rc::clone(self)), depth: self.depth + 1, files }
    }

    /// A matcher by its name, `@` included.
    pub fn matcher(&self, name: &str) -> Option<&Json> {
        let mut scope = self;
        loop {
            match (scope.matchers.get(name), &scope.outer) {
                (Some(found), _) => return Some(found),
                (None, Some(outer)) => scope = outer,
                (None, None) => return None,
            }
        }
    }

    /// Defines a matcher.
    pub fn define(&mut self, name: Text, matcher: Json) {
        self.matchers.insert(name, matcher);
    }
}
