//! nginx's syntax: what the reader takes and refuses is what nginx takes and refuses.
//!
//! In: configs made here (`LLMGUARD_CASES` of each kind, from `LLMGUARD_SEED` on) and those of `fixtures/syntax/nginx`. Out: tests against
//! expectations and against `nginx -t` of both versions: what nginx accepts has no error here, what it refuses for its form, place or
//! number of arguments has its first error on the line that nginx names.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends where something is not there")]

#[path = "nginx_syntax/ask.rs"]
mod ask;
mod common;
#[path = "nginx_syntax/files.rs"]
mod files;
#[path = "nginx_syntax/make.rs"]
mod make;
#[path = "common/random.rs"]
#[expect(dead_code, reason = "shared with other tests")]
mod random;
#[path = "nginx_syntax/speed.rs"]
mod speed;

use std::path::{Path, PathBuf};
use std::time::Instant;

use ask::{Nginx, number};
use llmguard::diag::{Diagnostic, Severity, Sink};
use llmguard::dialect::Options;
use llmguard::dialect::nginx::config::Config;
use llmguard::dialect::nginx::context::Context;
use llmguard::dialect::nginx::lexer;
use llmguard::dialect::nginx::read;
use llmguard::dialect::nginx::table::TABLE;
use llmguard::source::SourceFile;
use random::Random;

/// The servers, with the variable that names their program and their version.
const SERVERS: [(&str, (u32, u32, u32)); 2] = [("LLMGUARD_NGINX_OLD", (1, 22, 1)), ("LLMGUARD_NGINX", (1, 31, 3))];

fn read_text(text: &[u8], options: &Options) -> (Config, Vec<Diagnostic>) {
    let mut sink = Sink::default();
    let config = read::read_file(SourceFile::of_bytes("x.conf", "x.conf", text.to_vec()), options, &mut sink);
    (config, sink.list)
}

/// The places of the errors of a single file, in the order in which nginx would come upon them: end and line.
fn errors(problems: &[Diagnostic]) -> Vec<(usize, usize, String)> {
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error);
    let mut places: Vec<(usize, usize, String)> = errors
        .map(|problem| {
            let place = problem.file.as_ref().zip(problem.span.as_ref());
            place.map_or((0, 0, problem.message.clone()), |(file, (span, _))| {
                (span.end, file.line_column(span.start).line, problem.message.clone())
            })
        })
        .collect();
    places.sort();
    places
}

/// Compares an answer of `nginx -t` with the reader's. `own`: what nginx judges by itself, such as values, isn't compared.
fn compare(text: &[u8], nginx: &Nginx, version: (u32, u32, u32)) -> Result<bool, String> {
    let options = Options { nginx_version: Some(version), ..Options::default() };
    let (config, problems) = read_text(text, &options);
    if config.context != Context::Main {
        return Ok(false);
    }
    let errors = errors(&problems);
    let first = errors.first();
    match (nginx.refuses(text), first) {
        (None, None) => Ok(true),
        (None, Some(first)) => Err(format!("nginx accepts it; here {first:?}")),
        (Some(refusal), _) if !refusal.is_of_form() || refusal.is_of_build() => match (first, refusal.line) {
            (Some(first), Some(line)) if first.1 < line => Err(format!("nginx says {refusal:?}; here {first:?}")),
            _ => Ok(false),
        },
        (Some(refusal), None) => Err(format!("nginx says {refusal:?}; here nothing")),
        (Some(refusal), Some(first)) if refusal.line != Some(first.1) => {
            Err(format!("nginx says {refusal:?}; here {first:?}"))
        }
        _ => Ok(true),
    }
}

/// Asks both servers about texts; at least this share of them must have been comparable.
fn agrees(test: &str, share: f64, make: impl Fn(&mut Random) -> Vec<u8>) {
    for (variable, version) in SERVERS {
        let Some(program) = common::server(test, variable) else { continue };
        let nginx = Nginx::new(&program);
        let cases = number("LLMGUARD_CASES", 120);
        let seed = number("LLMGUARD_SEED", 0) as u64;
        let mut compared = 0;
        for case in 0..cases as u64 {
            let text = make(&mut Random::seeded(seed + case));
            match compare(&text, &nginx, version) {
                Ok(was) => compared += usize::from(was),
                Err(why) => {
                    let small = make::smaller(&text, |text| compare(text, &nginx, version).is_err());
                    let again = compare(&small, &nginx, version).err().unwrap_or_default();
                    panic!("{variable}, seed {}: {why}\nmade small: {again}\n{}", seed + case, ask::shown(&small));
                }
            }
        }
        println!("{test}: {variable}: {compared} of {cases} compared");
        assert!(compared as f64 >= cases as f64 * share, "{compared} of {cases} compared");
    }
}

#[test]
fn random_texts_are_cut_as_nginx_cuts_them() {
    agrees("nginx-random-texts", 0.7, make::text);
}

#[test]
fn random_directives_are_refused_as_nginx_refuses_them() {
    agrees("nginx-random-directives", 0.3, make::directives);
}

#[test]
fn damaged_configs_are_refused_as_nginx_refuses_them() {
    agrees("nginx-damaged-configs", 0.7, make::damaged);
}

#[test]
fn long_words_are_refused_as_nginx_refuses_them() {
    agrees("nginx-long-words", 0.7, make::long);
}

