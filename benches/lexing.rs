//! How fast texts are cut on one core: `lexing ROUNDS DIALECT=FILE…` prints for each the dialect, its megabytes, and the median of megabytes a
//! second. Aims: 100 for nginx and Caddyfiles, 25 for YAML (as a tree).

use std::hint::black_box;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use llmguard::diag::Sink;
use llmguard::dialect::caddy::lexer::Lexer;
use llmguard::dialect::{nginx, yaml};
use llmguard::source::SourceFile;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    let rounds = args.next().and_then(|rounds| rounds.parse().ok());
    let files: Vec<(String, SourceFile)> = args.filter_map(|arg| file(&arg)).collect();
    let Some(rounds) = rounds.filter(|_| !files.is_empty()) else {
        eprintln!("lexing ROUNDS nginx=FILE caddy=FILE yaml=FILE");
        return ExitCode::FAILURE;
    };
    for (dialect, file) in files {
        let megabytes = file.text.len() as f64 / 1e6;
        let mut speeds: Vec<f64> =
            (0..rounds).filter_map(|_| seconds(&dialect, &file)).map(|s| megabytes / s).collect();
        speeds.sort_by(f64::total_cmp);
        match speeds.get(speeds.len() / 2) {
            Some(speed) => println!("{dialect} {megabytes:.1} {speed:.0}"),
            None => eprintln!("{dialect}: nginx, caddy or yaml, and a text without faults"),
        }
    }
    ExitCode::SUCCESS
}

fn file(arg: &str) -> Option<(String, SourceFile)> {
    let (dialect, path) = arg.split_once('=')?;
    let file = SourceFile::read_config(path, Path::new(path)).inspect_err(|why| eprintln!("{path}: {why}")).ok()?;
    Some((dialect.to_owned(), file))
}

/// How long it takes once; absent: there is no such dialect, or the text has a fault.
fn seconds(dialect: &str, file: &SourceFile) -> Option<f64> {
    let start = Instant::now();
    let whole = match dialect {
        "nginx" => black_box(nginx::lexer::parse(file.bytes())).1.is_empty(),
        "caddy" => {
            let mut lexer = Lexer::new(&file.text);
            loop {
                match black_box(lexer.next_word()) {
                    Ok(Some(_)) => {}
                    last => break last.is_ok(),
                }
            }
        }
        "yaml" => {
            let mut problems = Sink::default();
            black_box(yaml::read(0, file, &mut problems)).root.is_some() && problems.list.is_empty()
        }
        _ => false,
    };
    whole.then(|| start.elapsed().as_secs_f64())
}
