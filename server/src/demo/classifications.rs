//! The parts of NACE Rev. 2 and ISCO-08 that social enterprises use most.

use sync_protocol::entity::{Code, I18n};

use super::ids::Ids;

/// Code, Romanian and English label.
type Entry = (&'static str, &'static str, &'static str);

/// Activities. None of division 01: primary agriculture is excluded from de minimis aid (I32).
pub(super) const NACE: &[Entry] = &[
    ("8121", "Activități generale de curățenie a clădirilor", "General cleaning of buildings"),
    ("8130", "Activități de întreținere peisagistică", "Landscape service activities"),
    ("9601", "Spălarea și curățarea (uscată) articolelor textile", "Washing and dry-cleaning of textiles"),
    ("1413", "Fabricarea altor articole de îmbrăcăminte", "Manufacture of other outerwear"),
    ("1412", "Fabricarea de articole de îmbrăcăminte pentru lucru", "Manufacture of workwear"),
    ("1071", "Fabricarea pâinii și a produselor proaspete de patiserie", "Manufacture of bread and fresh pastry"),
    ("1039", "Prelucrarea și conservarea fructelor și legumelor", "Processing of fruit and vegetables"),
    ("5610", "Restaurante", "Restaurants and mobile food service"),
    ("5621", "Activități de alimentație (catering) pentru evenimente", "Event catering activities"),
    ("3811", "Colectarea deșeurilor nepericuloase", "Collection of non-hazardous waste"),
    ("3832", "Recuperarea materialelor reciclabile sortate", "Recovery of sorted materials"),
    ("9511", "Repararea calculatoarelor și a echipamentelor periferice", "Repair of computers and peripherals"),
    ("1623", "Fabricarea altor elemente de dulgherie și tâmplărie", "Manufacture of other builders' carpentry"),
    ("3109", "Fabricarea de mobilă n.c.a.", "Manufacture of other furniture"),
    (
        "8810",
        "Asistență socială fără cazare pentru bătrâni și persoane cu dizabilități",
        "Home care for the elderly and disabled",
    ),
    ("8891", "Activități de îngrijire zilnică pentru copii", "Child day-care activities"),
    ("8559", "Alte forme de învățământ n.c.a.", "Other education"),
    ("5520", "Facilități de cazare pentru vacanțe", "Holiday and short-stay accommodation"),
    ("7912", "Activități ale tur-operatorilor", "Tour operator activities"),
    ("1812", "Alte activități de tipărire n.c.a.", "Other printing"),
    ("4520", "Întreținerea și repararea autovehiculelor", "Maintenance and repair of motor vehicles"),
    ("9602", "Coafură și alte activități de înfrumusețare", "Hairdressing and other beauty treatment"),
    ("8299", "Alte activități de servicii suport pentru întreprinderi", "Other business support services"),
];

/// Occupations.
pub(super) const ISCO: &[Entry] = &[
    ("1120", "Administrator întreprindere socială", "Managing director"),
    ("9112", "Îngrijitor clădiri", "Cleaner"),
    ("8157", "Operator mașini de spălătorie", "Laundry machine operator"),
    ("9121", "Spălător-călcător manual", "Hand launderer and presser"),
    ("8153", "Operator mașini de cusut", "Sewing machine operator"),
    ("7531", "Croitor", "Tailor"),
    ("7512", "Brutar-patiser", "Baker and pastry-cook"),
    ("9412", "Ajutor de bucătar", "Kitchen helper"),
    ("5120", "Bucătar", "Cook"),
    ("5131", "Ospătar", "Waiter"),
    ("9214", "Muncitor spații verzi", "Garden labourer"),
    ("9612", "Sortator deșeuri reciclabile", "Refuse sorter"),
    ("7522", "Tâmplar mobilă", "Cabinet-maker"),
    ("7115", "Dulgher", "Carpenter and joiner"),
    ("5322", "Îngrijitor la domiciliu", "Home-based personal care worker"),
    ("5311", "Îngrijitor copii", "Child-care worker"),
    ("8322", "Șofer autoutilitară", "Van driver"),
    ("4110", "Funcționar administrativ", "General office clerk"),
    ("9321", "Ambalator manual", "Hand packer"),
    ("9329", "Muncitor necalificat în producție", "Manufacturing labourer"),
    ("7421", "Depanator echipamente electronice", "Electronics mechanic"),
    ("3412", "Asistent în servicii sociale", "Social work associate"),
];

/// Returns the title of an occupation.
pub(super) fn occupation_title(isco: &str) -> &'static str {
    ISCO.iter().find(|(code, _, _)| *code == isco).map_or("Angajat", |(_, title, _)| title)
}

/// Returns the code lists `NACE` and `ISCO`.
pub(super) fn codes(ids: &Ids) -> Vec<Code> {
    let list = |name: &'static str, entries: &'static [Entry]| entries.iter().map(move |entry| code(ids, name, entry));
    list("NACE", NACE).chain(list("ISCO", ISCO)).collect()
}

fn code(ids: &Ids, list: &str, (code, ro, en): &Entry) -> Code {
    Code {
        id: ids.at(&format!("code/{list}/{code}")),
        list: list.to_owned(),
        code: (*code).to_owned(),
        label: I18n { ro: (*ro).to_owned(), en: Some((*en).to_owned()), it: None },
        parent_code: None,
        place: None,
        valid_from_on: None,
        valid_until_on: None,
    }
}
