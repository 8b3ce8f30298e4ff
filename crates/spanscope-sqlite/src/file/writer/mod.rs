//! The one thread of a process that writes a file, for all its users in the process.
//!
//! ```text
//! layer's queue ---\                       one thread, one connection
//! store(records) ---+--> wake, command --> prompt clients, then due clients, one change, upkeep
//! import, cleanup --/
//! ```
//!
//! [`FileWriter::open`] finds the thread of a file by the file's identity, or starts it. Continuous
//! writing is done by a [`Client`], a single change by [`change`](FileWriter::change). A client
//! with waiting callers is prompt: it gets a turn whenever it is woken, also between two batches of
//! another client, so no caller waits for longer than a batch takes.
//!
//! Two connections of one process would wait for each other's lock by sleeping, control the log's
//! size independently, and mistake each other's checkpoints for readers.
//!
//! The thread does not know what clients write. It must never wait for anything but the file.

mod registry;
mod thread;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use spanscope_core::sync::{lock, wait_timeout_while};
use spanscope_model::{StoreError, StoreErrorKind};

use super::Failure;
use super::bounds::Limits;
use super::open_file::OpenFile;

/// How long the last user of a file waits for the thread to close it.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// The result of a client's turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Nothing is left to do.
    Done,
    /// More is waiting, and can be done at once.
    More,
    /// The file could not be written; the next turn comes after a pause.
    Retry,
    /// The client has ended and gets no further turn.
    Ended,
}

/// A continuous user of the file.
pub(crate) trait Client: Send {
    /// The bounds that this client sets for the file.
    fn limits(&self) -> Limits;

    /// Returns the time after which it gets a turn without being woken; `None` for a prompt client,
    /// which gets a turn whenever it is woken.
    fn interval(&self) -> Option<Duration>;

    /// Writes the queued records. Calls `between` between two batches, which gives prompt clients
    /// their turns.
    fn turn(&mut self, file: &mut OpenFile, between: &mut dyn FnMut(&mut OpenFile)) -> Turn;

    /// Does periodic work, about once a second.
    fn upkeep(&mut self, file: &mut OpenFile);

    /// Called after the last turn; if the file has no other user, it is already closed.
    fn ended(&mut self);

    /// Called if the thread ends by a panic.
    fn panicked(&mut self);
}

type Change = Box<dyn FnOnce(&mut OpenFile) + Send>;
type Attach = Box<dyn FnOnce(&mut OpenFile) -> Option<Box<dyn Client>> + Send>;

/// A request to the thread, besides a wake-up of its clients.
enum Command {
    /// Adds a client.
    Attach(Attach),
    /// Does something to the file once.
    Change(Change),
}

#[derive(Default)]
struct Mailbox {
    commands: VecDeque<Command>,
    /// The number of users that may still send commands.
    users: usize,
    /// Clients of the thread.
    clients: usize,
    /// Whether the thread accepts no new users.
    is_closing: bool,
    /// Whether the thread has closed the file.
    is_closed: bool,
}

impl Mailbox {
    const fn is_unused(&self) -> bool {
        self.users == 0 && self.clients == 0
    }
}

struct Shared {
    mailbox: Mutex<Mailbox>,
    changed: Condvar,
    /// Whether the prompt clients should get a turn.
    prompt: AtomicBool,
    /// Whether the other clients should get a turn before their time.
    urgent: AtomicBool,
    /// The process of the thread: a forked process has this memory, but not the thread.
    process: u32,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Shared {
    /// Sets a flag and wakes the thread. Only the first of several callers pays for the wake-up.
    fn raise(&self, flag: &AtomicBool) {
        if self.has_thread() && !flag.swap(true, Ordering::SeqCst) {
            drop(lock(&self.mailbox));
            self.changed.notify_all();
        }
    }

    fn has_thread(&self) -> bool {
        self.process == std::process::id()
    }

    fn wait_until_closed(&self) {
        if !self.has_thread() {
            return;
        }
        let mailbox = lock(&self.mailbox);
        drop(wait_timeout_while(
            &self.changed,
            mailbox,
            CLOSE_TIMEOUT,
            |mailbox| mailbox.is_unused() && !mailbox.is_closed,
        ));
    }
}

/// Wakes the thread of a file. It does not keep the thread running.
#[derive(Debug, Clone)]
pub(crate) struct Waker(Arc<Shared>);

impl Waker {
    /// Returns whether there is a thread to wake, and to wait for. A forked process has none.
    pub(crate) fn has_thread(&self) -> bool {
        self.0.has_thread()
    }

    /// Gives the prompt clients a turn.
    pub(crate) fn wake_prompt(&self) {
        self.0.raise(&self.0.prompt);
    }

    /// Gives the other clients a turn before their time.
    pub(crate) fn wake_urgent(&self) {
        self.0.raise(&self.0.urgent);
    }
}

/// A user of the thread that writes a file. The thread ends when it has no users and clients left;
/// dropping the last user waits until the file is complete.
#[derive(Debug)]
pub(crate) struct FileWriter(Arc<Shared>);

impl FileWriter {
    /// Opens or creates the file, or joins the thread of this process that has it open.
    ///
    /// # Errors
    /// Fails like [`open_write`](super::open::open_write), or if the thread can't be started.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        registry::open(path).map(Self)
    }

    pub(crate) fn waker(&self) -> Waker {
        Waker(Arc::clone(&self.0))
    }

    /// Creates a client on the thread, which gets turns from then on. Returns the second value of
    /// `make`.
    pub(crate) fn attach<C: Client + 'static, T: Send + 'static>(
        &self,
        make: impl FnOnce(&mut OpenFile) -> Result<(C, T), StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.ask(|done| {
            Command::Attach(Box::new(move |file| {
                match file.prepared().and_then(|()| make(file)) {
                    Ok((client, result)) => {
                        done(Ok(result));
                        Some(Box::new(client))
                    }
                    Err(error) => {
                        done(Err(error));
                        None
                    }
                }
            }))
        })
    }

    /// Changes the file on the thread, and waits for it. A change must be short: long work is split
    /// into several changes, so that others are served in between.
    pub(crate) fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut OpenFile) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.ask(|done| {
            Command::Change(Box::new(move |file| {
                let result = file.prepare().and_then(|()| change(file));
                let path = file.path().to_path_buf();
                done(result.map_err(|failure| failure.into_store_error(&path)));
            }))
        })
    }

    fn ask<T: Send + 'static>(
        &self,
        command: impl FnOnce(Box<dyn FnOnce(Result<T, StoreError>) + Send>) -> Command,
    ) -> Result<T, StoreError> {
        let (send, receive) = sync_channel(1);
        let command = command(Box::new(move |result| {
            let _ = send.send(result);
        }));
        lock(&self.0.mailbox).commands.push_back(command);
        self.0.changed.notify_all();
        receive.recv().unwrap_or_else(|_| {
            Err(StoreError::new(
                StoreErrorKind::Unavailable,
                "the thread that writes the store has ended by a panic: please report this",
            ))
        })
    }
}

impl Drop for FileWriter {
    fn drop(&mut self) {
        lock(&self.0.mailbox).users -= 1;
        self.0.changed.notify_all();
        self.0.wait_until_closed();
    }
}
