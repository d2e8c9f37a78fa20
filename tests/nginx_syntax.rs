//! nginx's syntax: what the reader takes and refuses is what nginx takes and refuses.
//!
//! In: configs made here and in `fixtures/dialect/nginx/syntax`. Out: tests against expectations and against `nginx -t` of both versions.

use llmguard::diag::Sink;
use llmguard::dialect::Options;
use llmguard::dialect::nginx::lexer;
use llmguard::dialect::nginx::read;

#[test]
fn tokens_tile_the_file() {
    let texts: [&[u8]; 6] = [
        b"a b; c { d 'e f' \"g\"; } # h\r\ni ${j{k} l\\ m;",
        b"\xef\xbb\xbfa;",
        b"x \xff\xfe\0;}{;;",
        b"content_by_lua_block { if x then y = '}' end --[[ } ]] } z;",
        b"a \"never closed",
        b"",
    ];
    for text in texts {
        let (tree, _) = lexer::parse(text);
        let mut at = 0;
        for token in &tree.tokens {
            assert_eq!(token.start, at, "{}", String::from_utf8_lossy(text));
            at = token.end;
        }
        assert_eq!(at as usize, text.len());
    }
}

#[test]
fn a_hundred_thousand_blocks_in_each_other() {
    let text = "a { ".repeat(100_000) + &"}".repeat(100_000);
    let file = llmguard::source::SourceFile::new("x", "x", text);
    let mut sink = Sink::default();
    let config = read::read_file(file, &Options::default(), &mut sink);
    assert_eq!(config.directives.len(), 100_000);
    let places = tempfile::tempdir().unwrap();
    std::fs::write(places.path().join("a.conf"), "include b.conf; x;").unwrap();
    std::fs::write(places.path().join("b.conf"), "include *.conf; y { include a.conf; }").unwrap();
    let config = read::read(&places.path().join("a.conf"), "a.conf", &Options::default(), &mut sink);
    assert_eq!(config.directives.len(), 2, "{config:?}");
    for problem in sink.sorted() {
        println!("{}", problem.render(false));
    }
}
