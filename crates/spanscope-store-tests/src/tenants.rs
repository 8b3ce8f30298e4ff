//! Tenants see and change nothing of each other.

use std::sync::Arc;

use spanscope_model::filter::Filter;
use spanscope_model::{
    Condition, ConditionOp, IdMatch, LogFilter, MetricKind, SpanFilter, SpanStatus, Temporality, TraceFilter,
    TraceQuery, TraceStore, UsageBy, UsageQuery, Value, block_on,
};

use crate::events::{end, log};
use crate::made::{ago, event, log_event, point, points, records, span, span_id, store, total, trace_id};
use crate::{Fixture, Open};

/// Stores records with the same ids for two tenants, and a trace of only one of them.
pub fn give_two_tenants<F: Fixture>(of: &dyn TraceStore) -> [Arc<dyn TraceStore>; 2] {
    let acme = of.for_tenant(&"acme".parse().unwrap());
    let other = of.for_tenant(&"other".parse().unwrap());
    for (tenant, name) in [(&acme, "of acme"), (&other, "of other")] {
        let mut root = span(1, 1, 0, name);
        root.attributes.set("session_id", "s");
        let mut records = records(vec![root, span(1, 2, 1, name)]);
        records.sources[0].source.service_name = name.to_owned();
        records.sources[0].events = vec![event(Some(1), name), event(None, name)];
        records.sources[0].points = vec![point("jobs_total", 1.into(), Temporality::Delta, ago(0))];
        store::<F>(&**tenant, records);
    }
    store::<F>(&*other, records(vec![span(9, 9, 0, "secret")]));
    [acme, other]
}

pub fn a_tenant_sees_nothing_of_another_ones<F: Fixture>() {
    let Some(open) = Open::<F>::that(|can| can.tenants) else {
        return;
    };
    let [acme, other] = give_two_tenants::<F>(open.store());
    for (tenant, name, traces) in [(&acme, "of acme", 1), (&other, "of other", 2)] {
        let tenant = &**tenant;
        assert_eq!(
            block_on(tenant.query_traces(TraceQuery::default()))
                .unwrap()
                .len(),
            traces
        );
        assert_eq!(
            block_on(tenant.list_traces(TraceFilter::default()))
                .unwrap()
                .len(),
            traces
        );
        let by_session =
            TraceFilter::default().conditions(vec![Condition::new("session_id", ConditionOp::Eq, "s")]);
        assert_eq!(
            block_on(tenant.list_traces(by_session.clone())).unwrap()[0].root_name,
            name
        );
        assert_eq!(
            block_on(tenant.get_span(trace_id(1), span_id(2))).unwrap().name,
            name
        );
        let tree = block_on(tenant.get_span_tree(span_id(1), None, None)).unwrap();
        assert!(tree.len() == 2 && tree.values().all(|node| node.span.name == name));
        let spans =
            block_on(tenant.query_spans(by_session.conditions, Filter::default(), Vec::new(), None)).unwrap();
        assert!(spans.len() == 2 && spans.iter().all(|span| span.name == name));
        assert_eq!(block_on(tenant.trace_spans(trace_id(1))).unwrap().len(), 2);
        let spans = block_on(tenant.list_spans(SpanFilter::default())).unwrap();
        assert_eq!(spans.iter().filter(|span| span.name == name).count(), 2);
        assert_eq!(spans.len(), traces + 1);
        let logs = block_on(tenant.list_logs(LogFilter::default())).unwrap();
        assert!(logs.len() == 2 && logs.iter().all(|log| log.message == name));
        assert_eq!(total(tenant, "jobs_total"), Some(Value::I64(1)));
        assert_eq!(block_on(tenant.list_metrics()).unwrap()[0].points, 1);
        let stats = block_on(tenant.statistics()).unwrap();
        assert_eq!((stats.traces, stats.spans), (traces as u64, traces as u64 + 1));
        assert_eq!((stats.events, stats.points, stats.bytes), (2, 1, 0));
        assert_eq!(stats.file, None, "its size tells of the others");
        assert!(tenant.as_sql().is_none(), "SQL shows all of them");
        if let Some(account) = stats.account {
            assert_eq!(account.offered, stats.spans + 3);
        }
        let names = block_on(tenant.name_statistics(None, None)).unwrap();
        assert_eq!(names.iter().map(|name| name.count).sum::<u64>(), stats.spans);
        assert!(matches!(
            block_on(tenant.resolve_id(span_id(1).to_string())),
            Ok(IdMatch::Span(..))
        ));
    }
    // Existing records of another tenant.
    assert!(block_on(acme.get_trace(trace_id(9))).unwrap_err().is_not_found());
    assert!(
        block_on(acme.get_span(trace_id(9), span_id(9)))
            .unwrap_err()
            .is_not_found()
    );
    assert!(
        block_on(acme.get_span_tree(span_id(9), None, None))
            .unwrap_err()
            .is_not_found()
    );
    assert!(
        block_on(acme.trace_spans(trace_id(9)))
            .unwrap_err()
            .is_not_found()
    );
    assert!(
        block_on(acme.resolve_id(span_id(9).to_string()))
            .unwrap_err()
            .is_not_found()
    );
    assert!(
        block_on(acme.resolve_id(trace_id(9).to_string()))
            .unwrap_err()
            .is_not_found()
    );
    let of_span = LogFilter::default().trace_id(trace_id(9));
    assert!(block_on(acme.list_logs(of_span)).unwrap().is_empty());
    let usage = UsageQuery::new(UsageBy::Agent).trace_id(trace_id(9));
    assert!(block_on(acme.usage(usage)).unwrap().is_empty());
    let absent = open.store().for_tenant(&"absent".parse().unwrap());
    assert!(
        block_on(absent.query_traces(TraceQuery::default()))
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        block_on(open.store().query_traces(TraceQuery::default()))
            .unwrap()
            .len(),
        3,
        "an administrator sees all"
    );
    let all_spans = |store: &dyn TraceStore| {
        let spans = block_on(store.query_spans(Vec::new(), Filter::default(), Vec::new(), None));
        spans.unwrap().len()
    };
    assert_eq!((all_spans(&*acme), all_spans(&*other)), (2, 3));
}

pub fn a_tenant_can_not_change_what_is_another_ones<F: Fixture>() {
    let Some(open) = Open::<F>::that(|can| can.writes && can.tenants) else {
        return;
    };
    let [acme, _] = give_two_tenants::<F>(open.store());
    // Ends, starts and spans with ids of the other tenant only.
    let end = log(end(SpanStatus::Error), Some((9, 9)), ago(0), &[("forged", "1")]);
    log_event::<F>(&*acme, end, 3600);
    store::<F>(&*acme, records(vec![span(9, 10, 9, "forged")]));
    let other = open.store().for_tenant(&"other".parse().unwrap());
    let spans = block_on(other.trace_spans(trace_id(9))).unwrap();
    assert_eq!(
        (spans.len(), spans[0].name.as_str(), spans[0].status),
        (1, "secret", Some(SpanStatus::Ok))
    );
    // The unit and the kind of a metric are per tenant.
    let gauge = point("mine_total", 1.into(), Temporality::Delta, ago(0))
        .kind(MetricKind::Gauge)
        .unit("seconds");
    store::<F>(&*acme, points(vec![gauge]));
    for _ in 0..2 {
        store::<F>(
            &*other,
            points(vec![point("mine_total", 1.into(), Temporality::Delta, ago(0))]),
        );
    }
    assert_eq!(total(&*other, "mine_total"), Some(Value::I64(2)));
}
