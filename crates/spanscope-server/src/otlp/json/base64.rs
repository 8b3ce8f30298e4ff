//! Bytes in strings.

use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{DecodeError, Engine as _};

/// Base64 with or without padding, both of which a reader of protobuf's JSON accepts.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Decodes base64 in either alphabet; a reader of protobuf's JSON accepts both.
pub(super) fn decoded(text: &str) -> Result<Vec<u8>, DecodeError> {
    BASE64.decode(text.replace('-', "+").replace('_', "/"))
}
