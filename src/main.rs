//! The `llmguard` program: arguments in, exit code out.

fn main() -> std::process::ExitCode {
    llmguard::cli::run()
}
