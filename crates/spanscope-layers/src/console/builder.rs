//! How the console and the log file are set up. Every setter names its default.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use spanscope_model::Severity;

use super::layer::{ConsoleGuard, ConsoleHandle, ConsoleLayer, LayerCore, LogFileLayer, Synchronous};
use super::limit::RateLimit;
use super::render::{Color, ContentPolicy, Format, RenderOptions, Renderer};
use super::sink::{AppendFile, Sink, Torn};
use super::style::{markup_from_env, sync_from_env};
use super::writer::{Notices, Writer};
use super::{
    ColorChoice, ConsoleStyle, DEFAULT_QUEUE_BYTES, DEFAULT_SHUTDOWN_TIMEOUT, SpanDisplay, terminal,
};
use crate::filter::Categories;
use spanscope_core::capture::{CallsiteCache, Capture, DEFAULT_MAX_VALUE_LEN};
use spanscope_core::queue::{OverflowPolicy, Queue, Restart, WorkerHandle};

/// A line in a file is as long as it is: who searches a file wants an entry to be one line.
const NEVER_WRAPPED: usize = 1 << 30;

/// What both layers are set up with.
#[derive(Debug)]
struct Settings {
    spans: SpanDisplay,
    is_off: bool,
    reads_markup: bool,
    format: Format,
    content: ContentPolicy,
    utc: bool,
    slow: Option<Duration>,
    limit: Option<RateLimit>,
    max_value_len: usize,
    queue_bytes: usize,
    shutdown_timeout: Duration,
    categories: Arc<Categories>,
}

impl Settings {
    #[track_caller]
    fn new() -> Self {
        Self {
            spans: SpanDisplay::default(),
            is_off: false,
            reads_markup: false,
            format: Format::default(),
            content: ContentPolicy::default(),
            utc: false,
            slow: None,
            limit: None,
            max_value_len: DEFAULT_MAX_VALUE_LEN,
            queue_bytes: DEFAULT_QUEUE_BYTES,
            shutdown_timeout: DEFAULT_SHUTDOWN_TIMEOUT,
            categories: Arc::new(Categories::of_caller()),
        }
    }

    fn render_options(&self) -> RenderOptions {
        let zone = if self.utc {
            TimeZone::UTC
        } else {
            TimeZone::system()
        };
        RenderOptions::new()
            .attributes(self.spans.attributes())
            .format(self.format)
            .content(self.content)
            .zone(zone)
    }

    fn start(
        self,
        name: &'static str,
        sink: Sink,
        options: RenderOptions,
        width: Option<fn() -> Option<usize>>,
        notices: Vec<String>,
        is_synchronous: bool,
    ) -> io::Result<(LayerCore, ConsoleGuard)> {
        let queue = Queue::new(self.queue_bytes, OverflowPolicy::Drop);
        let control = Arc::new(WorkerHandle::default());
        let waiting = Arc::new(Notices::default());
        for notice in notices {
            waiting.add(Severity::Warn, notice);
        }
        let again = sink.again();
        let (notices, categories) = (Arc::clone(&waiting), self.categories);
        let (spans, reads_markup, slow, limit) = (self.spans, self.reads_markup, self.slow, self.limit);
        let start = move |sink, queue: &Queue, control: &Arc<WorkerHandle>| {
            Writer {
                name,
                queue: queue.clone(),
                control: Arc::clone(control),
                notices: Arc::clone(&notices),
                renderer: Renderer::new(options.clone()),
                width,
                sink,
                callsites: CallsiteCache::new(categories.clone()),
                categories: Arc::clone(&categories),
                spans,
                reads_markup,
                slow,
                limit,
            }
            .spawn(is_synchronous)
        };
        let work = start(sink, &queue, &control)?;
        let restart: Restart = Arc::new(move |queue, control| {
            let again = again.as_ref().ok_or("its writer belongs to the parent process")?;
            let started = start(again(), queue, control);
            started.map(drop).map_err(|error| error.to_string())
        });
        queue.on_fork(name, restart);
        let front = LayerCore {
            capture: Capture::new(self.max_value_len),
            queue: queue.clone(),
            shows_spans: self.spans.shows_spans(),
            is_off: self.is_off,
            synchronous: is_synchronous.then(|| Synchronous {
                work,
                control: Arc::clone(&control),
            }),
        };
        let handle = ConsoleHandle {
            queue,
            control,
            notices: waiting,
        };
        let guard = ConsoleGuard {
            handle,
            shutdown_timeout: self.shutdown_timeout,
        };
        Ok((front, guard))
    }
}

