//! Folding of text for search: the same on the phone, on the server and in the server's SQL.

/// The characters that [`fold`] replaces; the ones beyond the length of [`FOLD_TO`] are deleted.
///
/// With [`FOLD_TO`] this is the pair of arguments of the SQL function `translate`, so that the twin in SQL is
/// `btrim(regexp_replace(lower(translate(text, FOLD_FROM, FOLD_TO)), '\s+', ' ', 'g'))`. In a database with the
/// locale `C.UTF-8` the two are equal for every letter; with `C`, where `lower` knows ASCII only, for the letters
/// of this table, which is why it lists capitals too. The tail holds combining marks, which some keyboards send
/// instead of letters with diacritics.
pub const FOLD_FROM: &str = "șşțţăâîáàäãåāąćčçďđèéêëēęěğģìíïīįķłĺľļńňñņòóôöõőøōŕřśšťùúûüűůūųýÿźżžßæœ\
ȘŞȚŢĂÂÎÁÀÄÃÅĀĄĆČÇĎĐÈÉÊËĒĘĚĞĢÌÍÏĪĮİĶŁĹĽĻŃŇÑŅÒÓÔÖÕŐØŌŔŘŚŠŤÙÚÛÜŰŮŪŲÝŸŹŻŽÆŒ\u{212b}ẞ\
\u{a0}\u{2007}\u{2009}\u{202f}\
\u{300}\u{301}\u{302}\u{303}\u{304}\u{306}\u{307}\u{308}\u{30a}\u{30b}\u{30c}\u{326}\u{327}\u{328}";

/// What the characters of [`FOLD_FROM`] become, one for one.
pub const FOLD_TO: &str = "ssttaaiaaaaaaacccddeeeeeeeggiiiiikllllnnnnoooooooorrsstuuuuuuuuyyzzzsao\
ssttaaiaaaaaaacccddeeeeeeeggiiiiiikllllnnnnoooooooorrsstuuuuuuuuyyzzzaoas\
\u{20}\u{20}\u{20}\u{20}";

/// Returns `text` in lower case, without diacritics, with single spaces and none at the ends.
pub fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    let mut space_due = false;
    for character in text.chars().filter_map(without_diacritics).flat_map(char::to_lowercase) {
        if character.is_whitespace() {
            space_due = !folded.is_empty();
            continue;
        }
        if std::mem::take(&mut space_due) {
            folded.push(' ');
        }
        folded.push(character);
    }
    folded
}

fn without_diacritics(character: char) -> Option<char> {
    if character.is_ascii() {
        return Some(character);
    }
    match FOLD_FROM.chars().position(|from| from == character) {
        Some(at) => FOLD_TO.chars().nth(at),
        None => Some(character),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `translate(text, FOLD_FROM, FOLD_TO)`, `lower` and the collapsing of spaces do in SQL.
    fn fold_as_sql(text: &str) -> String {
        let to: Vec<char> = FOLD_TO.chars().collect();
        let translated: String = text
            .chars()
            .filter_map(|c| FOLD_FROM.chars().position(|from| from == c).map_or(Some(c), |at| to.get(at).copied()))
            .collect();
        translated.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn search_text_has_no_case_no_diacritics_and_single_spaces() {
        for (text, folded) in [
            ("Bogodinț", "bogodint"),
            ("  ŞTEFAN   Țânțar ", "stefan tantar"),
            ("Însurăței\u{a0}\n1", "insuratei 1"),
            ("Kövér Győző, Müller & Weiß", "kover gyozo, muller & weis"),
            ("ȚĂRANUL", "taranul"),
            ("s\u{326}coala\u{306}", "scoala"),
            ("İzmir Łódź", "izmir lodz"),
            ("", ""),
        ] {
            assert_eq!(fold(text), folded);
            assert_eq!(fold_as_sql(text), folded);
        }
    }

    #[test]
    fn every_letter_of_the_table_becomes_a_small_ascii_letter_and_the_marks_go() {
        for from in FOLD_FROM.chars() {
            let folded = fold(&format!("a{from}b"));
            assert!(folded.chars().all(|c| c.is_ascii_lowercase() || c == ' '), "{from} became {folded}");
        }
        let marks = FOLD_FROM.chars().count() - FOLD_TO.chars().count();
        assert_eq!(marks, FOLD_FROM.chars().filter(|c| ('\u{300}'..='\u{36f}').contains(c)).count());
    }

    #[test]
    fn folding_twice_changes_nothing() {
        for code in (0..0x2fff).filter_map(char::from_u32) {
            let once = fold(&format!("x{code}y"));
            assert_eq!(fold(&once), once, "{code:?}");
        }
    }
}
