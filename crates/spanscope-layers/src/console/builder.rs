//! The builders of the console and the log file. Every setter names its default.

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
use super::writer::{Notices, Writer};
use super::{
    ColorChoice, ConsoleEnv, ConsoleStyle, DEFAULT_QUEUE_BYTES, DEFAULT_SHUTDOWN_TIMEOUT, SpanDisplay,
    terminal,
};
use crate::filter::Categories;
use crate::variable::VariableError;
use spanscope_core::capture::{CallsiteCache, Capture, DEFAULT_MAX_VALUE_LEN};
use spanscope_core::queue::{OverflowPolicy, Queue, Restart, WorkerHandle};

/// A line in a file is never wrapped, so that a search finds an entry as one line.
const NEVER_WRAPPED: usize = 1 << 30;

/// The settings of both layers.
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
    has_links: bool,
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
            has_links: false,
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
        let new_sink = sink.for_child();
        let (notices, categories) = (Arc::clone(&waiting), self.categories);
        let (spans, reads_markup, slow, limit) = (self.spans, self.reads_markup, self.slow, self.limit);
        let has_links = self.has_links;
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
                has_links,
            }
            .spawn(is_synchronous)
        };
        let work = start(sink, &queue, &control)?;
        let restart: Restart = Arc::new(move |queue, control| {
            let new_sink = new_sink
                .as_ref()
                .ok_or("its writer belongs to the parent process")?;
            let started = start(new_sink(), queue, control);
            started.map(drop).map_err(|error| error.to_string())
        });
        queue.on_fork(name, restart);
        let core = LayerCore {
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
        Ok((core, guard))
    }
}

macro_rules! common_setters {
    () => {
        /// Sets the display of spans and the format, or switches the console off. Default:
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

        /// Sets whether every message of the application is markup, as in Llama Stack:
        /// `[bold]text[/bold]`. Otherwise a message is shown literally, unless its event has the
        /// field `markup = true`. Default: `false`.
        pub fn markup(mut self, reads_markup: bool) -> Self {
            self.settings.reads_markup = reads_markup;
            self
        }

        /// Sets what is shown of spans. Default: [`SpanDisplay::Lines`].
        pub fn spans(mut self, spans: SpanDisplay) -> Self {
            self.settings.spans = spans;
            self
        }

        /// Sets text or JSON lines. Default: [`Format::Text`].
        pub fn format(mut self, format: Format) -> Self {
            self.settings.format = format;
            self
        }

        /// Sets how much of prompts, completions and other content is shown. Default:
        /// [`ContentPolicy::Preview`].
        pub fn content(mut self, content: ContentPolicy) -> Self {
            self.settings.content = content;
            self
        }

        /// Sets whether times are in UTC instead of local time. Default: `false`.
        pub fn utc(mut self, utc: bool) -> Self {
            self.settings.utc = utc;
            self
        }

        /// Sets the duration from which on the end of a span is marked as slow. Default: never.
        pub fn slow(mut self, threshold: impl Into<Option<Duration>>) -> Self {
            self.settings.slow = threshold.into();
            self
        }

        /// Sets how many lines of one callsite are shown; suppressed lines are summarized in one
        /// line, and other sinks get every event. Default: all. [`RateLimit::default`] is what
        /// `spanscope::init()` sets.
        pub fn rate_limit(mut self, limit: impl Into<Option<RateLimit>>) -> Self {
            self.settings.limit = limit.into();
            self
        }

        /// Sets the maximum length of a recorded value in bytes; longer ones are truncated.
        /// Default: 16 KiB.
        pub fn max_value_len(mut self, bytes: usize) -> Self {
            self.settings.max_value_len = bytes;
            self
        }

        /// Sets the maximum size of queued records in bytes; beyond it, lines are dropped and
        /// counted. Default: [`DEFAULT_QUEUE_BYTES`].
        pub fn queue_bytes(mut self, bytes: usize) -> Self {
            self.settings.queue_bytes = bytes;
            self
        }

        /// Sets how long dropping the guard waits. Default: [`DEFAULT_SHUTDOWN_TIMEOUT`].
        pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
            self.settings.shutdown_timeout = timeout;
            self
        }

        /// Sets the categories of targets, and the crates whose messages are the application's own.
        /// Default: [`Categories::of_caller`] of the code that created the builder.
        pub fn categories(mut self, categories: impl Into<Arc<Categories>>) -> Self {
            self.settings.categories = categories.into();
            self
        }
    };
}

/// When source locations are hyperlinks, if there are colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hyperlinks {
    Never,
    OnTerminal,
    Always,
}

