//! The demo programme on a test's server, with the people of it that stories are about.

use server::app::App;
use server::demo::{self, DemoProgramme, Plan};
use sync_protocol::id::UserId;
use uuid::Uuid;

pub use server::demo::DEMO_PASSWORD;

/// A mentor with a phone.
pub const ANA: &str = "ana.mentor@example.org";
/// The coordinator, who works with a browser.
pub const ELENA: &str = "elena.coordinator@example.org";
/// The monitoring officer, who works with a browser too.
pub const RAZVAN: &str = "razvan.monitoring@example.org";

/// Writes the demo programme as `server demo` does.
pub async fn load(app: &App) -> DemoProgramme {
    let plan = Plan { seed: 1, projects: 1, today: app.world.now().date() };
    let programme = demo::generate(&plan).next().expect("one programme was asked for");
    demo::load::load(&app.office, &app.auth, &programme).await.expect("the demo can be written");
    programme
}

/// Returns the identifier of the person behind an address.
pub fn user(programme: &DemoProgramme, email: &str) -> UserId {
    programme.accounts.iter().find(|account| account.email == email).expect("the person is in the demo").user_id
}

/// Returns the identifier of the programme.
pub fn id(programme: &DemoProgramme) -> Uuid {
    programme.programme_id.0
}
