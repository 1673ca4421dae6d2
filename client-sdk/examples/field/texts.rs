//! What the program says, in three languages.

use sync_protocol::code::Locale;

/// Defines the texts: the key, then Romanian, English and Italian.
macro_rules! texts {
    ($($key:ident $ro:literal $en:literal $it:literal)*) => {
        /// A text of the program.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Key {
            $($key,)*
        }

        /// Returns a text in a language.
        pub(crate) fn text(key: Key, locale: Locale) -> &'static str {
            match key {
                $(Key::$key => match locale {
                    Locale::En => $en,
                    Locale::It => $it,
                    Locale::Ro | Locale::Unknown => $ro,
                },)*
            }
        }
    };
}

texts! {
    // Failures.
    Error "eroare" "error" "errore"
    Hint "ce puteți face" "what to do" "che cosa fare"
    Offline "Serverul nu răspunde. Tot ce ați înregistrat este păstrat și se trimite mai târziu." "The server cannot be reached. What you recorded is kept and sent later." "Il server non risponde. Ciò che ha registrato è conservato e sarà inviato più tardi."
    Intercepted "A răspuns altcineva decât serverul, de exemplu pagina de conectare a unei rețele Wi-Fi. Tot ce ați înregistrat este păstrat și se trimite mai târziu." "Something else than the server answered, such as the sign-in page of a Wi-Fi. What you recorded is kept and sent later." "Ha risposto qualcosa di diverso dal server, ad esempio la pagina di accesso di un Wi-Fi. Ciò che ha registrato è conservato e sarà inviato più tardi."
    HintRefused "Corectați câmpurile numite și încercați din nou; acest pas nu a fost înregistrat." "Put the named fields right and try again; this step was not recorded." "Corregga i campi indicati e riprovi; questo passo non è stato registrato."
    HintOffline "Lucrați mai departe; sincronizați când aveți semnal." "Go on working; sync where there is a signal." "Continui a lavorare; sincronizzi quando c'è segnale."
    HintIntercepted "Deschideți o pagină web ca să vă conectați la Wi-Fi sau opriți Wi-Fi-ul." "Open a web page to sign in to the Wi-Fi, or turn the Wi-Fi off." "Apra una pagina web per accedere al Wi-Fi oppure lo disattivi."
    HintSignIn "Înscrieți telefonul: field enrol --email ADRESA" "Enrol this device: field enrol --email ADDRESS" "Registri il dispositivo: field enrol --email INDIRIZZO"
    StorageFull "Telefonul nu mai are loc. Acest pas nu a fost înregistrat; tot ce era înregistrat este păstrat." "No room is left on the device. This step was not recorded; what was recorded before is kept." "Il dispositivo non ha più spazio. Questo passo non è stato registrato; ciò che era registrato è conservato."
    HintStorageFull "Sincronizați (field sync), apoi ștergeți fișiere sau aplicații de care nu aveți nevoie și încercați din nou." "Sync (field sync), then delete files or applications that you do not need, and try again." "Sincronizzi (field sync), poi elimini file o applicazioni inutili e riprovi."
    // Enrolment and sync.
    Password "Parola" "Password" "Password"
    Enrolled "Telefonul este înscris. Urmează: field sync" "The device is enrolled. Next: field sync" "Il dispositivo è registrato. Ora: field sync"
    Syncing "se sincronizează" "syncing" "sincronizzazione"
    Sent "trimise" "sent" "inviate"
    Received "primite" "received" "ricevute"
    NextDay "Tot ce ați înregistrat a ajuns la birou. Urmează: field today" "Everything you recorded has reached the office. Next: field today" "Tutto ciò che ha registrato è in ufficio. Ora: field today"
    NextHeld "Biroul a păstrat sau a refuzat ceva. Vedeți: field held" "The office kept or refused something. Look: field held" "L'ufficio ha trattenuto o rifiutato qualcosa. Veda: field held"
    NextAgain "Mai este ceva de trimis. Reluați: field sync" "There is more to exchange. Again: field sync" "C'è ancora da scambiare. Di nuovo: field sync"
    Watching "Rămâne sincronizat; Ctrl-C încheie." "Staying in sync; Ctrl-C ends it." "Resta sincronizzato; Ctrl-C termina."
    Verifying "se compară cu serverul" "comparing with the server" "confronto con il server"
    VerifiedScopes "Părți comparate cu serverul" "Parts compared with the server" "Parti confrontate con il server"
    PutRightRows "Înregistrări diferite, puse în ordine" "Records that differed, put right" "Schede diverse, corrette"
    AllEqual "Telefonul are exact ce are serverul." "This device has exactly what the server has." "Questo dispositivo ha esattamente ciò che ha il server."
    NotEqual "Mai sunt diferențe. Reluați mai târziu și spuneți biroului: field verify" "Something still differs. Try again later, and tell the office: field verify" "Restano differenze. Riprovi più tardi e avvisi l'ufficio: field verify"
    UpToDate "la zi" "up to date" "aggiornato"
    Waiting "fără legătură; se reia în" "no connection; again in" "nessuna connessione; riprova tra"
    Salvaged "Un fișier era deteriorat. Modificări salvate din el" "A file was damaged. Changes saved from it" "Un file era danneggiato. Modifiche salvate"
    Lost "Modificări care nu au putut fi salvate" "Changes that could not be saved" "Modifiche che non è stato possibile salvare"
    LostAdvice "Verificați ultimele înregistrări, reluați ce lipsește și spuneți biroului." "Check your last records, record again what is missing, and tell the office." "Controlli le ultime registrazioni, registri di nuovo ciò che manca e avvisi l'ufficio."
    // Standing.
    Pending "De trimis" "To be sent" "Da inviare"
    Held "La birou, în așteptare" "Kept by the office" "In attesa in ufficio"
    Rejected "Refuzate" "Refused" "Rifiutate"
    Conflicts "Conflicte" "Conflicts" "Conflitti"
    Merges "Înregistrări posibil duble" "Possibly registered twice" "Schede forse doppie"
    OldestPending "Cea mai veche așteaptă de" "The oldest has waited" "La più vecchia attende da"
    LastSync "Ultima sincronizare completă" "Last complete sync" "Ultima sincronizzazione completa"
    SignedIn "Autentificat" "Signed in" "Autenticato"
    Room "Loc pe telefon" "Room on the device" "Spazio sul dispositivo"
    RoomPlenty "destul" "enough" "sufficiente"
    RoomLow "puțin; eliberați loc înainte să nu se mai poată înregistra" "little; free some before nothing can be recorded" "poco; ne liberi prima che non si possa registrare"
    RoomFull "niciunul; nu se poate înregistra, dar se poate citi și trimite" "none; nothing can be recorded, reading and sending go on" "nessuno; non si può registrare, si può leggere e inviare"
    Never "niciodată" "never" "mai"
    Yes "da" "yes" "sì"
    No "nu" "no" "no"
    Nothing "Nimic." "Nothing." "Niente."
    Kept "afișat" "shown" "mostrato"
    Other "celălalt" "the other" "l'altro"
    HowToSettle "Alegeți cu `field conflicts --keep ID` (valoarea afișată) sau `--take ID` (cealaltă)." "Choose with `field conflicts --keep ID` (the value shown) or `--take ID` (the other)." "Scelga con `field conflicts --keep ID` (il valore mostrato) o `--take ID` (l'altro)."
    Settled "Ales. Conflictul se închide la următoarea sincronizare: field sync" "Chosen. The conflict closes with the next sync: field sync" "Scelto. Il conflitto si chiude alla prossima sincronizzazione: field sync"
    SameTwice "poate aceeași înregistrare de două ori" "maybe the same record twice" "forse la stessa scheda due volte"
    OfficeMerges "Amândouă rămân până hotărăște biroul; puteți lucra cu oricare." "Both stay until the office decides; go on with either." "Restano entrambe finché l'ufficio non decide; può lavorare con l'una o l'altra."
    PutRight "Corectați înregistrarea sau renunțați: field discard NUMĂR" "Record it again as it should be, or give it up: field discard NUMBER" "Registri di nuovo la scheda corretta o rinunci: field discard NUMERO"
    Discarded "S-a renunțat la modificare." "The change is given up." "La modifica è stata abbandonata."
    // Lists.
    TodaysVisits "Vizitele de azi" "Today's visits" "Visite di oggi"
    Unfinished "Nefinalizate" "Unfinished" "Non concluse"
    NextDays "Zilele următoare" "The next days" "Prossimi giorni"
    Overdue "Măsuri depășite" "Overdue actions" "Azioni scadute"
    NotHere "Nu este pe acest telefon. Verificați codul sau sincronizați: field sync" "It is not on this device. Check the code, or sync: field sync" "Non è su questo dispositivo. Verifichi il codice o sincronizzi: field sync"
    WhichOne "Mai multe se potrivesc; scrieți codul" "Several match; use the code" "Più risultati; usi il codice"
    // Visits.
    Started "Vizită începută" "Visit started" "Visita iniziata"
    Resumed "Vizita continuă" "The visit goes on" "La visita continua"
    Keys "Răspuns; Enter = mai târziu; ? = ajutor; - = nu se aplică; q = oprire (totul este salvat)" "An answer; Enter = later; ? = help; - = does not apply; q = stop (everything is saved)" "Risposta; Invio = più tardi; ? = aiuto; - = non si applica; q = stop (tutto è salvato)"
    Previous "data trecută" "last time" "l'ultima volta"
    NotUnderstood "Nu am înțeles. Se așteaptă" "Not understood. Expected" "Non capito. Atteso"
    AskYesNo "da / nu" "yes / no" "sì / no"
    AskInt "număr întreg" "whole number" "numero intero"
    AskDecimal "număr" "number" "numero"
    AskText "text" "text" "testo"
    AskDate "dată: 2026-12-01, 1.12.2026 sau +30 (zile)" "date: 2026-12-01, 1.12.2026 or +30 (days)" "data: 2026-12-01, 1.12.2026 o +30 (giorni)"
    AskSeveral "mai multe, cu virgulă (0 = niciuna):" "several, with commas (0 = none):" "più d'una, con virgole (0 = nessuna):"
    WhyNot "De ce nu se poate răspunde?" "Why can it not be answered?" "Perché non si può rispondere?"
    Employees "angajați vulnerabili" "vulnerable employees" "dipendenti vulnerabili"
    OfHours "din ore" "of the hours" "delle ore"
    BelowMinimum "sub pragul de 30 %" "below the minimum of 30 %" "sotto il minimo del 30 %"
    Place "Poziția GPS: latitudine longitudine (Enter = fără poziție)" "GPS position: latitude longitude (Enter = none)" "Posizione GPS: latitudine longitudine (Invio = nessuna)"
    NoPlace "De ce nu există poziție?" "Why is there no position?" "Perché non c'è posizione?"
    AttendeeName "Cine a fost prezent? Nume (Enter = gata)" "Who was there? Name (Enter = done)" "Chi era presente? Nome (Invio = fine)"
    RoleOf "În ce calitate?" "In which role?" "In quale ruolo?"
    FindingText "O constatare? (Enter = niciuna)" "A finding? (Enter = none)" "Un rilievo? (Invio = nessuno)"
    Area "Domeniul" "Area" "Ambito"
    Severity "Gravitatea" "Severity" "Gravità"
    ActionText "Ce este de făcut? (Enter = nimic)" "What has to be done? (Enter = nothing)" "Cosa va fatto? (Invio = nulla)"
    DueOn "Până când?" "By when?" "Entro quando?"
    Summary "Rezumat" "Summary" "Sintesi"
    Risk "Nivelul de risc" "Risk rating" "Livello di rischio"
    NextVisit "Următoarea vizită" "Next visit" "Prossima visita"
    Signer "Cine semnează pentru întreprindere? (Enter = nimeni)" "Who signs for the enterprise? (Enter = nobody)" "Chi firma per l'impresa? (Invio = nessuno)"
    NoSignature "De ce nu semnează nimeni?" "Why does nobody sign?" "Perché nessuno firma?"
    Missing "Mai lipsesc" "Still open" "Mancano ancora"
    ResumeLater "Continuați oricând: field visit resume" "Go on at any time: field visit resume" "Continui quando vuole: field visit resume"
    Completed "Vizita este finalizată și așteaptă sincronizarea. Urmează: field sync" "The visit is complete and waits for the next sync. Next: field sync" "La visita è completa e attende la sincronizzazione. Ora: field sync"
    NoDraft "Nu există nicio vizită neterminată. Începeți una: field visit start COD" "There is no unfinished visit. Start one: field visit start CODE" "Nessuna visita in corso. Ne inizi una: field visit start CODICE"
    Answered "Răspunsuri" "Answered" "Risposte"
    Findings "Constatări" "Findings" "Rilievi"
    // Jobs and actions.
    JobRecorded "Angajare înregistrată" "Job recorded" "Assunzione registrata"
    JobCorrected "Angajare corectată" "Job corrected" "Assunzione corretta"
    JobEnded "Angajare încheiată" "Job ended" "Rapporto concluso"
    MonthRecorded "Lună înregistrată" "Month recorded" "Mese registrato"
    ActionDone "Măsură realizată" "Action done" "Azione svolta"
    Vacant "liber" "vacant" "vacante"
    NoHolder "Nimeni nu ocupă acest post." "Nobody holds this position." "Nessuno occupa questo posto."
    Warning "atenție" "note" "attenzione"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn romanian_is_written_with_comma_letters() {
        for key in [Key::Enrolled, Key::Held, Key::NextAgain] {
            assert!(!text(key, Locale::Ro).contains(['ş', 'ţ', 'Ş', 'Ţ']));
        }
    }
}
