//! One pass over the text of a document before it is parsed.
//!
//! The parser recurses without a limit into nested literals: a few kilobytes of `[[[[…` overflow the stack and end
//! the process. What this pass lets through, the parser and the validation handle in bounded time.

/// The longest document, in bytes.
const MAX_BYTES: usize = 64 * 1024;
/// How deep brackets may be nested.
const MAX_NESTING: usize = 50;
/// The most tokens.
const MAX_TOKENS: usize = 4_000;
/// The most fragment spreads and inline fragments.
const MAX_SPREADS: usize = 100;
/// The most directives.
const MAX_DIRECTIVES: usize = 100;

/// Why a document is refused before it is parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TooBig {
    Bytes,
    Nesting,
    Tokens,
    Spreads,
    Directives,
}

impl TooBig {
    /// Returns the message for the client.
    pub(super) fn message(self) -> String {
        match self {
            Self::Bytes => format!("A document has at most {MAX_BYTES} bytes."),
            Self::Nesting => format!("Brackets are nested at most {MAX_NESTING} deep."),
            Self::Tokens => format!("A document has at most {MAX_TOKENS} tokens."),
            Self::Spreads => format!("A document has at most {MAX_SPREADS} fragment spreads."),
            Self::Directives => format!("A document has at most {MAX_DIRECTIVES} directives."),
        }
    }
}

/// Checks the size of a document without parsing it.
pub(super) fn prescan(text: &str) -> Result<(), TooBig> {
    if text.len() > MAX_BYTES {
        return Err(TooBig::Bytes);
    }
    let mut counts = Counts::default();
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = match byte {
            b'#' => skip_comment(after),
            b'"' => counts.token().map(|()| skip_string(rest))?,
            b' ' | b'\t' | b'\r' | b'\n' | b',' => after,
            byte if is_word(byte) => counts.token().map(|()| skip_word(rest))?,
            byte => {
                counts.punctuation(byte, after)?;
                after
            }
        };
    }
    Ok(())
}

#[derive(Default)]
struct Counts {
    tokens: usize,
    nesting: usize,
    spreads: usize,
    directives: usize,
}

impl Counts {
    fn token(&mut self) -> Result<(), TooBig> {
        self.tokens += 1;
        if self.tokens > MAX_TOKENS { Err(TooBig::Tokens) } else { Ok(()) }
    }

    fn punctuation(&mut self, byte: u8, after: &[u8]) -> Result<(), TooBig> {
        self.token()?;
        match byte {
            b'[' | b'{' | b'(' => self.nesting += 1,
            b']' | b'}' | b')' => self.nesting = self.nesting.saturating_sub(1),
            b'@' => self.directives += 1,
            b'.' if after.starts_with(b"..") => self.spreads += 1,
            _ => {}
        }
        match self {
            Self { nesting, .. } if *nesting > MAX_NESTING => Err(TooBig::Nesting),
            Self { spreads, .. } if *spreads > MAX_SPREADS => Err(TooBig::Spreads),
            Self { directives, .. } if *directives > MAX_DIRECTIVES => Err(TooBig::Directives),
            _ => Ok(()),
        }
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'+')
}

fn skip_word(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|byte| !is_word(*byte)).unwrap_or(text.len());
    &text[end..]
}

fn skip_comment(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(text.len());
    &text[end..]
}

/// Skips a string or a block string; `text` starts with its quote. An open string reaches to the end, or to the
/// end of its line, as the parser sees it.
fn skip_string(text: &[u8]) -> &[u8] {
    if let Some(block) = text.strip_prefix(b"\"\"\"") {
        return skip_block(block);
    }
    let mut rest = &text[1..];
    while let Some((&byte, after)) = rest.split_first() {
        match byte {
            b'"' => return after,
            b'\n' | b'\r' => return rest,
            b'\\' => rest = after.get(1..).unwrap_or_default(),
            _ => rest = after,
        }
    }
    rest
}

fn skip_block(text: &[u8]) -> &[u8] {
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix(b"\\\"\"\"") {
            rest = after;
        } else if let Some(after) = rest.strip_prefix(b"\"\"\"") {
            return after;
        } else {
            rest = &rest[1..];
        }
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_documents_pass() {
        assert_eq!(prescan("{ viewer { role } } # a ] comment (((("), Ok(()));
        assert_eq!(prescan(&format!("{{ a(b: \"{}\") }}", "[".repeat(500))), Ok(()));
        assert_eq!(prescan(&format!("{{ a(b: \"\"\"{} \\\"\"\" \"\"\") }}", "[".repeat(500))), Ok(()));
    }

    #[test]
    fn each_bound_holds() {
        assert_eq!(prescan(&" ".repeat(MAX_BYTES + 1)), Err(TooBig::Bytes));
        assert_eq!(prescan(&format!("{{ a(b: {}) }}", "[".repeat(2_000))), Err(TooBig::Nesting));
        assert_eq!(prescan(&format!("{{ a(b: {}) }}", "{a:".repeat(2_000))), Err(TooBig::Nesting));
        assert_eq!(prescan(&"a ".repeat(MAX_TOKENS + 1)), Err(TooBig::Tokens));
        assert_eq!(prescan(&format!("{{ {} }}", "...F ".repeat(MAX_SPREADS + 1))), Err(TooBig::Spreads));
        assert_eq!(prescan(&format!("{{ a {} }}", "@b ".repeat(MAX_DIRECTIVES + 1))), Err(TooBig::Directives));
    }

    #[test]
    fn a_quote_does_not_hide_what_follows_it() {
        let hidden = format!("{{ a(b: \"\\\\\", c: {}) }}", "[".repeat(2_000));
        assert_eq!(prescan(&hidden), Err(TooBig::Nesting));
        let after_open = format!("{{ a(b: \"open\n c: {}) }}", "[".repeat(2_000));
        assert_eq!(prescan(&after_open), Err(TooBig::Nesting));
    }
}
