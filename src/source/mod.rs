//! Files and places in them. In: paths. Out: [`SourceFile`]s with byte spans and line numbers.
//!
//! Invariant: a [`Span`] always lies inside its file and on character boundaries.

pub mod atomic;
mod texts;

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

pub use texts::Texts;

/// The largest file that is read: a policy of ten thousand clients has one MiB, a device has no end.
pub const MOST_BYTES: u64 = 16 << 20;

/// The largest config of a server that is read.
const MOST_CONFIG_BYTES: u64 = 64 << 20;

/// One text that was read, with what is needed to speak about places in it.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// The path as the user reached it, for messages (`<stdin>` for standard input).
    pub name: String,
    /// Where it lies; relative names inside the file are resolved against its folder.
    pub path: PathBuf,
    /// The whole text.
    pub text: Arc<str>,
    /// The bytes, where they aren't UTF-8.
    raw: Option<Arc<[u8]>>,
    /// Places that are not shown to anybody, sorted and apart from each other: see [`SourceFile::hiding`].
    secrets: Arc<[Span]>,
    /// Where each line begins; made when somebody asks. No file is so long that it wouldn't fit.
    lines: Arc<OnceLock<Box<[u32]>>>,
}

/// A byte range `start..end` in one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

/// A place as people and editors count it: both from 1, the column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LineColumn {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl SourceFile {
    /// Takes a text that is already in memory.
    pub fn new(name: impl Into<String>, path: impl Into<PathBuf>, text: impl Into<Arc<str>>) -> Self {
        let (text, lines) = (text.into(), Arc::default());
        SourceFile { name: name.into(), path: path.into(), text, raw: None, secrets: Arc::new([]), lines }
    }

    /// Takes bytes that need not be UTF-8. Where they aren't, `text` has one `?` for each byte that doesn't fit, so that spans
    /// are the same in both.
    pub fn of_bytes(name: impl Into<String>, path: impl Into<PathBuf>, bytes: Vec<u8>) -> Self {
        let bytes = match String::from_utf8(bytes) {
            Ok(text) => return SourceFile::new(name, path, text),
            Err(error) => error.into_bytes(),
        };
        let mut text = String::with_capacity(bytes.len());
        for chunk in bytes.utf8_chunks() {
            text.push_str(chunk.valid());
            text.extend(chunk.invalid().iter().map(|_| '?'));
        }
        SourceFile { raw: Some(bytes.into()), ..SourceFile::new(name, path, text) }
    }

    /// The file's bytes.
    pub fn bytes(&self) -> &[u8] {
        self.raw.as_deref().unwrap_or(self.text.as_bytes())
    }

    /// The first byte that isn't UTF-8.
    pub fn first_non_utf8(&self) -> Option<usize> {
        std::str::from_utf8(self.raw.as_deref()?).err().map(|error| error.valid_up_to())
    }

    /// The same file whose `secrets` are shown as `***` wherever a part of it is shown.
    pub fn hiding(&self, mut secrets: Vec<Span>) -> Self {
        secrets.extend(self.secrets.iter());
        secrets.sort();
        let mut apart: Vec<Span> = Vec::new();
        for span in secrets {
            match apart.last_mut() {
                Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
                _ => apart.push(span),
            }
        }
        SourceFile { secrets: apart.into(), ..self.clone() }
    }

    /// What is hidden, as texts.
    pub fn hidden(&self) -> impl Iterator<Item = &str> {
        self.secrets.iter().map(|span| self.slice(*span))
    }

    /// The text of a span as it may be shown, and where the byte `offset` of the file stands in it (in a secret: at its start).
    pub fn shown(&self, span: Span, offset: usize) -> (String, usize) {
        const HIDDEN: &str = "***";
        let mut out = String::new();
        let mut at = span.start;
        let mut moved = None;
        for secret in self.secrets.iter().filter(|secret| secret.end > span.start && secret.start < span.end) {
            let (start, end) = (secret.start.max(at), secret.end.min(span.end));
            if offset < end && moved.is_none() {
                moved = Some(out.len() + offset.min(start).saturating_sub(at));
            }
            out.push_str(self.slice(Span { start: at, end: start }));
            out.push_str(HIDDEN);
            at = end;
        }
        let moved = moved.unwrap_or(out.len() + offset.min(span.end).saturating_sub(at));
        out.push_str(self.slice(Span { start: at, end: span.end }));
        (out, moved)
    }

    /// Reads a UTF-8 file. A byte-order mark at its start is dropped.
    ///
    /// Errors: what the system says, or that the file is over [`MOST_BYTES`] or not UTF-8, as a sentence without the file's name.
    pub fn read(path: &Path) -> Result<Self, String> {
        let mut bytes = Vec::new();
        let read = |file: std::fs::File| file.take(MOST_BYTES + 1).read_to_end(&mut bytes);
        std::fs::File::open(path).and_then(read).map_err(|error| io_reason(&error))?;
        if bytes.len() as u64 > MOST_BYTES {
            return Err(format!("larger than {} MiB", MOST_BYTES >> 20));
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            format!("not UTF-8 text (line {})", before.iter().filter(|byte| **byte == b'\n').count() + 1)
        })?;
        let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
        Ok(SourceFile::new(path.display().to_string(), path, text))
    }

    /// Reads a server's config: any bytes, a byte-order mark included.
    ///
    /// Errors: what the system says, or that the file is too large, as a sentence without the file's name.
    pub fn read_config(name: impl Into<String>, path: &Path) -> Result<Self, String> {
        let mut bytes = Vec::new();
        let read = |file: std::fs::File| {
            // Growing would copy it, more than once if it is long; the byte more is where the end shows.
            let size = file.metadata().map_or(0, |about| about.len().min(MOST_CONFIG_BYTES));
            bytes.reserve_exact(size as usize + 1);
            file.take(MOST_CONFIG_BYTES + 1).read_to_end(&mut bytes)
        };
        std::fs::File::open(path).and_then(read).map_err(|error| io_reason(&error))?;
        if bytes.len() as u64 > MOST_CONFIG_BYTES {
            return Err(format!("larger than {} MiB", MOST_CONFIG_BYTES >> 20));
        }
        Ok(SourceFile::of_bytes(name, path, bytes))
    }

    /// The line and column of a byte offset.
    pub fn line_column(&self, offset: usize) -> LineColumn {
        let offset = offset.min(self.text.len());
        let lines = self.lines.get_or_init(|| {
            let behind = self.text.match_indices('\n').map(|(at, _)| at as u32 + 1);
            std::iter::once(0).chain(behind).collect()
        });
        let line = lines.partition_point(|&start| start as usize <= offset).saturating_sub(1);
        let column = self.text[lines[line] as usize..offset].chars().count();
        LineColumn { line: line + 1, column: column + 1 }
    }

    /// The text of a span.
    pub fn slice(&self, span: Span) -> &str {
        self.text.get(span.start..span.end).unwrap_or("")
    }

    /// The folder that relative names in this file start from.
    pub fn folder(&self) -> &Path {
        match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        }
    }
}

