//! Compresses responses with gzip, for clients that accept it.

use std::convert::Infallible;
use std::io::Write as _;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderValue, VARY};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream;
use http_body::Body as _;

use super::assets::{self, accepts_gzip};
use crate::answer::ApiError;
use crate::local::is_of_this_machine;

/// Minimum length of a compressed response in bytes; shorter ones gain nothing.
const SHORTEST: u64 = 1024;
/// Longer responses are compressed while they are sent, piece by piece, so that the client reads
/// the first piece while the next one is compressed.
const LONGEST_AT_ONCE: u64 = 256 * 1024;
/// Maximum length of a compressed response to the same machine. Compressing a longer one takes
/// longer than sending it: 5 MB are compressed in 70 ms and sent in 3 ms.
const LONGEST_NEAR: u64 = 128 * 1024;
/// The length of a piece before it is compressed, in bytes.
const PIECE: usize = 256 * 1024;

/// Compresses the response, if that helps.
pub(super) async fn compress(request: Request, next: Next) -> Response {
    let accepts_gzip = accepts_gzip(request.headers());
    let is_near = is_of_this_machine(&request);
    let response = next.run(request).await;
    let longest = if is_near { LONGEST_NEAR } else { u64::MAX };
    let length = response.body().size_hint().exact();
    let Some(length) = length.filter(|length| accepts_gzip && (SHORTEST..=longest).contains(length)) else {
        return response;
    };
    let (mut parts, body) = response.into_parts();
    parts
        .headers
        .append(VARY, HeaderValue::from_static("accept-encoding"));
    let Ok(bytes) = to_bytes(body, usize::MAX).await else {
        return ApiError::shutting_down().into_response();
    };
    let packed = match length > LONGEST_AT_ONCE {
        true => Some(in_pieces(bytes.clone())),
        false => assets::compress(&bytes, Compression::fast()).map(Body::from),
    };
    let Some(packed) = packed else {
        return Response::from_parts(parts, Body::from(bytes));
    };
    parts.headers.remove(CONTENT_LENGTH);
    parts
        .headers
        .insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    Response::from_parts(parts, packed)
}

/// A response that is compressed while its client reads it. No thread waits for the client.
struct Compressor {
    bytes: Bytes,
    encoder: Option<GzEncoder<Vec<u8>>>,
}

impl Compressor {
    /// Compresses pieces until the encoder returns some bytes; `None` at the end.
    fn next(&mut self) -> Option<Bytes> {
        loop {
            let mut encoder = self.encoder.take()?;
            if self.bytes.is_empty() {
                return encoder.finish().ok().map(Bytes::from);
            }
            let piece = self.bytes.split_to(self.bytes.len().min(PIECE));
            encoder.write_all(&piece).ok()?;
            let packed = std::mem::take(encoder.get_mut());
            self.encoder = Some(encoder);
            if !packed.is_empty() {
                return Some(packed.into());
            }
        }
    }
}

fn in_pieces(bytes: Bytes) -> Body {
    let packing = Compressor {
        bytes,
        encoder: Some(GzEncoder::new(Vec::new(), Compression::fast())),
    };
    let pieces = stream::unfold(packing, async |mut packing| {
        let packed = tokio::task::spawn_blocking(move || (packing.next(), packing));
        let (piece, packing) = packed.await.ok()?;
        Some((Ok::<_, Infallible>(piece?), packing))
    });
    Body::from_stream(pieces)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn the_pieces_are_one_gzip_stream() {
        let text: Vec<u8> = (0..3 * PIECE + 7)
            .map(|at| (at % 251) as u8 ^ (at >> 9) as u8)
            .collect();
        let mut packing = Compressor {
            bytes: Bytes::from(text.clone()),
            encoder: Some(GzEncoder::new(Vec::new(), Compression::fast())),
        };
        let pieces: Vec<Bytes> = std::iter::from_fn(|| packing.next()).collect();
        assert!(pieces.len() > 1, "{}", pieces.len());
        let mut read = Vec::new();
        let packed = pieces.concat();
        let mut decoder = flate2::read::GzDecoder::new(&*packed).take(1 << 22);
        assert!(decoder.read_to_end(&mut read).is_ok() && read == text);
    }
}
