//! A module whose name is a category.

use crate::levels::at_every_level;

pub(crate) fn log_all() {
    at_every_level!("agents");
}

pub(crate) fn log_something() {
    log::info!("logged by agents");
    log::debug!("logged too finely by agents");
}
