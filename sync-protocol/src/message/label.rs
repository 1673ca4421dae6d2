//! The labels of fields and states that messages mention.

use crate::code::Locale;

type Labels = (&'static str, [&'static str; 3]);

/// Returns the label of a field, `None` when no message mentions it.
pub fn field_label(field: &str, locale: Locale) -> Option<&'static str> {
    find(FIELDS, field, locale)
}

/// Returns the label of a state, `None` when it is the state of nothing that has rules.
pub fn state_label(code: &str, locale: Locale) -> Option<&'static str> {
    find(STATES, code, locale)
}

fn find(labels: &'static [Labels], name: &str, locale: Locale) -> Option<&'static str> {
    let (_, [ro, en, it]) = labels.iter().find(|(known, _)| *known == name)?;
    Some(match locale {
        Locale::En => en,
        Locale::It => it,
        Locale::Ro | Locale::Unknown => ro,
    })
}

const FIELDS: &[Labels] = &[
    ("absence_kind", ["Motivul absenței", "Reason of absence", "Motivo dell'assenza"]),
    ("actual_end_at", ["Ora încheierii", "End time", "Ora di fine"]),
    ("actual_start_at", ["Ora începerii", "Start time", "Ora di inizio"]),
    ("address", ["Adresa", "Address", "Indirizzo"]),
    ("age_at_entry", ["Vârsta la intrare", "Age at entry", "Età all'ingresso"]),
    ("answered_at", ["Ora răspunsului", "Time of the answer", "Ora della risposta"]),
    ("area", ["Domeniul", "Area", "Ambito"]),
    ("arrival_place", ["Poziția la sosire", "Position on arrival", "Posizione all'arrivo"]),
    ("cancel_reason", ["Motivul anulării", "Reason of cancellation", "Motivo dell'annullamento"]),
    ("code", ["Codul", "Code", "Codice"]),
    ("contract_no", ["Numărul contractului", "Contract number", "Numero del contratto"]),
    ("contract_type", ["Tipul contractului", "Contract type", "Tipo di contratto"]),
    ("county", ["Județul", "County", "Distretto"]),
    ("decision_note", ["Motivul", "Reason", "Motivo"]),
    ("done_on", ["Data realizării", "Done on", "Data di svolgimento"]),
    ("due_on", ["Termenul", "Due date", "Scadenza"]),
    ("employment_id", ["Contractul de muncă", "Job record", "Rapporto di lavoro"]),
    ("end_on", ["Ultima zi de lucru", "Last day of work", "Ultimo giorno di lavoro"]),
    ("end_reason", ["Motivul încetării", "Reason of the end", "Motivo della cessazione"]),
    ("enterprise_id", ["Întreprinderea", "Enterprise", "Impresa"]),
    ("entry_on", ["Data intrării", "Date of entry", "Data di ingresso"]),
    ("finding_id", ["Constatarea", "Finding", "Rilievo"]),
    ("first_filled_on", ["Prima ocupare", "First filled on", "Prima occupazione"]),
    ("form_id", ["Formularul", "Form", "Modulo"]),
    ("fte", ["Norma (ENI)", "Full-time equivalent", "Equivalente a tempo pieno"]),
    (
        "gps_exception_reason",
        ["Motivul lipsei poziției", "Why there is no position", "Motivo dell'assenza di posizione"],
    ),
    ("holder_birth_on", ["Data nașterii", "Date of birth", "Data di nascita"]),
    ("holder_name", ["Numele angajatului", "Name of the employee", "Nome del dipendente"]),
    ("hours_worked", ["Ore lucrate", "Hours worked", "Ore lavorate"]),
    ("is_active", ["Activ în lună", "Active in the month", "Attivo nel mese"]),
    ("is_committed", ["Post asumat", "Committed job", "Posto impegnato"]),
    ("is_present", ["Prezent", "Present", "Presente"]),
    ("is_reserved_for_vulnerable", ["Post rezervat", "Reserved job", "Posto riservato"]),
    ("is_rural", ["Mediu rural", "Rural area", "Area rurale"]),
    ("is_vulnerable", ["Grup vulnerabil", "Vulnerable group", "Gruppo vulnerabile"]),
    ("is_wage_paid", ["Salariu plătit", "Wage paid", "Stipendio pagato"]),
    ("isco_code", ["Ocupația (COR)", "Occupation (ISCO)", "Professione (ISCO)"]),
    ("item_id", ["Obiectul răspunsului", "Subject of the answer", "Oggetto della risposta"]),
    ("kind", ["Tipul", "Kind", "Tipo"]),
    ("locality_name", ["Localitatea", "Locality", "Località"]),
    ("mentor_id", ["Mentorul", "Mentor", "Mentore"]),
    ("mode", ["Modul vizitei", "Mode of the visit", "Modalità della visita"]),
    ("month_on", ["Luna", "Month", "Mese"]),
    ("na_reason", ["Motivul lipsei răspunsului", "Why there is no answer", "Motivo della mancata risposta"]),
    ("name", ["Numele", "Name", "Nome"]),
    ("next_visit_on", ["Următoarea vizită", "Next visit", "Prossima visita"]),
    ("note", ["Nota", "Note", "Nota"]),
    ("organisation", ["Organizația", "Organisation", "Organizzazione"]),
    ("owner_id", ["Cine urmărește", "Followed up by", "Seguita da"]),
    ("place", ["Poziția", "Position on the map", "Posizione"]),
    ("planned_end_at", ["Sfârșitul planificat", "Planned end", "Fine prevista"]),
    ("planned_start_at", ["Începutul planificat", "Planned start", "Inizio previsto"]),
    ("planned_start_on", ["Începutul planificat", "Planned start", "Inizio previsto"]),
    ("position_id", ["Postul", "Job position", "Posto di lavoro"]),
    ("priority", ["Prioritatea", "Priority", "Priorità"]),
    ("purpose", ["Scopul", "Purpose", "Scopo"]),
    ("question_code", ["Întrebarea", "Question", "Domanda"]),
    ("recorded_by", ["Înregistrat de", "Recorded by", "Registrato da"]),
    ("responsible", ["Responsabilul", "Responsible party", "Responsabile"]),
    ("responsible_name", ["Numele responsabilului", "Name of the responsible person", "Nome del responsabile"]),
    ("return_reason", ["Motivul returnării", "Reason of the return", "Motivo della restituzione"]),
    ("risk_rating", ["Nivelul de risc", "Risk rating", "Livello di rischio"]),
    ("role", ["Rolul", "Role", "Ruolo"]),
    ("rule_ref", ["Regula vizată", "Rule concerned", "Regola interessata"]),
    ("severity", ["Gravitatea", "Severity", "Gravità"]),
    ("signature_refusal_note", ["Motivul refuzului semnării", "Why nobody signed", "Motivo della mancata firma"]),
    ("signed_at", ["Ora semnării", "Signed at", "Ora della firma"]),
    (
        "signed_content_hash",
        ["Amprenta conținutului semnat", "Hash of the signed content", "Impronta del contenuto firmato"],
    ),
    ("signer_name", ["Semnatarul", "Signer", "Firmatario"]),
    ("signer_role", ["Calitatea semnatarului", "Role of the signer", "Ruolo del firmatario"]),
    ("siruta_code", ["Codul SIRUTA", "SIRUTA code", "Codice SIRUTA"]),
    ("start_on", ["Prima zi de lucru", "First day of work", "Primo giorno di lavoro"]),
    ("state", ["Starea", "State", "Stato"]),
    ("status", ["Starea", "State", "Stato"]),
    ("status_note", ["Nota despre stare", "Note on the state", "Nota sullo stato"]),
    ("summary", ["Rezumatul", "Summary", "Sintesi"]),
    ("survivor_id", ["Înregistrarea care rămâne", "The record that stays", "La scheda che resta"]),
    ("text", ["Textul", "Text", "Testo"]),
    ("title", ["Denumirea postului", "Job title", "Titolo del posto"]),
    ("travel_km", ["Kilometri parcurși", "Kilometres driven", "Chilometri percorsi"]),
    ("unlock_reason", ["Motivul deblocării", "Reason of unlocking", "Motivo dello sblocco"]),
    ("until_on", ["Ultima zi", "Last day", "Ultimo giorno"]),
    ("validated_at", ["Data validării", "Validated at", "Data di convalida"]),
    ("validated_by", ["Validat de", "Validated by", "Convalidato da"]),
    ("value", ["Răspunsul", "Answer", "Risposta"]),
    ("verification", ["Verificarea", "Verification", "Verifica"]),
    ("verified_by", ["Verificat de", "Verified by", "Verificato da"]),
    ("verified_in_visit_id", ["Vizita de verificare", "Visit of verification", "Visita di verifica"]),
    ("verified_on", ["Data verificării", "Verified on", "Data della verifica"]),
    ("visit_id", ["Vizita", "Visit", "Visita"]),
    ("voided", ["Anularea înregistrării", "Voiding of the record", "Annullamento della scheda"]),
    (
        "vulnerability_codes",
        ["Categoriile de vulnerabilitate", "Vulnerability categories", "Categorie di vulnerabilità"],
    ),
    ("wage_band", ["Tranșa de salariu", "Wage band", "Fascia salariale"]),
    ("weekly_hours", ["Ore pe săptămână", "Weekly hours", "Ore settimanali"]),
];

const STATES: &[Labels] = &[
    ("CANCELLED", ["Anulată", "Cancelled", "Annullata"]),
    ("CLOSED", ["Închis", "Closed", "Chiuso"]),
    ("COMPLETED", ["Finalizată", "Completed", "Completata"]),
    ("DISPUTED", ["Contestat", "Disputed", "Contestato"]),
    ("DONE", ["Realizată", "Done", "Svolta"]),
    ("ENDED", ["Încheiat", "Ended", "Concluso"]),
    ("EVIDENCED", ["Documentat", "Evidenced", "Documentato"]),
    ("FILLED", ["Ocupat", "Filled", "Occupato"]),
    ("IN_PROGRESS", ["În desfășurare", "In progress", "In corso"]),
    ("LOCKED", ["Blocată", "Locked", "Bloccata"]),
    ("OPEN", ["Deschisă", "Open", "Aperta"]),
    ("PLANNED", ["Planificată", "Planned", "Pianificata"]),
    ("RECORDED", ["Înregistrat", "Recorded", "Registrato"]),
    ("RESCHEDULED", ["Reprogramată", "Rescheduled", "Riprogrammata"]),
    ("RETURNED", ["Returnată", "Returned", "Restituita"]),
    ("SUBMITTED", ["Trimisă", "Submitted", "Inviata"]),
    ("VACANT", ["Vacant", "Vacant", "Vacante"]),
    ("VALIDATED", ["Validată", "Validated", "Convalidata"]),
    ("VERIFIED", ["Verificat", "Verified", "Verificato"]),
    ("VOIDED", ["Anulat", "Voided", "Annullato"]),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::{ActionStatus, EmploymentStatus, PositionStatus, VisitStatus};
    use crate::entity::EntityKind;
    use crate::field::Origin;

    #[test]
    fn every_field_that_a_device_writes_has_a_label() {
        let written = EntityKind::ALL.iter().map(|kind| kind.def()).filter(|def| def.origin == Origin::Field);
        for field in written.flat_map(|def| def.fields) {
            assert!(field_label(field.name, Locale::Ro).is_some(), "{} has no label", field.name);
        }
    }

    #[test]
    fn every_state_with_a_lifecycle_has_a_label() {
        for codes in [VisitStatus::CODES, EmploymentStatus::CODES, ActionStatus::CODES, PositionStatus::CODES] {
            for code in codes {
                assert!(state_label(code, Locale::It).is_some(), "{code} has no label");
            }
        }
    }

    #[test]
    fn labels_are_sorted_and_romanian_has_comma_letters() {
        for labels in [FIELDS, STATES] {
            assert!(labels.is_sorted_by(|a, b| a.0 < b.0));
            assert!(labels.iter().all(|(_, texts)| !texts[0].contains(['ş', 'ţ', 'Ş', 'Ţ'])));
        }
    }
}
