//! What a person sees when the server is ready.

use std::fmt::Write as _;
use std::net::SocketAddr;

/// A login to try.
#[derive(Clone, Debug)]
pub struct Login {
    /// The name to log in with.
    pub name: String,
    /// Its password.
    pub password: String,
    /// Who that is: "coordinator of Iași".
    pub role: String,
}

const NEXT: &str = "
  Next: record a visit as a mentor, in another terminal:

    cargo run -p client-sdk --example field -- enrol --email ana.mentor@example.org

  or open the GraphQL address in a browser. Ctrl-C stops the server and keeps the data.

";

/// Returns the text to print.
pub(super) fn banner(address: SocketAddr, database: &str, logins: &[Login]) -> String {
    let mut text = format!(
        "\n  Teren {} is ready.\n\n    GraphQL   http://{address}/graphql\n    Sync      http://{address}/sync/v1\n    \
         Health    http://{address}/health/ready\n    Metrics   http://{address}/metrics\n    Database  {database}\n",
        env!("CARGO_PKG_VERSION")
    );
    push_logins(&mut text, logins);
    text.push_str(NEXT);
    text
}

fn push_logins(text: &mut String, logins: &[Login]) {
    if logins.is_empty() {
        return;
    }
    let width = |part: fn(&Login) -> &str| logins.iter().map(|login| part(login).chars().count()).max().unwrap_or(0);
    let (name_width, password_width) = (width(|login| &login.name), width(|login| &login.password));
    text.push_str("\n  Demo logins\n\n");
    for Login { name, password, role } in logins {
        // Writing to a string does not fail.
        let _ = writeln!(text, "    {name:name_width$}   {password:password_width$}   {role}");
    }
}
