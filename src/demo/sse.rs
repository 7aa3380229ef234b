//! Server-sent events out of a stream of bytes, wherever its chunks begin and end.

/// An event of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SseEvent {
    /// The field `event`; `message` if it was not sent.
    pub(super) name: String,
    /// The lines of the field `data`, joined by line feeds.
    pub(super) data: String,
}

/// Takes chunks, gives the events that they complete.
#[derive(Debug, Default)]
pub(super) struct SseParser {
    line: Vec<u8>,
    after_cr: bool,
    name: String,
    data: Vec<String>,
}

impl SseParser {
    /// The events that end in this chunk.
    pub(super) fn push(&mut self, chunk: &[u8]) -> Vec<SseEvent> {
        let mut events = Vec::new();
        for &byte in chunk {
            // CR, LF and CRLF all end a line, and a chunk may end between CR and LF.
            let ends_crlf = byte == b'\n' && self.after_cr;
            self.after_cr = byte == b'\r';
            match byte {
                b'\n' if ends_crlf => {}
                b'\n' | b'\r' => events.extend(self.end_line()),
                other => self.line.push(other),
            }
        }
        events
    }

    fn end_line(&mut self) -> Option<SseEvent> {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            return self.end_event();
        }
        let line = String::from_utf8_lossy(&line);
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "data" => self.data.push(value.to_owned()),
            // A comment has an empty name; the rest (`id`, `retry`) is for those who reconnect.
            _ => {}
        }
        None
    }

    fn end_event(&mut self) -> Option<SseEvent> {
        let name = std::mem::take(&mut self.name);
        let data = std::mem::take(&mut self.data);
        let name = if name.is_empty() {
            "message".to_owned()
        } else {
            name
        };
        (!data.is_empty()).then(|| SseEvent {
            name,
            data: data.join("\n"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{SseEvent, SseParser};

    fn event(name: &str, data: &str) -> SseEvent {
        SseEvent {
            name: name.to_owned(),
            data: data.to_owned(),
        }
    }

    fn parse(text: &str) -> Vec<SseEvent> {
        SseParser::default().push(text.as_bytes())
    }

    #[test]
    fn lines_of_data_are_joined_and_the_name_lasts_for_one_event() {
        let events = parse("event: alert\nid: 7\ndata: one\ndata:two\ndata:  three\n\ndata: x\n\n");
        assert_eq!(
            events,
            [event("alert", "one\ntwo\n three"), event("message", "x")]
        );
    }

    #[test]
    fn comments_and_events_without_data_are_skipped() {
        assert_eq!(parse(": heartbeat\n\nevent: alert\n\n:\nretry: 10\n\n"), []);
        assert_eq!(parse("data\n\n"), [event("message", "")]);
    }

    #[test]
    fn every_sort_of_line_end_is_understood() {
        let wanted = [event("alert", "a\nb")];
        for end in ["\n", "\r\n", "\r"] {
            let text = ["event: alert", "data: a", "data: b", "", ""].join(end);
            assert_eq!(parse(&text), wanted, "{end:?}");
        }
    }

    #[test]
    fn chunks_may_break_anywhere_even_inside_a_character() {
        let text =
            ": beat\r\nevent: alert\r\ndata: 80 % of Café\r\ndata: 你好\r\n\r\ndata: next\n\n";
        let wanted = [
            event("alert", "80 % of Café\n你好"),
            event("message", "next"),
        ];
        for size in 1..text.len() {
            let mut parser = SseParser::default();
            let chunks = text.as_bytes().chunks(size);
            let events: Vec<_> = chunks.flat_map(|chunk| parser.push(chunk)).collect();
            assert_eq!(events, wanted, "in chunks of {size}");
        }
    }

    #[test]
    fn an_event_is_given_only_when_it_is_complete() {
        let mut parser = SseParser::default();
        assert_eq!(parser.push(b"data: half"), []);
        assert_eq!(parser.push(b" and half\n"), []);
        assert_eq!(parser.push(b"\n"), [event("message", "half and half")]);
    }
}
