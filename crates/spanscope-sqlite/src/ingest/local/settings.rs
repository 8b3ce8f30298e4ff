//! Settings of the writer thread. The layer's builder fills them; it documents each and names its
//! default.

use std::sync::Arc;
use std::time::Duration;

use spanscope_core::tail::TailRule;
use spanscope_layers::Categories;

/// See the head of this file.
#[derive(Debug, Clone)]
pub(crate) struct WriterSettings {
    pub(crate) service_name: String,
    pub(crate) flush_interval: Duration,
    pub(crate) retention: Duration,
    pub(crate) max_bytes: u64,
    pub(crate) max_series: u64,
    pub(crate) indexed_keys: Vec<String>,
    pub(crate) categories: Arc<Categories>,
    pub(crate) tail: Option<TailRule>,
}
