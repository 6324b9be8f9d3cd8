//! The inputs every target starts from.
//!
//! A corpus is a directory named after its target. A file whose name ends in `.txt` is a list with
//! one input a line; every other file is an input as it is, left there by a fault that was found.
//! Lines of a list:
//!
//! | line | input |
//! |---|---|
//! | `# ...` or empty | none |
//! | `text ...` | the text, with the escapes `\\`, `\n`, `\r`, `\t`, `\0` and `\xHH` |
//! | `times 4096 ...` | the text that many times |
//! | `hex 73 01` | the bytes |

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// One input and where it comes from.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Case {
    /// The file, and for a list the line.
    pub origin: String,
    /// The input.
    pub bytes: Vec<u8>,
}

/// Returns the directory of all corpora.
#[must_use]
pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

/// Returns every input of a target, in a fixed order.
///
/// # Errors
///
/// Returns an error if the corpus cannot be read or a line of a list means nothing.
pub fn cases(target: &str) -> io::Result<Vec<Case>> {
    let mut files: Vec<PathBuf> = fs::read_dir(directory().join(target))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<_>>()?;
    files.sort();
    let mut cases = Vec::new();
    for file in files {
        let origin = file.display().to_string();
        let bytes = fs::read(&file)?;
        if file.extension().is_some_and(|extension| extension == "txt") {
            cases.extend(list(&origin, &bytes)?);
        } else {
            cases.push(Case { origin, bytes });
        }
    }
    Ok(cases)
}

fn list(origin: &str, bytes: &[u8]) -> io::Result<Vec<Case>> {
    let text = str::from_utf8(bytes).map_err(io::Error::other)?;
    let mut cases = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let origin = format!("{origin}:{}", index + 1);
        let Some(bytes) = parse(line) else {
            return Err(io::Error::other(format!("{origin}: the line means nothing")));
        };
        cases.push(Case { origin, bytes });
    }
    Ok(cases)
}

fn parse(line: &str) -> Option<Vec<u8>> {
    let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
    match kind {
        "text" => unescape(rest),
        "times" => {
            let (times, text) = rest.split_once(' ')?;
            Some(unescape(text)?.repeat(times.parse().ok()?))
        }
        "hex" => rest.split(' ').map(|digits| u8::from_str_radix(digits, 16).ok()).collect(),
        _ => None,
    }
}

fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let byte = match byte {
            b'\\' => match rest.next()? {
                b'\\' => b'\\',
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'0' => 0,
                b'x' => {
                    let mut digit = || char::from(rest.next()?).to_digit(16);
                    u8::try_from(digit()? * 16 + digit()?).ok()?
                }
                _ => return None,
            },
            byte => byte,
        };
        out.push(byte);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_list_is_an_input() {
        assert_eq!(parse(r"text a\\\x00\xff\r\n b ").unwrap(), b"a\\\0\xff\r\n b ");
        assert_eq!(parse("text").unwrap(), b"");
        assert_eq!(parse("times 3 ab").unwrap(), b"ababab");
        assert_eq!(parse("hex 73 01").unwrap(), [0x73, 1]);
        for wrong in ["txt a", r"text \q", r"text \x1", "times x a", "hex 7g"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
