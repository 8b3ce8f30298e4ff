//! [`Caller`]: who asks, as every handler of this crate sees it.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use spanscope_model::{Tenant, TraceStore};

/// Who sent a request, among its extensions. Whoever checks requests puts it there; [`with_tokens`](crate::with_tokens) does.
///
/// Without one, a request is answered as of somebody who may see everything: on a server that only this machine's user
/// reaches, that is so.
///
/// ```
/// use axum::{Router, extract::Request, middleware::{Next, from_fn}};
/// use spanscope_server::Caller;
///
/// // A server with a check of its own: here every request is of one tenant.
/// # fn app(routes: Router) -> Router {
/// routes.layer(from_fn(async |mut request: Request, next: Next| {
///     request.extensions_mut().insert(Caller::Tenant("acme".parse().unwrap_or_default()));
///     next.run(request).await
/// }))
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// Sees everything. What it writes joins the trace that is there under the same id, whoever's it is; a new trace is the
    /// default tenant's.
    Administrator,
    /// Sees its own, and what it writes is its own, whatever it claims.
    Tenant(Tenant),
}

impl Caller {
    /// The store as this caller sees it.
    fn sees(&self, store: &Arc<dyn TraceStore>) -> Arc<dyn TraceStore> {
        match self {
            Self::Administrator => Arc::clone(store),
            Self::Tenant(tenant) => store.for_tenant(tenant),
        }
    }
}

/// The store as the caller of the request sees it. Handlers take this and never the store itself.
pub(crate) struct ScopedStore(pub(crate) Arc<dyn TraceStore>);

impl<S> FromRequestParts<S> for ScopedStore
where
    S: Send + Sync,
    Arc<dyn TraceStore>: FromRef<S>,
{
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let store = Arc::from_ref(state);
        let caller = parts.extensions.get::<Caller>();
        Ok(Self(match caller {
            Some(caller) => caller.sees(&store),
            None => store,
        }))
    }
}
