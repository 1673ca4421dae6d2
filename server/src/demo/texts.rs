//! What mentors write: hand-written Romanian templates with slots in braces.

use sync_protocol::code::FindingArea::{
    self, Accessibility, Accreditation, DataProtection, Equipment, Governance, HealthSafety, Jobs, Payroll,
    Procurement, Revenue, SocialMission, Visibility,
};
use sync_protocol::code::Severity::{self, Critical, Info, Major, Minor};
use sync_protocol::code::VisitKind;

/// A finding and the measure that answers it.
#[derive(Debug)]
pub(super) struct Remark {
    pub(super) area: FindingArea,
    pub(super) severity: Severity,
    pub(super) finding: &'static str,
    pub(super) measure: &'static str,
}

const fn remark(area: FindingArea, severity: Severity, finding: &'static str, measure: &'static str) -> Remark {
    Remark { area, severity, finding, measure }
}

#[rustfmt::skip]
pub(super) const REMARKS: &[Remark] = &[
    remark(Jobs, Info, "Postul de {post} este ocupat prin contract pe durată determinată, care expiră peste {n} luni.",
        "Să se stabilească din timp dacă postul de {post} se transformă în contract pe durată nedeterminată."),
    remark(SocialMission, Info, "În {luna} au participat {n} persoane în plus la activitățile sociale față de plan.",
        "Să se păstreze listele de prezență semnate, pentru raportul trimestrial."),
    remark(Revenue, Info, "Comenzile din {luna} au crescut, mai ales de la clienți din afara localității {loc}.",
        "Să se întocmească un calendar de producție pe {n} săptămâni."),
    remark(Governance, Info, "Adunarea generală s-a ținut la timp, iar procesul-verbal este înregistrat.",
        "Să se transmită coordonatorului copia procesului-verbal."),
    remark(Procurement, Info, "Au fost cerute {n} oferte pentru materia primă; s-a ales oferta cea mai avantajoasă.",
        "Să se arhiveze toate ofertele primite împreună cu nota justificativă."),
    remark(Equipment, Info, "Utilajele au fost revizuite în {luna}; garanția este valabilă.",
        "Să se treacă următoarea revizie în calendarul de întreținere."),
    remark(Visibility, Info, "Pagina de internet afișează sigla UE, dar textul despre finanțare este greu de găsit.",
        "Să se mute textul despre finanțare pe prima pagină."),
    remark(Accessibility, Info, "Rampa de acces a fost montată; panta respectă normativul.",
        "Să se fotografieze rampa și să se atașeze procesul-verbal de recepție."),
    remark(Jobs, Minor, "Fișa postului pentru {post} nu este semnată de angajat.",
        "Să se semneze fișa postului pentru {post} și să se trimită o copie."),
    remark(Jobs, Minor, "Foaia colectivă de prezență din {luna} are {n} zile necompletate.",
        "Să se completeze foaia de prezență din {luna} pe baza programului de lucru."),
    remark(Payroll, Minor, "Statul de plată din {luna} nu poartă toate semnăturile de primire.",
        "Să se obțină semnăturile lipsă sau să se atașeze ordinele de plată."),
    remark(Payroll, Minor, "Salariile din {luna} au fost plătite cu {n} zile întârziere.",
        "Să se programeze plata salariilor cel târziu în ziua de 15 a lunii."),
    remark(Visibility, Minor, "Afișul proiectului nu este vizibil de la intrare.",
        "Să se monteze afișul A3 lângă ușa principală."),
    remark(Visibility, Minor, "Lipsesc {n} autocolante de vizibilitate de pe echipamentele cumpărate din subvenție.",
        "Să se lipească autocolantele lipsă și să se trimită fotografii."),
    remark(Accreditation, Minor, "Atestatul este expus, dar numărul nu se poate citi.",
        "Să se înrămeze o copie lizibilă a atestatului la loc vizibil."),
    remark(HealthSafety, Minor, "Fișa de instruire SSM a angajatului pe postul de {post} nu este actualizată pe {luna}.",
        "Să se facă instruirea periodică și să se semneze fișa."),
    remark(HealthSafety, Minor, "Trusa de prim ajutor are {n} produse expirate.",
        "Să se înlocuiască produsele expirate din trusa de prim ajutor."),
    remark(DataProtection, Minor, "Dosarele de personal se țin într-un dulap fără încuietoare.",
        "Să se mute dosarele într-un dulap încuiat și să se noteze cine are cheia."),
    remark(SocialMission, Minor, "Activitatea socială planificată pentru {luna} a fost amânată.",
        "Să se reprogrameze activitatea și să se anunțe beneficiarii din {loc}."),
    remark(Accessibility, Minor, "Grupul sanitar nu are bară de sprijin.",
        "Să se monteze bara de sprijin și marcajele tactile."),
    remark(Procurement, Minor, "La {n} facturi lipsește procesul-verbal de recepție.",
        "Să se întocmească procesele-verbale de recepție pentru facturile fără recepție."),
    remark(Jobs, Major, "Postul de {post} este vacant de peste {n} săptămâni, fără anunț de angajare.",
        "Să se publice oferta la AJOFM și pe grupul comunității din {loc}."),
    remark(Payroll, Major, "Contribuțiile sociale pentru {luna} nu au fost plătite.",
        "Să se plătească contribuțiile restante sau să se ceară eșalonarea, cu dovada la dosar."),
    remark(Equipment, Major, "Un echipament cumpărat din subvenție este defect de {n} săptămâni și nu se folosește.",
        "Să se repare echipamentul în garanție și să se trimită fișa de service."),
    remark(Accreditation, Major, "Schimbarea administratorului nu a fost notificată la AJOFM în termenul de 15 zile.",
        "Să se depună notificarea la AJOFM și să se păstreze numărul de înregistrare."),
    remark(HealthSafety, Major, "Angajații lucrează fără echipament de protecție la utilajul principal.",
        "Să se asigure echipamentul de protecție și să se reia instruirea la locul de muncă."),
    remark(Governance, Major, "Hotărârea privind folosirea profitului nu respectă cota pentru misiunea socială.",
        "Să se refacă hotărârea, cu cel puțin 90 % din profit pentru scopul social și rezerva statutară."),
    remark(Revenue, Major, "Cifra de afaceri din {luna} este sub jumătate din cea planificată, iar contractul principal s-a încheiat.",
        "Să se facă împreună cu mentorul un plan de vânzări pe {n} luni."),
    remark(Equipment, Critical, "Un echipament din lista subvenției nu se află la punctul de lucru și nu există acte pentru mutarea lui.",
        "Să se aducă echipamentul la punctul de lucru sau să se prezinte actele, altfel începe recuperarea."),
    remark(Jobs, Critical, "Persoana trecută pe postul de {post} nu cunoaște angajatorul și nu a lucrat în {luna}.",
        "Să se prezinte pontajele și plățile pentru acest post; coordonatorul verifică la fața locului."),
    remark(Payroll, Critical, "Nu s-au plătit salariile pentru ultimele {n} luni.",
        "Să se plătească salariile restante și să se trimită extrasele de cont."),
    remark(Accreditation, Critical, "Atestatul de întreprindere socială a fost suspendat de AJOFM.",
        "Să se remedieze motivele suspendării; până atunci nu se cere nicio tranșă."),
];

