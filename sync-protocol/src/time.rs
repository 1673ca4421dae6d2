//! Instants and calendar dates, each with one textual form.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// An instant in UTC with millisecond precision, the precision of every layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Timestamp(
    /// Milliseconds since 1970-01-01T00:00:00Z; negative before.
    pub i64,
);

impl Timestamp {
    /// Returns the UTC calendar date of this instant.
    pub fn date(self) -> Date {
        Date(self.0.div_euclid(86_400_000) as i32)
    }

    /// Returns the instant `ms` milliseconds later.
    pub fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(instant) => write!(f, "{instant:.3}"),
            Err(_) => write!(f, "@{}ms", self.0),
        }
    }
}

impl FromStr for Timestamp {
    type Err = jiff::Error;
    fn from_str(text: &str) -> Result<Self, jiff::Error> {
        text.parse::<jiff::Timestamp>().map(|instant| Self(instant.as_millisecond()))
    }
}

/// A calendar date without a time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Date(
    /// Days since 1970-01-01; negative before.
    pub i32,
);

impl Date {
    /// Returns the date, or `None` when there is no such day.
    pub fn new(year: i16, month: i8, day: i8) -> Option<Self> {
        jiff::civil::Date::new(year, month, day).ok().map(Self::from_civil)
    }

    /// Returns the date `days` later.
    pub fn plus_days(self, days: i32) -> Self {
        Self(self.0.saturating_add(days))
    }

    /// Returns the same day `months` later, or the last day of that month when it is shorter.
    pub fn plus_months(self, months: i32) -> Self {
        let span = jiff::Span::new().months(months);
        self.civil().and_then(|date| date.checked_add(span).ok()).map_or(self, Self::from_civil)
    }

    /// Returns midnight UTC at the start of this date.
    pub fn midnight(self) -> Timestamp {
        Timestamp(i64::from(self.0) * 86_400_000)
    }

    /// Returns the first day of this date's month.
    pub fn first_of_month(self) -> Self {
        self.civil().map_or(self, |date| Self::from_civil(date.first_of_month()))
    }

    fn from_civil(date: jiff::civil::Date) -> Self {
        let instant = date.to_zoned(jiff::tz::TimeZone::UTC).map_or(0, |zoned| zoned.timestamp().as_second());
        Self(instant.div_euclid(86_400) as i32)
    }

    fn civil(self) -> Option<jiff::civil::Date> {
        let instant = jiff::Timestamp::from_second(i64::from(self.0) * 86_400).ok()?;
        Some(jiff::tz::TimeZone::UTC.to_datetime(instant).date())
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.civil() {
            Some(date) => write!(f, "{date}"),
            None => write!(f, "@{}d", self.0),
        }
    }
}

impl FromStr for Date {
    type Err = jiff::Error;
    fn from_str(text: &str) -> Result<Self, jiff::Error> {
        text.parse::<jiff::civil::Date>().map(Self::from_civil)
    }
}

/// Text for people (JSON), an integer on the wire (CBOR).
macro_rules! text_or_number {
    ($type:ident, $number:ty) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() { serializer.collect_str(self) } else { self.0.serialize(serializer) }
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
                } else {
                    <$number>::deserialize(deserializer).map(Self)
                }
            }
        }
    };
}

text_or_number!(Timestamp, i64);
text_or_number!(Date, i32);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_written_in_utc_with_milliseconds() {
        assert_eq!(Timestamp(1_711_966_205_120).to_string(), "2024-04-01T10:10:05.120Z");
        assert_eq!("2024-04-01T13:10:05.12+03:00".parse::<Timestamp>().ok(), Some(Timestamp(1_711_966_205_120)));
    }

    #[test]
    fn a_date_survives_text_and_arithmetic() {
        let date = Date::new(2020, 2, 29).unwrap();
        assert_eq!(date.to_string(), "2020-02-29");
        assert_eq!("2020-02-29".parse::<Date>().ok(), Some(date));
        assert_eq!(date.plus_months(12), Date::new(2021, 2, 28).unwrap());
        assert_eq!(date.plus_days(1), Date::new(2020, 3, 1).unwrap());
        assert_eq!(Date::new(1969, 12, 31).unwrap().0, -1);
        assert_eq!(Timestamp(-1).date(), Date::new(1969, 12, 31).unwrap());
    }
}
