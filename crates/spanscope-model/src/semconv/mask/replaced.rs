//! A text with replaced parts; it is copied only if there are any.

/// A text with replaced parts, built from its start to its end.
pub(super) struct Replaced<'t> {
    pub(super) text: &'t str,
    /// Everything before this offset is in `out`, or replaced.
    pub(super) copied: usize,
    out: Option<String>,
}

impl<'t> Replaced<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self {
            text,
            copied: 0,
            out: None,
        }
    }

    pub(super) fn replace(&mut self, start: usize, end: usize, with: &str) {
        let out = self
            .out
            .get_or_insert_with(|| String::with_capacity(self.text.len() + with.len()));
        out.push_str(&self.text[self.copied..start]);
        out.push_str(with);
        self.copied = end;
    }

    pub(super) fn is_unchanged(&self) -> bool {
        self.out.is_none()
    }

    pub(super) fn finish(self) -> Option<String> {
        let mut out = self.out?;
        out.push_str(&self.text[self.copied..]);
        Some(out)
    }
}
