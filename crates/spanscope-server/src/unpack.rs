//! Bodies that are compressed, with gzip or zstd: unpacked piece by piece, so that a bomb is noticed before it
//! bursts.

use std::io::Read;

use axum::http::StatusCode;
use flate2::read::MultiGzDecoder;
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

use crate::answer::ApiError;
use crate::budget::Share;

/// How much is unpacked before its memory is accounted for.
const PIECE: usize = 64 * 1024;
/// How far back zstd may refer, in bytes. The format asks every reader for as much, and encoders do not go beyond
/// it unless they are told to. It is also how much memory a decoder takes beside what it has unpacked.
const MAX_WINDOW: u64 = 8 << 20;

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    Plain,
    Gzip,
    Zstd,
}

impl Packing {
    /// The packing of this name, as `content-encoding` and `grpc-encoding` have it.
    pub(crate) fn named(name: &[u8]) -> Result<Self, ApiError> {
        match name {
            b"" => Ok(Self::Plain),
            name if name.eq_ignore_ascii_case(b"identity") => Ok(Self::Plain),
            name if name.eq_ignore_ascii_case(b"gzip") => Ok(Self::Gzip),
            name if name.eq_ignore_ascii_case(b"zstd") => Ok(Self::Zstd),
            name => Err(ApiError::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_encoding",
                format!(
                    "the body is packed with {:?}, which is not known here",
                    String::from_utf8_lossy(name)
                ),
                "send it plain, or packed with gzip or zstd: set OTEL_EXPORTER_OTLP_COMPRESSION to gzip or none",
            )),
        }
    }
}

/// Unpacks a body, and counts the memory that it takes.
///
/// # Errors
/// It is no such packing or not all of it, it is longer than `limit`, or there is no memory left.
pub(crate) fn unpack(
    packing: Packing,
    packed: &[u8],
    limit: usize,
    share: &mut Share,
) -> Result<Vec<u8>, ApiError> {
    let mut unpacked = Unpacked {
        bytes: Vec::new(),
        piece: vec![0; PIECE],
        limit,
        share,
    };
    match packing {
        Packing::Plain => unpacked.read_all(packed, "text")?,
        Packing::Gzip => unpacked.read_all(MultiGzDecoder::new(packed), "gzip")?,
        Packing::Zstd => {
            let mut left = packed;
            let mut decoder = FrameDecoder::new();
            decoder.set_max_window_size(MAX_WINDOW);
            let mut held = 0;
            // Several frames one behind the other are one body.
            loop {
                let window = window(left);
                if window > MAX_WINDOW {
                    return Err(ApiError::invalid(format!(
                        "the body is zstd with a window of {window} bytes: pack it with a window of up to \
                         {MAX_WINDOW} bytes, or with gzip"
                    )));
                }
                let more = window.saturating_sub(held);
                held += more;
                if !unpacked.share.take(usize::try_from(more).unwrap_or(usize::MAX)) {
                    return Err(too_much_held());
                }
                let mut frame = StreamingDecoder::new_with_decoder(left, &mut decoder)
                    .map_err(|error| broken("zstd", &error))?;
                unpacked.read_all(&mut frame, "zstd")?;
                left = frame.into_inner();
                let sum = decoder.get_checksum_from_data();
                if sum.is_some() && sum != decoder.get_calculated_checksum() {
                    return Err(broken("zstd", &"its checksum is another one"));
                }
                if left.is_empty() {
                    break;
                }
            }
        }
    }
    Ok(unpacked.bytes)
}

/// What is unpacked of a body so far.
struct Unpacked<'s> {
    bytes: Vec<u8>,
    piece: Vec<u8>,
    limit: usize,
    share: &'s mut Share,
}

impl Unpacked<'_> {
    fn read_all(&mut self, mut decoder: impl Read, name: &str) -> Result<(), ApiError> {
        loop {
            let read = decoder
                .read(&mut self.piece)
                .map_err(|error| broken(name, &error))?;
            if read == 0 {
                return Ok(());
            }
            if self.bytes.len() + read > self.limit {
                return Err(ApiError::too_large(self.limit));
            }
            if !self.share.take(read) {
                return Err(too_much_held());
            }
            self.bytes.extend_from_slice(&self.piece[..read]);
        }
    }
}

/// How far back a frame of zstd may refer, as its head says; 0 where that is no head.
fn window(frame: &[u8]) -> u64 {
    // Behind four bytes that every frame begins with: which fields there are, and then the first of them.
    let Some([fields, rest @ ..]) = frame.get(4..) else {
        return 0;
    };
    let is_single = fields & 0x20 != 0;
    if is_single {
        // What it refers to is all of it, whose length is written here.
        let length_of = |bytes: &[u8]| {
            let mut number = [0; 8];
            number.get_mut(..bytes.len())?.copy_from_slice(bytes);
            Some(u64::from_le_bytes(number))
        };
        let dictionary = [0, 1, 2, 4][usize::from(fields & 3)];
        let length = [1, 2, 4, 8][usize::from(fields >> 6)];
        let length_bytes = rest.get(dictionary..).and_then(|rest| rest.get(..length));
        let written = length_bytes.and_then(length_of).unwrap_or(0);
        // Two bytes count from 256.
        return if length == 2 { written + 256 } else { written };
    }
    let Some(descriptor) = rest.first() else { return 0 };
    let base = 1_u64 << (10 + (descriptor >> 3));
    base + base / 8 * u64::from(descriptor & 7)
}

fn broken(name: &str, error: &dyn std::fmt::Display) -> ApiError {
    ApiError::invalid(format!(
        "the body is no {name}, or not all of it: {error}; send it as a whole, or without the header `content-encoding`"
    ))
}

pub(crate) fn too_much_held() -> ApiError {
    ApiError::overloaded("too many bodies are being read")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_is_read_from_the_head_of_a_frame() {
        let magic = [0x28, 0xb5, 0x2f, 0xfd];
        let of = |head: &[u8]| window(&[&magic[..], head].concat());
        assert_eq!(of(&[0x00, 0x00]), 1 << 10);
        assert_eq!(of(&[0x00, 13 << 3]), 8 << 20);
        assert_eq!(of(&[0x00, (13 << 3) | 1]), 9 << 20);
        assert_eq!(of(&[0x20, 7]), 7);
        assert_eq!(of(&[0x60, 1, 0]), 257);
        assert_eq!(of(&[0xa0, 0, 0, 0, 1]), 1 << 24);
        assert_eq!(of(&[0x21, 99, 7]), 7, "behind the id of a dictionary");
        assert_eq!(of(&[]), 0);
        assert_eq!(of(&[0x00]), 0);
    }
}
