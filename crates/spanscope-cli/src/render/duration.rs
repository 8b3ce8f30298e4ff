//! Durations: parsing and formatting.

use std::time::Duration;

const UNITS: [(&str, u64); 7] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

/// Reads `90s`, `1h30m`, `1.5h`, `2d`, `1w`.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    let mut sum = 0.0_f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(rest.len());
        sum += number * unit(&rest[..letters])?;
        rest = rest[letters..].trim_start();
    }
    Duration::try_from_secs_f64(sum / 1e9).ok()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a day of nanoseconds is exact in a float"
)]
fn unit(name: &str) -> Option<f64> {
    if name == "w" {
        return Some(7.0 * unit("d")?);
    }
    UNITS
        .iter()
        .find(|(unit, _)| *unit == name)
        .map(|(_, nanos)| *nanos as f64)
}

/// Formats milliseconds with about three digits: `850µs`, `12.3ms`, `1.2s`, `3m 4s`, `2h 5m`, `3d
/// 4h`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to what a u64 holds, and rounded to seconds"
)]
pub(crate) fn format_ms(ms: f64) -> String {
    if !ms.is_finite() || ms < 0.0 {
        // The clock was set back, which the sign shows.
        return if ms.is_finite() {
            format!("-{}", format_ms(-ms))
        } else {
            "?".to_owned()
        };
    }
    let three_digits = |number: f64, unit: &str| match number {
        n if n < 99.95 => format!("{n:.1}{unit}"),
        n => format!("{n:.0}{unit}"),
    };
    if ms == 0.0 {
        "0ms".to_owned()
    } else if ms < 0.9995 {
        format!("{:.0}µs", ms * 1e3)
    } else if ms < 999.5 {
        three_digits(ms, "ms")
    } else if ms < 59_950.0 {
        three_digits(ms / 1e3, "s")
    } else {
        let seconds = (ms / 1e3).round().min(1e15) as u64;
        match seconds {
            0..3_600 => format!("{}m {}s", seconds / 60, seconds % 60),
            3_600..86_400 => format!("{}h {}m", seconds / 3_600, seconds % 3_600 / 60),
            _ => format!("{}d {}h", seconds / 86_400, seconds % 86_400 / 3_600),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_their_units() {
        let ms = |text| parse(text).map(|duration| duration.as_millis());
        assert_eq!(ms("90s"), Some(90_000));
        assert_eq!(ms("1h30m"), Some(5_400_000));
        assert_eq!(ms("1.5h"), Some(5_400_000));
        assert_eq!(ms("250ms"), Some(250));
        assert_eq!(ms("1w"), Some(7 * 86_400_000));
        for wrong in ["", "7", "h", "7x", "-1h", "1h-", "1.2.3s", "1 000s"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn durations_are_shown_in_the_unit_that_fits() {
        for (ms, shown) in [
            (0.0, "0ms"),
            (0.85, "850µs"),
            (12.34, "12.3ms"),
            (999.4, "999ms"),
            (1_234.0, "1.2s"),
            (59_900.0, "59.9s"),
            (59_999.0, "1m 0s"),
            (184_000.0, "3m 4s"),
            (7_500_000.0, "2h 5m"),
            (273_600_000.0, "3d 4h"),
            (-5.0, "-5.0ms"),
            (f64::NAN, "?"),
        ] {
            assert_eq!(format_ms(ms), shown);
        }
    }
}
