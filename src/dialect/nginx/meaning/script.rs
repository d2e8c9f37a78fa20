//! The one script of njs whose meaning is known: the one that the renderer writes to look at models.
//!
//! In: `js_content module.function`, with the `js_import`s of the config. Out: a [`Choice`]. Invariant: only a script that is this text,
//! its lists read out, is known; of any other nothing is. What it does with bodies is what [`Predicate::Model`] says: that they agree is
//! shown on the real servers.

use std::io::Read as _;
use std::rc::Rc;

use crate::dialect::nginx::config::Directive;
use crate::gateway::{Chain, Clause, ModelTest, Origin, Predicate, Terminal};

use super::Reader;
use super::block::Line;
use super::scope::{Choice, Content, Scope};
use super::server::Server;

/// The script, with places for its two lists.
const INSPECT: &str = include_str!("../../../../templates/nginx/inspect.js");
/// The function in it.
const FUNCTION: &str = "inspect";
/// What stands before and behind the target of its redirect.
const REDIRECT: (&str, &str) = ("r.internalRedirect('", "');");
/// Scripts aren't longer.
const MOST_BYTES: u64 = 1 << 20;

impl<'c> Reader<'c> {
    /// Remembers the file that a `js_import` names; of two for one name none is known.
    pub fn find_script(&mut self, directive: &'c Directive) {
        let line = self.line(directive);
        let (name, file) = match line.args.len() {
            1 => {
                let file = line.text(0).into_owned();
                let name = file.rsplit('/').next().unwrap_or_default();
                (name.strip_suffix(".js").unwrap_or(name).to_owned(), file)
            }
            _ => (line.text(0).into_owned(), line.text(2).into_owned()),
        };
        let twice = self.scripts.contains_key(&name);
        self.scripts.insert(name, (!twice).then_some(file));
    }

    /// What a `js_content` does; absent: nobody knows.
    pub fn script(&self, line: &Line<'c>) -> Option<Content> {
        let function = line.text(0);
        let (module, function) = function.split_once('.')?;
        let file = self.scripts.get(module)?.as_ref().filter(|_| function == FUNCTION)?;
        let mut text = String::new();
        let file = std::fs::File::open(self.path(file.as_bytes())).ok()?;
        file.take(MOST_BYTES).read_to_string(&mut text).ok()?;
        let (models, target) = models(&text)?;
        let origin = line.origin("llmguard's own script asks whether the body names a model that is listed");
        Some(Content::Choice(Rc::new(Choice { when: Predicate::Model(models), target, otherwise: 403, origin })))
    }

    /// The chain of a choice: an internal redirect, or a status.
    pub fn choice(&mut self, server: &mut Server<'c>, scope: &Scope, choice: &Choice) -> Chain {
        let line = Line::lone("js_content", &[], &choice.origin);
        let to = self.redirect(server, &line, &choice.target, choice.origin.noted("an internal redirect to"));
        let mut clauses: Vec<Clause> = self.read_limit(&choice.origin, scope).into_iter().collect();
        clauses.push(Clause::new(choice.when.clone(), Terminal::Then(to), choice.origin.noted("the model is listed")));
        let origin: Origin = choice.origin.noted("the body names no model that is listed, or not with certainty (403)");
        Chain { clauses, otherwise: Terminal::Error(choice.otherwise), origin }
    }
}

/// The models that the script lets through and where it sends them, if this is that script.
fn models(text: &str) -> Option<(Vec<ModelTest>, Vec<u8>)> {
    let (head, rest) = INSPECT.split_once("{{ exact }}")?;
    let (middle, tail) = rest.split_once("{{ prefixes }}")?;
    let (exact, prefixes) = text.strip_prefix(head)?.strip_suffix(tail)?.split_once(middle)?;
    let list = |text: &str, prefix: bool| -> Option<Vec<ModelTest>> {
        let texts: Vec<String> = serde_json::from_str(text).ok()?;
        Some(texts.into_iter().map(|text| ModelTest { text, prefix }).collect())
    };
    let (_, target) = INSPECT.split_once(REDIRECT.0)?;
    let (target, _) = target.split_once(REDIRECT.1)?;
    Some(([list(exact, false)?, list(prefixes, true)?].concat(), target.as_bytes().to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_script_is_known() {
        let text = INSPECT.replace("{{ exact }}", r#"["a:1", "b\"c"]"#).replace("{{ prefixes }}", r#"["x/"]"#);
        let (tests, target) = models(&text).unwrap();
        let test = |text: &str, prefix: bool| ModelTest { text: text.to_owned(), prefix };
        assert_eq!(tests, [test("a:1", false), test("b\"c", false), test("x/", true)]);
        assert_eq!(target, b"/./llmguard/forward");
        assert_eq!(models(&text.replace("!== undefined ||", "=== undefined ||")), None);
        assert_eq!(models(&text.replace("[\"x/\"]", "[\"x/\"].concat(EXACT)")), None);
        assert_eq!(models(""), None);
    }
}