/// Settings of a [`ConsoleLayer`].
#[must_use = "a builder does nothing until `build`"]
pub struct ConsoleLayerBuilder {
    settings: Settings,
    width: Option<usize>,
    color: ColorChoice,
    depth: Color,
    is_synchronous: bool,
    hyperlinks: Hyperlinks,
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
            hyperlinks: Hyperlinks::Never,
            sink: None,
            notices: Vec::new(),
        }
    }

    common_setters!();

    /// Sets the width of a line in columns. Default: the terminal's, also when it changes; 120
    /// without a terminal.
    pub fn width(mut self, columns: usize) -> Self {
        self.width = Some(columns);
        self
    }

    /// Sets when colours are used. Default: [`ColorChoice::Auto`].
    pub fn color(mut self, choice: ColorChoice) -> Self {
        self.color = choice;
        self
    }

    /// Sets whether the terminal supports more than sixteen colours, which only markup uses.
    /// Default: `false`.
    pub fn true_color(mut self, supported: bool) -> Self {
        self.depth = if supported {
            Color::TrueColor
        } else {
            Color::Ansi16
        };
        self
    }

    /// Creates a builder with the settings of the environment. An invalid value changes nothing,
    /// and the console's first lines report it; [`ConsoleEnv`] lists the variables.
    #[track_caller]
    pub fn from_env() -> Self {
        Self::new().env(ConsoleEnv::from_env())
    }

    /// Creates a builder with the settings of the environment.
    ///
    /// # Errors
    /// A variable has a value that is not accepted.
    #[track_caller]
    pub fn try_from_env() -> Result<Self, VariableError> {
        // Not in a closure: the caller of this function counts as the application.
        let builder = Self::new();
        Ok(builder.env(ConsoleEnv::try_from_env()?))
    }

    /// Applies the settings of the environment. Settings without a variable are unchanged; the
    /// console's first lines report the [problems](ConsoleEnv::problems).
    ///
    /// ```
    /// use spanscope_layers::ConsoleLayer;
    /// use spanscope_layers::console::{ConsoleEnv, ConsoleStyle};
    ///
    /// // JSON lines, unless SPANSCOPE_CONSOLE names another style.
    /// let builder = ConsoleLayer::builder().style(ConsoleStyle::Json).env(ConsoleEnv::from_env());
    /// # drop(builder);
    /// ```
    pub fn env(mut self, mut env: ConsoleEnv) -> Self {
        self.notices
            .extend(env.take_problems().iter().map(ToString::to_string));
        if let Some(style) = env.style {
            self = self.style(style);
        }
        if self.color == ColorChoice::Auto && env.lacks_colors {
            self.color = ColorChoice::Never;
        }
        self.color = env.color.unwrap_or(self.color);
        self.depth = env.depth.unwrap_or(self.depth);
        self.width = env.width.or(self.width);
        self.settings.reads_markup = env.markup.unwrap_or(self.settings.reads_markup);
        self.is_synchronous = env.synchronous.unwrap_or(self.is_synchronous);
        self.hyperlinks = match env.hyperlinks {
            Some(true) => Hyperlinks::Always,
            Some(false) => Hyperlinks::Never,
            None if env.shows_hyperlinks && self.hyperlinks == Hyperlinks::Never => Hyperlinks::OnTerminal,
            None => self.hyperlinks,
        };
        self
    }

    /// Sets whether the target and line of an entry are a hyperlink (OSC 8) to the source file,
    /// which terminals open at a click. Lines without colours have none, and neither have files
    /// that are not on this machine.
    ///
    /// Default: no. [`env`](Self::env) switches them on where the output is a terminal that is
    /// known to show hyperlinks.
    pub fn hyperlinks(mut self, enabled: bool) -> Self {
        self.hyperlinks = if enabled {
            Hyperlinks::Always
        } else {
            Hyperlinks::Never
        };
        self
    }

    /// Sets whether the thread that records a line writes it, before the record's macro returns.
    /// Default: `false`, a separate thread writes.
    ///
    /// The lines are then in order with the program's own `println!` and `eprintln!`. A caller pays
    /// for rendering and writing, and callers wait for each other and for a blocked terminal or
    /// pipe, as with `println!`. In the child of a fork the separate thread writes, and the caller
    /// waits for it for at most a second.
    pub fn synchronous(mut self, is_synchronous: bool) -> Self {
        self.is_synchronous = is_synchronous;
        self
    }

    /// Writes to this writer instead of stderr. Each call of `write` gets whole lines. Records of
    /// the writer itself are not shown.
    pub fn writer(mut self, writer: impl io::Write + Send + 'static) -> Self {
        self.sink = Some(Sink::Writer(Box::new(writer), Torn::default()));
        self
    }

    /// Prints to stdout, [synchronously](Self::synchronous), in the way that `cargo test` captures:
    /// the lines of a failed test are shown. A line belongs to the test on whose thread it is
    /// recorded, or that started this thread.
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

    /// Starts the writer thread.
    ///
    /// # Errors
    /// Fails if the thread can't be started.
    pub fn build(mut self) -> io::Result<(ConsoleLayer, ConsoleGuard)> {
        let on_terminal = self.sink.is_none() && terminal::is_terminal();
        let color = match self.color {
            ColorChoice::Always => self.depth,
            ColorChoice::Auto if on_terminal => self.depth,
            ColorChoice::Auto | ColorChoice::Never => Color::None,
        };
        self.settings.has_links = color != Color::None
            && match self.hyperlinks {
                Hyperlinks::Never => false,
                Hyperlinks::OnTerminal => on_terminal,
                Hyperlinks::Always => true,
            };
        let mut options = self.settings.render_options().color(color);
        if let Some(width) = self.width {
            options = options.width(width);
        }
        let follow =
            (self.width.is_none() && on_terminal).then_some(terminal::width as fn() -> Option<usize>);
        let sink = self.sink.unwrap_or(Sink::Stderr(Torn::default()));
        let (core, guard) = self.settings.start(
            "spanscope-console",
            sink,
            options,
            follow,
            self.notices,
            self.is_synchronous,
        )?;
        Ok((ConsoleLayer { core }, guard))
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

    /// Starts the thread that appends to this file. The file and its folder are created with the
    /// first line.
    ///
    /// # Errors
    /// Fails if the thread can't be started. A file that can't be opened or written is not an
    /// error: it is reported on stderr once and retried, and the lines until then count as lost.
    pub fn open(self, path: impl Into<PathBuf>) -> io::Result<(LogFileLayer, ConsoleGuard)> {
        let options = self.settings.render_options().date(true).width(NEVER_WRAPPED);
        let sink = Sink::File(AppendFile::new(path.into()));
        let (core, guard) =
            self.settings
                .start("spanscope-log-file", sink, options, None, Vec::new(), false)?;
        Ok((LogFileLayer { core }, guard))
    }
}
