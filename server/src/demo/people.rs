//! Invented people: given names and surnames of the region, paired at random.

use super::dice::Dice;

const WOMEN: &[&str] = &[
    "Maria", "Elena", "Ioana", "Andreea", "Mihaela", "Cristina", "Daniela", "Alina", "Gabriela", "Simona", "Roxana",
    "Florina", "Lavinia", "Rodica", "Viorica", "Ramona", "Bianca", "Denisa", "Larisa",
];
const MEN: &[&str] = &[
    "Ion", "Andrei", "Mihai", "Cristian", "Adrian", "Florin", "Marius", "Daniel", "Gheorghe", "Vasile", "Ovidiu",
    "Claudiu", "Sorin", "Nicolae", "Iulian", "Răzvan", "Petru", "Traian",
];
const SURNAMES: &[&str] = &[
    "Popa",
    "Ionescu",
    "Munteanu",
    "Stoica",
    "Dumitrescu",
    "Rusu",
    "Lungu",
    "Bogdan",
    "Crișan",
    "Ardelean",
    "Bălan",
    "Moldovan",
    "Lazăr",
    "Neagu",
    "Țăran",
    "Jurca",
    "Miclea",
    "Berceanu",
    "Drăgan",
    "Lupu",
    "Cozma",
    "Sârbu",
    "Horvat",
];
const HUNGARIAN_GIVEN: &[&str] = &["Ildikó", "Katalin", "Sándor", "Zoltán"];
const HUNGARIAN_SURNAMES: &[&str] = &["Szabó", "Kovács", "Nagy"];
const GERMAN_GIVEN: &[&str] = &["Brigitte", "Hans"];
const GERMAN_SURNAMES: &[&str] = &["Wagner"];

/// Returns a name, given name first. The region's minorities appear in their share: 8 % and 2 %.
pub(super) fn name(dice: &mut Dice) -> String {
    let (given, surnames): (&[&str], &[&str]) = dice.weighted(&[
        (52, (WOMEN, SURNAMES)),
        (38, (MEN, SURNAMES)),
        (8, (HUNGARIAN_GIVEN, HUNGARIAN_SURNAMES)),
        (2, (GERMAN_GIVEN, GERMAN_SURNAMES)),
    ]);
    format!("{} {}", dice.pick(given), dice.pick(surnames))
}

/// Returns a fiscal code whose control digit is wrong, so that no real company has it. It ends in the number of the
/// enterprise: no two of a programme have the same.
pub(super) fn invalid_cui(dice: &mut Dice, number: usize) -> String {
    let body = dice.between(41_000, 49_999) * 100 + number as i32 % 100;
    let wrong = (cui_control_digit(body) + 1 + dice.between(0, 8)) % 10;
    format!("{body}{wrong}")
}

/// Returns the control digit of a fiscal code of seven digits and the control digit.
fn cui_control_digit(body: i32) -> i32 {
    const KEY: [i32; 7] = [2, 3, 5, 7, 1, 2, 3];
    let mut rest = body;
    let mut sum = 0;
    for weight in KEY {
        sum += rest % 10 * weight;
        rest /= 10;
    }
    sum * 10 % 11 % 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fiscal_code_never_checks_out() {
        let mut dice = Dice::of(1, 0);
        for number in 0..500 {
            let cui: i32 = invalid_cui(&mut dice, number).parse().unwrap();
            assert_ne!(cui % 10, cui_control_digit(cui / 10), "{cui}");
        }
    }

    #[test]
    fn names_use_the_letters_with_a_comma_below() {
        let every = [WOMEN, MEN, SURNAMES].concat().concat();
        assert!(!every.contains(['ş', 'ţ', 'Ş', 'Ţ']));
        assert!(every.contains('ș') && every.contains('Ț'));
    }
}
