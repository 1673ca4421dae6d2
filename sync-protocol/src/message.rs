//! What people read when a rule is broken or a change waits: one key, three languages, named slots.
//!
//! Every text says what happened, to what, and what to do. The key is stable and travels; the text does not.

mod label;

pub use label::{field_label, state_label};

use crate::code::Locale;

/// Defines the keys: name, stable code, the texts in Romanian, English and Italian.
macro_rules! messages {
    ($($name:ident = $code:literal { $ro:literal $en:literal $it:literal })*) => {
        /// What a message says, independent of the language.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum MessageKey {
            $(#[doc = concat!("`", $code, "`: ", $en)] $name,)*
        }

        impl MessageKey {
            /// Every key.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Returns the stable code that travels.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// Returns the key of a code, `None` for a code of a newer version.
            pub fn parse(code: &str) -> Option<Self> {
                match code { $($code => Some(Self::$name),)* _ => None }
            }

            /// Returns the text with its slots; Romanian for a language that this version does not know.
            pub const fn template(self, locale: Locale) -> &'static str {
                match self {
                    $(Self::$name => match locale {
                        Locale::En => $en,
                        Locale::It => $it,
                        Locale::Ro | Locale::Unknown => $ro,
                    },)*
                }
            }
        }
    };
}

messages! {
    // About the phone itself.
    OutboxCopied = "OUTBOX_COPIED" {
        "Datele acestui telefon au fost copiate pe alt telefon sau restaurate dintr-o copie. Nu s-a pierdut nimic; de acum lucrați pe un singur telefon și verificați ultimele înregistrări."
        "The data of this phone were copied to another one, or restored from a backup. Nothing was lost; from now on work on one phone only, and check your latest records."
        "I dati di questo telefono sono stati copiati su un altro o ripristinati da una copia. Non si è perso nulla; d'ora in poi usi un solo telefono e controlli le ultime registrazioni."
    }
    // One field against the field table.
    WrongType = "WRONG_TYPE" {
        "Câmpul „{field}” are o valoare de alt tip. Introduceți din nou valoarea."
        "The field “{field}” has a value of another type. Enter the value again."
        "Il campo «{field}» ha un valore di un altro tipo. Inserisca di nuovo il valore."
    }
    Missing = "MISSING" {
        "Câmpul „{field}” este gol, dar este obligatoriu. Completați-l."
        "The field “{field}” is empty but required. Fill it in."
        "Il campo «{field}» è vuoto ma obbligatorio. Lo compili."
    }
    TooLong = "TOO_LONG" {
        "Textul din câmpul „{field}” depășește {limit} de caractere. Scurtați-l."
        "The text in “{field}” is longer than {limit} characters. Shorten it."
        "Il testo nel campo «{field}» supera {limit} caratteri. Lo abbrevi."
    }
    CodeUnknown = "CODE_UNKNOWN" {
        "Valoarea „{value}” din câmpul „{field}” nu este în listă. Alegeți o valoare din listă."
        "The value “{value}” in “{field}” is not in the list. Choose one from the list."
        "Il valore «{value}» nel campo «{field}» non è nell'elenco. Ne scelga uno dall'elenco."
    }
    OfficeOnly = "OFFICE_ONLY" {
        "Câmpul „{field}” se completează numai la birou. Lăsați-l neschimbat și cereți modificarea coordonatorului."
        "Only the office may set “{field}”. Leave it unchanged and ask your coordinator for the change."
        "Solo l'ufficio può compilare «{field}». Lo lasci invariato e chieda la modifica al coordinatore."
    }
    Immutable = "IMMUTABLE" {
        "Câmpul „{field}” nu se mai poate schimba după salvare. Păstrați valoarea sau creați o înregistrare nouă."
        "“{field}” cannot change once it is saved. Keep the value or create a new record."
        "«{field}» non può cambiare dopo il salvataggio. Mantenga il valore o crei una nuova scheda."
    }
    ControlCharacter = "CONTROL_CHARACTER" {
        "Textul din câmpul „{field}” conține caractere care nu se pot afișa. Ștergeți textul și scrieți-l din nou."
        "The text in “{field}” contains characters that cannot be shown. Delete the text and type it again."
        "Il testo nel campo «{field}» contiene caratteri non visualizzabili. Cancelli il testo e lo riscriva."
    }
    // Places (I12).
    CountyOutsideRegion = "COUNTY_OUTSIDE_REGION" {
        "Județul „{value}” nu este în regiunea programului ({limit}). Alegeți un județ din regiune."
        "The county “{value}” is outside the programme's region ({limit}). Choose a county of the region."
        "Il distretto «{value}» è fuori dalla regione del programma ({limit}). Scelga un distretto della regione."
    }
    // Jobs (I18 to I20).
    EmploymentOverlap = "EMPLOYMENT_OVERLAP" {
        "Postul este deja ocupat de {holder}, din {from}. Încheiați mai întâi acel contract sau corectați datele."
        "The position is already held by {holder}, from {from}. End that job record first or correct the dates."
        "Il posto è già occupato da {holder}, dal {from}. Chiuda prima quel rapporto o corregga le date."
    }
    FteOutOfRange = "FTE_OUT_OF_RANGE" {
        "Norma din câmpul „{field}” trebuie să fie peste 0 și cel mult {limit}. Corectați norma sau orele."
        "“{field}” must be above 0 and at most {limit}. Correct it or the weekly hours."
        "«{field}» deve essere maggiore di 0 e al massimo {limit}. Corregga il valore o le ore settimanali."
    }
    EndBeforeStart = "END_BEFORE_START" {
        "„{field}” este înainte de început ({limit}). Corectați una dintre date."
        "“{field}” lies before the start ({limit}). Correct one of the two."
        "«{field}» precede l'inizio ({limit}). Corregga una delle due date."
    }
    StartBeforeRegistration = "START_BEFORE_REGISTRATION" {
        "Angajarea începe înainte de înregistrarea întreprinderii ({limit}). Alegeți o dată de la {limit} încolo."
        "The job starts before the enterprise was registered ({limit}). Choose a date from {limit} on."
        "Il lavoro inizia prima della registrazione dell'impresa ({limit}). Scelga una data dal {limit} in poi."
    }
    EndReasonMissing = "END_REASON_MISSING" {
        "Contractul are dată de încetare, dar nu și motiv. Alegeți motivul încetării."
        "The job record has an end date but no reason. Choose why it ended."
        "Il rapporto di lavoro ha una data di fine ma nessun motivo. Scelga il motivo."
    }
    EndDateMissing = "END_DATE_MISSING" {
        "Contractul este încheiat, dar nu are dată de încetare. Completați ultima zi de lucru."
        "The job record has ended but has no end date. Enter the last day of work."
        "Il rapporto di lavoro è concluso ma senza data di fine. Indichi l'ultimo giorno di lavoro."
    }
    WeeklyHoursNotPositive = "WEEKLY_HOURS_NOT_POSITIVE" {
        "Orele pe săptămână trebuie să fie mai mult de {limit}. Introduceți orele din contract."
        "The weekly hours must be more than {limit}. Enter the hours of the contract."
        "Le ore settimanali devono essere più di {limit}. Inserisca le ore del contratto."
    }
    WeeklyHoursAboveLimit = "WEEKLY_HOURS_ABOVE_LIMIT" {
        "Orele pe săptămână depășesc norma întreagă de {limit}. Introduceți orele din contract, fără ore suplimentare."
        "The weekly hours exceed full time, {limit} hours. Enter the hours of the contract, without overtime."
        "Le ore settimanali superano il tempo pieno di {limit}. Inserisca le ore del contratto, senza straordinari."
    }
    HolderTooYoung = "HOLDER_TOO_YOUNG" {
        "Persoana are sub {limit} ani la angajare; angajarea nu este permisă. Verificați data nașterii și prima zi."
        "The person is younger than {limit} at hire, which is not allowed. Check the date of birth and the first day."
        "La persona ha meno di {limit} anni all'assunzione, non è consentito. Verifichi data di nascita e primo giorno."
    }
    HolderNeedsConsent = "HOLDER_NEEDS_CONSENT" {
        "Persoana are {limit} ani la angajare. Atașați acordul scris al părinților sau al tutorelui."
        "The person is {limit} at hire. Attach the written consent of the parents or guardian."
        "La persona ha {limit} anni all'assunzione. Alleghi il consenso scritto dei genitori o del tutore."
    }
    HolderUnderAge = "HOLDER_UNDER_AGE" {
        "Persoana are sub {limit} ani la angajare. Verificați regulile pentru tineri: durata muncii și munca de noapte."
        "The person is younger than {limit} at hire. Check the rules for young workers: working time and night work."
        "La persona ha meno di {limit} anni all'assunzione. Verifichi le regole per i giovani: orario e lavoro notturno."
    }
    // Completing and signing a visit (I26, I27).
    VisitWithoutAnswers = "VISIT_WITHOUT_ANSWERS" {
        "Vizita nu are niciun răspuns în formular. Răspundeți la cel puțin o întrebare, apoi finalizați vizita."
        "The visit has no answer in its form. Answer at least one question, then complete the visit."
        "La visita non ha risposte nel modulo. Risponda ad almeno una domanda, poi completi la visita."
    }
    VisitWithoutTimes = "VISIT_WITHOUT_TIMES" {
        "Vizita nu are „{field}”. Completați ora, apoi finalizați vizita."
        "The visit has no “{field}”. Enter the time, then complete the visit."
        "La visita non ha «{field}». Inserisca l'ora, poi completi la visita."
    }
    VisitWithoutPlace = "VISIT_WITHOUT_PLACE" {
        "Vizita la fața locului nu are poziție GPS. Înregistrați poziția sau scrieți de ce lipsește."
        "The visit on site has no GPS position. Record the position or write why there is none."
        "La visita sul posto non ha una posizione GPS. Registri la posizione o scriva perché manca."
    }
    VisitWithoutAttendee = "VISIT_WITHOUT_ATTENDEE" {
        "Vizita nu are nicio persoană prezentă. Adăugați cel puțin o persoană care a participat."
        "The visit has nobody present. Add at least one person who took part."
        "La visita non ha nessun presente. Aggiunga almeno una persona che ha partecipato."
    }
    VisitWithoutSignature = "VISIT_WITHOUT_SIGNATURE" {
        "Vizita nu este semnată. Cereți semnătura reprezentantului sau scrieți de ce nu a semnat."
        "The visit is not signed. Ask the representative to sign or write why nobody signed."
        "La visita non è firmata. Chieda la firma al rappresentante o scriva perché nessuno ha firmato."
    }
    SignatureVoided = "SIGNATURE_VOIDED" {
        "Conținutul semnat al vizitei s-a schimbat („{field}”), deci semnătura nu mai este valabilă. Cereți o nouă semnătură."
        "The signed content of the visit changed (“{field}”), so the signature is void. Ask for a new signature."
        "Il contenuto firmato della visita è cambiato («{field}»): la firma non è più valida. Chieda una nuova firma."
    }
    SignatureOutdated = "SIGNATURE_OUTDATED" {
        "Ați schimbat ceva într-o vizită deja semnată. Cereți o nouă semnătură pentru vizită."
        "You changed part of a visit that is already signed. Ask for a new signature of the visit."
        "Ha modificato una parte di una visita già firmata. Chieda una nuova firma della visita."
    }
    // Findings and actions (I28).
    DueBeforeVisit = "DUE_BEFORE_VISIT" {
        "Termenul acțiunii este înainte de data vizitei ({limit}). Alegeți un termen de la {limit} încolo."
        "The action is due before the date of the visit ({limit}). Choose a due date from {limit} on."
        "La scadenza dell'azione precede la data della visita ({limit}). Scelga una scadenza dal {limit} in poi."
    }
    CriticalWithoutAction = "CRITICAL_WITHOUT_ACTION" {
        "Constatarea critică „{finding}” nu are nicio acțiune. Adăugați o acțiune cu termen, apoi finalizați vizita."
        "The critical finding “{finding}” has no action. Add an action with a due date, then complete the visit."
        "Il rilievo critico «{finding}» non ha azioni. Aggiunga un'azione con scadenza, poi completi la visita."
    }
    DoneOnMissing = "DONE_ON_MISSING" {
        "Acțiunea este realizată, dar nu are data realizării. Completați „{field}”."
        "The action is done but has no date. Fill in “{field}”."
        "L'azione è svolta ma senza data. Compili «{field}»."
    }
    DoneInFuture = "DONE_IN_FUTURE" {
        "Acțiunea are o dată de realizare în viitor ({limit}). Verificați data."
        "The action is marked as done on a future date ({limit}). Check the date."
        "L'azione risulta svolta in una data futura ({limit}). Verifichi la data."
    }
    CancelReasonMissing = "CANCEL_REASON_MISSING" {
        "Acțiunea este anulată fără motiv. Scrieți de ce se anulează."
        "The action is cancelled without a reason. Write why it is cancelled."
        "L'azione è annullata senza motivo. Scriva perché viene annullata."
    }
    // Lifecycles and duties.
    TransitionRefused = "TRANSITION_REFUSED" {
        "Starea nu poate trece din „{from}” în „{to}”. Reîncărcați înregistrarea și alegeți o stare permisă."
        "The state cannot go from “{from}” to “{to}”. Reload the record and choose a state that is allowed."
        "Lo stato non può passare da «{from}» a «{to}». Ricarichi la scheda e scelga uno stato consentito."
    }
    TransitionOfficeOnly = "TRANSITION_OFFICE_ONLY" {
        "Numai biroul poate trece starea din „{from}” în „{to}”. Cereți schimbarea coordonatorului."
        "Only the office can move the state from “{from}” to “{to}”. Ask your coordinator for the change."
        "Solo l'ufficio può portare lo stato da «{from}» a «{to}». Chieda la modifica al coordinatore."
    }
    FirstStateRefused = "FIRST_STATE_REFUSED" {
        "O înregistrare nouă nu poate începe în starea „{to}”. Creați-o în starea „{limit}”."
        "A new record cannot start in the state “{to}”. Create it in the state “{limit}”."
        "Una nuova scheda non può iniziare nello stato «{to}». La crei nello stato «{limit}»."
    }
    RecordLocked = "RECORD_LOCKED" {
        "Vizita este validată și nu se mai poate schimba. Cereți coordonatorului să o returneze."
        "The visit is validated and can no longer change. Ask your coordinator to return it."
        "La visita è convalidata e non può più cambiare. Chieda al coordinatore di restituirla."
    }
    ReturnReasonMissing = "RETURN_REASON_MISSING" {
        "Vizita este returnată fără motiv. Scrieți ce trebuie corectat."
        "The visit is returned without a reason. Write what has to be corrected."
        "La visita è restituita senza motivo. Scriva che cosa va corretto."
    }
    VerifierMissing = "VERIFIER_MISSING" {
        "Înregistrarea este verificată, dar lipsește „{field}”. Completați cine și când a verificat."
        "The record is verified but “{field}” is missing. Enter who verified it and when."
        "La scheda è verificata ma manca «{field}». Indichi chi l'ha verificata e quando."
    }
    VerifiedByRecorder = "VERIFIED_BY_RECORDER" {
        "Cine a făcut înregistrarea nu o poate și verifica. Cereți verificarea unui coleg."
        "Whoever recorded this cannot verify it as well. Ask a colleague to verify it."
        "Chi ha registrato la scheda non può anche verificarla. Chieda la verifica a un collega."
    }
    RecordedByOther = "RECORDED_BY_OTHER" {
        "Înregistrarea poartă numele altui autor. Intrați cu contul propriu și salvați din nou."
        "The record names another author. Sign in with your own account and save again."
        "La scheda riporta un altro autore. Acceda con il Suo account e salvi di nuovo."
    }
    // Months.
    MonthNotFirstDay = "MONTH_NOT_FIRST_DAY" {
        "„{field}” trebuie să fie prima zi a lunii ({limit}). Alegeți luna din nou."
        "“{field}” must be the first day of the month ({limit}). Choose the month again."
        "«{field}» deve essere il primo giorno del mese ({limit}). Scelga di nuovo il mese."
    }
    MonthInFuture = "MONTH_IN_FUTURE" {
        "Luna nu a început încă. Alegeți o lună până la {limit}."
        "The month has not begun yet. Choose a month up to {limit}."
        "Il mese non è ancora iniziato. Scelga un mese fino al {limit}."
    }
    NumberOutOfRange = "NUMBER_OUT_OF_RANGE" {
        "Numărul din câmpul „{field}” nu este între 0 și {limit}. Corectați numărul."
        "The number in “{field}” is not between 0 and {limit}. Correct the number."
        "Il numero nel campo «{field}» non è tra 0 e {limit}. Lo corregga."
    }
    // Answers of a form.
    AnswerMissing = "ANSWER_MISSING" {
        "Întrebarea nu are nici răspuns, nici motiv. Răspundeți sau scrieți de ce nu se poate răspunde."
        "The question has neither an answer nor a reason. Answer it or write why it cannot be answered."
        "La domanda non ha né risposta né motivo. Risponda o scriva perché non è possibile."
    }
    AnswerWrongType = "ANSWER_WRONG_TYPE" {
        "Răspunsul la întrebarea {question} are alt tip decât cel cerut. Răspundeți din nou."
        "The answer to question {question} is not of the type asked for. Answer it again."
        "La risposta alla domanda {question} non è del tipo richiesto. Risponda di nuovo."
    }
    AnswerNotAnOption = "ANSWER_NOT_AN_OPTION" {
        "Răspunsul „{value}” nu este o variantă a întrebării {question}. Alegeți una dintre variante."
        "The answer “{value}” is not an option of question {question}. Choose one of the options."
        "La risposta «{value}» non è un'opzione della domanda {question}. Scelga una delle opzioni."
    }
    AnswerTooSmall = "ANSWER_TOO_SMALL" {
        "Răspunsul la întrebarea {question} este sub {limit}. Introduceți cel puțin {limit}."
        "The answer to question {question} is below {limit}. Enter at least {limit}."
        "La risposta alla domanda {question} è inferiore a {limit}. Inserisca almeno {limit}."
    }
    AnswerTooLarge = "ANSWER_TOO_LARGE" {
        "Răspunsul la întrebarea {question} este peste {limit}. Introduceți cel mult {limit}."
        "The answer to question {question} is above {limit}. Enter at most {limit}."
        "La risposta alla domanda {question} è superiore a {limit}. Inserisca al massimo {limit}."
    }
    // Reporting periods (I29) and changes that the office decides.
    PeriodLocked = "PERIOD_LOCKED" {
        "Perioada {period} este blocată; în ea nu se mai schimbă nimic. Deblocați-o mai întâi sau lucrați în perioada curentă."
        "The period {period} is locked; nothing in it changes. Unlock it first or work in the current period."
        "Il periodo {period} è bloccato; non vi cambia nulla. Lo sblocchi prima o lavori nel periodo corrente."
    }
    UnlockReasonMissing = "UNLOCK_REASON_MISSING" {
        "Perioada nu se deblochează fără motiv. Scrieți de ce este nevoie."
        "A period is not unlocked without a reason. Write why it is needed."
        "Un periodo non si sblocca senza motivo. Scriva perché è necessario."
    }
    NoOpenPeriod = "NO_OPEN_PERIOD" {
        "După perioada {period} nu există nicio perioadă deschisă. Creați sau deblocați una și aprobați din nou."
        "There is no open period after {period}. Create or unlock one and approve again."
        "Dopo il periodo {period} non c'è alcun periodo aperto. Ne crei o sblocchi uno e approvi di nuovo."
    }
    MergeDecided = "MERGE_DECIDED" {
        "Propunerea de unire nu mai este deschisă. Încărcați lista din nou."
        "The proposal to merge is open no longer. Load the list again."
        "La proposta di unione non è più aperta. Ricarichi l'elenco."
    }
    MergeSurvivorUnknown = "MERGE_SURVIVOR_UNKNOWN" {
        "Înregistrarea care rămâne trebuie să fie una dintre cele două propuse. Alegeți una dintre ele."
        "The record that stays must be one of the two that are proposed. Choose one of them."
        "La scheda che resta deve essere una delle due proposte. Scelga una delle due."
    }
    MergeRowGone = "MERGE_ROW_GONE" {
        "Una dintre cele două înregistrări nu mai există; nu mai este nimic de unit. Încărcați lista din nou."
        "One of the two records is there no longer; there is nothing to merge. Load the list again."
        "Una delle due schede non esiste più; non c'è nulla da unire. Ricarichi l'elenco."
    }
    HeldDecided = "HELD_DECIDED" {
        "S-a hotărât deja asupra acestei modificări. Încărcați lista din nou."
        "This change has been decided already. Load the list again."
        "Su questa modifica si è già deciso. Ricarichi l'elenco."
    }
    HeldUnreadable = "HELD_UNREADABLE" {
        "Serverul nu poate citi această modificare. Actualizați serverul sau returnați modificarea."
        "The server cannot read this change. Update the server or return the change."
        "Il server non può leggere questa modifica. Aggiorni il server o restituisca la modifica."
    }
    HeldStillWaiting = "HELD_STILL_WAITING" {
        "Modificarea așteaptă o înregistrare care încă nu a sosit; se aplică singură când sosește. Așteptați sau returnați modificarea."
        "The change waits for a record that has not arrived; it applies itself when that comes. Wait or return it."
        "La modifica attende una scheda non ancora arrivata; si applica da sé quando arriva. Attenda o la restituisca."
    }
    HeldReturned = "HELD_RETURNED" {
        "Biroul a returnat modificarea: {reason}. Corectați-o și trimiteți-o din nou sau renunțați la ea."
        "The office returned the change: {reason}. Correct it and send it again, or give it up."
        "L'ufficio ha restituito la modifica: {reason}. La corregga e la invii di nuovo, o vi rinunci."
    }
    // What became of a change that was sent.
    Ack = "ACK" {
        "Modificarea a ajuns la birou. Nu mai aveți nimic de făcut."
        "The change has reached the office. There is nothing left to do."
        "La modifica è arrivata in ufficio. Non deve fare altro."
    }
    AckMerged = "ACK_MERGED" {
        "Modificarea a ajuns la birou și s-a unit cu a altcuiva ({fields}). Verificați rezultatul."
        "The change has reached the office and was merged with someone else's ({fields}). Check the result."
        "La modifica è arrivata in ufficio ed è stata unita a quella di altri ({fields}). Verifichi il risultato."
    }
    HeldParentMissing = "HELD_PARENT_MISSING" {
        "Modificarea așteaptă la birou până sosește înregistrarea de care ține ({parent}). Păstrați telefonul sincronizat."
        "The change waits at the office until the record it belongs to arrives ({parent}). Keep the phone syncing."
        "La modifica attende in ufficio la scheda a cui appartiene ({parent}). Mantenga attiva la sincronizzazione."
    }
    HeldPeriodLocked = "HELD_PERIOD_LOCKED" {
        "Perioada {period} este blocată; modificarea așteaptă coordonatorul. Nu o introduceți din nou."
        "The period {period} is locked; the change waits for your coordinator. Do not enter it again."
        "Il periodo {period} è bloccato; la modifica attende il coordinatore. Non la inserisca di nuovo."
    }
    HeldDeviceReview = "HELD_DEVICE_REVIEW" {
        "Modificarea așteaptă până când biroul verifică acest telefon. Contactați administratorul."
        "The change waits until the office has reviewed this phone. Contact the administrator."
        "La modifica attende che l'ufficio verifichi questo telefono. Contatti l'amministratore."
    }
    HeldGrantEnded = "HELD_GRANT_ENDED" {
        "Întreprinderea nu vă mai era repartizată când ați făcut modificarea; ea așteaptă coordonatorul. Nu o introduceți din nou."
        "The enterprise was no longer assigned to you when you made the change; it waits for your coordinator. Do not enter it again."
        "L'impresa non Le era più assegnata al momento della modifica; essa attende il coordinatore. Non la inserisca di nuovo."
    }
    HeldClockImplausible = "HELD_CLOCK_IMPLAUSIBLE" {
        "Ceasul telefonului diferă cu {offset}; modificarea așteaptă verificarea. Potriviți data și ora automat."
        "The phone's clock is off by {offset}; the change waits for a review. Set date and time to automatic."
        "L'orologio del telefono è sfasato di {offset}; la modifica attende una verifica. Imposti data e ora automatiche."
    }
    Conflict = "CONFLICT" {
        "„{field}” a fost schimbat și de {by} ({at}): la dumneavoastră „{mine}”, acolo „{theirs}”. Alegeți valoarea corectă."
        "“{field}” was also changed by {by} ({at}): yours “{mine}”, theirs “{theirs}”. Choose the correct value."
        "«{field}» è stato modificato anche da {by} ({at}): il Suo «{mine}», l'altro «{theirs}». Scelga il valore corretto."
    }
    RejectRule = "REJECT_RULE" {
        "Modificarea încalcă regula {rule} la câmpul „{field}” (limita: {limit}). Corectați câmpul și trimiteți din nou."
        "The change breaks rule {rule} in “{field}” (limit: {limit}). Correct the field and send it again."
        "La modifica viola la regola {rule} nel campo «{field}» (limite: {limit}). Corregga il campo e invii di nuovo."
    }
    RejectScope = "REJECT_SCOPE" {
        "Întreprinderea nu vă era repartizată când ați făcut modificarea. Contactați coordonatorul; modificarea rămâne pe telefon."
        "The enterprise was not assigned to you when you made the change. Contact your coordinator; the change stays on the phone."
        "L'impresa non Le era assegnata al momento della modifica. Contatti il coordinatore; la modifica resta sul telefono."
    }
    RejectErased = "REJECT_ERASED" {
        "Datele acestei persoane au fost șterse definitiv, la cererea ei sau pentru că legea o cere. Modificarea nu se păstrează; nu o introduceți din nou."
        "This person's data was erased for good, at their request or because the law demands it. The change is not kept; do not enter it again."
        "I dati di questa persona sono stati cancellati definitivamente, su sua richiesta o perché lo impone la legge. La modifica non viene conservata; non la inserisca di nuovo."
    }
    RejectFormVersion = "REJECT_FORM_VERSION" {
        "Formularul vizitei este prea vechi; se cere cel puțin versiunea {limit}. Sincronizați și completați formularul nou."
        "The form of the visit is too old; at least version {limit} is needed. Sync and fill in the new form."
        "Il modulo della visita è troppo vecchio; serve almeno la versione {limit}. Sincronizzi e compili il nuovo modulo."
    }
    RejectSignature = "REJECT_SIGNATURE" {
        "Semnătura nu corespunde conținutului vizitei. Cereți o nouă semnătură și trimiteți din nou."
        "The signature does not match the content of the visit. Ask for a new signature and send it again."
        "La firma non corrisponde al contenuto della visita. Chieda una nuova firma e invii di nuovo."
    }
    DuplicateSuspect = "DUPLICATE_SUSPECT" {
        "Înregistrarea seamănă cu altele ({candidates}). Verificați dacă este aceeași și anulați-o pe cea în plus."
        "The record resembles others ({candidates}). Check whether it is the same and void the one too many."
        "La scheda somiglia ad altre ({candidates}). Verifichi se è la stessa e annulli quella di troppo."
    }
    MediaPending = "MEDIA_PENDING" {
        "Mai sunt de trimis fișiere: {count} ({bytes} B). Lăsați aplicația deschisă când aveți semnal."
        "Files still to be sent: {count} ({bytes} B). Leave the app open while you have a signal."
        "File ancora da inviare: {count} ({bytes} B). Lasci aperta l'applicazione quando c'è segnale."
    }
    MediaHashMismatch = "MEDIA_HASH_MISMATCH" {
        "Fișierul s-a deteriorat la trimitere. Telefonul îl trimite din nou; nu îl ștergeți."
        "The file was damaged on its way. The phone sends it again; do not delete it."
        "Il file si è danneggiato durante l'invio. Il telefono lo invia di nuovo; non lo elimini."
    }
}

