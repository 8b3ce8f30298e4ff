//! [`HeldBody`]: the body of a response, with resources that it holds until it is sent.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use http_body::{Body as HttpBody, Frame, SizeHint};

/// Maximum length of the pieces in which a connection gets a response, in bytes.
const ANSWER_PIECE: usize = 64 * 1024;

/// The body of a response, with resources that it holds until it is sent, such as a permit or
/// memory.
///
/// It is passed on in pieces. A connection accepts a piece of any size and keeps it for a client
/// that reads nothing, but it only asks for further pieces when it has sent the previous ones.
pub(crate) struct HeldBody<H> {
    body: Body,
    /// The rest of the last frame.
    rest: Bytes,
    _held: H,
}

impl<H> HeldBody<H> {
    pub(crate) fn new(body: Body, held: H) -> Self {
        Self {
            body,
            rest: Bytes::new(),
            _held: held,
        }
    }
}

impl<H: Unpin> HttpBody for HeldBody<H> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                end => return Poll::Ready(end),
            }
        }
        let length = self.rest.len().min(ANSWER_PIECE);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (of_body, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        if let Some(upper) = of_body.upper() {
            hint.set_upper(upper + rest);
        }
        hint.set_lower(of_body.lower() + rest);
        hint
    }
}
