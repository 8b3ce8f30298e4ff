//! The choice of the format by a scraper's `Accept` header.
//!
//! OpenMetrics is for scrapers that name it, and prefer it at least as much as `text/plain`; all
//! others, including browsers, get the classic format. A request is never refused: a scraper that
//! accepts neither reports that itself.

use super::format::Format;

pub(super) fn format_for(accept: &str) -> Format {
    let mut openmetrics = 0.0_f32;
    let mut plain = 0.0_f32;
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default();
        let mut quality = 1.0_f32;
        let mut version = "";
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            let value = value.trim().trim_matches('"');
            match name.trim() {
                "q" | "Q" => quality = value.parse().unwrap_or(0.0),
                "version" => version = value,
                _ => {}
            }
        }
        if media_type.eq_ignore_ascii_case("application/openmetrics-text") {
            // Version 0.0.1 is the same for everything that is written here.
            if ["", "0.0.1", "1.0.0"].contains(&version) {
                openmetrics = quality.max(openmetrics);
            }
        } else if media_type.eq_ignore_ascii_case("text/plain") {
            plain = quality.max(plain);
        }
    }
    if openmetrics > 0.0 && openmetrics >= plain {
        Format::OpenMetrics
    } else {
        Format::Classic
    }
}

#[cfg(test)]
mod tests {
    use super::super::format::Format::{Classic, OpenMetrics};
    use super::format_for;

    #[test]
    fn only_scrapers_that_request_openmetrics_get_it() {
        let prometheus_2 = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
            text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let prometheus_3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
            application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,\
            text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
        for (accept, format) in [
            (prometheus_2, OpenMetrics),
            (prometheus_3, OpenMetrics),
            ("application/openmetrics-text", OpenMetrics),
            (
                "Application/OpenMetrics-Text; version=\"1.0.0\" ; charset=utf-8",
                OpenMetrics,
            ),
            (
                "text/plain;q=0.4, application/openmetrics-text;q=0.5",
                OpenMetrics,
            ),
            ("application/openmetrics-text;q=0.4,text/plain", Classic),
            ("application/openmetrics-text;q=0", Classic),
            ("application/openmetrics-text;q=NaN", Classic),
            ("application/openmetrics-text;q=much", Classic),
            ("application/openmetrics-text;version=2.0.0", Classic),
            ("text/html,application/xhtml+xml,*/*;q=0.8", Classic),
            ("*/*", Classic),
            ("", Classic),
            (";;,=,;q", Classic),
        ] {
            assert_eq!(format_for(accept), format, "{accept}");
        }
    }
}
