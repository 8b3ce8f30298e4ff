//! Settings of the writer thread. The layer's builder fills them; it documents each and names its
//! default.

use std::sync::Arc;
use std::time::Duration;

use spanscope_core::ProcessResource;
use spanscope_core::tail::TailRule;
use spanscope_layers::Categories;
use spanscope_model::Attributes;

/// The settings of the writer thread.
#[derive(Debug, Clone)]
pub(crate) struct WriterSettings {
    pub(crate) service_name: String,
    /// The attributes of the process; its service is `service_name`.
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
    /// Returns the resource with the service's name.
    pub(crate) fn resource(&self) -> Attributes {
        let mut resource = self.resource.clone();
        resource.set_service_name(&self.service_name);
        resource.attributes()
    }
}
