//! [`Client`]: statements to a server by its HTTP interface, and their rows.
//!
//! The interface is plain enough for a blocking HTTP client, which the workspace has for OTLP. The
//! crate `clickhouse` does not fit: it needs a tokio runtime, emits `tracing` spans, and checks the
//! columns against structs, where the tables here are only known at run time. Rows are lists of
//! JSON, one per line, because attributes are maps or JSON anyway.
//!
//! A statement and its parameters are fields of a form, so that neither is limited by the length of
//! an address. Every statement has settings that bound its time and its answer. A host that can't
//! be reached, or that fails without an exception of ClickHouse, is followed by the next one.

use std::io::{BufRead as _, BufReader};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde::de::DeserializeOwned;
use spanscope_model::{StoreError, StoreErrorKind};
use ureq::http::{HeaderValue, StatusCode};
use ureq::tls::{RootCerts, TlsConfig};

use crate::address::{Host, PASSWORD_VARIABLE, StoreAddress, unusable};
use crate::error::{code_in, of_exception};
use crate::sql::Sql;

/// How long the server may work on one statement.
const MAX_SECONDS: u64 = 60;
/// How much longer the client waits for the answer.
const MARGIN: Duration = Duration::from_secs(15);
const CONNECT: Duration = Duration::from_secs(5);
/// Memory of an aggregation from which the server uses its disk.
const EXTERNAL_GROUP_BY: u64 = 1 << 30;
/// The longest message of an error that is read.
const MAX_ERROR: u64 = 64 * 1024;

#[derive(Debug)]
pub(crate) struct Client {
    agent: ureq::Agent,
    address: StoreAddress,
    password: Option<HeaderValue>,
    user: HeaderValue,
    max_result_bytes: u64,
    /// The host that was reached last.
    host: AtomicUsize,
    /// Whether `readonly = 2` can be set, because the user is not limited to reading anyway.
    sets_readonly: bool,
}

/// Why one host gave no answer.
enum Failure {
    /// The next host is asked.
    Unreachable(StoreError),
    Final(StoreError),
}

