//! What a part of a configuration is written for: a file of `conf.d`, a server, a location.
//!
//! In: a [`Config`] without its surroundings. Out: the block that its directives must stand in. Invariant: a whole configuration is
//! [`Context::Main`]; of several blocks that fit alike the outermost is taken.

use super::super::Options;
use super::config::{Config, Directive};
use super::context::Context;
use super::table::TABLE;

/// The blocks that are tried, the outermost first.
const CANDIDATES: &[Context] = &[
    Context::Main,
    Context::Http,
    Context::Server,
    Context::Location,
    Context::Upstream,
    Context::Stream,
    Context::StreamServer,
    Context::StreamUpstream,
    Context::Events,
    Context::Mail,
    Context::MailServer,
];

/// So many directives are looked at.
const ENOUGH: usize = 2000;

/// The block in which the fewest directives are out of place.
pub fn context(config: &Config, options: &Options) -> Context {
    let is_part = |directive: &Directive| directive.block().is_some() && is_part(config.name(directive));
    if config.within(config.top()).any(is_part) {
        return Context::Main;
    }
    let misplaced = |context: &Context| misplaced(config, options, *context);
    CANDIDATES.iter().copied().min_by_key(misplaced).unwrap_or_default()
}

/// Whether a block with this name stands outside of every other: what has one is a whole configuration.
pub fn is_part(name: &[u8]) -> bool {
    !matches!(Context::Main.inside(name), Context::Unknown | Context::Entries)
}

/// How many directives would be out of place there: those on top and those one level below.
fn misplaced(config: &Config, options: &Options, context: Context) -> usize {
    let mut count = 0;
    for directive in config.within(config.top()).take(ENOUGH) {
        let below = || directive.block().into_iter().flat_map(|block| config.within(block)).take(ENOUGH);
        if !fits(config, options, directive, context) {
            count += 1 + below().count();
            continue;
        }
        let inside = context.inside(config.name(directive));
        if !matches!(inside, Context::Unknown | Context::Entries) {
            count += below().filter(|inner| !fits(config, options, inner, inside)).count();
        }
    }
    count
}

fn fits(config: &Config, options: &Options, directive: &Directive, context: Context) -> bool {
    let mut rules = TABLE
        .find(config.name(directive))
        .map(|(_, rule)| rule)
        .filter(|rule| rule.is_in(options.nginx_version))
        .peekable();
    rules.peek().is_none() || rules.any(|rule| rule.fits(context) && rule.block == directive.block().is_some())
}
