//! The future of a response, with its request.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;

use crate::body::WatchedBody;
use crate::exchange::{End, Exchange, NoteError, Slot, announced_length};

pin_project! {
    /// Resolves to the response of the inner future, whose body continues the request. Afterwards
    /// it stays pending.
    #[derive(Debug)]
    pub(crate) struct WatchedFuture<F, X>
    where
        X: Exchange,
    {
        // `None` once it is done.
        #[pin]
        inner: Option<F>,
        exchange: Slot<X>,
    }

    impl<F, X> PinnedDrop for WatchedFuture<F, X>
    where
        X: Exchange,
    {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            this.exchange.work(|exchange| match exchange {
                // Values that the service holds are dropped in the span.
                Some(exchange) => exchange.in_scope(|| this.inner.set(None)),
                None => this.inner.set(None),
            });
            this.exchange.finish(End::Cancelled);
        }
    }
}

impl<F, X: Exchange> WatchedFuture<F, X> {
    pub(crate) fn new(inner: F, exchange: Option<Box<X>>) -> Self {
        Self {
            inner: Some(inner),
            exchange: Slot::new(exchange),
        }
    }

    /// Polls for the service's result; `read` converts it to an HTTP response.
    pub(crate) fn poll_with<T, B, E>(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        read: impl FnOnce(T) -> Response<B>,
    ) -> Poll<Result<Response<WatchedBody<B, X>>, E>>
    where
        F: Future<Output = Result<T, E>>,
        X: NoteError<E>,
        B: Body,
    {
        let mut this = self.project();
        let mut poll = || {
            let Some(inner) = this.inner.as_mut().as_pin_mut() else {
                return Poll::Pending;
            };
            let result = ready!(inner.poll(context));
            this.inner.set(None);
            Poll::Ready(result)
        };
        let result = ready!(this.exchange.work(|exchange| match exchange {
            Some(exchange) => exchange.in_scope(&mut poll),
            None => poll(),
        }));
        let response = match result {
            Ok(response) => read(response),
            Err(error) => {
                if let Some(exchange) = this.exchange.get_mut() {
                    exchange.note_error(&error);
                }
                this.exchange.finish(End::ServiceError);
                return Poll::Ready(Err(error));
            }
        };
        let mut announced = None;
        if let Some(exchange) = this.exchange.get_mut() {
            announced = announced_length(&response);
            if exchange.head(&response, announced) {
                this.exchange.finish(End::Complete);
            }
        }
        let exchange = this.exchange.take();
        Poll::Ready(Ok(
            response.map(|body| WatchedBody::new(body, exchange, announced))
        ))
    }
}