macro_rules! common_setters {
    () => {
        /// Everything that one word says: what is shown of spans, the format, or nothing at all. Default:
        /// [`ConsoleStyle::Lines`].
        pub fn style(mut self, style: ConsoleStyle) -> Self {
            (self.settings.spans, self.settings.format) = match style {
                ConsoleStyle::Lines | ConsoleStyle::Off => (SpanDisplay::Lines, Format::Text),
                ConsoleStyle::Verbose => (SpanDisplay::Verbose, Format::Text),
                ConsoleStyle::Events => (SpanDisplay::Events, Format::Text),
                ConsoleStyle::Tree => (SpanDisplay::Tree, Format::Text),
                ConsoleStyle::Json => (SpanDisplay::Lines, Format::Json),
            };
            self.settings.is_off = style == ConsoleStyle::Off;
            self
        }

        /// Whether every message of the application is markup, as in Llama Stack: `[bold]text[/bold]`. Without it a message
        /// is data, shown as it is, unless its event has the field `markup = true`. Default: `false`.
        pub fn markup(mut self, reads_markup: bool) -> Self {
            self.settings.reads_markup = reads_markup;
            self
        }

        /// What is shown of spans. Default: [`SpanDisplay::Lines`].
        pub fn spans(mut self, spans: SpanDisplay) -> Self {
            self.settings.spans = spans;
            self
        }

        /// Text or JSON lines. Default: [`Format::Text`].
        pub fn format(mut self, format: Format) -> Self {
            self.settings.format = format;
            self
        }

        /// What is shown of prompts, completions and the like. Default: [`ContentPolicy::Preview`].
        pub fn content(mut self, content: ContentPolicy) -> Self {
            self.settings.content = content;
            self
        }

        /// Times in UTC instead of local time. Default: `false`.
        pub fn utc(mut self, utc: bool) -> Self {
            self.settings.utc = utc;
            self
        }

        /// Ends of spans that took at least so long are marked as slow. Default: none is.
        pub fn slow(mut self, threshold: impl Into<Option<Duration>>) -> Self {
            self.settings.slow = threshold.into();
            self
        }

        /// How many lines of one callsite are shown; what is held back is summed up in one line, and other sinks get
        /// every event. Default: all. [`RateLimit::default`] is what `spanscope::init()` sets.
        pub fn rate_limit(mut self, limit: impl Into<Option<RateLimit>>) -> Self {
            self.settings.limit = limit.into();
            self
        }

        /// Longer values are cut to so many bytes when they are recorded. Default: 16 KiB.
        pub fn max_value_len(mut self, bytes: usize) -> Self {
            self.settings.max_value_len = bytes;
            self
        }

        /// Bytes of records that may wait; beyond, lines are dropped and counted. Default: [`DEFAULT_QUEUE_BYTES`].
        pub fn queue_bytes(mut self, bytes: usize) -> Self {
            self.settings.queue_bytes = bytes;
            self
        }

        /// How long dropping the guard waits. Default: [`DEFAULT_SHUTDOWN_TIMEOUT`].
        pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
            self.settings.shutdown_timeout = timeout;
            self
        }

        /// Which category a target belongs to, and whose messages are the application's own. Default:
        /// [`Categories::of_caller`] of whoever asked for the builder.
        pub fn categories(mut self, categories: impl Into<Arc<Categories>>) -> Self {
            self.settings.categories = categories.into();
            self
        }
    };
}

/// Settings of a [`ConsoleLayer`].
#[must_use = "a builder does nothing until `build`"]
pub struct ConsoleLayerBuilder {
    settings: Settings,
    width: Option<usize>,
    color: ColorChoice,
    depth: Color,
    is_synchronous: bool,
    sink: Option<Sink>,
    notices: Vec<String>,
}

impl ConsoleLayerBuilder {
    #[track_caller]
    pub(super) fn new() -> Self {
        Self {
            settings: Settings::new(),
            width: None,
            color: ColorChoice::default(),
            depth: Color::Ansi16,
            is_synchronous: false,
            sink: None,
            notices: Vec::new(),
        }
    }

    common_setters!();

    /// Columns of a line. Default: the terminal's, also when it changes; 120 where there is none.
    pub fn width(mut self, columns: usize) -> Self {
        self.width = Some(columns);
        self
    }

    /// When colours are used. Default: [`ColorChoice::Auto`].
    pub fn color(mut self, choice: ColorChoice) -> Self {
        self.color = choice;
        self
    }

    /// Whether the terminal shows more than sixteen colours, which only markup asks for. Default: it does not.
    pub fn true_color(mut self, does: bool) -> Self {
        self.depth = if does { Color::TrueColor } else { Color::Ansi16 };
        self
    }

    /// Reads `SPANSCOPE_CONSOLE`, `SPANSCOPE_CONSOLE_MARKUP`, `SPANSCOPE_CONSOLE_SYNC` and the variables of
    /// [`terminal_env`](Self::terminal_env). What no variable sets stays as it was; an invalid value changes nothing, and
    /// the console's first lines report it.
    pub fn env(mut self) -> Self {
        match ConsoleStyle::try_from_env() {
            Ok(Some(style)) => self = self.style(style),
            Ok(None) => {}
            Err(error) => self.notices.push(error.to_string()),
        }
        match markup_from_env() {
            Ok(markup) => self.settings.reads_markup = markup.unwrap_or(self.settings.reads_markup),
            Err(error) => self.notices.push(error.to_string()),
        }
        match sync_from_env() {
            Ok(sync) => self.is_synchronous = sync.unwrap_or(self.is_synchronous),
            Err(error) => self.notices.push(error.to_string()),
        }
        self.terminal_env()
    }

