//! Real localities of the West region, by SIRUTA.

use sync_protocol::code::County::{self, Arad, CarasSeverin, Hunedoara, Timis};
use sync_protocol::entity::{Code, I18n, Place};

use super::dice::Dice;
use super::ids::Ids;

/// A locality.
#[derive(Clone, Copy, Debug)]
pub(super) struct Locality {
    pub(super) county: County,
    pub(super) siruta: &'static str,
    pub(super) name: &'static str,
    pub(super) latitude: f64,
    pub(super) longitude: f64,
    pub(super) is_rural: bool,
}

const fn at(
    county: County,
    siruta: &'static str,
    name: &'static str,
    latitude: f64,
    longitude: f64,
    is_rural: bool,
) -> Locality {
    Locality { county, siruta, name, latitude, longitude, is_rural }
}

#[rustfmt::skip]
pub(super) const LOCALITIES: &[Locality] = &[
    at(Arad, "9271", "Arad", 46.1891, 21.3128, false),
    at(Arad, "9547", "Ineu", 46.4259, 21.8420, false),
    at(Arad, "9583", "Lipova", 46.0903, 21.6968, false),
    at(Arad, "9707", "Sebiș", 46.3723, 22.1322, false),
    at(Arad, "11593", "Pecica", 46.1663, 21.0669, false),
    at(Arad, "10952", "Gurahonț", 46.2699, 22.3421, true),
    at(Arad, "11067", "Hălmagiu", 46.2695, 22.5982, true),
    at(Arad, "11851", "Săvârșin", 46.0145, 22.2358, true),
    at(Arad, "10113", "Bârzava", 46.1065, 21.9943, true),
    at(Arad, "11511", "Olari", 46.3861, 21.5449, true),
    at(Arad, "10426", "Chisindia", 46.2923, 22.0991, true),
    at(Arad, "11717", "Roșia Nouă", 46.1099, 22.3962, true),
    at(CarasSeverin, "50807", "Reșița", 45.2949, 21.9028, false),
    at(CarasSeverin, "51029", "Caransebeș", 45.4120, 22.2185, false),
    at(CarasSeverin, "51127", "Oravița", 45.0315, 21.6980, false),
    at(CarasSeverin, "50898", "Anina", 45.0901, 21.8521, false),
    at(CarasSeverin, "51065", "Moldova Nouă", 44.7387, 21.6740, false),
    at(CarasSeverin, "50932", "Băile Herculane", 44.8868, 22.4269, false),
    at(CarasSeverin, "51582", "Bozovici", 44.9268, 22.0000, true),
    at(CarasSeverin, "53283", "Mehadia", 44.9052, 22.3673, true),
    at(CarasSeverin, "54421", "Turnu Ruieni", 45.3907, 22.3356, true),
    at(CarasSeverin, "52124", "Cornea", 45.0411, 22.3252, true),
    at(CarasSeverin, "51966", "Ilidia", 44.9708, 21.7085, true),
    at(CarasSeverin, "53817", "Bogodinț", 44.8984, 21.6623, true),
    at(Hunedoara, "86696", "Deva", 45.8796, 22.9049, false),
    at(Hunedoara, "86829", "Hunedoara", 45.7525, 22.9024, false),
    at(Hunedoara, "87004", "Petroșani", 45.4193, 23.3685, false),
    at(Hunedoara, "87068", "Lupeni", 45.3565, 23.2216, false),
    at(Hunedoara, "87184", "Vulcan", 45.3765, 23.2935, false),
    at(Hunedoara, "87086", "Petrila", 45.4497, 23.3901, false),
    at(Hunedoara, "87308", "Brad", 46.1295, 22.7892, false),
    at(Hunedoara, "87585", "Hațeg", 45.6098, 22.9485, false),
    at(Hunedoara, "89865", "Ilia", 45.9339, 22.6634, true),
    at(Hunedoara, "89437", "Dobra", 45.9119, 22.5722, true),
    at(Hunedoara, "92275", "Pojoga", 45.9920, 22.3991, true),
    at(Hunedoara, "91964", "Săliștioara", 46.0041, 22.8272, true),
    at(Timis, "155252", "Timișoara", 45.7564, 21.2297, false),
    at(Timis, "155369", "Lugoj", 45.6857, 21.9073, false),
    at(Timis, "155500", "Jimbolia", 45.7923, 20.7200, false),
    at(Timis, "156810", "Făget", 45.8577, 22.1773, false),
    at(Timis, "155537", "Sânnicolau Mare", 46.0729, 20.6228, false),
    at(Timis, "155467", "Deta", 45.3961, 21.2269, false),
    at(Timis, "157905", "Nădrag", 45.6503, 22.1860, true),
    at(Timis, "156320", "Chevereșu Mare", 45.6666, 21.4897, true),
    at(Timis, "158332", "Bazoș", 45.7369, 21.4964, true),
    at(Timis, "156963", "Gladna Română", 45.7504, 22.2276, true),
    at(Timis, "155993", "Drinova", 45.6851, 22.0706, true),
    at(Timis, "158305", "Sârbova", 45.7001, 21.5625, true),
];

/// Returns the locality with this code.
pub(super) fn by_siruta(siruta: &str) -> Option<&'static Locality> {
    LOCALITIES.iter().find(|locality| locality.siruta == siruta)
}

/// Returns a locality of the county: a town in 45 of 100 cases, a village otherwise.
pub(super) fn any_in(county: County, dice: &mut Dice) -> &'static Locality {
    let is_rural = !dice.chance(450);
    let candidates: Vec<&Locality> =
        LOCALITIES.iter().filter(|locality| locality.county == county && locality.is_rural == is_rural).collect();
    dice.pick(&candidates)
}

/// Returns the code list `SIRUTA`, each locality with its county as the parent.
pub(super) fn codes(ids: &Ids) -> Vec<Code> {
    LOCALITIES.iter().map(|locality| code(ids, locality)).collect()
}

fn code(ids: &Ids, locality: &Locality) -> Code {
    Code {
        id: ids.at(&format!("code/SIRUTA/{}", locality.siruta)),
        list: "SIRUTA".to_owned(),
        code: locality.siruta.to_owned(),
        label: I18n { ro: locality.name.to_owned(), en: None, it: None },
        parent_code: Some(locality.county.code().to_owned()),
        place: Some(Place {
            latitude: locality.latitude,
            longitude: locality.longitude,
            accuracy_m: None,
            fixed_at: None,
            is_mock: false,
        }),
        valid_from_on: None,
        valid_until_on: None,
    }
}
