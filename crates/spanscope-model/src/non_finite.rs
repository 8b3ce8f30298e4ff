//! How JSON shows the numbers that it has no notation for. Every writer and reader of ours takes
//! the names from here.

const NAN: &str = "NaN";
const INFINITY: &str = "Infinity";
const NEG_INFINITY: &str = "-Infinity";

/// Returns the text that stands for a number in JSON, where JSON has no notation for it: `NaN`,
/// `Infinity` or `-Infinity`, as in OTLP. None for a finite number.
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

/// Returns the number that a text of [`non_finite_name`] stands for.
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
