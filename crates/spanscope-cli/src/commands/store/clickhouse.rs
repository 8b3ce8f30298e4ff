//! Opens a store in ClickHouse, with a password that neither the command line nor the URL has.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use spanscope_clickhouse::{ClickHouseStore, PASSWORD_VARIABLE, StoreAddress};
use spanscope_model::TraceStore;

use crate::failure::Stop;

/// Names a file with the password.
const PASSWORD_FILE: &str = "SPANSCOPE_STORE_PASSWORD_FILE";

/// Connects to the server of a URL.
pub(super) fn open(url: &str) -> Result<Arc<dyn TraceStore>> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let address = with_password(url.parse()?, set(PASSWORD_VARIABLE), set(PASSWORD_FILE))?;
    Ok(Arc::new(ClickHouseStore::open(address)?))
}

fn with_password(
    address: StoreAddress,
    password: Option<OsString>,
    file: Option<OsString>,
) -> Result<StoreAddress> {
    match (password, file) {
        (None, None) => Ok(address),
        (None, Some(file)) => Ok(address.password_file(Path::new(&file))?),
        (Some(password), None) => match password.into_string() {
            Ok(password) => Ok(address.password(password)),
            Err(_) => Err(Stop::usage(format!("{PASSWORD_VARIABLE} is not UTF-8"))),
        },
        (Some(_), Some(_)) => Err(Stop::usage(format!(
            "{PASSWORD_VARIABLE} and {PASSWORD_FILE} are both set: unset one of them"
        ))),
    }
}
