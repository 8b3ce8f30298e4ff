//! Whole numbers in JSON. In JSON and its schemas `5.0` is an integer, like `5`; serde accepts only
//! the latter as one.

use serde::{Deserialize, Deserializer};

/// Deserializes a whole number, with a fraction of zero or without one.
///
/// # Errors
/// Fails for another number or type.
pub fn deserialize_integer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    of_number(&serde_json::Number::deserialize(deserializer)?)
}

/// Deserializes a whole number from a field that may be null or missing.
///
/// # Errors
/// Fails for another number or type.
pub fn deserialize_optional_integer<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<i64>, D::Error> {
    let number = Option::<serde_json::Number>::deserialize(deserializer)?;
    number.as_ref().map(of_number).transpose()
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "it is whole and in the range of 64 bits"
)]
fn of_number<E: serde::de::Error>(number: &serde_json::Number) -> Result<i64, E> {
    const RANGE: std::ops::Range<f64> = -9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0;
    if let Some(whole) = number.as_i64() {
        return Ok(whole);
    }
    match number.as_f64() {
        Some(float) if float.fract() == 0.0 && RANGE.contains(&float) => Ok(float as i64),
        _ => Err(E::custom(format!("{number} is not a whole number of 64 bits"))),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct Body {
        #[serde(deserialize_with = "super::deserialize_integer")]
        one: i64,
        #[serde(default, deserialize_with = "super::deserialize_optional_integer")]
        other: Option<i64>,
    }

    #[test]
    fn a_number_with_a_fraction_of_zero_is_whole() {
        for (text, numbers) in [
            (r#"{"one": 5, "other": 7.0}"#, Some((5, Some(7)))),
            (r#"{"one": -5.0}"#, Some((-5, None))),
            (r#"{"one": 1e3, "other": null}"#, Some((1000, None))),
            (r#"{"one": 0.5}"#, None),
            (r#"{"one": 1e300}"#, None),
            (r#"{"one": 9223372036854775808}"#, None),
            (r#"{"one": "5"}"#, None),
            (r#"{"one": null}"#, None),
        ] {
            let read = serde_json::from_str::<Body>(text).ok();
            assert_eq!(read.map(|body| (body.one, body.other)), numbers, "{text}");
        }
    }
}
