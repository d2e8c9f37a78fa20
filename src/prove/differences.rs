//! The differences that a server forces, as a table: each with the words of the contract that allow it, and what it lets through.
//!
//! In: a question, the expected outcome, what a server did. Out: the difference that explains it, or none. Invariant: a difference lets a
//! request reach the upstream only when the evaluator forwards the same request in the spelling that the server reads.

use super::engine::Evaluator;
use super::judge::{self, Observed};
use super::question::Question;
use crate::gateway::eval::{Outcome, Verdict};
use crate::http::{Target, Version};
use crate::policy::plan::{Plan, Proxy, Tls};

/// One question with everything that is known about it.
pub struct Case<'a> {
    /// The render target.
    pub target: &'static str,
    /// The plan.
    pub plan: &'a Plan,
    /// What the plan means.
    pub evaluator: &'a Evaluator,
    /// The question.
    pub question: &'a Question,
    /// The evaluator's outcome.
    pub expected: &'a Outcome,
    /// What the server did.
    pub observed: &'a Observed,
    /// What is wrong with it by the contract's text alone.
    pub complaints: &'a [String],
}

/// A difference that a server forces.
pub struct Difference {
    /// Its name in summaries.
    pub id: &'static str,
    /// The servers that force it.
    pub proxies: &'static [Proxy],
    /// Where the contract says so.
    pub says: &'static str,
    accepts: fn(&Case<'_>) -> bool,
}

const ALL: &[Proxy] = &[Proxy::Nginx, Proxy::Caddy, Proxy::Traefik];
const GO: &[Proxy] = &[Proxy::Caddy, Proxy::Traefik];

/// Every difference.
pub const DIFFERENCES: &[Difference] = &[
    Difference {
        id: "own-refusal-of-odd-paths",
        proxies: ALL,
        says: "any percent-encoding …: not that path, so 403 for a valid client (401 without credentials; a server's own 400 is fine too)",
        accepts: |case| case.refused() && case.refuses_itself() && case.odd_target(),
    },
    Difference {
        id: "own-refusal-of-odd-methods",
        proxies: ALL,
        says: "malformed for the server itself: … a method … it doesn't know: the server's own 4xx/5xx",
        accepts: |case| case.refuses_itself() && case.odd_method(),
    },
    Difference {
        id: "own-refusal-of-hosts",
        proxies: ALL,
        says: "unknown Host: 421, 404, 444 or a closed connection; each server answers what it can't parse in its own way",
        accepts: |case| case.refuses_itself() && case.odd_host(),
    },
    Difference {
        id: "repeated-header",
        proxies: ALL,
        says: "the same header twice is refused where the target can see it, else judged by one of its values",
        accepts: |case| case.one_of_the_values(),
    },
    Difference {
        id: "head-between-limits",
        proxies: ALL,
        says: "heads up to the limit pass if no line is longer than half of it; from twice the limit on they are refused; between, either",
        accepts: |case| case.refuses_itself() && case.head_between(),
    },
    Difference {
        id: "server-wide-options",
        proxies: GO,
        says: "`OPTIONS *` is answered 200 by Go's server",
        accepts: |case| {
            case.question.request.target == b"*"
                && case.question.request.method == b"OPTIONS"
                && case.observed.seen.is_empty()
        },
    },
    Difference {
        id: "plain-text-refusals",
        proxies: &[Proxy::Traefik],
        says: "plain-text refusal bodies",
        accepts: |case| case.only(|complaint| complaint.starts_with("the body is no")),
    },
    Difference {
        id: "basic-challenge-only",
        proxies: &[Proxy::Traefik],
        says: "after a wrong Basic login only the Basic challenge, and the refusal that goes with it",
        accepts: |case| {
            case.basic_sent()
                && case.only(|complaint| {
                    complaint.contains("challenges")
                        || complaint.starts_with("the body is no")
                        || complaint.contains("Cache-Control")
                })
        },
    },
    Difference {
        id: "one-blank-after-basic",
        proxies: &[Proxy::Traefik],
        says: "Go reads one blank only after `Basic` (Caddy is helped by a rewrite): 401",
        accepts: |case| case.unauthorized() && case.header_has("authorization", |value| value.starts_with(b"basic  ")),
    },
    Difference {
        id: "named-in-connection",
        proxies: &[Proxy::Traefik],
        says: "what `Connection` names is removed before anything is matched: a credential named there is none, so 401",
        accepts: |case| {
            case.unauthorized()
                && case.header_has("connection", |value| {
                    value.split(|&byte| byte == b',').any(|name| {
                        let name = name.trim_ascii();
                        name == b"authorization" || name == b"x-api-key"
                    })
                })
        },
    },
    Difference {
        id: "refusals-by-middleware",
        proxies: &[Proxy::Traefik],
        says: "plain-text refusal bodies; 413 to a chunked body comes from a middleware around the proxied answer, whose Cache-Control must stay the upstream's (measured on 3.7.15)",
        accepts: |case| {
            case.expected_status(413)
                && case.question.chunked
                && case.only(|complaint| complaint.starts_with("the body is no") || complaint.contains("Cache-Control"))
        },
    },
    Difference {
        id: "underscores-in-names",
        proxies: &[Proxy::Traefik],
        says: "each server answers what it can't parse in its own way: `X_API_Key` is 400 (aliasHeadersStrategy)",
        accepts: |case| {
            let names = case.question.request.headers.iter().map(|(name, _)| name);
            case.observed.seen.is_empty()
                && case.observed.exchange.status == Some(400)
                && names.into_iter().any(|name| name.contains(&b'_'))
        },
    },
    Difference {
        id: "normalised-path",
        proxies: &[Proxy::Traefik],
        says: "normalises unreserved percent-encodings, `//`, `.` and `..` before it matches, and forwards the normalised path",
        accepts: |case| normalised(&case.question.request.target).is_some_and(|target| case.same_as(&target)),
    },
    Difference {
        id: "scheme-of-an-upgrade",
        proxies: &[Proxy::Traefik],
        says: "as labels no entry point settings: there Traefik tells the upstream `ws` when a request asks for an upgrade (measured on 3.7.15)",
        accepts: |case| {
            case.target == "traefik"
                && case.question.request.header("upgrade").next().is_some()
                && case.only(|complaint| complaint.starts_with("the upstream got X-Forwarded-Proto [\"ws\"]"))
        },
    },
    Difference {
        id: "semicolon-in-query",
        proxies: &[Proxy::Traefik],
        says: "`;` in a query becomes `&`",
        accepts: |case| {
            let query = case.question.request.target.iter().position(|&byte| byte == b'?');
            query.is_some_and(|at| {
                let mut target = case.question.request.target.clone();
                target[at..].iter_mut().filter(|byte| **byte == b';').for_each(|byte| *byte = b'&');
                target != case.question.request.target && case.same_as(&target)
            })
        },
    },
    Difference {
        id: "raw-forwarded-for",
        proxies: &[Proxy::Traefik],
        says: "with `trusted_proxies` the log shows the raw X-Forwarded-For, X-Real-IP is what the trusted proxy sent",
        accepts: |case| case.only(|complaint| case.forwarded_for(complaint) || complaint.starts_with("the body is no")),
    },
    Difference {
        id: "early-plain-text",
        proxies: GO,
        says: "each server answers what it can't parse in its own way",
        accepts: |case| case.expected_status(421) && case.refuses_itself(),
    },
];

/// The difference that explains what a server did.
pub fn explain(proxy: Proxy, case: &Case<'_>) -> Option<&'static Difference> {
    DIFFERENCES.iter().find(|difference| difference.proxies.contains(&proxy) && (difference.accepts)(case))
}

impl Case<'_> {
    fn refused(&self) -> bool {
        matches!(self.expected.verdict, Verdict::Refused(_))
    }

    fn expected_status(&self, status: u16) -> bool {
        self.expected.verdict == Verdict::Refused(status)
    }

    /// The server refuses by itself, or closes, and nothing was forwarded.
    fn refuses_itself(&self) -> bool {
        self.observed.seen.is_empty()
            && matches!(self.observed.exchange.status, None | Some(400 | 404 | 405 | 414 | 421 | 431 | 501 | 505))
    }

    fn only(&self, test: impl Fn(&str) -> bool) -> bool {
        self.complaints.iter().all(|complaint| test(complaint))
    }

    fn odd_target(&self) -> bool {
        let path = Target::parse(&self.question.request.target).map(|target| target.path).unwrap_or(b"*");
        path.iter().any(|byte| !(byte.is_ascii_alphanumeric() || b"/-._~:@+,=".contains(byte)))
            || path.windows(2).any(|pair| pair == b"//" || pair == b"/.")
    }

    fn odd_method(&self) -> bool {
        !matches!(
            self.question.request.method.as_slice(),
            b"GET" | b"HEAD" | b"POST" | b"PUT" | b"PATCH" | b"DELETE" | b"OPTIONS"
        )
    }

    fn odd_host(&self) -> bool {
        let request = &self.question.request;
        let authority = Target::parse(&request.target).and_then(|target| target.authority);
        // In a request line nginx takes no `_` for a host.
        if authority.is_some_and(|host| host.contains(&b'_')) {
            return true;
        }
        let plain = |host: &[u8]| {
            let (name, port) = match host.iter().position(|&byte| byte == b':') {
                Some(at) => (&host[..at], &host[at + 1..]),
                None => (host, &b"1"[..]),
            };
            let named = name.iter().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(byte));
            let dots = name.ends_with(b".") || name.windows(2).any(|pair| pair == b"..");
            named && !name.is_empty() && !dots && port.iter().all(u8::is_ascii_digit)
        };
        !request.header("host").chain(authority).all(plain) || request.header("host").next().is_none()
    }

