//! Counts of the store, and durations by span name.

use spanscope_model::{SourceRecords, Timestamp, block_on};

use crate::Fixture;
use crate::made::{event, of, store};
use crate::rows::{MIDNIGHT, MILLISECOND, Row, Rows, SECOND};

/// Pseudo-random numbers, the same in each run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

pub fn what_is_stored_is_counted_by_kind_and_by_service<F: Fixture>() {
    let Some(file) = Rows::<F>::that(|_| true) else {
        return;
    };
    let empty = block_on(file.store().statistics()).unwrap();
    assert_eq!((empty.spans, empty.oldest, empty.newest), (0, None, None));
    for (id, trace, service, start) in [
        (1, 1, "shop", MIDNIGHT),
        (2, 1, "shop", MIDNIGHT),
        (3, 2, "bank", MIDNIGHT + 5),
    ] {
        file.add(&Row {
            id,
            trace,
            service,
            start,
            is_error: id == 1,
            ..Row::default()
        });
    }
    let loose = SourceRecords::default().events(vec![event(None, "loose")]);
    store::<F>(file.store(), of(loose));
    let stats = block_on(file.store().statistics()).unwrap();
    assert_eq!((stats.traces, stats.spans, stats.events), (2, 3, 1));
    assert_eq!(stats.oldest, Some(Timestamp::from_nanos(MIDNIGHT)));
    assert_eq!(stats.newest, Some(Timestamp::from_nanos(MIDNIGHT + 5)));
    let services: Vec<_> = stats
        .services
        .iter()
        .map(|service| (service.service_name.as_str(), service.spans, service.errors))
        .collect();
    assert_eq!(services, [("shop", 2, 1), ("bank", 1, 0)]);
    assert!(stats.bytes > 0);
}

#[expect(clippy::cast_precision_loss, reason = "percentiles are floats")]
pub fn percentiles_are_within_one_percent_of_the_true_ones<F: Fixture>() {
    let Some(file) = Rows::<F>::that(|_| true) else {
        return;
    };
    let names = ["few", "many", "wide"];
    let mut numbers = Numbers(42);
    let mut durations = vec![Vec::new(); names.len()];
    for id in 1..10_000_i64 {
        let name = match id % 100 {
            0 => 0,
            odd if odd % 2 == 1 => 1,
            _ => 2,
        };
        let spread = if name == 2 { numbers.next() % 40 } else { 24 };
        let duration = i64::try_from(numbers.next() % (2 << spread)).unwrap();
        durations[name].push(duration);
        file.add(&Row {
            id,
            trace: u128::try_from(id / 100 + 1).unwrap(),
            name: names[name],
            duration: Some(duration),
            is_error: id % 5 == 0,
            ..Row::default()
        });
    }
    let stats = block_on(file.store().name_statistics(None, None)).unwrap();
    assert_eq!(stats.len(), names.len());
    assert!(stats.is_sorted_by(|a, b| a.total_ms >= b.total_ms));
    for (name, mut durations) in names.into_iter().zip(durations) {
        durations.sort_unstable();
        let found = stats.iter().find(|stats| stats.name == name).unwrap();
        assert_eq!(found.count, durations.len() as u64);
        let total = durations.iter().sum::<i64>() as f64 / 1e6;
        assert!((found.total_ms - total).abs() <= total * 1e-9);
        for (percent, got) in [(50, found.p50_ms), (95, found.p95_ms), (99, found.p99_ms)] {
            let rank = (durations.len() * percent).div_ceil(100);
            let truth = durations[rank - 1] as f64 / 1e6;
            assert!(
                (got - truth).abs() <= truth * 0.01,
                "{name} p{percent}: {got} for {truth}"
            );
        }
    }
    let errors: u64 = stats.iter().map(|name| name.errors).sum();
    assert_eq!(errors, 1_999);
}

pub fn running_and_older_spans_do_not_count<F: Fixture>() {
    let Some(file) = Rows::<F>::that(|can| can.running_spans) else {
        return;
    };
    assert_eq!(block_on(file.store().name_statistics(None, None)).unwrap(), []);
    for (id, start, duration) in [
        (1, MIDNIGHT, Some(100 * MILLISECOND)),
        (2, MIDNIGHT + SECOND, Some(7 * MILLISECOND)),
        (3, MIDNIGHT + SECOND, None),
    ] {
        file.add(&Row {
            id,
            start,
            duration,
            ..Row::default()
        });
    }
    let since = Some(Timestamp::from_nanos(MIDNIGHT + 1));
    let stats = block_on(file.store().name_statistics(since, None)).unwrap();
    assert_eq!((stats.len(), stats[0].count), (1, 1));
    assert!((stats[0].p50_ms - 7.0).abs() < 1e-9);
}
