//! The thread's loop: the order of turns, and its end.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use spanscope_core::queue::{MAX_TIMEOUT, OpenResource, log_to_stderr};
use spanscope_core::sync::{lock, wait_timeout_while};
use spanscope_core::threads;
use spanscope_model::{StoreError, StoreErrorKind};

use super::{Client, Command, Mailbox, Shared, Turn, Waker};
use crate::file::bounds::Limits;
use crate::file::open_file::OpenFile;

/// The interval of periodic work on the file and by its clients.
const UPKEEP_EVERY: Duration = Duration::from_secs(1);
/// How long to wait before a file that could not be written is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// The longest interval of a client. A client that only writes when it is flushed may return any
/// time; this one can be added to an `Instant`.
const FAR: Duration = MAX_TIMEOUT;

/// Starts the thread of an open file. The caller counts as its first user.
pub(super) fn start(file: OpenFile) -> Result<Arc<Shared>, StoreError> {
    let shared = Arc::new(Shared {
        mailbox: Mutex::new(Mailbox {
            users: 1,
            ..Mailbox::default()
        }),
        changed: std::sync::Condvar::new(),
        prompt: false.into(),
        urgent: false.into(),
        process: std::process::id(),
    });
    let mut thread = Thread {
        file,
        shared: Arc::clone(&shared),
        prompt: Vec::new(),
        others: Vec::new(),
        next_turn: Instant::now(),
        prompt_retry: None,
        is_retrying: false,
        next_upkeep: Instant::now() + UPKEEP_EVERY,
    };
    threads::spawn("spanscope-sqlite", move || {
        if catch_unwind(AssertUnwindSafe(|| thread.run())).is_err() {
            thread.panicked();
        }
    })
    .map_err(|error| {
        StoreError::new(
            StoreErrorKind::Unavailable,
            "the writing thread could not be started",
        )
        .with_source(error)
    })?;
    Ok(shared)
}

fn after(pause: Duration) -> Instant {
    Instant::now() + pause.min(FAR)
}

type Clients = Vec<Box<dyn Client>>;

struct Thread {
    file: OpenFile,
    shared: Arc<Shared>,
    prompt: Clients,
    /// Clients that write at intervals.
    others: Clients,
    next_turn: Instant,
    /// When prompt clients retry what failed.
    prompt_retry: Option<Instant>,
    /// Whether the next turn is a retry, which a wake-up does not hasten.
    is_retrying: bool,
    next_upkeep: Instant,
}

impl Thread {
    fn run(&mut self) {
        let waker = Waker(Arc::clone(&self.shared));
        let holds_open = OpenResource::new(move || waker.wake_prompt());
        loop {
            let command = self.next_command();
            holds_open.release_before_fork(|| self.file.close_for_fork());
            match command {
                // Retried at once, because the check of the log has already waited.
                Some(command) if self.file.waits_for_readers() => {
                    lock(&self.shared.mailbox).commands.push_front(command);
                }
                Some(Command::Attach(make)) => self.attach(make),
                Some(Command::Change(change)) => change(&mut self.file),
                None => {}
            }
            if self.prompt_turns() || self.other_turns() {
                return;
            }
            if Instant::now() >= self.next_upkeep {
                self.next_upkeep = Instant::now() + UPKEEP_EVERY;
                self.file.upkeep();
                for client in self.prompt.iter_mut().chain(&mut self.others) {
                    client.upkeep(&mut self.file);
                }
            }
            if self.begin_end() {
                self.end();
                return;
            }
        }
    }

    /// Waits until there is something to do.
    fn next_command(&mut self) -> Option<Command> {
        let mut until = self.next_upkeep;
        if !self.others.is_empty() {
            until = until.min(self.next_turn);
        }
        if let Some(retry) = self.prompt_retry {
            until = until.min(retry);
        }
        let at_most = until.saturating_duration_since(Instant::now());
        let is_urgent = || !self.is_retrying && self.shared.urgent.load(Ordering::SeqCst);
        let mailbox = lock(&self.shared.mailbox);
        let mut mailbox = wait_timeout_while(&self.shared.changed, mailbox, at_most, |mailbox| {
            mailbox.commands.is_empty()
                && !mailbox.is_unused()
                && !self.shared.prompt.load(Ordering::SeqCst)
                && !is_urgent()
        });
        mailbox.commands.pop_front()
    }

    fn attach(&mut self, make: super::Attach) {
        // Counted before its user sees the client, because the user may be dropped at once.
        lock(&self.shared.mailbox).clients += 1;
        match make(&mut self.file) {
            Some(client) => {
                match client.interval() {
                    Some(interval) => {
                        self.next_turn = match self.others.is_empty() {
                            true => after(interval),
                            false => self.next_turn.min(after(interval)),
                        };
                        self.others.push(client);
                    }
                    None => self.prompt.push(client),
                }
                self.set_limits();
            }
            None => lock(&self.shared.mailbox).clients -= 1,
        }
    }

