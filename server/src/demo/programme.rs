//! The programme itself: its promise, its lines of action and its targets.

use rust_decimal::Decimal;
use sync_protocol::code::{Fund, ProgrammeStatus, RegulationSet};
use sync_protocol::entity::{ActionLine, I18n, Programme, Target};
use sync_protocol::time::Date;

use super::calendar::{Calendar, DURATION_MONTHS, START};
use super::ids::Ids;
use super::tables::Tables;

/// Numeral, whether the project's own text names the line, title in three languages.
type Line = (&'static str, bool, [&'static str; 3]);

/// The project's text announces six lines and stops within the third; the rest is our reading.
const LINES: [Line; 6] = [
    (
        "I",
        true,
        [
            "Analiza economiei sociale din regiunea Vest, la începutul și la sfârșitul proiectului",
            "Analysis of the social economy of the West region, at the start and at the end of the project",
            "Analisi dell'economia sociale della regione Ovest, all'inizio e alla fine del progetto",
        ],
    ),
    (
        "II",
        true,
        [
            "Competențe certificate pentru 75 de persoane care vor să înființeze o întreprindere socială",
            "Certified skills for 75 people who want to set up a social enterprise",
            "Competenze certificate per 75 persone che vogliono creare un'impresa sociale",
        ],
    ),
    (
        "III",
        true,
        [
            "Parteneriate cu actorii pieței muncii, ai serviciilor sociale și ai administrației locale",
            "Partnerships with actors of the labour market, social services and local administration",
            "Partenariati con gli attori del mercato del lavoro, dei servizi sociali e dell'amministrazione locale",
        ],
    ),
    (
        "IV",
        false,
        [
            "Concursul de planuri de afaceri și selecția întreprinderilor finanțate",
            "Business-plan competition and selection of the enterprises to finance",
            "Concorso di piani d'impresa e selezione delle imprese da finanziare",
        ],
    ),
    (
        "V",
        false,
        [
            "Înființarea, subvenționarea și mentoratul a 21 de întreprinderi sociale",
            "Setting up, subsidy and mentoring of 21 social enterprises",
            "Creazione, sovvenzione e tutoraggio di 21 imprese sociali",
        ],
    ),
    (
        "VI",
        false,
        [
            "Crearea și menținerea a 105 locuri de muncă, monitorizarea sustenabilității",
            "Creation and retention of 105 jobs, monitoring of sustainability",
            "Creazione e mantenimento di 105 posti di lavoro, monitoraggio della sostenibilità",
        ],
    ),
];

/// Indicator, line, target, unit, title in three languages.
type Promise = (&'static str, &'static str, i32, &'static str, [&'static str; 3]);

const PROMISES: [Promise; 6] = [
    (
        "PS01",
        "II",
        75,
        "persons",
        [
            "Persoane cu prima competență certificată",
            "Persons with a first certified competence",
            "Persone con una prima competenza certificata",
        ],
    ),
    (
        "PS02",
        "II",
        75,
        "persons",
        [
            "Persoane cu al doilea certificat, individualizat",
            "Persons with a second, individualised certificate",
            "Persone con un secondo certificato, individualizzato",
        ],
    ),
    (
        "PS03",
        "V",
        21,
        "entities",
        ["Întreprinderi sociale finanțate", "Social enterprises financed", "Imprese sociali finanziate"],
    ),
    ("PS04", "VI", 105, "positions", ["Locuri de muncă create", "Jobs created", "Posti di lavoro creati"]),
    ("PS06", "III", 6, "agreements", ["Parteneriate încheiate", "Partnerships concluded", "Partenariati conclusi"]),
    ("PS07", "I", 2, "documents", ["Analize realizate", "Analyses delivered", "Analisi realizzate"]),
];

/// Adds the programme, its lines and its targets.
pub(super) fn add(ids: &Ids, calendar: &Calendar, project: u32, tables: &mut Tables) {
    let programme = programme(ids, calendar, project);
    tables.targets = PROMISES.iter().map(|promise| target(ids, promise, programme.ends_on)).collect();
    tables.action_lines = LINES.iter().enumerate().map(|(at, line)| action_line(ids, line, at as i32 + 1)).collect();
    tables.programmes.push(programme);
}

/// Returns a text in Romanian, English and Italian.
pub(super) fn in_three([ro, en, it]: [&str; 3]) -> I18n {
    I18n { ro: ro.to_owned(), en: Some(en.to_owned()), it: Some(it.to_owned()) }
}

fn programme(ids: &Ids, calendar: &Calendar, project: u32) -> Programme {
    let suffix = if project == 0 { String::new() } else { format!("-{project:03}") };
    let ends_on = calendar.day(START + DURATION_MONTHS, 1).plus_days(-1);
    Programme {
        id: ids.at("programme"),
        code: format!("WEST-SE{suffix}"),
        title: in_three([
            "Economie socială pentru incluziune în regiunea Vest (date demonstrative)",
            "Social economy for inclusion in the West region (demonstration data)",
            "Economia sociale per l'inclusione nella regione Ovest (dati dimostrativi)",
        ]),
        objective: in_three([
            "Consolidarea coeziunii economice și sociale în regiunea Vest, combaterea sărăciei și integrarea grupurilor \
             vulnerabile prin 21 de întreprinderi sociale și 105 locuri de muncă.",
            "To strengthen economic and social cohesion in the West region, fight poverty and integrate vulnerable \
             groups through 21 social enterprises and 105 jobs.",
            "Rafforzare la coesione economica e sociale nella regione Ovest, combattere la povertà e integrare i gruppi \
             vulnerabili attraverso 21 imprese sociali e 105 posti di lavoro.",
        ]),
        fund: Fund::Esf,
        regulation_set: RegulationSet::Esf2014,
        smis_code: Some(format!("DEMO{suffix}")),
        nuts2: "RO42".to_owned(),
        starts_on: calendar.day(START, 1),
        ends_on,
        sustainability_ends_on: Some(calendar.day(START + DURATION_MONTHS + 6, 1).plus_days(-1)),
        total_budget_amount: Decimal::new(277_130_000, 2),
        eu_contribution_amount: Decimal::new(234_174_850, 2),
        currency: "EUR".to_owned(),
        lead_organisation: "Asociația Demo pentru Economie Socială Vest".to_owned(),
        status: ProgrammeStatus::Running,
    }
}

fn action_line(ids: &Ids, (roman_no, is_from_source, title): &Line, position: i32) -> ActionLine {
    ActionLine {
        id: ids.at(&format!("action-line/{roman_no}")),
        roman_no: (*roman_no).to_owned(),
        position,
        title: in_three(*title),
        is_from_source: *is_from_source,
    }
}

fn target(ids: &Ids, (indicator, line, value, unit, title): &Promise, ends_on: Date) -> Target {
    Target {
        id: ids.at(&format!("target/{indicator}")),
        action_line_id: Some(ids.at(&format!("action-line/{line}"))),
        indicator_code: (*indicator).to_owned(),
        title: in_three(*title),
        unit: (*unit).to_owned(),
        baseline_value: 0,
        target_value: *value,
        due_on: Some(ends_on),
    }
}
