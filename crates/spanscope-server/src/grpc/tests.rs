//! Tests of gRPC's framing and status headers.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use prost::Message as _;

use super::response::{DetailedStatus, RetryInfo, escaped, failed};
use super::*;

#[test]
fn a_call_is_one_message_of_the_length_that_it_says() {
    let read = |bytes: &'static [u8]| message(Bytes::from_static(bytes));
    assert_eq!(read(&[0, 0, 0, 0, 0]).unwrap(), (false, Bytes::new()));
    assert_eq!(
        read(&[1, 0, 0, 0, 2, 7, 8]).unwrap(),
        (true, Bytes::from_static(&[7, 8]))
    );
    for wrong in [
        &[][..],
        &[0, 0, 0, 0],
        &[0, 0, 0, 0, 1],
        &[0, 0, 0, 0, 0, 1],
        &[2, 0, 0, 0, 0],
        &[0, 255, 255, 255, 255, 0],
    ] {
        assert_eq!(read(wrong).unwrap_err().grpc_code(), 3, "{wrong:?}");
    }
}

#[test]
fn a_status_has_its_message_and_its_retry_time_in_headers() {
    assert_eq!(escaped("50 % of\n\u{fc}"), "50 %25 of%0A%C3%BC");
    let response = failed(&ApiError::overloaded("too many"));
    let header = |name: &str| response.headers()[name].to_str().unwrap();
    assert_eq!((response.status(), header("grpc-status")), (StatusCode::OK, "8"));
    assert!(header("grpc-message").contains("too many"));
    let details = STANDARD_NO_PAD.decode(header("grpc-status-details-bin")).unwrap();
    let status = DetailedStatus::decode(&*details).unwrap();
    assert_eq!(status.code, 8);
    let retry = RetryInfo::decode(&*status.details[0].value).unwrap();
    assert_eq!(retry.delay.unwrap().seconds, 1);

    let long = "ü".repeat(100_000);
    let response = failed(&ApiError::invalid(long));
    assert_eq!(response.headers()["grpc-status"], "3");
    assert!(response.headers()["grpc-message"].len() <= 3 * 2 * 1024);
    assert!(!response.headers().contains_key("grpc-status-details-bin"));
}