pub(super) const SUMMARIES: &[&str] = &[
    "Activitatea decurge normal. Am verificat posturile și actele din {luna}; echipa este motivată.",
    "Am discutat cu administratorul despre comenzile din {luna} și despre programul echipei. Nu sunt blocaje.",
    "Vizită în {loc}: atelierul lucra, am văzut pontajele și am vorbit cu {n} angajați.",
    "Producția s-a reluat după o pauză de {n} zile din cauza unei pene de curent. Actele sunt în ordine.",
    "Am parcurs împreună măsurile deschise și am stabilit termenele. Administratorul cere sprijin la vânzări.",
    "Echipa s-a mărit; noul coleg învață repede. Rămân de completat câteva acte de personal.",
    "Drumul spre {loc} era greu din cauza vremii, dar echipa era completă. Clienții sunt mulțumiți.",
    "Întreprinderea caută un spațiu mai mare. Cifra de afaceri din {luna} acoperă cheltuielile curente.",
    "S-au verificat echipamentele din eșantion și afișele. Am explicat din nou regulile de vizibilitate.",
    "Administratorul era reținut la AJOFM la începutul vizitei; am lucrat cu contabila și cu șeful de echipă.",
];

pub(super) const SOCIAL_ACTIVITIES: &[&str] = &[
    "Masă caldă pentru vârstnici singuri din {loc}; {n} persoane.",
    "Atelier de meșteșuguri cu elevii școlii din {loc}; {n} copii.",
    "Consiliere pentru căutarea unui loc de muncă; {n} persoane.",
    "Donație de produse către cantina socială; {n} familii.",
    "Zi a porților deschise pentru persoane cu dizabilități și însoțitorii lor; {n} participanți.",
    "Transport gratuit la medic pentru locuitorii din {loc}; {n} persoane.",
];

