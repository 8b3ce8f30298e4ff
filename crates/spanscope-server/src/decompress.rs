//! Decompresses bodies (gzip, deflate, zstd) piece by piece, so that a decompression bomb is
//! refused before it fills the memory.

use std::io::{self, Read};

use axum::http::StatusCode;
use flate2::read::MultiGzDecoder;
use flate2::{Decompress, FlushDecompress, Status};
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

use crate::answer::ApiError;
use crate::budget::Share;

/// The number of bytes that are decompressed before their memory is counted.
const PIECE: usize = 64 * 1024;
/// Maximum window of zstd, in bytes. The format requires every reader to support it, and encoders
/// do not exceed it by default. It is also the memory of a decoder in addition to its output.
const MAX_WINDOW: u64 = 8 << 20;

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ContentCoding {
    Plain,
    Gzip,
    /// In the format of zlib, as HTTP requires, or without its header, as some clients send it.
    Deflate,
    Zstd,
}

/// The accepted encodings of a body, as the headers name them.
pub(crate) const ENCODINGS: [&str; 4] = ["identity", "gzip", "deflate", "zstd"];

impl ContentCoding {
    /// Parses the encoding in `content-encoding` or `grpc-encoding`: a list, in which `identity` is
    /// ignored.
    pub(crate) fn named(names: &[u8]) -> Result<Self, ApiError> {
        let mut coding = Self::Plain;
        for name in names.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            let known = match name.to_ascii_lowercase().as_slice() {
                b"" | b"identity" => continue,
                b"gzip" | b"x-gzip" => Self::Gzip,
                b"deflate" => Self::Deflate,
                b"zstd" => Self::Zstd,
                _ => Self::Plain,
            };
            if known == Self::Plain || coding != Self::Plain {
                return Err(ApiError::new(
                    StatusCode::UNSUPPORTED_MEDIA_TYPE,
                    "unsupported_encoding",
                    format!(
                        "the body has the content encoding {:?}, which is not supported",
                        String::from_utf8_lossy(names)
                    ),
                    "send it uncompressed, or compressed once with gzip, deflate or zstd: set OTEL_EXPORTER_OTLP_COMPRESSION to gzip or none",
                ));
            }
            coding = known;
        }
        Ok(coding)
    }
}

/// Decompresses a body, and counts the memory that it takes.
///
/// # Errors
/// Fails if it is not in this encoding or incomplete, longer than `limit`, or if there is no memory
/// left.
pub(crate) fn unpack(
    coding: ContentCoding,
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
    match coding {
        ContentCoding::Plain => unpacked.read_all(packed, "text")?,
        ContentCoding::Gzip => unpacked.read_all(MultiGzDecoder::new(packed), "gzip")?,
        ContentCoding::Deflate => unpacked.read_all(Inflate::new(packed), "deflate")?,
        ContentCoding::Zstd => {
            let mut left = packed;
            let mut decoder = FrameDecoder::new();
            decoder.set_max_window_size(MAX_WINDOW);
            let mut held = 0;
            // Several consecutive frames are one body.
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

/// The decompressed part of a body.
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

/// Decompresses deflate. The reader of `flate2` would accept a truncated body, because it takes the
/// end of the body for the end of the data.
struct Inflate<'p> {
    decoder: Decompress,
    left: &'p [u8],
    is_ended: bool,
}

impl<'p> Inflate<'p> {
    fn new(packed: &'p [u8]) -> Self {
        // The header of zlib: method 8, and both bytes as a number are a multiple of 31.
        let is_zlib = matches!(packed, [first, second, ..]
            if first & 0x0f == 8 && u16::from_be_bytes([*first, *second]) % 31 == 0);
        Self {
            decoder: Decompress::new(is_zlib),
            left: packed,
            is_ended: false,
        }
    }
}

impl Read for Inflate<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if self.is_ended {
            return Ok(0);
        }
        let before = (self.decoder.total_in(), self.decoder.total_out());
        let status = self.decoder.decompress(self.left, to, FlushDecompress::None)?;
        let grown = |now: u64, before| usize::try_from(now - before).unwrap_or(usize::MAX);
        let read = grown(self.decoder.total_out(), before.1);
        self.left = self
            .left
            .get(grown(self.decoder.total_in(), before.0)..)
            .unwrap_or_default();
        self.is_ended = status == Status::StreamEnd;
        match read {
            0 if !self.is_ended => Err(io::ErrorKind::UnexpectedEof.into()),
            read => Ok(read),
        }
    }
}

/// Returns the window of a frame of zstd, from its head; 0 if that is invalid.
fn window(frame: &[u8]) -> u64 {
    // After the four bytes with which every frame begins: the flags, and then the first field.
    let Some([fields, rest @ ..]) = frame.get(4..) else {
        return 0;
    };
    let is_single = fields & 0x20 != 0;
    if is_single {
        // The window is the whole content, whose length is here.
        let length_of = |bytes: &[u8]| {
            let mut number = [0; 8];
            number.get_mut(..bytes.len())?.copy_from_slice(bytes);
            Some(u64::from_le_bytes(number))
        };
        let dictionary = [0, 1, 2, 4][usize::from(fields & 3)];
        let length = [1, 2, 4, 8][usize::from(fields >> 6)];
        let length_bytes = rest.get(dictionary..).and_then(|rest| rest.get(..length));
        let written = length_bytes.and_then(length_of).unwrap_or(0);
        // A length of two bytes is stored minus 256.
        return if length == 2 { written + 256 } else { written };
    }
    let Some(descriptor) = rest.first() else { return 0 };
    let base = 1_u64 << (10 + (descriptor >> 3));
    base + base / 8 * u64::from(descriptor & 7)
}

fn broken(name: &str, error: &dyn std::fmt::Display) -> ApiError {
    ApiError::invalid(format!(
        "the body is not valid {name}, or incomplete: {error}; send it completely, or without the header `content-encoding`"
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
