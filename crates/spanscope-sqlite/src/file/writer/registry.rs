//! The files that this process writes: one thread each, found by the file's identity.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};

use spanscope_core::sync::lock;
use spanscope_model::StoreError;

use super::{Shared, thread};
use crate::file::identity::file_id;
use crate::file::open::check_names_a_file;
use crate::file::open_file::OpenFile;

/// The slot of one file. Opening it may take long, and does not block opening another file.
#[derive(Default)]
struct Slot {
    opened: Mutex<Option<Opened>>,
}

struct Opened {
    shared: Weak<Shared>,
}

static SLOTS: Mutex<Vec<(PathBuf, Arc<Slot>)>> = Mutex::new(Vec::new());

/// Joins the thread that has this file open, or opens it and starts one. The result already counts
/// as a user.
pub(super) fn open(path: &Path) -> Result<Arc<Shared>, StoreError> {
    check_names_a_file(path)?;
    let path = absolute(path);
    let slot = slot_of(&path);
    let mut opened = lock(&slot.opened);
    if let Some(found) = opened.as_ref().and_then(Opened::join) {
        return Ok(found);
    }
    let shared = thread::start(OpenFile::open(&path)?)?;
    *opened = Some(Opened {
        shared: Arc::downgrade(&shared),
    });
    Ok(shared)
}

impl Opened {
    /// Returns the running thread, with one more user; `None` if it is ending.
    fn join(&self) -> Option<Arc<Shared>> {
        let shared = self.shared.upgrade().filter(|shared| shared.has_thread())?;
        let mut mailbox = lock(&shared.mailbox);
        if mailbox.is_closing {
            return None;
        }
        mailbox.users += 1;
        drop(mailbox);
        Some(shared)
    }

    fn is_over(&self) -> bool {
        self.shared.upgrade().is_none_or(|shared| !shared.has_thread())
    }
}

/// Returns the slot of a file, by the path under which it was opened or by the file's identity.
fn slot_of(path: &Path) -> Arc<Slot> {
    let id = file_id(path);
    let mut slots = lock(&SLOTS);
    slots.retain(|(_, slot)| {
        // A second owner is opening the file.
        Arc::strong_count(slot) > 1
            || lock(&slot.opened)
                .as_ref()
                .is_some_and(|opened| !opened.is_over())
    });
    let is_same = |of: &Path| of == path || (id.is_some() && file_id(of) == id);
    if let Some((_, slot)) = slots.iter().find(|(of, _)| is_same(of)) {
        return Arc::clone(slot);
    }
    let slot = Arc::new(Slot::default());
    slots.push((path.to_path_buf(), Arc::clone(&slot)));
    slot
}

/// Returns an absolute path: a relative one would mean another file after the program changes its
/// working directory.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}
