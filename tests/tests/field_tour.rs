//! A mentor's day in a terminal, with the real program: enrol, sync, work without a server, sync again.

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;

use server::app::App;
use server::config::Config;
use server::demo::DemoProgramme;
use server::world::SystemWorld;
use sync_protocol::code::PositionStatus;
use sync_protocol::entity::{Enterprise, Entity, Position};
use sync_protocol::time::Date;
use tempfile::TempDir;
use tests::demo::{self, ANA, DEMO_PASSWORD};
use tests::{Ended, ServerProcess, TestDb, program};

/// What the program says in a language, in the order of the day.
struct Texts {
    language: &'static str,
    enrolled: &'static str,
    sign_in: &'static str,
    synced: &'static str,
    offline: &'static str,
    no_action: &'static str,
    completed: &'static str,
    too_early: &'static str,
    recorded: &'static str,
    pending: &'static str,
    sent: &'static str,
    equal: &'static str,
}

const RO: Texts = Texts {
    language: "ro",
    enrolled: "Telefonul este înscris. Urmează: field sync",
    sign_in: "Înscrieți telefonul: field enrol",
    synced: "Urmează: field today",
    offline: "Serverul nu răspunde.",
    no_action: "Constatarea critică „Cuptorul nu are protecție” nu are nicio acțiune.",
    completed: "Vizita este finalizată",
    too_early: "Angajarea începe înainte de înregistrarea întreprinderii",
    recorded: "Angajare înregistrată: ",
    pending: "De trimis",
    sent: "trimise",
    equal: "Telefonul are exact ce are serverul.",
};

const EN: Texts = Texts {
    language: "en",
    enrolled: "The device is enrolled. Next: field sync",
    sign_in: "Enrol this device: field enrol",
    synced: "Next: field today",
    offline: "The server cannot be reached.",
    no_action: "The critical finding “Cuptorul nu are protecție” has no action.",
    completed: "The visit is complete",
    too_early: "The job starts before the enterprise was registered",
    recorded: "Job recorded: ",
    pending: "To be sent",
    sent: "sent",
    equal: "This device has exactly what the server has.",
};

/// The program on a folder of its own.
struct Field {
    home: TempDir,
    server: SocketAddr,
    texts: &'static Texts,
}

impl Field {
    fn new(server: SocketAddr, texts: &'static Texts) -> Self {
        Self { home: tempfile::tempdir().expect("a folder can be made"), server, texts }
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        let mut command = Command::new(program("field-under-test"));
        command.args(arguments).args(["--lang", self.texts.language]).env_clear();
        command.env("TEREN_FIELD_HOME", self.home.path()).env("TEREN_FIELD_PASSWORD", DEMO_PASSWORD);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        ServerProcess::run(&mut command)
    }

    /// Runs a command that must end with `code` and say `text`; returns what it printed.
    fn says(&self, arguments: &[&str], code: i32, text: &str) -> String {
        let ended = self.run(arguments);
        assert_eq!(ended.code, Some(code), "field {arguments:?}: {ended:?}");
        let said = format!("{}{}", ended.stdout, ended.stderr);
        assert!(said.contains(text), "field {arguments:?} does not say {text:?}: {said}");
        said
    }

    /// Returns the number of changes that wait, as the status tells it.
    fn pending(&self) -> u64 {
        let status = self.says(&["status"], 0, self.texts.pending);
        let line = status.lines().find(|line| line.starts_with(self.texts.pending));
        line.and_then(|line| line.split_whitespace().last()?.parse().ok()).expect("the status has a number")
    }

    /// Writes a file of answers and returns its path.
    fn answers(&self, name: &str, json: &serde_json::Value) -> String {
        let path = self.home.path().join(name);
        std::fs::write(&path, json.to_string()).expect("the folder is ours");
        path.to_str().expect("the path is text").to_owned()
    }

    fn arrive(&self) {
        let server = format!("http://{}", self.server);
        self.says(&["sync"], 4, self.texts.sign_in);
        self.says(&["enrol", "--email", ANA, "--password", "wrong", "--server", &server], 4, self.texts.sign_in);
        self.says(&["enrol", "--email", ANA, "--server", &server], 0, self.texts.enrolled);
        self.says(&["sync"], 0, self.texts.synced);
        assert_eq!(self.pending(), 0);
    }

