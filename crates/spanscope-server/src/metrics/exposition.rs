//! The text that a scrape gets, in one of two formats.
//!
//! `prometheus-client` writes OpenMetrics. The classic format differs from it in four points:
//!
//! - A counter's type refers to its full name: `# TYPE x_total counter`. OpenMetrics refers to `x`,
//!   and a classic parser would then treat `x_total` as an untyped metric. So the family gets the
//!   full name and its samples are written like a gauge's, which have no suffix.
//! - There is no `# UNIT`: the unit is just part of the name.
//! - There are no exemplars; a classic parser refuses the whole text because of one. A counter's
//!   are left out. The encoder always writes a histogram's, so they are cut off afterwards, by the
//!   grammar of a sample and not by searching for something that a label's value may contain.
//! - There is no `# EOF`.
//!
//! A scrape only holds references to the families; see [`Family::snapshot`].

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::registry::{Registry, Unit};
use spanscope_model::MetricKind;

use super::families::{Families, Family, OVERFLOW, REJECTED};
use super::format::{Format, write_counter};
use super::labels::Labels;
use super::names::{help, sample_name, unit_in};

/// Renders all metrics as text.
pub(super) fn text(families: &Families, format: Format) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Scrape {
        families: families.all(),
        beyond: families.beyond(),
        format,
    }));
    let mut text = String::new();
    // Writing to a `String` can't fail, and no encoder here returns an error.
    let _ = encode_registry(&mut text, &registry);
    match format {
        Format::OpenMetrics => {
            let _ = encode_eof(&mut text);
            text
        }
        Format::Classic => without_exemplars(&text),
    }
}

#[derive(Debug)]
struct Scrape {
    families: Vec<Arc<Family>>,
    beyond: u64,
    format: Format,
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for family in &self.families {
            self.family(family, &mut encoder)?;
        }
        self.overflowed(&mut encoder)?;
        self.rejected(&mut encoder)
    }
}

impl Scrape {
    fn family(&self, family: &Family, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let series = family.snapshot();
        if series.is_empty() {
            return Ok(());
        }
        let sample = family.sample_name();
        let kind = match family.kind {
            MetricKind::Counter => MetricType::Counter,
            MetricKind::Gauge => MetricType::Gauge,
            MetricKind::Histogram => MetricType::Histogram,
        };
        let unit = family.unit();
        let (name, unit) = match (self.format, unit_in(&family.name, &unit)) {
            (Format::Classic, _) => (&*sample, None),
            (Format::OpenMetrics, None) => (&*family.name, None),
            (Format::OpenMetrics, Some(stem)) => (stem, Some(Unit::Other(unit))),
        };
        let mut encoder = encoder.encode_descriptor(name, help(&sample), unit.as_ref(), kind)?;
        for (key, instrument) in series {
            instrument.encode(encoder.encode_family(&Labels(&key))?, self.format)?;
        }
        Ok(())
    }

    fn overflowed(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help =
            "Measurements that were added to an overflow series, as their metric has too many label sets.";
        let samples = self
            .families
            .iter()
            .map(|family| (vec![("metric", family.sample_name())], family.overflowed()));
        self.own_counter(OVERFLOW, help, samples.collect(), encoder)
    }

    fn rejected(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Measurements that could not be added to their metric, by reason.";
        let of = |family: &Family, (reason, count)| {
            let labels = vec![("metric", family.sample_name()), ("reason", String::from(reason))];
            (labels, count)
        };
        let mut samples: Vec<_> = self
            .families
            .iter()
            .flat_map(|family| family.rejected().map(|rejected| of(family, rejected)))
            .collect();
        samples.push((vec![("reason", String::from("too_many_metrics"))], self.beyond));
        self.own_counter(REJECTED, help, samples, encoder)
    }

    /// Writes one of Spanscope's counters, if it has counted something.
    fn own_counter(
        &self,
        name: &str,
        help: &str,
        mut samples: Vec<(Vec<(&str, String)>, u64)>,
        encoder: &mut DescriptorEncoder<'_>,
    ) -> fmt::Result {
        samples.retain(|(_, count)| *count > 0);
        if samples.is_empty() {
            return Ok(());
        }
        let sample = sample_name(name, MetricKind::Counter);
        let name = match self.format {
            Format::Classic => &sample,
            Format::OpenMetrics => name,
        };
        let mut encoder = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, count) in samples {
            write_counter(
                &mut encoder.encode_family(&labels)?,
                self.format,
                &count,
                NO_EXEMPLAR,
            )?;
        }
        Ok(())
    }
}

const NO_EXEMPLAR: Option<&Exemplar<NoLabelSet, f64>> = None;

/// Returns the text with each sample cut off after its value.
fn without_exemplars(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        match exemplar_in(line) {
            Some(start) => {
                out.push_str(&line[..start]);
                out.push('\n');
            }
            None => out.push_str(line),
        }
    }
    out
}

/// Returns where the exemplar begins: at the next `#` after the labels, whose values may contain
/// anything.
fn exemplar_in(line: &str) -> Option<usize> {
    if line.starts_with('#') {
        return None;
    }
    let mut quoted = false;
    let mut bytes = line.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\\' if quoted => drop(bytes.next()),
            b'"' => quoted = !quoted,
            b'#' if !quoted => return Some(at.saturating_sub(1)),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::without_exemplars;

    #[test]
    fn only_text_after_the_value_is_cut_off() {
        for (line, short) in [
            ("# HELP x What # means.\n", "# HELP x What # means.\n"),
            (
                "x_bucket{le=\"1.0\"} 1 # {trace_id=\"a\"} 0.5 12.5\n",
                "x_bucket{le=\"1.0\"} 1\n",
            ),
            ("x_total{a=\"\\\\\"} 1 # {} 1\n", "x_total{a=\"\\\\\"} 1\n"),
            ("x{a=\"} 1 # {\"} 2\n", "x{a=\"} 1 # {\"} 2\n"),
            ("x{a=\"\\\" # \"} 2\n", "x{a=\"\\\" # \"} 2\n"),
            ("x 3\n", "x 3\n"),
        ] {
            assert_eq!(without_exemplars(line), short);
        }
    }
}
