//! Devices and the health of their sync: no rows of the programme, so no field tables stand behind them.

mod block;
mod devices;
mod health;
mod types;

pub(super) use block::{block, register as register_block, root_field as block_root_field};
pub(super) use devices::{list, one};
pub(super) use health::health;
pub(super) use types::{register, root_fields};

use super::arguments::{Named, given};
use super::context::RequestContext;
use super::error::{ErrorCode, Fault};
use super::paging::bad_input;
use crate::domain::policy;
use crate::store::fleet::View;

/// After how many days without a contact a device counts as silent, unless the client says otherwise.
const SILENT_AFTER_DAYS: i32 = 7;
/// The most days.
const MOST_DAYS: i64 = 365;

/// Returns what the viewer may see of the fleet, as of now.
fn view(request: &RequestContext, arguments: &Named) -> Result<View, Fault> {
    let silent_after_days = match given(arguments, "silentAfterDays") {
        None => SILENT_AFTER_DAYS,
        Some(value) => days(value).ok_or_else(|| bad_input("`silentAfterDays` must be between 1 and 365."))?,
    };
    let access = policy::devices(&request.viewer);
    let access = access.ok_or_else(|| Fault::new(ErrorCode::Forbidden, "Your role may not see devices."))?;
    let (programme, expired_after_days) = (request.viewer.programme_id, request.shared.device_expiry_days.into());
    Ok(View { programme, access, now: request.now(), silent_after_days, expired_after_days })
}

fn days(value: &async_graphql::Value) -> Option<i32> {
    let async_graphql::Value::Number(number) = value else { return None };
    number.as_i64().filter(|days| (1..=MOST_DAYS).contains(days)).and_then(|days| i32::try_from(days).ok())
}
