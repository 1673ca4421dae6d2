//! Search that ignores case and diacritics: `timisoara` finds `Timișoara`.

use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;

use crate::error::{Doing as _, Result};

/// Gives SQLite the function `has_text(haystack, folded needle)`.
pub(super) fn register(conn: &Connection) -> Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
    conn.create_scalar_function("has_text", 2, flags, |context| {
        let (haystack, needle) = (context.get_raw(0).as_str_or_null()?, context.get_raw(1).as_str_or_null()?);
        Ok(match (haystack, needle) {
            (Some(haystack), Some(needle)) => fold(haystack).contains(needle),
            _ => false,
        })
    })
    .doing("register the search")
}

/// Returns the text in lower case and without diacritics.
pub(super) fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_ascii() {
            folded.push(letter.to_ascii_lowercase());
        } else {
            folded.extend(letter.to_lowercase().map(plain));
        }
    }
    folded
}

/// The letters of Romanian, Italian, Hungarian, German, Serbian and Slovak names.
fn plain(letter: char) -> char {
    match letter {
        'ă' | 'â' | 'à' | 'á' | 'ä' | 'ã' | 'å' | 'ā' | 'ą' => 'a',
        'ç' | 'ć' | 'č' => 'c',
        'ď' | 'đ' => 'd',
        'è' | 'é' | 'ê' | 'ë' | 'ě' | 'ę' => 'e',
        'î' | 'ì' | 'í' | 'ï' => 'i',
        'ĺ' | 'ľ' | 'ł' => 'l',
        'ñ' | 'ń' | 'ň' => 'n',
        'ò' | 'ó' | 'ô' | 'ö' | 'õ' | 'ő' => 'o',
        'ŕ' | 'ř' => 'r',
        // Both the letters with a comma and the ones with a cedilla, which old keyboards give.
        'ș' | 'ş' | 'š' | 'ś' => 's',
        'ț' | 'ţ' | 'ť' => 't',
        'ù' | 'ú' | 'û' | 'ü' | 'ű' | 'ů' => 'u',
        'ý' | 'ÿ' => 'y',
        'ž' | 'ź' | 'ż' => 'z',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_with_a_comma_and_with_a_cedilla_are_found_by_plain_ones() {
        assert_eq!(fold("ȘTEFAN Ţăran, Timişoara"), "stefan taran, timisoara");
        assert_eq!(fold("Nagyszőlős"), "nagyszolos");
    }
}
