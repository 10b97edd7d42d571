//! The schema's scalars.

use async_graphql::{InputValueError, InputValueResult, Name, Scalar, ScalarType, Value};
use chrono::{DateTime as ChronoDateTime, Utc};
use entity::Timestamp;

use crate::domain::field_values::RAW_JSON_MARKER;

#[derive(Clone, Copy)]
pub(crate) struct DateTime(pub(in crate::graphql) Timestamp);

impl DateTime {
    pub(crate) const EXPECTED: &str = "RFC 3339 text of the UTC years 0000 to 9999 with at most six digits of \
                                       fraction, such as 2025-01-01T00:00:00Z";
}

/// A moment as RFC 3339 text in UTC with at most six digits of fraction, such as `2025-01-01T00:00:00Z`. Input may have
/// any offset.
#[Scalar(
    name = "DateTime",
    specified_by_url = "https://scalars.graphql.org/andimarek/date-time.html"
)]
impl ScalarType for DateTime {
    fn parse(value: Value) -> InputValueResult<Self> {
        if let Value::String(text) = &value
            && let Ok(time) = ChronoDateTime::parse_from_rfc3339(text)
        {
            let time = time.with_timezone(&Utc);
            let micros = Timestamp::from(time);
            let writable = (Timestamp::FIRST..=Timestamp::LAST).contains(&micros);
            if writable && ChronoDateTime::<Utc>::from(micros) == time {
                return Ok(Self(micros));
            }
        }
        Err(InputValueError::custom(format!(
            "expected {}",
            Self::EXPECTED
        )))
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_string())
    }
}

#[derive(Clone)]
pub(in crate::graphql) struct Url(pub(in crate::graphql) String);

/// A URL, unchanged.
#[Scalar(name = "URL", specified_by_url = "https://url.spec.whatwg.org/")]
impl ScalarType for Url {
    fn parse(value: Value) -> InputValueResult<Self> {
        match value {
            Value::String(text) => Ok(Self(text)),
            value => Err(InputValueError::expected_type(value)),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.clone())
    }
}

#[derive(Clone)]
pub(in crate::graphql) struct Json(pub(in crate::graphql) String);

/// Any JSON value. Objects keep the order of their keys, and numbers keep all digits.
#[Scalar(
    name = "JSON",
    specified_by_url = "https://www.rfc-editor.org/rfc/rfc8259"
)]
impl ScalarType for Json {
    fn parse(value: Value) -> InputValueResult<Self> {
        serde_json::to_string(&value)
            .map(Self)
            .map_err(InputValueError::custom)
    }

    fn to_value(&self) -> Value {
        raw(self.0.clone())
    }
}

/// Returns raw JSON text for the response.
pub(super) fn raw(json: String) -> Value {
    Value::Object(
        [(Name::new(RAW_JSON_MARKER), Value::String(json))]
            .into_iter()
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_that_could_not_be_written_is_refused() {
        for (text, is_good) in [
            ("0000-01-01T00:00:00Z", true),
            ("0000-01-01T00:00:00+00:01", false),
            ("9999-12-31T23:59:59.999999Z", true),
            ("9999-12-31T23:59:59-00:01", false),
        ] {
            let parsed = DateTime::parse(Value::from(text));
            assert_eq!(parsed.is_ok(), is_good, "{text}");
            if let Ok(time) = parsed {
                assert_eq!(time.to_value(), Value::from(text));
            }
        }
    }
}