impl Client {
    /// Connects, and finds out what the user may set.
    pub(crate) fn open(address: StoreAddress, max_result_bytes: u64) -> Result<Self, StoreError> {
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::PlatformVerifier)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let config = ureq::Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_connect(Some(CONNECT))
            .timeout_global(Some(Duration::from_secs(MAX_SECONDS) + MARGIN))
            .build();
        let header = |text: &str, what: &str| {
            HeaderValue::from_bytes(text.as_bytes())
                .map_err(|_| unusable(format!("the {what} of the store has a control character")))
        };
        let password = address.password.as_deref();
        let mut client = Self {
            agent: config.into(),
            password: password.map(|text| header(text, "password")).transpose()?,
            user: header(&address.user, "user")?,
            address,
            max_result_bytes,
            host: AtomicUsize::new(0),
            sets_readonly: false,
        };
        let limited: Vec<(u64,)> = client.rows(&Sql::new("SELECT toUInt64(getSetting('readonly'))"))?;
        client.sets_readonly = limited.first().is_some_and(|(readonly,)| *readonly == 0);
        Ok(client)
    }

    pub(crate) fn address(&self) -> &StoreAddress {
        &self.address
    }

    /// Returns the rows of a statement: a tuple, or a struct with the columns in their order.
    pub(crate) fn rows<T: DeserializeOwned>(&self, sql: &Sql) -> Result<Vec<T>, StoreError> {
        let mut rows = Vec::new();
        self.for_each(sql, |row| {
            rows.push(row);
            Ok(())
        })?;
        Ok(rows)
    }

    /// Returns the first row of a statement.
    pub(crate) fn row<T: DeserializeOwned>(&self, sql: &Sql) -> Result<Option<T>, StoreError> {
        Ok(self.rows(sql)?.into_iter().next())
    }

    /// Passes each row of a statement to `each`.
    pub(crate) fn for_each<T: DeserializeOwned>(
        &self,
        sql: &Sql,
        mut each: impl FnMut(T) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let (text, parameters) = sql.statement();
        let form = Form::new(&text, &parameters);
        let hosts = &self.address.hosts;
        let first = self.host.load(Ordering::Relaxed);
        let mut failure = None;
        for turn in 0..hosts.len() {
            let place = (first + turn) % hosts.len();
            let Some(host) = hosts.get(place) else { break };
            match self.ask(host, &form) {
                Ok(answer) => {
                    self.host.store(place, Ordering::Relaxed);
                    return self.read(answer, &mut each);
                }
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Unreachable(error)) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or_else(|| unusable("the store's URL names no host".to_owned())))
    }

    fn ask(&self, host: &Host, form: &Form) -> Result<ureq::Body, Failure> {
        let unreachable = |why: String| {
            Failure::Unreachable(StoreError::new(
                StoreErrorKind::Unavailable,
                format!("ClickHouse at {host} can't be reached: {why}"),
            ))
        };
        let mut request = self
            .agent
            .post(self.address.url_of(host))
            .header("Content-Type", &form.kind)
            .header("X-ClickHouse-User", &self.user)
            .query("database", &self.address.database)
            .query("default_format", "JSONCompactEachRow")
            .query("output_format_json_quote_64bit_integers", "0")
            // A float that JSON does not have is null.
            .query("output_format_json_quote_denormals", "0")
            .query("output_format_json_validate_utf8", "1")
            .query("max_execution_time", MAX_SECONDS.to_string())
            .query("max_result_bytes", self.max_result_bytes.to_string())
            .query(
                "max_bytes_before_external_group_by",
                EXTERNAL_GROUP_BY.to_string(),
            )
            .query("log_comment", "spanscope")
            // An error is then the status of the answer, and not its last line.
            .query("wait_end_of_query", "1");
        if self.sets_readonly {
            request = request.query("readonly", "2");
        }
        if let Some(password) = &self.password {
            request = request.header("X-ClickHouse-Key", password);
        }
        let mut answer = match request.send(&form.body[..]) {
            Ok(answer) => answer,
            Err(ureq::Error::Timeout(ureq::Timeout::Connect)) => {
                return Err(unreachable("no connection in time".to_owned()));
            }
            Err(ureq::Error::Timeout(_)) => {
                return Err(Failure::Final(StoreError::new(
                    StoreErrorKind::QueryTooLarge,
                    format!(
                        "ClickHouse at {host} gave no answer in time: ask for a shorter time, by since and until"
                    ),
                )));
            }
            Err(error) => return Err(unreachable(error.to_string())),
        };
        if answer.status() == StatusCode::OK {
            return Ok(answer.into_body());
        }
        let status = answer.status();
        let code = answer.headers().get("X-ClickHouse-Exception-Code");
        let code = code.and_then(|code| code.to_str().ok()?.parse().ok());
        let message = answer
            .body_mut()
            .with_config()
            .limit(MAX_ERROR)
            .lossy_utf8(true)
            .read_to_string();
        let message = message.unwrap_or_default();
        match code.or_else(|| code_in(&message)) {
            Some(code) => Err(Failure::Final(of_exception(code, &message, &self.address))),
            None if status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN => {
                Err(Failure::Final(unusable(format!(
                    "{host} refuses the user {:?} with status {status}: set {PASSWORD_VARIABLE} to its password",
                    self.address.user
                ))))
            }
            None if status.is_server_error() => Err(unreachable(format!("it answers with status {status}"))),
            None => Err(Failure::Final(unusable(format!(
                "{host} answers with status {status}, so it is not ClickHouse's HTTP interface: its port is 8123, or \
                 8443 with TLS"
            )))),
        }
    }

    fn read<T: DeserializeOwned>(
        &self,
        answer: ureq::Body,
        each: &mut impl FnMut(T) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut answer = answer;
        // JSON is longer than the columns in memory that the server counts.
        let limit = self.max_result_bytes.saturating_mul(8);
        let mut lines = BufReader::new(answer.with_config().limit(limit).reader());
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = lines.read_until(b'\n', &mut line).map_err(|error| {
                StoreError::new(
                    StoreErrorKind::Unavailable,
                    "the connection to ClickHouse broke in the middle of an answer: ask again",
                )
                .with_source(error)
            })?;
            if read == 0 {
                return Ok(());
            }
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            match serde_json::from_slice(&line) {
                Ok(row) => each(row)?,
                Err(error) => return Err(self.not_a_row(&line, lines, error)),
            }
        }
    }

    /// Returns the error for a line that is no row: usually an exception, which a server that has
    /// begun its answer can only write behind the rows.
    fn not_a_row(&self, line: &[u8], rest: impl std::io::Read, error: serde_json::Error) -> StoreError {
        let mut text = String::from_utf8_lossy(line).into_owned();
        let mut more = Vec::new();
        if std::io::Read::read_to_end(&mut rest.take(MAX_ERROR), &mut more).is_ok() {
            text.push_str(&String::from_utf8_lossy(&more));
        }
        match code_in(&text) {
            Some(code) => of_exception(code, &text, &self.address),
            None => StoreError::new(
                StoreErrorKind::Unavailable,
                "an answer of ClickHouse broke off, or is not in its format JSONCompactEachRow: ask again",
            )
            .with_source(error),
        }
    }
}

/// The body of a request: the statement and its parameters as a form in parts.
struct Form {
    kind: String,
    body: Vec<u8>,
}

impl Form {
    fn new(statement: &str, parameters: &[(String, &str)]) -> Self {
        // A line of the data may not be the border between two parts.
        let is_in_data = |border: &str| {
            statement.contains(border) || parameters.iter().any(|(_, value)| value.contains(border))
        };
        let mut border = "spanscope".to_owned();
        while is_in_data(&border) {
            border.push('-');
            border.push_str(&border.len().to_string());
        }
        let mut body = Vec::new();
        let mut part = |name: &str, value: &str| {
            let head = format!("--{border}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n");
            body.extend_from_slice(head.as_bytes());
            body.extend_from_slice(value.as_bytes());
            body.extend_from_slice(b"\r\n");
        };
        part("query", statement);
        for (name, value) in parameters {
            part(&format!("param_{name}"), value);
        }
        body.extend_from_slice(format!("--{border}--\r\n").as_bytes());
        Self {
            kind: format!("multipart/form-data; boundary={border}"),
            body,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_ends_a_part_of_the_form() {
        let value = "a\r\n--spanscope\r\nContent-Disposition: form-data; name=\"query\"\r\n\r\nDROP TABLE x";
        let form = Form::new("SELECT 1", &[("p0".to_owned(), value)]);
        let border = form.kind.rsplit('=').next().unwrap_or_default();
        let body = String::from_utf8_lossy(&form.body).into_owned();
        assert_ne!(border, "spanscope");
        assert_eq!(body.matches(&format!("--{border}")).count(), 3);
    }
}