    /// Sets the narrowest of the clients' bounds.
    fn set_limits(&mut self) {
        let clients = self.prompt.iter().chain(&self.others);
        let limits = clients.map(|client| client.limits()).reduce(Limits::narrower);
        self.file.bounds.set_limits(limits);
    }

    /// Gives each prompt client a turn if one was woken, or a retry is due. Returns whether the
    /// thread should end.
    fn prompt_turns(&mut self) -> bool {
        let is_due = self.prompt_retry.is_some_and(|retry| Instant::now() >= retry);
        if !self.shared.prompt.swap(false, Ordering::SeqCst) && !is_due {
            return false;
        }
        self.prompt_retry = None;
        let mut ended = Vec::new();
        let mut index = 0;
        while let Some(client) = self.prompt.get_mut(index) {
            match client.turn(&mut self.file, &mut |_| {}) {
                Turn::More => self.shared.prompt.store(true, Ordering::SeqCst),
                Turn::Retry => self.prompt_retry = Some(after(RETRY_PAUSE)),
                Turn::Done => {}
                Turn::Ended => {
                    ended.push(self.prompt.remove(index));
                    continue;
                }
            }
            index += 1;
        }
        self.remove_ended(ended)
    }

    /// Gives each other client a turn if it is due. Returns whether the thread should end.
    fn other_turns(&mut self) -> bool {
        let now = Instant::now();
        let is_due = now >= self.next_turn;
        let is_urgent = !self.is_retrying && self.shared.urgent.swap(false, Ordering::SeqCst);
        if self.others.is_empty() || !(is_due || is_urgent) {
            return false;
        }
        self.shared.urgent.store(false, Ordering::SeqCst);
        self.is_retrying = false;
        let mut ended = Vec::new();
        let mut index = 0;
        let mut pause = FAR;
        while let Some(client) = self.others.get_mut(index) {
            let (prompt, shared) = (&mut self.prompt, &self.shared);
            let mut between = |file: &mut OpenFile| {
                if shared.prompt.swap(false, Ordering::SeqCst) {
                    for client in prompt.iter_mut() {
                        // A client that has ended reports it again in its next turn.
                        if client.turn(file, &mut |_| {}) != Turn::Done {
                            shared.prompt.store(true, Ordering::SeqCst);
                        }
                    }
                }
            };
            match client.turn(&mut self.file, &mut between) {
                Turn::Done => pause = pause.min(client.interval().unwrap_or(FAR)),
                Turn::More => pause = Duration::ZERO,
                Turn::Retry => {
                    self.is_retrying = true;
                    pause = pause.min(RETRY_PAUSE);
                }
                Turn::Ended => {
                    ended.push(self.others.remove(index));
                    continue;
                }
            }
            index += 1;
        }
        // Turns start one interval apart, however long one takes: a record that arrives right after
        // the start of a turn waits for the next turn and its transaction.
        self.next_turn = match self.is_retrying {
            true => after(pause),
            false => now + pause.min(FAR),
        };
        self.remove_ended(ended)
    }

    /// Removes clients that have ended; the file is closed first if it has no other user. Returns
    /// whether the thread should end.
    fn remove_ended(&mut self, mut ended: Clients) -> bool {
        if ended.is_empty() {
            return false;
        }
        self.set_limits();
        let mut mailbox = lock(&self.shared.mailbox);
        mailbox.clients -= ended.len();
        drop(mailbox);
        let is_over = self.begin_end();
        if is_over {
            self.end();
        }
        for client in &mut ended {
            client.ended();
        }
        is_over
    }

    /// Closes the mailbox if the file has no users. Returns whether it has none.
    fn begin_end(&self) -> bool {
        let mut mailbox = lock(&self.shared.mailbox);
        mailbox.is_closing = mailbox.is_unused();
        mailbox.is_closing
    }

    fn end(&mut self) {
        self.file.close();
        lock(&self.shared.mailbox).is_closed = true;
        self.shared.changed.notify_all();
    }

    /// Handles a panic, which is a bug in Spanscope: releases the waiting callers.
    fn panicked(&mut self) {
        let mut mailbox = lock(&self.shared.mailbox);
        mailbox.is_closing = true;
        mailbox.is_closed = true;
        let commands = std::mem::take(&mut mailbox.commands);
        drop(mailbox);
        drop(commands);
        self.shared.changed.notify_all();
        for client in self.prompt.iter_mut().chain(&mut self.others) {
            client.panicked();
        }
        log_to_stderr(format!(
            "spanscope: the thread that writes {} has ended by a panic and accepts nothing more; please report this",
            self.file.path().display()
        ));
    }
}
