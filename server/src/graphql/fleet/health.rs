//! The health of the fleet, in two statements.

use std::collections::HashMap;

use async_graphql::{Name, Value};

use super::devices::fresh;
use super::types::HEALTH;
use super::view;
use crate::graphql::arguments::arguments;
use crate::graphql::context::RequestContext;
use crate::graphql::error::Fault;
use crate::graphql::plan::{Leaf, Planner, Selected};
use crate::store::fleet;

/// The figures that come out of the applications and not out of the states.
const OF_APPLICATIONS: [&str; 2] = ["oldApplications", "applications"];

/// One version of an application.
struct Application {
    app: String,
    devices: i64,
    is_old: bool,
}

/// Returns the health of the fleet.
pub(in crate::graphql) async fn health(
    request: &RequestContext,
    planner: &Planner<'_>,
    selected: &Selected<'_>,
) -> Result<Value, Fault> {
    let view = view(request, &arguments(planner.env, &selected.first().node)?)?;
    let parts = planner.collect(&selected.below(), "SyncHealth");
    let asks_applications = parts.iter().any(|part| OF_APPLICATIONS.contains(&part.name()));
    let mut conn = fresh(request).await?;
    let figures = fleet::states(conn.get(), &view).await?;
    let applications = match asks_applications {
        true => aged(fleet::versions(conn.get(), &view).await?),
        false => Vec::new(),
    };
    let shown = parts.iter().map(|part| Ok((part.key.clone(), figure(planner, part, &figures, &applications)?)));
    Ok(Value::Object(shown.collect::<Result<_, Fault>>()?))
}

fn figure(
    planner: &Planner<'_>,
    part: &Selected<'_>,
    figures: &[sync_protocol::value::Value],
    applications: &[Application],
) -> Result<Value, Fault> {
    match part.name() {
        "applications" => Ok(Value::List(applications.iter().map(|app| show(planner, part, app)).collect())),
        "oldApplications" => Ok(Value::from(applications.iter().filter(|a| a.is_old).map(|a| a.devices).sum::<i64>())),
        name => match HEALTH.iter().position(|(known, _, _)| *known == name).and_then(|at| figures.get(at)) {
            Some(sync_protocol::value::Value::Int(number)) if is_big(name) => Ok(Value::from(number.to_string())),
            Some(value) => Leaf::Plain.show(value),
            None => Ok(Value::from("SyncHealth")),
        },
    }
}

fn is_big(name: &str) -> bool {
    HEALTH.iter().any(|(known, ty, _)| *known == name && *ty == "BigInt!")
}

fn show(planner: &Planner<'_>, selected: &Selected<'_>, application: &Application) -> Value {
    let fields = planner.collect(&selected.below(), "ApplicationVersion").into_iter().map(|part| {
        let value = match part.name() {
            "app" => Value::from(application.app.as_str()),
            "devices" => Value::from(application.devices),
            "isOld" => Value::from(application.is_old),
            _ => Value::from("ApplicationVersion"),
        };
        (part.key.clone(), value)
    });
    Value::Object(fields.collect::<async_graphql::indexmap::IndexMap<Name, Value>>())
}

/// Says of each version whether there is a newer one of the same application.
fn aged(versions: Vec<(String, i64)>) -> Vec<Application> {
    let mut newest: HashMap<String, Vec<u64>> = HashMap::new();
    for (app, _) in &versions {
        let (name, version) = parsed(app);
        let best = newest.entry(name.to_owned()).or_default();
        if version > *best {
            *best = version;
        }
    }
    let application = |(app, devices): (String, i64)| {
        let (name, version) = parsed(&app);
        let is_old = newest.get(name).is_some_and(|best| version < *best);
        Application { app, devices, is_old }
    };
    versions.into_iter().map(application).collect()
}

/// Splits `teren-field/1.4.2` into the name and the numbers of the version.
fn parsed(app: &str) -> (&str, Vec<u64>) {
    let (name, version) = app.split_once('/').unwrap_or(("", app));
    (name, version.split('.').map(|part| part.trim().parse().unwrap_or(0)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers_and_within_one_application() {
        let versions = ["field/1.10.0", "field/1.9.3", "kiosk/1.0", "2"].map(|app| (app.to_owned(), 1));
        let old: Vec<bool> = aged(versions.to_vec()).iter().map(|app| app.is_old).collect();
        assert_eq!(old, [false, true, false, false]);
    }
}
