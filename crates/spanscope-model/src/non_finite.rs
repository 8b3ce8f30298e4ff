//! The JSON strings for not-a-number and the infinities, for which JSON has no notation. All
//! readers and writers of this workspace use them.

const NAN: &str = "NaN";
const INFINITY: &str = "Infinity";
const NEG_INFINITY: &str = "-Infinity";

/// Returns the JSON string for a number that JSON can't represent: `NaN`, `Infinity` or
/// `-Infinity`, as in OTLP. Returns `None` for a finite number.
///
/// ```
/// use spanscope_model::non_finite_name;
///
/// assert_eq!(non_finite_name(f64::NEG_INFINITY), Some("-Infinity"));
/// assert_eq!(non_finite_name(1.5), None);
/// ```
#[must_use]
pub fn non_finite_name(number: f64) -> Option<&'static str> {
    if number.is_finite() {
        None
    } else if number.is_nan() {
        Some(NAN)
    } else if number > 0.0 {
        Some(INFINITY)
    } else {
        Some(NEG_INFINITY)
    }
}

/// Returns the number that a string of [`non_finite_name`] represents.
///
/// ```
/// assert_eq!(spanscope_model::parse_non_finite("Infinity"), Some(f64::INFINITY));
/// assert_eq!(spanscope_model::parse_non_finite("inf"), None);
/// ```
#[must_use]
pub fn parse_non_finite(text: &str) -> Option<f64> {
    match text {
        NAN => Some(f64::NAN),
        INFINITY => Some(f64::INFINITY),
        NEG_INFINITY => Some(f64::NEG_INFINITY),
        _ => None,
    }
}
