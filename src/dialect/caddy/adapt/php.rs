//! `php_fastcgi`: files are looked for, and PHP's are run by another server (Caddy 2.11, reverseproxy/fastcgi/caddyfile.go).
//!
//! In: its tokens. Out: the routes that it stands for. Invariant: the lines that it doesn't know itself are those of `reverse_proxy`.

use super::super::dispenser::{Dispenser, Read};
use super::super::json::Json;
use super::super::token::Token;
use super::directive::Here;
use super::pile::Piled;
use super::route::{self, Route};
use super::{Adapter, proxy, value};

/// What its own lines say.
#[derive(Default)]
struct Own {
    transport: Vec<(String, Json)>,
    env: Vec<(Token, Token)>,
    extensions: Option<Vec<Token>>,
    index: Option<Token>,
    files: Vec<Token>,
}

/// `php_fastcgi [<matcher>] <upstreams…> { … }`
pub(super) fn php_fastcgi(adapter: &mut Adapter<'_>, here: &mut Here<'_>) -> Read<Vec<Piled>> {
    here.tokens.advance();
    let Some(name) = here.tokens.token().cloned() else { return Ok(Vec::new()) };
    let place = name.place;
    let matcher = here.take_matcher()?;
    here.tokens.advance();
    let mut rest = Dispenser::new(here.tokens.next_segment());
    let own = own_lines(&mut rest)?;
    rest.reset();
    rest.advance();
    let extensions = own.extensions.clone().unwrap_or_else(|| vec![name.saying(".php")]);
    let mut transport = Json::map(place).with("protocol", Json::text(place, "fastcgi"));
    for (member, value) in &own.transport {
        transport.set_full(member, value.clone());
    }
    transport.set_full("split_path", Json::words(place, &extensions));
    for (name, value) in &own.env {
        transport.map_at(&["env"], place).set(&name.text, Json::word(value));
    }
    let mut routes = files(&name, &own, &extensions);
    let json = Json::map(place).with("handler", Json::text(place, "reverse_proxy")).with("transport", transport);
    let json = proxy::read(adapter, &mut Here { scope: here.scope, tokens: &mut rest }, json, Vec::new())?;
    let paths = extensions.iter().map(|extension| Json::text(extension.place, format!("*{}", &*extension.text)));
    let paths = Json::map(place).with("path", Json::list(place, paths.collect())).shared();
    routes.push(Route::new(place, Some(paths), json));
    Ok(vec![match matcher {
        Some(matcher) => Piled::Route(Route::new(place, Some(matcher), route::subroute(place, &routes))),
        None => Piled::Routes(routes),
    }])
}

/// The routes that find a file for a request.
fn files(name: &Token, own: &Own, extensions: &[Token]) -> Vec<Route> {
    let place = name.place;
    let index = own.index.clone().unwrap_or_else(|| name.saying("index.php"));
    if &*index.text == "off" {
        return Vec::new();
    }
    let path = "{http.request.uri.path}";
    let folder = index.saying(format!("{path}/{}", &*index.text));
    let mut files = own.files.clone();
    let mut fallback = true;
    let mut redirect = true;
    if files.is_empty() {
        files = vec![name.saying(path), folder.clone(), index];
    } else {
        fallback = files.last().is_some_and(|file| file.text.ends_with(".php"));
        redirect = files.iter().any(|file| file.text == folder.text);
    }
    let mut routes = Vec::new();
    let text = |text: &str| Json::text(place, text);
    if redirect {
        let file = Json::map(place).with("try_files", Json::list(place, vec![Json::word(&folder)]));
        let slash = Json::map(place).with("path", Json::list(place, vec![text("*/")]));
        let set = Json::map(place).with("file", file).with("not", Json::list(place, vec![slash]));
        let to = "./{http.request.orig_uri.path.file_escaped}/{http.request.orig_uri.prefixed_query}";
        let headers = Json::map(place).with("Location", Json::list(place, vec![text(to)]));
        let json = Json::map(place)
            .with("handler", text("static_response"))
            .with("status_code", Json::number(place, 308))
            .with("headers", headers);
        routes.push(Route::new(place, Some(set.shared()), json));
    }
    let mut file = Json::map(place).with("try_files", Json::words(place, &files));
    if fallback {
        file.set("try_policy", text("first_exist_fallback"));
    }
    file.set_full("split_path", Json::words(place, extensions));
    let set = Json::map(place).with("file", file);
    let json = Json::map(place).with("handler", text("rewrite")).with("uri", text("{http.matchers.file.relative}"));
    routes.push(Route::new(place, Some(set.shared()), json));
    routes
}

/// Takes out the lines that `reverse_proxy` doesn't know.
fn own_lines(tokens: &mut Dispenser) -> Read<Own> {
    let mut own = Own::default();
    while tokens.advance() {
        while tokens.next_block(0) {
            if tokens.nesting() == 1 {
                own.line(tokens)?;
            }
        }
    }
    Ok(own)
}

impl Own {
    fn line(&mut self, tokens: &mut Dispenser) -> Read<()> {
        let name = tokens.text();
        match &*name {
            "root" => {
                let root = tokens.need()?;
                self.transport.push(("root".into(), Json::text(tokens.place(), root)));
                tokens.drop_last(2);
            }
            "dial_timeout" | "read_timeout" | "write_timeout" => {
                let text = tokens.need()?;
                let time = value::duration(&text);
                let time = time.ok_or_else(|| tokens.fault(format!("`{}` isn't a duration", &*text)))?;
                self.transport.push((name.to_string(), Json::number(tokens.place(), time)));
                tokens.drop_last(2);
            }
            "split" | "env" | "index" | "try_files" | "resolve_root_symlink" | "capture_stderr" => {
                let place = tokens.place();
                let args = tokens.args();
                tokens.drop_last(args.len() + 1);
                match (&*name, args.as_slice()) {
                    ("split", [_, ..]) => self.extensions = Some(args),
                    ("env", [name, value]) => self.env.push((name.clone(), value.clone())),
                    ("index", [index]) => self.index = Some(index.clone()),
                    ("try_files", [_, ..]) => self.files = args,
                    ("resolve_root_symlink" | "capture_stderr", _) => {
                        self.transport.push((name.to_string(), Json::bool(place, true)));
                    }
                    _ => return Err(tokens.wrong_count()),
                }
            }
            _ => {}
        }
        Ok(())
    }
}