impl Span {
    /// A span from a range.
    pub fn new(range: std::ops::Range<usize>) -> Self {
        Span { start: range.start, end: range.end }
    }

    /// Whether it holds nothing.
    pub fn is_empty(self) -> bool {
        self.start >= self.end
    }
}

/// The names in a folder; none if it can't be listed.
pub fn names_in(folder: &Path) -> Vec<std::ffi::OsString> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.file_name())).collect()
}

/// The bytes of a file and its permission bits. Errors: what the system says.
pub fn read_bytes(path: &Path) -> Result<(Vec<u8>, u32), String> {
    let mode = |file: &std::fs::File| {
        file.metadata().map(|meta| std::os::unix::fs::PermissionsExt::mode(&meta.permissions()) & 0o7777)
    };
    let read = || {
        let mut file = std::fs::File::open(path)?;
        let mut bytes = Vec::new();
        let mode = mode(&file)?;
        std::io::Read::read_to_end(&mut file, &mut bytes)?;
        Ok((bytes, mode))
    };
    read().map_err(|error: std::io::Error| io_reason(&error))
}

/// What an input/output error means, without the operating system's error number.
pub fn io_reason(error: &std::io::Error) -> String {
    use std::io::ErrorKind::*;
    match error.kind() {
        NotFound => "no such file or folder".to_owned(),
        PermissionDenied => "permission denied".to_owned(),
        NotADirectory => "not a folder".to_owned(),
        IsADirectory => "is a folder".to_owned(),
        StorageFull => "no space left on the device".to_owned(),
        _ => {
            let text = error.to_string();
            text.split(" (os error").next().unwrap_or(&text).to_lowercase()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_lines_start_at_one() {
        let file = SourceFile::new("x", "x", "a\näöü = 1\n");
        assert_eq!(file.line_column(0), LineColumn { line: 1, column: 1 });
        assert_eq!(file.line_column(2 + 6), LineColumn { line: 2, column: 4 });
        assert_eq!(file.line_column(999).line, 3);
    }

    #[test]
    fn what_is_hidden_is_not_shown() {
        let text = "a = 'secret' # b 'other'";
        let file = SourceFile::new("x", "x", text);
        let hidden = [text.find("secret").unwrap(), text.find("other").unwrap()];
        let file = file.hiding(vec![Span::new(hidden[1]..hidden[1] + 5), Span::new(hidden[0]..hidden[0] + 6)]);
        for (offset, place) in [(0, 0), (5, 5), (8, 5), (11, 8), (18, 15), (20, 15), (23, 18), (24, 19)] {
            let (shown, at) = file.shown(Span::new(0..text.len()), offset);
            assert_eq!(shown, "a = '***' # b '***'");
            assert_eq!(at, place, "{offset}");
        }
        assert_eq!(file.shown(Span::new(7..9), 8), ("***".to_owned(), 0));
        assert_eq!(file.shown(Span::new(0..4), 2), ("a = ".to_owned(), 2));
    }
}