    /// Reads what concerns the terminal alone: `LLAMA_STACK_LOG_WIDTH`, `NO_COLOR`, `FORCE_COLOR`, `CLICOLOR`,
    /// `CLICOLOR_FORCE`, `TERM` and `COLORTERM`. What no variable sets stays as it was; an invalid width changes nothing,
    /// and the console's first line reports it.
    pub fn terminal_env(mut self) -> Self {
        if self.color == ColorChoice::Auto && !terminal::terminal_has_colors() {
            self.color = ColorChoice::Never;
        }
        self.color = terminal::choice_from_env().unwrap_or(self.color);
        self.depth = terminal::depth_from_env().unwrap_or(self.depth);
        match terminal::width_from_env() {
            Ok(width) => self.width = width.or(self.width),
            Err(warning) => self.notices.push(warning),
        }
        self
    }

    /// Whether the thread that records a line writes it, before the record's macro returns. Default: `false`, a separate
    /// thread writes.
    ///
    /// The lines then stand in order with what the program prints by `println!` and `eprintln!`. It costs a caller the time
    /// of rendering and writing, and callers wait for each other and for a terminal or pipe that takes no more, as those of
    /// `println!` do. In the child of a fork the separate thread writes, and the caller waits for it
    /// for a second at most.
    pub fn synchronous(mut self, is_synchronous: bool) -> Self {
        self.is_synchronous = is_synchronous;
        self
    }

    /// Writes there instead of to stderr. Each call of `write` gets whole lines. What the writer itself records is not
    /// shown.
    pub fn writer(mut self, writer: impl io::Write + Send + 'static) -> Self {
        self.sink = Some(Sink::Writer(Box::new(writer), Torn::default()));
        self
    }

    /// Prints to stdout, [synchronously](Self::synchronous), in the way that `cargo test` captures: the lines of a test are
    /// shown where it fails. A line belongs to the test on whose thread it is recorded, or that has started this thread.
    ///
    /// ```
    /// use spanscope_layers::ConsoleLayer;
    /// use tracing_subscriber::prelude::*;
    ///
    /// // In a test:
    /// let (layer, _guard) = ConsoleLayer::builder().test_writer().build()?;
    /// let _recording = tracing_subscriber::registry().with(layer).set_default();
    /// tracing::info!("shown where the test fails");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn test_writer(mut self) -> Self {
        self.sink = Some(Sink::Printed);
        self.is_synchronous = true;
        self
    }

    /// Starts the thread that writes.
    ///
    /// # Errors
    /// The thread could not be started.
    pub fn build(self) -> io::Result<(ConsoleLayer, ConsoleGuard)> {
        let on_terminal = self.sink.is_none() && terminal::is_terminal();
        let color = match self.color {
            ColorChoice::Always => self.depth,
            ColorChoice::Auto if on_terminal => self.depth,
            ColorChoice::Auto | ColorChoice::Never => Color::None,
        };
        let mut options = self.settings.render_options().color(color);
        if let Some(width) = self.width {
            options = options.width(width);
        }
        let follow =
            (self.width.is_none() && on_terminal).then_some(terminal::width as fn() -> Option<usize>);
        let sink = self.sink.unwrap_or(Sink::Stderr(Torn::default()));
        let (front, guard) = self.settings.start(
            "spanscope-console",
            sink,
            options,
            follow,
            self.notices,
            self.is_synchronous,
        )?;
        Ok((ConsoleLayer { front }, guard))
    }
}

/// Settings of a [`LogFileLayer`].
#[must_use = "a builder does nothing until `open`"]
pub struct LogFileLayerBuilder {
    settings: Settings,
}

impl LogFileLayerBuilder {
    #[track_caller]
    pub(super) fn new() -> Self {
        Self {
            settings: Settings::new(),
        }
    }

    common_setters!();

    /// Starts the thread that appends to this file, which is made, with its folder, when the first line comes.
    ///
    /// # Errors
    /// The thread could not be started. That the file can't be opened or written is no error: it is said on stderr once,
    /// tried again, and the lines until then count as lost.
    pub fn open(self, path: impl Into<PathBuf>) -> io::Result<(LogFileLayer, ConsoleGuard)> {
        let options = self.settings.render_options().date(true).width(NEVER_WRAPPED);
        let sink = Sink::File(AppendFile::new(path.into()));
        let (front, guard) =
            self.settings
                .start("spanscope-log-file", sink, options, None, Vec::new(), false)?;
        Ok((LogFileLayer { front }, guard))
    }
}
