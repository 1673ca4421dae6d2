//! The visit form `VISIT_ROUTINE`, version 3: 24 questions.

use sync_protocol::code::{AnswerType, RepeatOver};
use sync_protocol::entity::{Condition, Form, Question};

use super::calendar::{Calendar, START};
use super::ids::Ids;
use super::programme::in_three;
use super::tables::Tables;

/// What a question asks for, with the choices and the limits.
#[derive(Clone, Copy)]
enum Ask {
    YesNo,
    Count(i32),
    Amount,
    Text,
    Day,
    OneOf(&'static [&'static str]),
    SomeOf(&'static [&'static str]),
    Computed,
}

/// A question: code, what is asked, Romanian, English and Italian text.
type Line = (&'static str, Ask, [&'static str; 3]);

const LINES: [Line; 24] = [
    (
        "G01",
        Ask::OneOf(&["YES", "NO", "PARTLY"]),
        [
            "La sosire, punctul de lucru era deschis și în activitate?",
            "Was the site open and operating at arrival?",
            "All'arrivo la sede era aperta e operativa?",
        ],
    ),
    (
        "G02",
        Ask::Text,
        [
            "De ce nu funcționa punctul de lucru?",
            "Why was the site not operating?",
            "Perché la sede non era operativa?",
        ],
    ),
    (
        "G03",
        Ask::YesNo,
        [
            "Afișul de vizibilitate al UE și al programului este expus?",
            "Is the EU and programme visibility poster displayed?",
            "Il manifesto di visibilità dell'UE e del programma è esposto?",
        ],
    ),
    (
        "G04",
        Ask::YesNo,
        [
            "Atestatul sau marca socială este la vedere, cu numărul lizibil?",
            "Is the attestation or social-mark certificate displayed with a legible number?",
            "L'attestato o il marchio sociale è esposto con il numero leggibile?",
        ],
    ),
    (
        "J01",
        Ask::Count(200),
        [
            "Câți angajați sunt prezenți acum?",
            "How many employees are present now?",
            "Quanti dipendenti sono presenti ora?",
        ],
    ),
    (
        "J02",
        Ask::Count(200),
        [
            "Câte contracte active declară angajatorul?",
            "How many active contracts does the employer declare?",
            "Quanti contratti attivi dichiara il datore di lavoro?",
        ],
    ),
    (
        "J03",
        Ask::OneOf(&["FILLED_PRESENT", "FILLED_ABSENT", "VACANT"]),
        [
            "Postul este ocupat, iar titularul este prezent?",
            "Is the position filled and its holder present?",
            "Il posto è occupato e il titolare è presente?",
        ],
    ),
    (
        "J04",
        Ask::OneOf(&["SEEN", "PARTLY", "NOT_AVAILABLE"]),
        [
            "A fost văzut statul de plată al lunii trecute?",
            "Was the payroll of the previous month seen?",
            "È stato visto il libro paga del mese precedente?",
        ],
    ),
    (
        "J05",
        Ask::Count(200),
        [
            "Câți angajați au plecat sau au venit de la ultima vizită?",
            "How many employees have left or joined since the last visit?",
            "Quanti dipendenti sono usciti o entrati dall'ultima visita?",
        ],
    ),
    (
        "J06",
        Ask::YesNo,
        [
            "Evidența timpului de lucru corespunde contractelor?",
            "Does the working-time record match the contracts?",
            "Il registro dell'orario di lavoro corrisponde ai contratti?",
        ],
    ),
    (
        "J07",
        Ask::Computed,
        [
            "Angajați din grupuri vulnerabile: ponderea în personal și în ore",
            "Vulnerable employees: share of headcount and of hours",
            "Dipendenti vulnerabili: quota sul personale e sulle ore",
        ],
    ),
    (
        "E01",
        Ask::YesNo,
        [
            "Echipamentul cumpărat din subvenție este la fața locului (eșantion de 3)?",
            "Is the equipment bought under the subsidy present (sample of 3)?",
            "L'attrezzatura acquistata con la sovvenzione è presente (campione di 3)?",
        ],
    ),
    (
        "E02",
        Ask::YesNo,
        [
            "Echipamentele sunt folosite pentru activitatea declarată?",
            "Is the equipment used for the declared activity?",
            "Le attrezzature sono usate per l'attività dichiarata?",
        ],
    ),
    (
        "F01",
        Ask::Amount,
        [
            "Cifra de afaceri a lunii trecute (lei)",
            "Turnover of last month (RON)",
            "Fatturato del mese precedente (RON)",
        ],
    ),
    (
        "F02",
        Ask::YesNo,
        [
            "Există taxe sau salarii neplătite?",
            "Are there unpaid taxes or salaries?",
            "Ci sono imposte o stipendi non pagati?",
        ],
    ),
    (
        "F03",
        Ask::YesNo,
        [
            "S-a discutat partea din profit rezervată misiunii sociale (trimestrul IV)?",
            "Was the share of profit reserved for the social mission discussed (fourth quarter)?",
            "È stata discussa la quota di utile riservata alla missione sociale (quarto trimestre)?",
        ],
    ),
    (
        "S01",
        Ask::Text,
        [
            "Ce activități sociale au avut loc în această lună și câte persoane au ajuns să beneficieze?",
            "Which social-mission activities took place this month and how many people did they reach?",
            "Quali attività sociali si sono svolte nel mese e quante persone hanno raggiunto?",
        ],
    ),
    (
        "S02",
        Ask::OneOf(&["OK", "NEEDS_ACTION", "NOT_APPLICABLE"]),
        [
            "Accesibilitate și adaptări rezonabile pentru angajații cu dizabilități",
            "Accessibility and reasonable accommodation for employees with disabilities",
            "Accessibilità e accomodamenti ragionevoli per i dipendenti con disabilità",
        ],
    ),
    (
        "S03",
        Ask::YesNo,
        [
            "Fișele de instruire SSM sunt semnate de toți angajații?",
            "Is the health and safety instruction signed by all employees?",
            "L'istruzione su salute e sicurezza è firmata da tutti i dipendenti?",
        ],
    ),
    (
        "P01",
        Ask::SomeOf(&[
            "BUSINESS_ASSOCIATION",
            "HUB",
            "CLUSTER",
            "EDUCATION",
            "HEALTH",
            "SOCIAL_SERVICES",
            "EMPLOYMENT_SERVICE",
            "LOCAL_ADMINISTRATION",
        ]),
        [
            "Ce servicii ale partenerilor au fost folosite de la ultima vizită?",
            "Which partnership services were used since the last visit?",
            "Quali servizi dei partner sono stati usati dall'ultima visita?",
        ],
    ),
    (
        "P02",
        Ask::YesNo,
        [
            "Este nevoie de o nouă trimitere către un partener?",
            "Is a new referral to a partner needed?",
            "Serve un nuovo invio a un partner?",
        ],
    ),
    (
        "R01",
        Ask::OneOf(&["DONE", "STILL_OPEN"]),
        [
            "În ce stadiu este măsura deschisă?",
            "What is the status of the open action?",
            "Qual è lo stato dell'azione aperta?",
        ],
    ),
    (
        "R02",
        Ask::OneOf(&["LOW", "MED", "HIGH"]),
        ["Cum apreciază mentorul riscul?", "What is the mentor's risk rating?", "Come valuta il rischio il mentore?"],
    ),
    ("R03", Ask::Day, ["Data vizitei următoare", "Date of the next visit", "Data della prossima visita"]),
];

