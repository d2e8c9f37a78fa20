//! The `llmguard` program: arguments in, exit code out.

/// A config becomes very many small parts.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    llmguard::cli::run()
}
