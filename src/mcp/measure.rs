//! Measures JSON before it is parsed.

use std::collections::BTreeMap;

use serde_json::{Map, Value, value::RawValue};

use crate::config::InspectionLimits;

/// Counts the values of JSON; none if it is deeper than `depth` or has more than `most`. The text need not be valid
/// JSON.
pub(super) fn values(json: &[u8], depth: usize, most: usize) -> Option<usize> {
    let (mut open, mut count, mut quoted, mut escaped) = (0_usize, 1, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'{' | b'[' => {
                open += 1;
                count += 1;
            }
            b'}' | b']' => open = open.saturating_sub(1),
            b',' => count += 1,
            _ => {}
        }
        if open > depth || count > most {
            return None;
        }
    }
    Some(count)
}

/// Parses JSON within a depth and the remaining number of values, and deducts its values.
pub(super) fn bounded(
    json: &RawValue,
    limits: &InspectionLimits,
    left: &mut usize,
) -> Option<Value> {
    let json = json.get();
    let count = values(json.as_bytes(), limits.depth, *left)?;
    *left -= count;
    serde_json::from_str(json).ok()
}

/// Parses an object without its members beyond the limits. Texts and numbers always stay. None if it is no object.
pub(super) fn bounded_object(
    json: &str,
    limits: &InspectionLimits,
    left: &mut usize,
) -> Option<Map<String, Value>> {
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(json).ok()?;
    let members = members.into_iter().filter_map(|(name, member)| {
        let mut one = 1;
        let value = bounded(member, limits, &mut one).or_else(|| bounded(member, limits, left));
        Some((name, value?))
    });
    Some(members.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_measured_before_it_is_parsed() {
        let nested = br#"{"a":[1,{"b":"[[[[[,,,,,\"[["}]}"#;
        assert_eq!(values(nested, 3, 5), Some(5));
        assert_eq!(values(nested, 2, 5), None);
        assert_eq!(values(nested, 3, 4), None);
        assert_eq!(values(b"[1,2,3,4]", 2, 4), None);
        assert_eq!(values(&b"[".repeat(100), 64, 1000), None);
        assert_eq!(values(b"", 0, 1), Some(1));
    }

    #[test]
    fn members_beyond_the_bounds_are_left_out() {
        let limits = InspectionLimits {
            depth: 3,
            ..InspectionLimits::default()
        };
        let json = r#"{"a":[1,2],"b":"text","deep":[[[[1]]]],"c":[1,2,3],"d":"text"}"#;
        let mut left = 5;
        let kept = bounded_object(json, &limits, &mut left).unwrap();
        assert_eq!(
            Value::Object(kept).to_string(),
            r#"{"a":[1,2],"b":"text","d":"text"}"#
        );
        assert_eq!(bounded_object("[]", &limits, &mut left), None);
    }
}
