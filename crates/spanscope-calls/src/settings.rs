//! The settings of a reader: which parts of a call it keeps.

use crate::json::Limits;

/// The default number of bytes of messages that are kept of each direction of a call: 16 KiB, the
/// maximum value that sinks keep of one attribute.
pub const DEFAULT_MAX_CONTENT: usize = 16 * 1024;

/// What a [`CallReader`](crate::CallReader) keeps of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadSettings {
    pub(crate) content: bool,
    pub(crate) max_content: usize,
}

impl Default for ReadSettings {
    fn default() -> Self {
        Self {
            content: false,
            max_content: DEFAULT_MAX_CONTENT,
        }
    }
}

impl ReadSettings {
    /// Sets whether the contents are kept too: messages, instructions, tool definitions, arguments
    /// of tool calls. Default: no.
    #[must_use]
    pub fn content(mut self, is_kept: bool) -> Self {
        self.content = is_kept;
        self
    }

    /// Sets the maximum size of the messages of one direction as JSON, in bytes. Longer strings are
    /// truncated first, then the messages in the middle are left out. Default:
    /// [`DEFAULT_MAX_CONTENT`].
    #[must_use]
    pub fn max_content(mut self, bytes: usize) -> Self {
        self.max_content = bytes;
        self
    }

    pub(crate) fn limits(&self) -> Limits {
        let text = if self.content { self.max_content } else { 1024 };
        Limits {
            whole: 64 * 1024,
            text,
            total: 4 * text.max(4 * 1024),
        }
    }
}
