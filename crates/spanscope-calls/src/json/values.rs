//! The boundaries of the objects in a body: one of a whole response, or one per line.

/// Finds the ends of JSON objects that follow one another.
#[derive(Debug, Default)]
pub(crate) struct Values {
    depth: usize,
    is_in_text: bool,
    is_escaped: bool,
}

/// The kind of a piece of bytes, up to a boundary.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// A part of an object that continues in the next piece.
    Part,
    /// The last part of an object.
    End,
    /// Bytes that do not begin an object.
    Broken,
}

impl Values {
    /// Splits off the bytes of the current object.
    pub(crate) fn split<'b>(&mut self, bytes: &'b [u8]) -> (&'b [u8], Piece, &'b [u8]) {
        for (at, &byte) in bytes.iter().enumerate() {
            if self.is_in_text {
                match byte {
                    _ if self.is_escaped => self.is_escaped = false,
                    b'\\' => self.is_escaped = true,
                    b'"' => self.is_in_text = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'{' | b'[' => self.depth += 1,
                b' ' | b'\t' | b'\n' | b'\r' => {}
                _ if self.depth == 0 => return (&[], Piece::Broken, bytes),
                b'}' | b']' => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        let (value, rest) = bytes.split_at(at + 1);
                        return (value, Piece::End, rest);
                    }
                }
                b'"' => self.is_in_text = true,
                _ => {}
            }
        }
        (bytes, Piece::Part, &[])
    }

    pub(crate) fn is_inside(&self) -> bool {
        self.depth > 0
    }
}