/// Adds the form and its questions.
pub(super) fn add(ids: &Ids, calendar: &Calendar, tables: &mut Tables) {
    tables.forms.push(Form {
        id: ids.at("form/VISIT_ROUTINE/3"),
        code: "VISIT_ROUTINE".to_owned(),
        version_no: 3,
        title: in_three(["Vizită de monitorizare", "Monitoring visit", "Visita di monitoraggio"]),
        valid_from_on: calendar.day(START, 1),
        valid_until_on: None,
    });
    tables.questions = LINES.iter().enumerate().map(|(at, line)| question(ids, line, at as i32 + 1)).collect();
}

fn question(ids: &Ids, (code, ask, text): &Line, position: i32) -> Question {
    let (answer_type, options, max_value) = ask.parts();
    Question {
        id: ids.at(&format!("form/VISIT_ROUTINE/3/{code}")),
        form_id: ids.at("form/VISIT_ROUTINE/3"),
        code: (*code).to_owned(),
        position,
        text: in_three(*text),
        answer_type,
        options: options.iter().map(|option| (*option).to_owned()).collect(),
        asked_if: asked_if(code),
        repeat_over: repeat_over(code),
        is_required: answer_type != AnswerType::Computed,
        min_value: matches!(answer_type, AnswerType::Int | AnswerType::Decimal).then_some(0),
        max_value,
    }
}

impl Ask {
    fn parts(self) -> (AnswerType, &'static [&'static str], Option<i32>) {
        match self {
            Self::YesNo => (AnswerType::Bool, &[], None),
            Self::Count(most) => (AnswerType::Int, &[], Some(most)),
            Self::Amount => (AnswerType::Decimal, &[], None),
            Self::Text => (AnswerType::Text, &[], None),
            Self::Day => (AnswerType::Date, &[], None),
            Self::OneOf(options) => (AnswerType::Choice, options, None),
            Self::SomeOf(options) => (AnswerType::MultiChoice, options, None),
            Self::Computed => (AnswerType::Computed, &[], None),
        }
    }
}

fn asked_if(code: &str) -> Option<Condition> {
    (code == "G02")
        .then(|| Condition { question: "G01".to_owned(), any_of: vec!["NO".to_owned(), "PARTLY".to_owned()] })
}

fn repeat_over(code: &str) -> Option<RepeatOver> {
    match code {
        "J03" => Some(RepeatOver::Positions),
        "E01" => Some(RepeatOver::Items),
        "R01" => Some(RepeatOver::OpenActions),
        _ => None,
    }
}
