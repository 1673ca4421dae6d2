//! What the invented enterprises do: 21 trades with their jobs, tools and social mission.

use sync_protocol::code::LegalForm::{self, Association, Cooperative, Foundation, Srl};

/// A trade. The first of its five jobs is the manager's.
#[derive(Debug)]
pub(super) struct Trade {
    pub(super) name: &'static str,
    pub(super) legal_form: LegalForm,
    /// Whether it is a work-integration social enterprise.
    pub(super) is_wise: bool,
    pub(super) nace: &'static str,
    pub(super) jobs: [&'static str; 5],
    pub(super) mission: &'static str,
}

const fn trade(
    name: &'static str,
    legal_form: LegalForm,
    is_wise: bool,
    nace: &'static str,
    jobs: [&'static str; 5],
    mission: &'static str,
) -> Trade {
    Trade { name, legal_form, is_wise, nace, jobs, mission }
}

#[rustfmt::skip]
pub(super) const TRADES: [Trade; 21] = [
    trade("Brutăria Mâini Calde", Srl, false, "1071", ["1120", "7512", "7512", "9321", "8322"],
        "Coacem pâine cu maia pentru satele din jur și angajăm femei trecute de 55 de ani; în fiecare vineri ducem pâine gratuit la cantina socială din {loc}."),
    trade("Spălătoria Limpede", Srl, true, "9601", ["1120", "8157", "9121", "9121", "8322"],
        "Oferim servicii de spălătorie pensiunilor și căminelor de bătrâni și un prim loc de muncă tinerilor ieșiți din sistemul de protecție a copilului."),
    trade("Atelierul Fir cu Fir", Cooperative, false, "1413", ["1120", "7531", "8153", "8153", "9329"],
        "Croim îmbrăcăminte din textile recuperate împreună cu mame singure din {loc} și ținem cursuri gratuite de croitorie."),
    trade("Grădina Verde Deschis", Srl, true, "8130", ["1120", "9214", "9214", "9214", "8322"],
        "Îngrijim parcuri și curți cu o echipă de persoane cu dizabilități și tineri fără loc de muncă; o zi pe lună lucrăm gratuit pentru școala din {loc}."),
    trade("Lemn și Rost", Srl, false, "3109", ["1120", "7522", "7522", "7115", "9329"],
        "Reparăm și fabricăm mobilier din lemn local; tinerii NEET învață meseria alături de doi tâmplari pensionați."),
    trade("Punte Digitală", Srl, false, "9511", ["1120", "7421", "7421", "4110", "8322"],
        "Recondiționăm calculatoare scoase din uz și le donăm elevilor din familii cu venituri mici din comuna {loc}."),
    trade("Acasă Împreună", Association, false, "8810", ["1120", "5322", "5322", "5322", "3412"],
        "Îngrijim la domiciliu vârstnici singuri din cătunele greu accesibile din jurul localității {loc}."),
    trade("Curat și Drept", Srl, true, "8121", ["1120", "9112", "9112", "9112", "8322"],
        "Prestăm servicii de curățenie cu personal din comunități marginalizate și plătim cursuri de calificare fiecărui angajat."),
    trade("Cămara Bunicii", Cooperative, false, "1039", ["1120", "9321", "9329", "9329", "8322"],
        "Transformăm fructele din livezile vecinilor în gemuri și siropuri; cumpărăm la preț corect de la gospodării fără altă sursă de venit."),
    trade("Bucătăria de la Colț", Srl, false, "5621", ["1120", "5120", "5120", "9412", "8322"],
        "Gătim zilnic pentru firme din zonă și livrăm douăzeci de porții gratuite persoanelor vârstnice din {loc}."),
    trade("Al Doilea Drum", Srl, true, "3832", ["1120", "9612", "9612", "9612", "8322"],
        "Sortăm deșeuri reciclabile și oferim contracte legale unor persoane care trăiau din colectarea informală."),
    trade("Casa cu Prispă", Srl, false, "5520", ["1120", "5131", "9112", "5120", "9412"],
        "Primim turiști într-o casă tradițională și angajăm numai localnici din satul {loc}, unde alt angajator nu există."),
    trade("Pași Mici", Association, false, "8891", ["1120", "5311", "5311", "5311", "3412"],
        "Îngrijim după școală copii ai căror părinți lucrează în ture sau în străinătate; jumătate dintre locuri sunt gratuite."),
    trade("Tiparul Bun", Srl, false, "1812", ["1120", "4110", "9329", "9321", "8322"],
        "Tipărim materiale accesibile, inclusiv în Braille, cu angajați cu deficiențe de vedere și de auz."),
    trade("Poteci și Povești", Association, false, "7912", ["1120", "4110", "5131", "8322", "3412"],
        "Organizăm drumeții ghidate de tineri din {loc}; un sfert din încasări întreține potecile marcate."),
    trade("Haina de Lucru", Cooperative, false, "1412", ["1120", "8153", "8153", "7531", "9321"],
        "Coasem echipamente de lucru și angajăm persoane peste 55 de ani disponibilizate din minerit și din industria textilă."),
    trade("Învăț și Pot", Foundation, false, "8559", ["1120", "3412", "3412", "4110", "5311"],
        "Ținem cursuri de limbă română, calcul și utilizarea calculatorului pentru adulți care nu au terminat școala."),
    trade("Roata Solidară", Srl, false, "4520", ["1120", "9329", "9329", "4110", "8322"],
        "Reparăm mașinile asociațiilor la preț de cost și formăm ucenici mecanici dintre tinerii fără ocupație din {loc}."),
    trade("Oglinda Prieteniei", Association, false, "9602", ["1120", "9112", "9112", "4110", "3412"],
        "Oferim tuns și îngrijire la domiciliu persoanelor cu mobilitate redusă; o zi pe săptămână serviciile sunt gratuite."),
    trade("Masa Satului", Association, false, "5610", ["1120", "5120", "9412", "9412", "5131"],
        "Ținem singurul restaurant cu meniu social din {loc} și găzduim seri de consiliere pentru căutarea unui loc de muncă."),
    trade("Birou la Cheie", Srl, false, "8299", ["1120", "4110", "4110", "9321", "3412"],
        "Preluăm contabilitatea primară și arhivarea pentru ONG-uri mici, cu angajați cu dizabilități locomotorii care lucrează și de acasă."),
];

#[cfg(test)]
mod tests {
    use super::super::classifications::{ISCO, NACE};
    use super::*;

    #[test]
    fn the_legal_forms_have_the_mix_of_the_source() {
        let count = |form| TRADES.iter().filter(|trade| trade.legal_form == form).count();
        assert_eq!([count(Srl), count(Association), count(Cooperative), count(Foundation)], [12, 5, 3, 1]);
        assert!((3..=6).contains(&TRADES.iter().filter(|trade| trade.is_wise).count()));
    }

    #[test]
    fn every_activity_and_job_is_in_its_code_list() {
        for trade in &TRADES {
            assert!(NACE.iter().any(|entry| entry.0 == trade.nace), "{}", trade.nace);
            for job in trade.jobs {
                assert!(ISCO.iter().any(|entry| entry.0 == job), "{job}");
            }
        }
    }
}
