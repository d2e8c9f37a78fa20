//! The variables that a policy names: the process environment, else the `.env` file.
//!
//! In: both as maps. Out: a value or nothing. Invariant: the process environment wins; an empty value counts as unset.

use std::collections::BTreeMap;

use crate::secret::Secret;

/// Values by name.
#[derive(Debug, Clone, Default)]
pub struct Variables {
    /// From the process environment.
    pub process: BTreeMap<String, Secret>,
    /// From the `.env` file, when one was read.
    pub file: Option<BTreeMap<String, Secret>>,
}

/// The variable that a client's key gets where nobody chose one: `my-laptop` → `MY_LAPTOP_KEY`.
pub fn default_name(client: &str) -> String {
    let name: String =
        client.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
    if name.starts_with(|first: char| first.is_ascii_digit()) {
        format!("CLIENT_{name}_KEY")
    } else {
        format!("{name}_KEY")
    }
}

impl Variables {
    /// The value of a variable; `None` where it is unset or empty.
    pub fn get(&self, name: &str) -> Option<&Secret> {
        self.process.get(name).or_else(|| self.file.as_ref()?.get(name)).filter(|value| !value.reveal().is_empty())
    }
}
