//! How fast configs are read, and how much memory that takes. In: sizes. Out: a table.
//!
//! `cargo test --release --test nginx_syntax -- --ignored --nocapture speed`

use llmguard::diag::Sink;
use llmguard::dialect::Options;
use llmguard::dialect::nginx::{lexer, read};
use llmguard::source::SourceFile;

const MIB: usize = 1 << 20;

/// Servers with locations, as people write them, until the text is so long.
fn config(size: usize) -> String {
    let mut text = "events {}\nhttp {\n".to_owned();
    let mut number = 0;
    while text.len() < size {
        number += 1;
        text += &format!(
            "    server {{\n        listen 80;\n        server_name s{number}.example.com www.s{number}.example.com;\n        \
             # everything goes to the application\n        location / {{\n            proxy_pass http://127.0.0.1:{};\n            \
             proxy_set_header Host $host;\n            proxy_set_header X-Real-IP $remote_addr;\n            proxy_read_timeout 300s;\n        }}\n        \
             location ~* \"\\.(png|jpe?g)$\" {{ expires 7d; add_header Cache-Control \"public\"; }}\n    }}\n",
            1024 + number % 60000
        );
    }
    text + "}\n"
}

/// The least processor time of some runs, in seconds.
fn fastest(mut run: impl FnMut()) -> f64 {
    let time = |run: &mut dyn FnMut()| {
        let started = processor_time();
        run();
        processor_time().saturating_sub(started)
    };
    (0..7).map(|_| time(&mut run)).min().unwrap_or(0) as f64 / 1e9
}

/// Nanoseconds that this thread ran: what else runs on the machine changes it little.
fn processor_time() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// A number of `/proc/self/status`, in bytes.
fn status(name: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|line| line.trim().split(' ').next()?.parse::<usize>().ok()).unwrap_or(0) * 1024
}

#[test]
#[ignore = "a measurement: build with --release"]
fn speed() {
    println!("{:>6} {:>10} {:>12} {:>12} {:>12}", "MiB", "lex MB/s", "read ms", "ms per MiB", "memory x");
    for size in [1, 2, 4, 8] {
        let text = config(size * MIB);
        let lexing = fastest(|| drop(lexer::parse(text.as_bytes())));
        // The highest that memory has been is measured from here on.
        let _ = std::fs::write("/proc/self/clear_refs", "5");
        let before = status("VmRSS");
        let whole = fastest(|| {
            let file = SourceFile::new("x", "x", text.as_str());
            let mut sink = Sink::default();
            let config = read::read_file(file, &Options::default(), &mut sink);
            assert!(sink.list.is_empty() && config.directives.len() > 1000);
        });
        let memory = status("VmHWM").saturating_sub(before) as f64 / text.len() as f64;
        let rate = text.len() as f64 / 1e6 / lexing;
        println!("{size:>6} {rate:>10.0} {:>12.1} {:>12.1} {memory:>12.1}", whole * 1e3, whole * 1e3 / size as f64);
    }
}
