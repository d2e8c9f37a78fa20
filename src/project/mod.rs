//! PATH → what is there: files recognised, includes and mounts followed, what belongs together read as one system.
//!
//! In: the paths that the user names. Out: gateways with their diagnostics, and which files were read. Invariant: what was not
//! read is said, never passed over.