pub(super) const NOT_OPERATING: &[&str] = &[
    "Pană de curent în toată localitatea.",
    "Utilajul principal era în revizie; echipa făcea curățenie.",
    "Echipa era pe teren, la un client.",
];

pub(super) const NO_SIGNATURE: &[&str] = &[
    "Reprezentantul a plecat înainte de sfârșitul vizitei; a confirmat telefonic conținutul.",
    "Reprezentantul cere timp să citească constatările și semnează la vizita următoare.",
];

pub(super) const NO_POSITION: &[&str] = &[
    "Fără semnal GPS în clădire și în vale.",
    "Telefonul nu a primit poziția nici după zece minute.",
    "Localizarea era oprită pentru a economisi bateria.",
];

pub(super) const DONE_NOTES: &[&str] =
    &["Văzut la fața locului.", "Actele au fost prezentate.", "Rezolvat, cu fotografie."];
pub(super) const OPEN_NOTES: &[&str] =
    &["În lucru.", "Se așteaptă răspunsul furnizorului.", "S-a cerut prelungirea termenului."];
pub(super) const RETURN_REASONS: &[&str] =
    &["Vă rog să precizați ce acte de plată ați văzut.", "Lipsește explicația pentru riscul acordat."];

/// Returns what a visit of this kind is for.
pub(super) fn purpose(kind: VisitKind) -> &'static str {
    match kind {
        VisitKind::SetUp => "Prima vizită: începerea activității, afișaj și dosarul de personal",
        VisitKind::Financial => "Verificarea documentelor financiare ale trimestrului",
        VisitKind::JobsVerification => "Verificarea locurilor de muncă și a contractelor",
        VisitKind::FollowUp => "Urmărirea măsurilor stabilite la vizita anterioară",
        VisitKind::Closing => "Vizită de închidere",
        VisitKind::AdHoc => "Vizită la cererea întreprinderii",
        VisitKind::Routine | VisitKind::Unknown => "Vizită lunară de monitorizare",
    }
}

/// What the slots of a template stand for.
#[derive(Clone, Debug)]
pub(super) struct Slots<'a> {
    pub(super) locality: &'a str,
    pub(super) month: &'a str,
    pub(super) post: &'a str,
    pub(super) number: i32,
}

impl Slots<'_> {
    /// Returns the template with its slots filled.
    pub(super) fn fill(&self, template: &str) -> String {
        template
            .replace("{loc}", self.locality)
            .replace("{luna}", self.month)
            .replace("{post}", &self.post.to_lowercase())
            .replace("{n}", &self.number.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_is_filled_and_every_severity_has_texts() {
        let slots = Slots { locality: "Bozovici", month: "mai", post: "Bucătar", number: 3 };
        let remarks = REMARKS.iter().flat_map(|remark| [remark.finding, remark.measure]);
        let every: Vec<&str> = remarks.chain(SUMMARIES.iter().chain(SOCIAL_ACTIVITIES).copied()).collect();
        assert!(every.len() >= 40);
        for template in every {
            let text = slots.fill(template);
            assert!(!text.contains(['{', '}', 'ş', 'ţ']), "{text}");
        }
        for severity in [Info, Minor, Major, Critical] {
            assert!(REMARKS.iter().filter(|remark| remark.severity == severity).count() >= 4);
        }
    }
}
