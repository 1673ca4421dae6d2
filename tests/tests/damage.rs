//! Damaged files of a phone: nothing is shown wrongly, and every promised change is there, saved, or counted as lost.

use tests::storage::damage::damages;

/// The program `damage` makes the large runs.
const DAMAGES: u64 = 500;

#[test]
fn damaged_files_are_saved_from_or_made_anew_and_what_is_lost_is_told() {
    let (endured, broken) = damages(0, DAMAGES);
    eprintln!("{endured:?}");
    assert!(broken.is_empty(), "{} damages are not endured:\n{}", broken.len(), broken.join("\n"));
    let showed_enough = endured.salvages > 100 && endured.new_caches > 100 && endured.saved > 300;
    assert!(showed_enough, "the damages hit too little: {endured:?}");
    assert!(endured.untold * 100 < endured.lost, "too much is lost in silence: {endured:?}");
    assert!(endured.falsely_lost * 5 < endured.lost, "too much is said to be lost: {endured:?}");
}