    fn work_without_a_server(&self, position: &str, registered_on: Date) {
        self.says(&["sync"], 3, self.texts.offline);
        let finding =
            serde_json::json!({"area": "EQUIPMENT", "severity": "CRITICAL", "text": "Cuptorul nu are protecție"});
        let without = self.answers("without.json", &serde_json::json!({"findings": [finding]}));
        let mut with = finding.clone();
        with["action"] = serde_json::json!({"text": "Montarea protecției", "due_on": "2030-12-01"});
        let with = self.answers("with.json", &serde_json::json!({"findings": [with]}));
        let said = self.says(&["visit", "start", "ENT-012", "--answers", &without], 5, self.texts.no_action);
        let visit = identifier(&said);
        self.says(&["visit", "resume", &visit, "--answers", &with], 5, "G01");
        self.says(&["visit", "resume", &visit, "--auto"], 0, self.texts.completed);
        let too_early = registered_on.plus_days(-1).to_string();
        let start = tests::now().date().plus_days(-10).to_string();
        let record = ["job", "record", position, "--name", "Ion Popa", "--hours", "30", "--start"];
        self.says(&[&record[..], &[&too_early]].concat(), 5, self.texts.too_early);
        let said = self.says(&[&record[..], &[&start]].concat(), 0, self.texts.recorded);
        assert!(said.contains("30 h = 0.75"), "{said}");
        self.says(&["job", "month", position, "a month"], 2, "month");
    }
}

/// Returns the end of the identifier of the visit that was just begun.
fn identifier(said: &str) -> String {
    let words = said.lines().next().unwrap_or_default().split([' ', ':']);
    let is_id = |word: &&str| word.len() == 8 && word.chars().all(|c| c.is_ascii_hexdigit());
    words.into_iter().find(is_id).unwrap_or_else(|| panic!("no identifier: {said}")).to_owned()
}

/// Returns positions that wait for somebody in enterprises of Ana's, with the day of the registration.
fn open_positions(programme: &DemoProgramme) -> Vec<(String, Date)> {
    let ana = demo::user(programme, ANA);
    let enterprises: Vec<Enterprise> = of_kind(programme);
    let is_open = |position: &Position| matches!(position.status, PositionStatus::Planned | PositionStatus::Vacant);
    let open = of_kind::<Position>(programme).into_iter().filter(is_open);
    open.filter_map(|position| {
        let enterprise = enterprises.iter().find(|enterprise| enterprise.id == position.enterprise_id)?;
        let registered_on = enterprise.registered_on.filter(|_| enterprise.mentor_id == Some(ana))?;
        Some((position.code, registered_on))
    })
    .collect()
}

fn of_kind<T: Entity>(programme: &DemoProgramme) -> Vec<T> {
    let rows = programme.rows.iter().filter(|(kind, _)| *kind == T::DEF.kind);
    rows.map(|(_, row)| T::from_row(row).unwrap_or_else(|field| panic!("{field} cannot be read"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_terminal_leads_through_a_day_without_a_signal_in_two_languages() {
    let db = TestDb::new().await;
    let app = App::new(Config::default(), Arc::new(SystemWorld), &db.url).unwrap();
    let programme = demo::load(&app).await;
    let address = ServerProcess::free_address();
    for (texts, (position, registered_on)) in [&RO, &EN].into_iter().zip(open_positions(&programme)) {
        let server = ServerProcess::serve(&db, address);
        let field = Field::new(address, texts);
        field.arrive();
        drop(server);
        field.work_without_a_server(&position, registered_on);
        let pending = field.pending();
        assert!(pending > 20, "{pending}");
        let _server = ServerProcess::serve(&db, address);
        field.says(&["sync"], 0, &format!("↑ {pending} {}", texts.sent));
        assert_eq!(field.pending(), 0);
        field.says(&["sync"], 0, &format!("↑ 0 {}", texts.sent));
        field.says(&["verify"], 0, texts.equal);
    }
}
