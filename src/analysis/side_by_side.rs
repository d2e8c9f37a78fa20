//! Work on many things at once.
//!
//! In: things, and what is to be done with each. Out: what came of it. Invariant: the results stand in the order of the things, whatever was
//! done first.

use std::sync::LazyLock;

use rayon::prelude::*;

/// Conditions may stand deep in each other: as much stack as a main thread has.
const STACK_BYTES: usize = 8 << 20;

static THREADS: LazyLock<Option<rayon::ThreadPool>> =
    LazyLock::new(|| rayon::ThreadPoolBuilder::new().stack_size(STACK_BYTES).build().ok());

/// What `work` makes of each thing. A single one is done here, without a thread.
pub fn each<T: Sync, R: Send>(things: &[T], work: impl Fn(&T) -> R + Sync + Send) -> Vec<R> {
    if things.len() < 2 {
        return things.iter().map(work).collect();
    }
    match &*THREADS {
        Some(threads) => threads.install(|| things.par_iter().map(work).collect()),
        None => things.iter().map(work).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_stand_in_order() {
        let many: Vec<usize> = (0..1000).collect();
        assert_eq!(each(&many, |number| number * 2), (0..2000).step_by(2).collect::<Vec<_>>());
        assert_eq!(each(&[7], |number| number + 1), [8]);
    }
}
