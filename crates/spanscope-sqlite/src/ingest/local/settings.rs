//! Settings of the writer thread. The layer's builder fills them; it documents each and names its
//! default.

use std::sync::Arc;
use std::time::Duration;

use spanscope_core::ProcessResource;
use spanscope_core::tail::TailRule;
use spanscope_layers::Categories;
use spanscope_model::Attributes;

/// See the head of this file.
#[derive(Debug, Clone)]
pub(crate) struct WriterSettings {
    pub(crate) service_name: String,
    /// All that describes the process; its service is the one above.
    pub(crate) resource: ProcessResource,
    pub(crate) flush_interval: Duration,
    pub(crate) retention: Duration,
    pub(crate) max_bytes: u64,
    pub(crate) max_series: u64,
    pub(crate) indexed_keys: Vec<String>,
    pub(crate) categories: Arc<Categories>,
    pub(crate) tail: Option<TailRule>,
}

impl WriterSettings {
    /// The resource under the service's name.
    pub(crate) fn resource(&self) -> Attributes {
        let mut resource = self.resource.clone();
        resource.set_service_name(&self.service_name);
        resource.attributes()
    }
}
