//! `secure_link`, `secure_link_md5`, `secure_link_secret` → `$secure_link`.
//!
//! In: what holds at a level. Out: a [`Value`]: empty where the link isn't right, else `1` or the part of the path that is linked.
//! Invariant: a link with a date depends on the clock, and is opaque where its sum is right; others are computed (facts:
//! `ngx_http_secure_link_module.c`, measured on nginx 1.22.1 and 1.31.3).

use std::rc::Rc;
use std::sync::Arc;

use crate::dialect::pcre;
use crate::gateway::value::Row;
use crate::gateway::{Captures, Function, Lookup, Predicate, Test, Value};

use super::block::Line;
use super::{Reader, state};

/// Where the parts of a link stand while it is judged: the sum, then the rest.
const PARTS: &str = " secure link ";

/// What a level says about links; each part is inherited by itself.
#[derive(Debug, Clone, Default)]
pub struct SecureLink {
    link: Option<Value>,
    signed: Option<Value>,
    secret: Option<Value>,
}

impl<'c> Reader<'c> {
    /// What holds where these lines stand.
    pub fn secure_link(&mut self, outer: Option<&Rc<SecureLink>>, lines: &[Line<'c>]) -> Option<Rc<SecureLink>> {
        let mut own = outer.map(|outer| SecureLink::clone(outer)).unwrap_or_default();
        let mut any = false;
        for line in lines {
            let place = match line.name {
                "secure_link" => &mut own.link,
                "secure_link_md5" => &mut own.signed,
                "secure_link_secret" => &mut own.secret,
                _ => continue,
            };
            *place = Some(match line.name {
                "secure_link_secret" => Value::literal(line.arg(0)),
                _ => self.template(line, line.arg(0)),
            });
            any = true;
        }
        if any { Some(Rc::new(own)) } else { outer.cloned() }
    }
}

impl SecureLink {
    /// The value of `$secure_link`. `None`: an expression of ours is wrong.
    pub fn value(&self) -> Option<Value> {
        let part = |number: u8| state::variable(&format!("{PARTS}{number}"));
        let apply = |function: Function, value: Value| Value::Apply(function, Box::new(value));
        let split = |on: Value, pattern: &str, then: Value| {
            let pattern = pcre::pattern(pattern.as_bytes(), false).ok()?;
            let row = Row::Test(Test::Regex(pattern, Captures::Prefixed(Arc::from([PARTS.to_owned()]))));
            Some(Value::Lookup(Arc::new(Lookup {
                name: "secure_link".to_owned(),
                on,
                exact: std::collections::HashMap::new(),
                any_case: false,
                rows: vec![(row, then)],
                otherwise: Value::literal(""),
                volatile: true,
            })))
        };
        let where_same = |given: Value, sum: Value, then: Value| {
            let same = Predicate::Value(given, Test::Same(Box::new(sum)));
            state::either("secure_link", vec![(same, then)], Value::literal(""))
        };
        if let Some(secret) = &self.secret {
            // `/prefix/SUM/link`: the sum of the link and the secret.
            let sum = apply(Function::Hex, apply(Function::Md5, Value::concat(vec![part(2), secret.clone()])));
            let right = where_same(apply(Function::Lower, part(1)), sum, part(2));
            return split(Value::Path, "(?s)^/[^/]*/([^/]{32})/(.+)$", right);
        }
        let (Some(link), Some(signed)) = (&self.link, &self.signed) else { return Some(Value::literal("")) };
        let sum = apply(Function::Md5, signed.clone());
        let dated = Predicate::Value(part(2), Test::NotEmpty);
        let clock = Value::Opaque("depends on the clock: the link has a date".into());
        let right = state::either("secure_link", vec![(dated, clock)], Value::literal("1"));
        let right = where_same(apply(Function::FromBase64Url, part(1)), sum, right);
        split(link.clone(), "(?s)^([^,]{22,24})(?:,(0*[1-9][0-9]*))?$", right)
    }
}
