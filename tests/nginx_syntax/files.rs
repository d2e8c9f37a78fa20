//! Where included files come from. In: folders made here. Out: which directives and problems come of them.

use std::os::unix::fs::symlink;
use std::path::Path;

use llmguard::diag::Sink;
use llmguard::dialect::Options;
use llmguard::dialect::nginx::read;
use tempfile::TempDir;

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

/// The names of the directives in their order, then the problems.
fn read_names(folder: &Path, main: &str, options: &Options) -> (String, Vec<String>) {
    let mut sink = Sink::default();
    let config = read::read(&folder.join(main), main, options, &mut sink);
    let names = config.directives.iter().map(|directive| {
        let words = config.words(directive).iter();
        words.map(|word| String::from_utf8_lossy(config.value(*word))).collect::<Vec<_>>().join(" ")
    });
    let names = names.collect::<Vec<_>>().join("; ");
    (names, sink.list.iter().map(|problem| problem.message.replace(&format!("{}/", folder.display()), "")).collect())
}

#[test]
fn patterns_are_read_in_nginxs_order_and_names_start_at_the_main_file() {
    let folder = folder(&[
        ("nginx.conf", "events {} http { include c/*.conf; include [xy]/z?.inc; include c/none*; }"),
        ("c/b.conf", "index b;"),
        ("c/a.conf", "include part.inc;"),
        ("c/B.conf", "index B;"),
        ("c/.hidden.conf", "index hidden;"),
        ("c/part.inc", "index wrong;"),
        ("part.inc", "index part;"),
        ("x/z1.inc", "index x;"),
        ("y/z2.inc", "index y;"),
        ("y/z10.inc", "index wrong;"),
    ]);
    let (names, problems) = read_names(folder.path(), "nginx.conf", &Options::default());
    assert_eq!(names, "events; http; index B; index part; index b; index x; index y");
    assert!(problems.is_empty(), "{problems:?}");
}

#[test]
fn what_cannot_be_read_is_told_and_the_rest_is_read() {
    let folder = folder(&[
        (
            "nginx.conf",
            "events {} http { include gone; include d; include c/*; include loop; include pipe; index end; }",
        ),
        ("c/a", "index a;"),
        ("d/file", "index wrong;"),
        ("loop", "include c/a; include loop2; index loop;"),
        ("loop2", "include loop;"),
    ]);
    std::fs::create_dir(folder.path().join("c/folder")).unwrap();
    symlink("/dev/zero", folder.path().join("pipe")).unwrap();
    let (names, problems) = read_names(folder.path(), "nginx.conf", &Options::default());
    assert_eq!(names, "events; http; index a; index a; index loop; index end");
    assert_eq!(
        problems,
        [
            "`gone` can't be read: no such file or folder",
            "`d` can't be read: is a folder",
            "`c/folder` can't be read: is a folder",
            "`loop` includes itself (loop:1 includes loop2:1)",
            "`pipe` can't be read: it is no file",
        ]
    );
    let (names, problems) = read_names(folder.path(), "none.conf", &Options::default());
    assert_eq!((names.as_str(), problems), ("", vec!["`none.conf` can't be read: no such file or folder".to_owned()]));
}

#[test]
fn absolute_names_are_looked_up_below_the_root() {
    let folder = folder(&[
        ("etc/nginx/nginx.conf", "events {} http { include /etc/nginx/on/*; include mime.types; }"),
        ("etc/nginx/mime.types", "types { a b; }"),
        ("etc/nginx/there/site", "index site;"),
    ]);
    std::fs::create_dir(folder.path().join("etc/nginx/on")).unwrap();
    symlink("/etc/nginx/there/site", folder.path().join("etc/nginx/on/site")).unwrap();
    let options = Options { root: Some(folder.path().to_owned()), ..Options::default() };
    let (names, problems) = read_names(folder.path(), "etc/nginx/nginx.conf", &options);
    assert_eq!(names, "events; http; index site; types; a b");
    assert!(problems.is_empty(), "{problems:?}");
}

#[test]
fn a_part_finds_what_it_includes_beside_the_whole_configuration() {
    let folder = folder(&[
        ("nginx.conf", "events {} http { include conf.d/*.conf; }"),
        ("conf.d/site.conf", "server { listen 80; include snippets/tls.conf; }"),
        ("snippets/tls.conf", "ssl_protocols TLSv1.3;"),
    ]);
    let (names, problems) = read_names(folder.path(), "conf.d/site.conf", &Options::default());
    assert_eq!(names, "server; listen 80; ssl_protocols TLSv1.3");
    assert_eq!(problems, ["a part of a configuration: read as it would be inside `http`"]);
}

#[test]
fn few_lines_cannot_ask_for_billions() {
    let mut files: Vec<(String, String)> =
        (0..40).map(|at| (format!("f{at}"), format!("include f{}; include f{0};", at + 1))).collect();
    files.push(("f40".to_owned(), "index a;".to_owned()));
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let folder = folder(&files);
    let mut sink = Sink::default();
    let config = read::read(&folder.path().join("f0"), "f0", &Options::default(), &mut sink);
    assert!(config.directives.len() < 2_000_000 && sink.has_errors());
}

#[test]
fn a_dump_is_its_files() {
    let dump = "nginx: the configuration file /etc/nginx/nginx.conf syntax is ok\n\
                # configuration file /etc/nginx/nginx.conf:\nevents {}\nhttp { include conf.d/*.conf; include /x/y; }\n\n\
                # configuration file /etc/nginx/conf.d/b.conf:\nindex b;\n\n# configuration file /x/y:\nindex y;\nbad;\n";
    let folder = folder(&[("dump", dump)]);
    let mut sink = Sink::default();
    let config = read::read(&folder.path().join("dump"), "dump", &Options::default(), &mut sink);
    let names: Vec<&str> = config.files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["/etc/nginx/nginx.conf", "/etc/nginx/conf.d/b.conf", "/x/y"]);
    let problem = &sink.list[0];
    let (file, (span, _)) = problem.file.as_ref().zip(problem.span.as_ref()).unwrap();
    assert_eq!((sink.list.len(), file.name.as_str(), file.line_column(span.start).line), (1, "/x/y", 2));
}