    fn head_between(&self) -> bool {
        let (limit, head) = (self.plan.limits.header, self.question.request.head_bytes() + 200);
        let longest =
            self.question.request.headers.iter().map(|(name, value)| name.len() + value.len() + 4).max().unwrap_or(0);
        head > limit || longest.max(self.question.request.target.len() + 20) as u64 > limit / 2
    }

    /// A complaint about what Traefik makes of the headers of a trusted proxy.
    fn forwarded_for(&self, complaint: &str) -> bool {
        if self.plan.listen.trusted_proxies.is_empty() {
            return false;
        }
        if complaint.starts_with("the upstream got X-Forwarded-For") {
            let sent: Vec<&[u8]> = self.question.request.header("x-forwarded-for").collect();
            // What came is passed on; of a client that comes directly and sends one, nothing is (`notAppendXForwardedFor`, 3.7.15).
            return self.observed.seen.iter().all(|seen| {
                let got: Vec<&[u8]> = seen.header_all("X-Forwarded-For").collect();
                got.is_empty() || got == sent
            });
        }
        ["X-Real-IP", "X-Forwarded-Proto", "X-Forwarded-Host"].iter().any(|name| complaint.contains(name))
    }

    /// 401, and nothing was forwarded.
    fn unauthorized(&self) -> bool {
        self.observed.exchange.status == Some(401) && self.observed.seen.is_empty()
    }

