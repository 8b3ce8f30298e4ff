//! Server-sent events, the format of streamed completions.

/// Finds the `data` of events in a body that arrives in pieces of any size.
#[derive(Debug, Default)]
pub(crate) struct SseParser {
    /// Bytes of an incomplete line. Bytes, because a piece can end in the middle of a character.
    line: Vec<u8>,
    /// The data lines of an incomplete event.
    data: Option<String>,
}

impl SseParser {
    /// Adds the next piece of the body and returns the data of the events that it completes.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Vec<String> {
        let mut events = Vec::new();
        for &byte in piece {
            if byte == b'\n' {
                let line = std::mem::take(&mut self.line);
                self.end_line(&String::from_utf8_lossy(&line), &mut events);
            } else {
                self.line.push(byte);
            }
        }
        events
    }

    fn end_line(&mut self, line: &str, events: &mut Vec<String>) {
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.is_empty() {
            events.extend(self.data.take());
        } else if let Some(data) = line.strip_prefix("data:") {
            let data = data.strip_prefix(' ').unwrap_or(data);
            match &mut self.data {
                None => self.data = Some(data.to_owned()),
                Some(before) => {
                    before.push('\n');
                    before.push_str(data);
                }
            }
        }
        // Comments, ids and event names have no meaning in a chat completion.
    }
}

/// Returns one event in the wire format.
pub(crate) fn event(data: &str) -> String {
    format!("data: {data}\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_found_wherever_the_body_is_split() {
        let body = format!(
            ": hello\r\n\r\n{}id: 7\ndata: two\ndata: lines\r\n\r\n{}",
            event("größer"),
            event("[DONE]")
        );
        let expected = ["größer", "two\nlines", "[DONE]"];
        for size in 1..=body.len() {
            let mut parser = SseParser::default();
            let found: Vec<String> = body
                .as_bytes()
                .chunks(size)
                .flat_map(|piece| parser.push(piece))
                .collect();
            assert_eq!(found, expected, "cut every {size} bytes");
        }
    }

    #[test]
    fn an_incomplete_event_is_not_returned() {
        let mut parser = SseParser::default();
        assert!(parser.push(b"data: half\n").is_empty());
        assert_eq!(parser.push(b"\n"), ["half"]);
    }
}
