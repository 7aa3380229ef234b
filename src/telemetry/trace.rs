//! W3C Trace Context, Level 1: the `traceparent` that ties together what different processes do for
//! one request.
//!
//! Stands alone. Requests and events bring one in or have one made for them; logs, outgoing
//! requests and outgoing events carry it on.

use std::fmt;

/// The header, and the CloudEvents attribute, a trace context travels in.
pub const TRACEPARENT: &str = "traceparent";

/// Version 00 in full: `00-<32 hex>-<16 hex>-<2 hex>`. Later versions may only add to it.
const LENGTH: usize = 55;
const SAMPLED: u8 = 0b0000_0001;

/// A place in a trace: the trace, the span within it, and whether the caller records it. Printed,
/// it is a version 00 `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceContext {
    /// The whole trace; not all zeros.
    pub trace_id: [u8; 16],
    /// The span that is the parent of whatever comes next; not all zeros.
    pub span_id: [u8; 8],
    /// Whether the caller may have recorded the trace.
    pub sampled: bool,
}

impl TraceContext {
    /// Reads a `traceparent`. `None` for anything the specification has a receiver ignore: a wrong
    /// length, upper-case or other non-hex digits, an id of all zeros, the version `ff`. A version
    /// later than 00 is read as far as 00 goes.
    #[must_use]
    pub fn parse(traceparent: &str) -> Option<Self> {
        let (known, rest) = traceparent.as_bytes().split_at_checked(LENGTH)?;
        let [version] = hex(known.get(..2)?)?;
        let complete = match version {
            0 => rest.is_empty(),
            0xff => false,
            _ => rest.first().is_none_or(|next| *next == b'-'),
        };
        let separated = [2, 35, 52].iter().all(|at| known.get(*at) == Some(&b'-'));
        let trace_id = hex(known.get(3..35)?)?;
        let span_id = hex(known.get(36..52)?)?;
        let [flags] = hex(known.get(53..)?)?;
        let valid = complete && separated && trace_id != [0; 16] && span_id != [0; 8];
        valid.then_some(Self {
            trace_id,
            span_id,
            sampled: flags & SAMPLED != 0,
        })
    }

    /// The same trace as seen by what the span `span_id` calls.
    #[must_use]
    pub const fn child(self, span_id: [u8; 8]) -> Self {
        Self { span_id, ..self }
    }

    /// The trace's id in 32 lower-case hex digits, as logs and error answers show it.
    #[must_use]
    pub fn trace_id_hex(&self) -> String {
        hex::encode(self.trace_id)
    }

    /// The span's id in 16 lower-case hex digits.
    #[must_use]
    pub fn span_id_hex(&self) -> String {
        hex::encode(self.span_id)
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = if self.sampled { SAMPLED } else { 0 };
        write!(
            f,
            "00-{}-{}-{flags:02x}",
            Hex(&self.trace_id),
            Hex(&self.span_id)
        )
    }
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The longest is a trace's id.
        let mut digits = [0; 32];
        let digits = digits.get_mut(..2 * self.0.len()).ok_or(fmt::Error)?;
        hex::encode_to_slice(self.0, digits).map_err(|_| fmt::Error)?;
        f.write_str(std::str::from_utf8(digits).map_err(|_| fmt::Error)?)
    }
}

/// Exactly `N` bytes from lower-case hex digits.
fn hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let (pairs, odd) = digits.as_chunks::<2>();
    if pairs.len() != N || !odd.is_empty() {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = hex_digit(*high)? << 4 | hex_digit(*low)?;
    }
    Some(bytes)
}

const fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::*;

    /// The specification's own example.
    const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn the_example_of_the_specification_reads_and_prints() {
        let context = TraceContext::parse(EXAMPLE).unwrap();
        assert_eq!(context.trace_id_hex(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(context.span_id_hex(), "00f067aa0ba902b7");
        assert!(context.sampled);
        assert_eq!(context.to_string(), EXAMPLE);
    }

    #[test]
    fn only_the_sampled_flag_is_understood() {
        for (flags, sampled) in [
            ("00", false),
            ("01", true),
            ("02", false),
            ("03", true),
            ("ff", true),
        ] {
            let text = format!("{}{flags}", &EXAMPLE[..53]);
            assert_eq!(
                TraceContext::parse(&text).unwrap().sampled,
                sampled,
                "{flags}"
            );
        }
    }

    #[test]
    fn a_later_version_is_read_as_far_as_it_is_known() {
        let later = EXAMPLE.replacen("00", "cc", 1);
        let known = TraceContext::parse(EXAMPLE);
        assert_eq!(TraceContext::parse(&later), known);
        assert_eq!(
            TraceContext::parse(&format!("{later}-what-may-come")),
            known
        );
        assert_eq!(TraceContext::parse(&format!("{later}-")), known);
        assert_eq!(TraceContext::parse(&format!("{later}.what-may-come")), None);
        assert_eq!(TraceContext::parse(&later[..54]), None);
    }

    #[test]
    fn what_the_specification_forbids_is_ignored() {
        for text in [
            "",
            "00",
            &EXAMPLE[..54],
            &format!("{EXAMPLE}-extra"),
            &format!("{EXAMPLE}0"),
            &format!(" {EXAMPLE}"),
            &format!("{EXAMPLE} "),
            &EXAMPLE.to_uppercase(),
            &EXAMPLE.replacen("00", "ff", 1),
            &EXAMPLE.replacen("00", "0x", 1),
            &EXAMPLE.replace('-', "_"),
            &EXAMPLE.replace("4736", "473g"),
            &EXAMPLE.replace("02b7", "02é"),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        ] {
            assert_eq!(TraceContext::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_child_stays_in_the_trace() {
        let parent = TraceContext::parse(EXAMPLE).unwrap();
        let child = parent.child([7; 8]);
        assert_eq!(
            (child.trace_id, child.sampled),
            (parent.trace_id, parent.sampled)
        );
        assert_eq!(
            child.to_string(),
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0707070707070707-01"
        );
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(trace_id: [u8; 16], span_id: [u8; 8], sampled: bool) {
            let context = TraceContext { trace_id, span_id, sampled };
            let valid = trace_id != [0; 16] && span_id != [0; 8];
            prop_assert_eq!(TraceContext::parse(&context.to_string()), valid.then_some(context));
        }

        #[test]
        fn any_text_is_read_or_ignored(text in any::<String>()) {
            let _ = TraceContext::parse(&text);
        }

        #[test]
        fn text_that_is_nearly_right_is_read_or_ignored(text in "[0-9a-fA-Fé]{2}-\\PC{32}-[0-9a-f]{16}-\\PC{0,4}") {
            let _ = TraceContext::parse(&text);
        }
    }
}
