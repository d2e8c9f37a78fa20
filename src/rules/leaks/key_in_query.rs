//! A key is accepted in the query of a request.
//!
//! ## What it finds
//!
//! A query argument such as `?api_key=` that opens the gateway.
//!
//! ## Why it matters
//!
//! What stands in a URL is written to access logs, error logs and histories of browsers and shells, and goes on to the upstream. nginx's error
//! log holds the whole request line, whatever the access log's format is.
//!
//! ## A request that shows it
//!
//!     curl -i --url-query "api_key=$KEY" http://HOST:8080/v1/models
//!
//! ## Wrong
//!
//! ```nginx
//! map $arg_api_key $who { default ""; "KEY" ann; }
//! ```
//!
//! ## Right
//!
//! ```nginx
//! map $http_authorization $who { default ""; "Bearer KEY" ann; }
//! ```

use super::field::Fields;
use super::said;
use crate::analysis::answer;
use crate::analysis::boundary::boundaries;
use crate::analysis::caller::{Caller, Who, is_key_name};
use crate::analysis::decision;
use crate::analysis::measure::{On, forwards};
use crate::analysis::survey::Witness;
use crate::finding::{Finding, Severity};
use crate::gateway::{Gateway, Origin, Predicate, Value};
use crate::rules::access::cause;
use crate::rules::evidence::told;
use crate::rules::{Context, Rule};

/// The rule.
pub const RULE: Rule =
    Rule { id: "key-in-query", severity: Severity::Warning, source: include_str!("key_in_query.rs"), check };

/// How many values of an argument are tried.
const MOST_TRIED: usize = 24;

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let gateway = context.gateway;
    if context.survey.routes.iter().all(|route| route.witness.caller.who == Who::Nobody) {
        return;
    }
    let arguments = boundaries(gateway).arguments;
    for (name, values) in arguments.into_iter().filter(|(name, _)| is_key_name(name)) {
        let opens = values.iter().filter(|value| !value.is_empty()).take(MOST_TRIED).find_map(|value| {
            context.survey.routes.iter().find_map(|route| {
                let alone = route.witness.clone().without_credential();
                let argument = Some((name.clone(), value.clone()));
                let caller = Caller { argument, ..Caller::client(On::SomeClient, None) };
                let nobody = answer::ask(gateway, &alone.request)?;
                let witness = Witness { request: caller.sends(alone.request), caller, ..alone };
                let outcome = answer::ask(gateway, &witness.request)?;
                (forwards(&outcome.verdict) && !forwards(&nobody.verdict)).then_some((witness, nobody, outcome))
            })
        });
        let Some((witness, nobody, outcome)) = opens else { continue };
        let place = compared(gateway, &name).and_then(|origin| said(context, origin));
        let Some(place) = place.or_else(|| cause(gateway, &outcome)) else { continue };
        let logs: Vec<_> = answer::logs(&outcome).into_iter().map(|(log, _)| log).collect();
        let fields = Fields::of(gateway, &logs);
        let logged = logs.into_iter().find(|log| fields.query(log));
        let logged = logged.and_then(|log| log.to.clone());
        let logged = logged.map(|to| format!(" and written to the log `{to}`")).unwrap_or_default();
        let message = format!("a key is accepted in the query (`?{name}=`){logged}");
        let finding = Finding::new(RULE.id, RULE.severity, message, place).label("this argument opens the gateway");
        let finding = finding.help("take keys from a header alone: `Authorization: Bearer` or `X-API-Key`");
        let actual = decision::verdict(gateway, &outcome).into();
        let wanted = decision::verdict(gateway, &nobody).into();
        found.push(finding.shown_by(&witness, told(gateway, &witness, &outcome, actual, wanted)));
    }
}

/// The place where an argument is compared.
fn compared<'g>(gateway: &'g Gateway, name: &str) -> Option<&'g Origin> {
    let is = |value: &Value| matches!(value, Value::Argument(own) | Value::Parameter(own) if own == name);
    let clauses = gateway.chains.iter().flat_map(|chain| &chain.clauses);
    let mut own = clauses.filter(|clause| {
        clause.when.any(&mut |part| match part {
            Predicate::Argument(own, _) => own == name.as_bytes(),
            Predicate::Parameter(own, _) => own.as_literal() == Some(name.as_bytes()),
            Predicate::Value(value, _) => value.any(&mut |part| is(part)),
            _ => false,
        })
    });
    own.next().map(|clause| &clause.origin)
}