/// nginx shows the name of an unknown directive as it understands it.
#[test]
fn words_mean_what_they_mean_to_nginx() {
    for (variable, _) in SERVERS {
        let Some(program) = common::server("nginx-words", variable) else { continue };
        let nginx = Nginx::new(&program);
        let mut compared = 0;
        for seed in 0..number("LLMGUARD_CASES", 120) as u64 {
            let word = make::word(&mut Random::seeded(seed));
            let text = [&word[..], b" ;"].concat();
            let (tree, faults) = lexer::parse(&text);
            if !faults.is_empty() || tree.words.len() != 1 {
                continue;
            }
            let Some(refusal) = nginx.refuses(&text) else { continue };
            let Some(told) = refusal.unknown() else { continue };
            let (config, _) = read_text(&text, &Options::default());
            let value = config.name(&config.directives[0]).to_vec();
            assert_eq!(ask::shown(&value), ask::shown(told), "{}", ask::shown(&text));
            compared += 1;
        }
        assert!(compared > 30, "{compared}");
    }
}

/// Every directive in every block. All pairs are 15,000 questions: `LLMGUARD_CASES=100000` asks them all.
#[test]
fn every_directive_stands_where_nginx_lets_it() {
    for (variable, version) in SERVERS {
        let Some(program) = common::server("nginx-directives", variable) else { continue };
        let nginx = Nginx::new(&program);
        let mut pairs = make::places(version);
        let all = pairs.len();
        Random::seeded(number("LLMGUARD_SEED", 0) as u64).shuffle(&mut pairs);
        pairs.truncate(number("LLMGUARD_CASES", 120));
        let (mut known, mut wrong) = (0, Vec::new());
        for (name, context, text) in &pairs {
            let Some(refusal) = nginx.refuses(text) else { continue };
            // A module that this build doesn't have.
            if refusal.says("unknown directive") && TABLE.find(name.as_bytes()).next().is_some() {
                continue;
            }
            known += 1;
            let options = Options { nginx_version: Some(version), ..Options::default() };
            let (_, problems) = read_text(text, &options);
            let told = problems.iter().any(|problem| problem.message.contains("is not allowed in"));
            if told != refusal.says("is not allowed here") {
                wrong.push(format!("{name} in {context:?}: nginx says {refusal:?}"));
            }
        }
        println!("{variable}: {known} of {} known, {all} in all", pairs.len());
        assert!(wrong.is_empty(), "{wrong:#?}");
        assert!(known * 2 > pairs.len());
    }
}

#[test]
fn fixtures_have_the_problems_that_are_expected() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/syntax/nginx");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "conf"));
    paths.sort();
    assert!(paths.len() > 10);
    let bless = std::env::var_os("LLMGUARD_BLESS").is_some();
    let mut wrong = Vec::new();
    for path in paths {
        let mut sink = Sink::default();
        read::read(&path, "x.conf", &Options::default(), &mut sink);
        let told: String = sink.sorted().iter().map(|problem| ask::line(problem, &folder) + "\n").collect();
        let expected = path.with_extension("problems");
        if bless {
            std::fs::write(&expected, &told).unwrap();
        } else if std::fs::read_to_string(&expected).ok().as_ref() != Some(&told) {
            wrong.push(format!("{}:\n{told}", path.display()));
        }
        for (variable, version) in SERVERS {
            let Some(program) = common::server("nginx-fixtures", variable) else { continue };
            let text = std::fs::read(&path).unwrap();
            if !text.windows(7).any(|part| part == b"include") {
                compare(&text, &Nginx::new(&program), version)
                    .unwrap_or_else(|why| panic!("{}: {why}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn tokens_tile_the_file() {
    let mut texts: Vec<Vec<u8>> = vec![
        b"a b; c { d 'e f' \"g\"; } # h\r\ni ${j{k} l\\ m;".to_vec(),
        b"\xef\xbb\xbfa;".to_vec(),
        b"x \xff\xfe\0;}{;;".to_vec(),
        b"content_by_lua_block { if x then y = '}' end --[[ } ]] } z;".to_vec(),
        b"a \"never closed".to_vec(),
        b"a \\".to_vec(),
        Vec::new(),
    ];
    texts.extend((0..3000).map(|seed| make::garbage(&mut Random::seeded(seed))));
    texts.extend((0..1000).map(|seed| make::text(&mut Random::seeded(seed))));
    for text in texts {
        let (tree, _) = lexer::parse(&text);
        let mut at = 0;
        for token in &tree.tokens {
            assert_eq!(token.start, at, "{}", ask::shown(&text));
            assert!(token.end >= token.start);
            at = token.end;
        }
        assert_eq!(at as usize, text.len(), "{}", ask::shown(&text));
        for (at, node) in tree.nodes.iter().enumerate() {
            assert!(node.end > at as u32 && node.end <= tree.nodes.len() as u32);
            assert!(node.parent.is_none_or(|parent| (parent.0 as usize) < at));
        }
        read_text(&text, &Options::default());
    }
}

/// Every beginning of a config is read, in a time that its length bounds.
#[test]
fn truncated_configs_are_read() {
    let text = make::whole();
    for end in 0..text.len() {
        read_text(&text[..end], &Options::default());
    }
}

#[test]
fn blocks_nest_without_end() {
    let deep = "location / {".repeat(100_000);
    for text in [deep.clone() + &"}".repeat(100_000), deep] {
        let (config, _) = read_text(text.as_bytes(), &Options::default());
        assert_eq!(config.directives.len(), 100_000);
    }
}

#[test]
fn many_errors_are_bounded() {
    for text in [";".repeat(1 << 20), "}{".repeat(1 << 20), "a;".repeat(1 << 20), "\"".repeat(1 << 20)] {
        let started = Instant::now();
        let (_, problems) = read_text(text.as_bytes(), &Options::default());
        assert!(problems.len() <= 1200, "{}", problems.len());
        assert!(started.elapsed().as_secs() < 20);
    }
}
