//! [`MaskedTexts`]: the storage of the texts that replace values with secrets.
//!
//! A field borrows its text from the record, and almost all texts need no masking. The caller owns
//! the masked ones, for as long as it uses the decoded record; the compiler checks that.

use std::cell::OnceCell;

use spanscope_model::RawValue;
use spanscope_model::semconv::{SecretKind, mask_text_of};

/// The number of texts of one block. Few records have more.
const BLOCK: usize = 8;

/// The masked texts of one record, or of several. Without masked texts it allocates nothing.
#[derive(Debug, Default)]
pub struct MaskedTexts {
    first: OnceCell<Box<Block>>,
}

#[derive(Debug, Default)]
struct Block {
    texts: [OnceCell<String>; BLOCK],
    next: MaskedTexts,
}

impl MaskedTexts {
    /// Creates an empty one.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            first: OnceCell::new(),
        }
    }

    /// Returns the value without its secrets. A truncated text keeps its original length.
    #[must_use]
    #[inline]
    pub fn mask<'a>(&'a self, secret: Option<SecretKind>, value: RawValue<'a>) -> RawValue<'a> {
        match value {
            RawValue::Text(text, cut_from) => match mask_text_of(secret, text, cut_from) {
                Some(masked) => RawValue::Text(self.keep(masked), cut_from.filter(|_| secret.is_none())),
                None => value,
            },
            value => value,
        }
    }

    fn keep(&self, text: String) -> &str {
        let mut text = Some(text);
        let mut block = self.first.get_or_init(Box::default);
        loop {
            for place in &block.texts {
                let kept = place.get_or_init(|| text.take().unwrap_or_default());
                if text.is_none() {
                    return kept;
                }
            }
            block = block.next.first.get_or_init(Box::default);
        }
    }
}

impl Drop for MaskedTexts {
    /// Drops one block after the other: recursion over all blocks of a record could overflow the
    /// stack.
    fn drop(&mut self) {
        let mut next = self.first.take();
        while let Some(mut block) = next {
            next = block.next.first.take();
        }
    }
}
