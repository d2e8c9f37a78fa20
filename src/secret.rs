//! A secret value: comparable, never printed.
//!
//! Invariant: no `Debug`, `Display` or `Serialize` of this type shows the value; it is wiped when dropped.

use zeroize::Zeroizing;

/// An API key, a password or a password hash.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the value in.
    pub fn new(value: impl Into<String>) -> Self {
        Secret(Zeroizing::new(value.into()))
    }

    /// The value itself. Only for what must hold or send it: the renderers' escapers, the `.env` writer, and `prove`'s requests.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether `bytes` are exactly this secret. The time depends on the length only.
    pub fn equals(&self, bytes: &[u8]) -> bool {
        let own = self.0.as_bytes();
        own.len() == bytes.len() && own.iter().zip(bytes).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
    }

    /// Whether `bytes` are this secret in capitals or not, as servers compare that overlook that. The time depends on the length only.
    pub fn equals_in_any_case(&self, bytes: &[u8]) -> bool {
        let lower = |text: &[u8]| Secret::new(String::from_utf8_lossy(&text.to_ascii_lowercase()));
        lower(self.0.as_bytes()).equals(&bytes.to_ascii_lowercase())
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.equals(other.0.as_bytes())
    }
}

impl Eq for Secret {}

impl std::hash::Hash for Secret {
    fn hash<H: std::hash::Hasher>(&self, sum: &mut H) {
        self.0.as_bytes().hash(sum);
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl std::fmt::Display for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl serde::Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("***")
    }
}
