use super::*;
use crate::dialect::document::Ref;

fn document(text: &str) -> (Document, Vec<String>) {
    let mut sink = Sink::default();
    let document = read(0, &SourceFile::new("t.yml", "t.yml", text), &mut sink);
    (document, sink.list.into_iter().map(|problem| problem.message).collect())
}

fn text<'d>(root: Ref<'d>, path: &[&str]) -> &'d str {
    root.path(path).and_then(Ref::text).unwrap()
}

#[test]
fn maps_lists_and_their_places() {
    let source =
        "\u{feff}# top\r\na: ä\r\nb:\r\n  - 'x y'\r\n  - |\r\n    two\r\n    lines\r\nc: !override {k: [1]}\r\n";
    let (document, problems) = document(source);
    assert!(problems.is_empty(), "{problems:?}");
    let root = document.root().unwrap();
    let slice = |node: Ref<'_>| &source[node.place().span().start..node.place().span().end];
    assert_eq!(slice(root.get("a").unwrap()), "ä");
    let items: Vec<_> = root.get("b").unwrap().items().collect();
    assert_eq!(slice(items[0]), "'x y'");
    assert_eq!(items[1].text(), Some("two\nlines\n"));
    assert_eq!(root.get("c").unwrap().tag(), Some("!override"));
    assert_eq!(slice(root.get("c").unwrap()), "{k: [1]}");
    assert!(slice(root.get("b").unwrap()).ends_with("lines\r\n"));
    let comment = document.comments[0].span();
    assert_eq!(&source[comment.start..comment.end], "# top");
}

#[test]
fn merges_are_asked_in_go_s_order() {
    let (document, problems) = document(
        "a: &a {x: a, y: a}\nb: &b {<<: *a, y: b, z: b}\nc:\n  <<: [*b, {w: i, x: i}]\n  z: c\nd: {'<<': 1, \"k\": *a}\n",
    );
    assert!(problems.is_empty(), "{problems:?}");
    let root = document.root().unwrap();
    let entries =
        root.get("c").unwrap().entries().map(|(entry, value)| format!("{}{}", entry.key, value.text().unwrap()));
    assert_eq!(entries.collect::<Vec<_>>(), ["zc", "yb", "xa", "wi"]);
    assert_eq!(text(root, &["d", "k", "x"]), "a");
    assert!(root.path(&["d", "<<"]).is_some());
}

#[test]
fn what_go_refuses_is_an_error() {
    for (source, message) in [
        ("a: 1\nb: 2\na: 3\n", "the key `a` stands twice in one map"),
        ("<<: {}\n<<: {}\n", "the key `<<` stands twice in one map"),
        ("a: *missing\n", "not valid YAML: nothing is anchored as `&missing`"),
        ("a: &a {b: *a}\n", "not valid YAML: an anchor holds an alias to itself"),
        ("a: &a\n  <<: *a\n", "not valid YAML: an anchor holds an alias to itself"),
        ("<<: 5\n", "not valid YAML: `<<` merges maps, and this is none"),
        ("a:\n  \tx\n", "not valid YAML: a tab can't indent: Go's YAML takes spaces alone"),
        ("a:\n  : 1\n", "not valid YAML: a key must be a text"),
        ("a: !!int x\n", "not valid YAML: this isn't what its tag says"),
        ("a: x # \u{7f}\n", "not valid YAML: a control character"),
        ("? [a]\n: b\n", "not valid YAML: a key must be a text"),
    ] {
        let (_, problems) = document(source);
        assert_eq!(problems, [message], "{source}");
    }
    for source in ["a: [", "a: 'x", "a: b: c", "- a\nb: c", "%YAML", "a: \"\\z\"", "{a: b", "a: @b"] {
        assert_eq!(document(source).1.len(), 1, "{source}");
    }
}

#[test]
fn hostile_files_end() {
    let bomb = |levels: usize, width: usize| {
        let mut text = "a0: &a0 [x]\n".to_owned();
        for level in 1..=levels {
            let below = vec![format!("*a{}", level - 1); width].join(", ");
            text.push_str(&format!("a{level}: &a{level} [{below}]\n"));
        }
        text
    };
    let mut merges = "m0: &m0 {k: v}\n".to_owned();
    for level in 1..=40 {
        merges.push_str(&format!("m{level}: &m{level}\n  <<: [*m{0}, *m{0}]\n", level - 1));
    }
    for source in [
        bomb(10, 9),
        bomb(29, 2),
        merges,
        "[".repeat(100_000),
        "{a: ".repeat(100_000),
        "- ".repeat(100_000),
        "a:\n".repeat(3),
        "? ".repeat(100_000),
        "\u{0}\u{1}\u{7f}".to_owned(),
        "!".repeat(100_000),
        "# x\n".repeat(1000) + "a: [",
    ] {
        let started = std::time::Instant::now();
        let (document, problems) = document(&source);
        assert!(!problems.is_empty(), "{}", source.get(..20).unwrap_or(&source));
        assert!(document.root().is_none() || document.nodes.len() < 1000);
        assert!(started.elapsed().as_secs() < 5);
    }
    let mut sink = Sink::default();
    let source = SourceFile::of_bytes("x", "x", vec![b'a', b':', 0xff]);
    assert!(read_all(0, &source, &mut sink).is_empty() && sink.has_errors());
}

#[test]
fn many_comments_and_many_documents_are_read() {
    let (document, problems) = document(&("a:\n".to_owned() + &"  # c\n".repeat(500) + "  b: 1\n---\nc: [\n"));
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!(document.comments.len(), 500);
    assert_eq!(text(document.root().unwrap(), &["a", "b"]), "1");
    let mut sink = Sink::default();
    let source = SourceFile::new("x", "x", "a: 1\n---\nb: 2\n---\n[");
    assert_eq!(read_all(0, &source, &mut sink).len(), 2);
    assert!(sink.has_errors());
}
