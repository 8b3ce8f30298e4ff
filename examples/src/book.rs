//! The READMEs and the pages of the book as documentation, so that their Rust code is compiled, and
//! run where it can be, with the other examples in documentation. A test finds each page with such
//! code in this list.

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

#[cfg(doctest)]
#[doc = include_str!("../../crates/spanscope/README.md")]
struct Facade;

#[cfg(doctest)]
#[doc = include_str!("../../crates/spanscope-sqlite/README.md")]
struct Sqlite;

#[cfg(doctest)]
#[doc = include_str!("../../docs/how-to/console.md")]
struct Console;

#[cfg(doctest)]
#[doc = include_str!("../../docs/how-to/metrics.md")]
struct Metrics;

#[cfg(doctest)]
#[doc = include_str!("../../docs/how-to/testing.md")]
struct Testing;

#[cfg(doctest)]
#[doc = include_str!("../../docs/how-to/tail-sampling.md")]
struct TailSampling;

#[cfg(doctest)]
#[doc = include_str!("../../docs/how-to/collector.md")]
struct Collector;

#[cfg(doctest)]
#[doc = include_str!("../../docs/how-to/tenants.md")]
struct Tenants;

#[cfg(doctest)]
#[doc = include_str!("../../docs/how-to/ragflow.md")]
struct Ragflow;

#[cfg(doctest)]
#[doc = include_str!("../monitoring/README.md")]
struct Monitoring;
