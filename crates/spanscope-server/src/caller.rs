//! [`Caller`]: the sender of a request, for every handler of this crate.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use spanscope_model::{Tenant, TraceStore};

/// The sender of a request, as an extension. The code that authenticates requests sets it, such as
/// [`with_tokens`](crate::with_tokens).
///
/// A request without it may see everything: that is right for a server that only this machine's
/// user can reach.
///
/// ```
/// use axum::{Router, extract::Request, middleware::{Next, from_fn}};
/// use spanscope_server::Caller;
///
/// // A server with its own check: here every request has one tenant.
/// # fn app(routes: Router) -> Router {
/// routes.layer(from_fn(async |mut request: Request, next: Next| {
///     request.extensions_mut().insert(Caller::Tenant("acme".parse().unwrap_or_default()));
///     next.run(request).await
/// }))
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// Sees everything. Its records join the trace with the same id, of any tenant; a new trace
    /// belongs to the default tenant.
    Administrator,
    /// Sees and writes only its own records, whatever a request claims.
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
