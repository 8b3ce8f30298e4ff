//! `spanscope usage`: tokens, calls, errors and cost by model, service or agent.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::Serialize;
use spanscope_model::{PriceTable, UsageBy, UsageQuery, UsageRow, block_on};

use super::store::Location;
use crate::args::{UsageArgs, UsageGroup};
use crate::failure::Stop;
use crate::output::Output;
use crate::prices;
use crate::render::table::{Column, table};
use crate::render::text::grouped;
use crate::resolve::range_of;

/// The currency of reported costs.
const DOLLARS: &str = "USD";

/// The default start of the time range.
const DEFAULT_SINCE: &str = "24h";

/// The usage of one model, service or agent.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Usage {
    #[serde(skip)]
    by: &'static str,
    name: String,
    /// The provider; missing if several models are summed.
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<String>,
    calls: u64,
    errors: u64,
    input_tokens: u64,
    output_tokens: u64,
    total_tokens: u64,
    /// The cost by the price table; if that has no price for a model, or there is no table, the
    /// reported cost. Null if neither covers all usage: unknown costs are never zero.
    cost: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    currency: Option<String>,
}

pub(super) fn run(location: &Location, args: &UsageArgs) -> Result<()> {
    let out = Output::new(&args.output);
    let prices = args.prices.as_deref().map(prices::read).transpose()?;
    let (since, until) = (args.since.as_deref(), args.until.as_deref());
    let (from, to) = range_of(since, until, DEFAULT_SINCE, &out.zone)?;
    let by = match args.by {
        UsageGroup::Model => UsageBy::Model,
        UsageGroup::Service => UsageBy::Service,
        UsageGroup::Agent => UsageBy::Agent,
    };
    let rows = block_on(
        location
            .open()?
            .usage(UsageQuery::new(by).since(from).until(until.map(|_| to))),
    )?;
    let usage = sum_usage(&rows, by, prices.as_ref());
    out.list(&usage, || usage_table(&out, &usage))?;
    if usage.is_empty() {
        return Err(Stop::nothing("no model call was measured in that time"));
    }
    Ok(())
}

/// Sums usage by model and provider, or by service or agent; the group with the most tokens comes
/// first.
fn sum_usage(rows: &[UsageRow], by: UsageBy, prices: Option<&PriceTable>) -> Vec<Usage> {
    let mut groups: BTreeMap<(&str, &str), Usage> = BTreeMap::new();
    for row in rows {
        let provider = if by == UsageBy::Model {
            row.provider.as_str()
        } else {
            ""
        };
        let usage = groups.entry((&row.group, provider)).or_insert_with(|| Usage {
            by: by.as_str(),
            name: row.group.clone(),
            provider: (by == UsageBy::Model).then(|| row.provider.clone()),
            calls: 0,
            errors: 0,
            input_tokens: 0,
            output_tokens: 0,
            total_tokens: 0,
            cost: Some(0.0),
            currency: None,
        });
        usage.calls += row.calls;
        usage.errors += row.errors;
        usage.input_tokens += row.input;
        usage.output_tokens += row.output;
        usage.total_tokens += row.total;
        let cost = row.cost(prices);
        if cost.is_some() || prices.is_some() {
            let currency = prices.map_or(DOLLARS, |prices| &prices.currency);
            usage.currency = Some(currency.to_owned());
        }
        // Calls that used nothing cost nothing, with any provider.
        let used_nothing = !row.has_tokens();
        usage.cost = match (usage.cost, cost) {
            (Some(sum), Some(cost)) => Some(sum + cost),
            (sum, None) if used_nothing => sum,
            _ => None,
        };
    }
    let mut usage: Vec<Usage> = groups.into_values().collect();
    for usage in usage.iter_mut().filter(|usage| usage.currency.is_none()) {
        usage.cost = None;
    }
    usage.sort_by(|one, other| {
        (other.total_tokens, &one.name, &one.provider).cmp(&(one.total_tokens, &other.name, &other.provider))
    });
    usage
}

/// Formats the table, for the command and for the demo.
fn usage_table(out: &Output, usage: &[Usage]) -> String {
    let Some(first) = usage.first() else {
        return String::new();
    };
    let has_provider = first.provider.is_some();
    let mut columns = vec![(first.by, Column::Text)];
    if has_provider {
        columns.push(("provider", Column::Text));
    }
    columns.extend([
        ("calls", Column::Number),
        ("errors", Column::Number),
        ("input", Column::Number),
        ("output", Column::Number),
        ("total tokens", Column::Number),
    ]);
    let currency = usage.iter().find_map(|usage| usage.currency.clone());
    if let Some(currency) = &currency {
        columns.push((currency.as_str(), Column::Number));
    }
    let named = |name: &str| {
        if name.is_empty() {
            "(none)".to_owned()
        } else {
            name.to_owned()
        }
    };
    let rows = usage.iter().map(|usage| {
        let mut row = vec![named(&usage.name).into()];
        row.extend(usage.provider.as_deref().map(|provider| named(provider).into()));
        row.extend(
            [
                usage.calls,
                usage.errors,
                usage.input_tokens,
                usage.output_tokens,
                usage.total_tokens,
            ]
            .map(|number| grouped(number).into()),
        );
        if currency.is_some() {
            let cost = usage
                .cost
                .map_or_else(|| "no price".to_owned(), |cost| format!("{cost:.4}"));
            row.push(cost.into());
        }
        row
    });
    table(out, &columns, rows.collect())
}

/// Returns the token table of one run of the demo: the measured usage of its model calls.
pub(super) fn demo_table(out: &Output, rows: &[UsageRow]) -> String {
    usage_table(out, &sum_usage(rows, UsageBy::Model, None))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn row(group: &str, model: &str, input: u64, output: u64) -> UsageRow {
        let mut row = UsageRow::new(group.to_owned(), model, "p");
        row.calls = 1;
        row.input = input;
        row.output = output;
        row.total = input + output;
        row
    }

    #[test]
    fn a_model_without_a_price_makes_the_cost_of_its_group_unknown() {
        let prices = prices::parse("[[model]]\nmatch = \"mini\"\ninput = 1\noutput = 2").unwrap();
        let rows = [
            row("a", "mini", 1_000_000, 500_000),
            row("b", "mini", 1, 1),
            row("b", "other", 1, 1),
            row("c", "other", 0, 0),
        ];
        let usage = sum_usage(&rows, UsageBy::Agent, Some(&prices));
        let cost = |name: &str| usage.iter().find(|usage| usage.name == name).unwrap().cost;
        assert_eq!(cost("a"), Some(2.0));
        assert_eq!(cost("b"), None, "unknown, because a part has no price");
        assert_eq!(cost("c"), Some(0.0), "a call that used nothing");
        assert_eq!(sum_usage(&rows, UsageBy::Agent, None)[0].cost, None);
        assert_eq!(usage[0].name, "a", "the most tokens first");
    }
}
