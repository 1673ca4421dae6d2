//! A server whose database is backed up and restored, beside marks that no restore reaches.

use std::path::PathBuf;
use std::sync::Arc;

use client_sdk::api::visits::NewFinding;
use server::config::Config;
use server::restore::{MarkKeeper, Restored};
use server::world::SystemWorld;
use sync_protocol::code::{FindingArea, Severity, VisitKind, VisitMode};
use sync_protocol::entity::{Finding, Visit};
use sync_protocol::id::{UserId, VisitId};
use tempfile::TempDir;

use crate::phone::assert_equal;
use crate::programme::{self, ANA, ENTERPRISES, PASSWORD, PROGRAMME, email};
use crate::{Phone, TestDb, TestServer, sample, state};

/// The folder of the marks, which no restore reaches, and the server on a database.
pub struct Site {
    folder: TempDir,
    /// The server.
    pub server: TestServer,
}

impl Site {
    /// Starts a server with some findings of Ana's.
    pub async fn new() -> Self {
        let server = TestServer::new().await;
        programme::load(&server.app).await;
        let visit = sample::visit(ENTERPRISES[0], ANA);
        programme::import(&server.app.office, std::slice::from_ref(&visit)).await;
        let findings: Vec<Finding> = (0..200).map(|n| sample::finding(&visit, &format!("veche {n}"))).collect();
        programme::import(&server.app.office, &findings).await;
        Self { folder: tempfile::tempdir().expect("a folder can be made"), server }
    }

    /// Returns where the marks are.
    pub fn marks_path(&self) -> PathBuf {
        self.folder.path().join("marks.json")
    }

    /// Puts another server in the place of this one.
    pub fn with(self, server: TestServer) -> Self {
        Self { folder: self.folder, server }
    }

    /// Reads the marks.
    pub fn marks(&self) -> MarkKeeper {
        MarkKeeper::open(&self.server.app, &self.marks_path()).expect("the marks can be read")
    }

    /// Notes where every programme is.
    pub async fn note(&self) {
        assert_eq!(self.marks().check().await.expect("the marks can be kept"), []);
    }

    /// Stops the server, copies its database and starts it again.
    pub async fn back_up(self) -> (Self, Arc<TestDb>) {
        let (folder, db) = (self.folder, self.server.db.clone());
        drop(self.server);
        let backup = Arc::new(db.copy().await);
        (Self { folder, server: TestServer::on(db, Config::default(), Arc::new(SystemWorld)) }, backup)
    }

    /// Starts the server on a restored database. Returns what the start found.
    pub async fn restore(self, backup: Arc<TestDb>) -> (Self, Vec<Restored>) {
        let folder = self.folder;
        drop(self.server);
        let site = Self { folder, server: TestServer::on(backup, Config::default(), Arc::new(SystemWorld)) };
        let found = site.marks().check().await.expect("the marks can be kept");
        (site, found)
    }
}

/// Starts a server with a visit to Ana's first enterprise and so many findings of it, which the office imports.
pub async fn with_findings(count: usize) -> (TestServer, Visit) {
    let server = TestServer::new().await;
    programme::load(&server.app).await;
    let visit = sample::visit(ENTERPRISES[0], ANA);
    programme::import(&server.app.office, std::slice::from_ref(&visit)).await;
    let findings: Vec<Finding> = (0..count).map(|n| sample::finding(&visit, &format!("constatarea {n}"))).collect();
    for some in findings.chunks(50) {
        programme::import(&server.app.office, some).await;
    }
    (server, visit)
}

/// Returns a phone of a person that has synced.
pub async fn phone_of(server: &TestServer, user: UserId) -> Phone {
    let phone = Phone::new(server.address);
    phone.enrol(&email(user), PASSWORD).await;
    phone.sync().await;
    phone
}

/// Checks that a phone shows what the server holds for its person.
pub async fn assert_equal_sides(server: &TestServer, phone: &Phone, user: UserId) {
    assert_equal(&phone.rows(), &state::rows_for_mentor(&server.app.office, PROGRAMME, user.0).await);
}

/// Starts a visit to one of the enterprises.
pub fn start_visit(phone: &Phone, enterprise: usize) -> VisitId {
    phone
        .visits()
        .start(ENTERPRISES[enterprise], VisitKind::Routine, VisitMode::OnSite)
        .expect("a visit can be started")
        .id
}

/// Records a finding.
pub fn find(phone: &Phone, visit: VisitId, text: &str) {
    let text = text.to_owned();
    let new = NewFinding { area: FindingArea::Jobs, severity: Severity::Minor, text, rule_ref: None };
    phone.visits().add_finding(visit, new).expect("a finding can be recorded");
}
