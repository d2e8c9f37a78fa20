//! What keeps a key from being made, replaced or hashed: one message with one remedy.

/// A failure of `llmguard key`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// What is wrong, as a sentence without a capital or a full stop.
    pub message: String,
    /// What to do; may have several lines (lines to add to a file).
    pub remedy: String,
}

impl Error {
    /// A message and its remedy.
    pub fn new(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Error { message: message.into(), remedy: remedy.into() }
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.message, self.remedy)
    }
}

impl std::error::Error for Error {}