/// Returns the text of `key` with every slot filled.
///
/// The slots `{field}`, `{from}` and `{to}` take names and codes and show their labels. A slot without an
/// argument stays visible, so that a mistake is seen rather than hidden.
pub fn render(key: MessageKey, locale: Locale, args: &[(&str, String)]) -> String {
    let mut text = String::with_capacity(160);
    let mut rest = key.template(locale);
    while let Some((before, slot, after)) = next_slot(rest) {
        text.push_str(before);
        match args.iter().find(|(name, _)| *name == slot) {
            Some((_, value)) => text.push_str(shown(slot, value, locale)),
            None => text.push_str(&rest[before.len()..rest.len() - after.len()]),
        }
        rest = after;
    }
    text.push_str(rest);
    text
}

fn next_slot(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once('{')?;
    let (slot, after) = rest.split_once('}')?;
    Some((before, slot, after))
}

fn shown<'a>(slot: &str, value: &'a str, locale: Locale) -> &'a str {
    match slot {
        "field" => field_label(value, locale).unwrap_or(value),
        "from" | "to" => state_label(value, locale).unwrap_or(value),
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn slots(text: &str) -> BTreeSet<&str> {
        let mut found = BTreeSet::new();
        let mut rest = text;
        while let Some((_, slot, after)) = next_slot(rest) {
            found.insert(slot);
            rest = after;
        }
        found
    }

    #[test]
    fn every_key_has_three_different_texts_with_the_same_slots() {
        for key in MessageKey::ALL {
            let [ro, en, it] = [Locale::Ro, Locale::En, Locale::It].map(|locale| key.template(locale));
            assert!(ro != en && en != it && ro != it, "{key:?} is not translated");
            assert_eq!(slots(ro), slots(en), "{key:?}: Romanian and English differ");
            assert_eq!(slots(it), slots(en), "{key:?}: Italian and English differ");
            for text in [ro, en, it] {
                assert!(text.matches(". ").count() + text.matches("; ").count() >= 1, "{key:?} says not what to do");
                assert!(text.ends_with('.') && !text.contains("  "), "{key:?}: {text}");
            }
        }
    }

    #[test]
    fn romanian_is_written_with_comma_letters() {
        for key in MessageKey::ALL {
            assert!(!key.template(Locale::Ro).contains(['ş', 'ţ', 'Ş', 'Ţ']), "{key:?}");
        }
    }

    #[test]
    fn codes_are_distinct_and_lead_back_to_their_key() {
        for key in MessageKey::ALL {
            assert_eq!(MessageKey::parse(key.code()), Some(*key));
        }
        assert_eq!(MessageKey::parse("SOMETHING_NEW"), None);
    }

    #[test]
    fn rendering_fills_slots_and_shows_labels() {
        let args = [("limit", "500".to_owned()), ("field", "purpose".to_owned())];
        assert_eq!(
            render(MessageKey::TooLong, Locale::En, &args),
            "The text in “Purpose” is longer than 500 characters. Shorten it."
        );
        let args = [("from", "PLANNED".to_owned()), ("to", "VALIDATED".to_owned())];
        assert!(render(MessageKey::TransitionRefused, Locale::Ro, &args).contains("„Planificată” în „Validată”"));
    }

    #[test]
    fn an_argument_is_never_read_as_a_slot_and_a_missing_one_stays_visible() {
        let args = [("value", "{field}".to_owned())];
        assert_eq!(
            render(MessageKey::CodeUnknown, Locale::En, &args),
            "The value “{field}” in “{field}” is not in the list. Choose one from the list."
        );
    }
}