    /// Whether a header's value, in lower case, passes a test.
    fn header_has(&self, name: &str, test: impl Fn(&[u8]) -> bool) -> bool {
        self.question.request.header(name).any(|value| test(&value.to_ascii_lowercase()))
    }

    fn basic_sent(&self) -> bool {
        self.question.request.header("authorization").any(|value| value.to_ascii_lowercase().starts_with(b"basic"))
    }

    /// Whether the server did what the evaluator says of another target.
    fn same_as(&self, target: &[u8]) -> bool {
        let mut question = self.question.clone();
        question.request.target = target.to_vec();
        self.agrees(&question)
    }

    /// Whether the server did what the evaluator says of another question.
    fn agrees(&self, question: &Question) -> bool {
        let expected = self.evaluator.decide(question);
        let complaints = judge::complaints(self.plan, question, &expected, self.observed);
        complaints.iter().all(|complaint| complaint.starts_with("the body is no") || self.forwarded_for(complaint))
    }

    /// A credential or Origin header stands twice: refused, or judged by one of its values or by all of them joined.
    fn one_of_the_values(&self) -> bool {
        ["authorization", "x-api-key", "origin"].iter().any(|name| {
            let values: Vec<Vec<u8>> = self.question.request.header(name).map(<[u8]>::to_vec).collect();
            if values.len() < 2 {
                return false;
            }
            let refusal = matches!(self.observed.exchange.status, Some(400 | 401)) && self.observed.seen.is_empty();
            refusal
                || values.into_iter().any(|value| {
                    let mut question = self.question.clone();
                    question.request.headers.retain(|(own, _)| !own.eq_ignore_ascii_case(name.as_bytes()));
                    question.request.headers.push((name.as_bytes().to_vec(), value));
                    self.agrees(&question)
                })
        })
    }
}

/// What Traefik 3.7 makes of a target before it matches: unreserved percent-encodings decoded, others in capitals, `//` merged, dot
/// segments resolved (measured). `None`: as it was.
fn normalised(target: &[u8]) -> Option<Vec<u8>> {
    let parsed = Target::parse(target)?;
    let text = String::from_utf8_lossy(parsed.path).into_owned();
    let mut decoded = String::new();
    let mut rest = text.as_str();
    while let Some(at) = rest.find('%') {
        decoded.push_str(&rest[..at]);
        let hex = rest.get(at + 1..at + 3)?;
        let byte = u8::from_str_radix(hex, 16).ok()?;
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            decoded.push(char::from(byte));
        } else {
            decoded.push_str(&format!("%{}", hex.to_ascii_uppercase()));
        }
        rest = &rest[at + 3..];
    }
    decoded.push_str(rest);
    let mut segments: Vec<&str> = Vec::new();
    let trailing = decoded.ends_with('/') || decoded.ends_with("/.") || decoded.ends_with("/..");
    for segment in decoded.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            other => segments.push(other),
        }
    }
    let mut path = format!("/{}", segments.join("/"));
    if trailing && decoded.ends_with('/') && !segments.is_empty() {
        path.push('/');
    }
    let query = parsed.query.map(|query| [b"?", query].concat()).unwrap_or_default();
    let out = [path.into_bytes(), query].concat();
    (out != target).then_some(out)
}

/// Whether a plan's listener can be asked over HTTP/2 by this client: by ALPN, never on a plain port.
pub fn speaks(plan: &Plan, version: Version) -> bool {
    version != Version::Http2 || plan.listen.tls != Tls::Off
}
