//! JSON Schemas (2020-12) of the events on the wire, made from the types that are sent.
//!
//! They stand under `docs/events/`, one file for each type; a test compares them with this.

use serde_json::{Value, json};

use super::EventType;

/// The schema of a whole event of this type: envelope and data.
#[must_use]
pub fn of(event_type: EventType) -> Value {
    let uuid = json!({"type": "string", "format": "uuid"});
    let mut data = event_type.schema().to_value();
    let definitions = data
        .as_object_mut()
        .and_then(|object| {
            object.remove("$schema");
            // It speaks to readers of the code.
            object.remove("description");
            object.remove("$defs")
        })
        .unwrap_or_else(|| json!({}));
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": event_type.as_str(),
        "type": "object",
        "required": [
            "specversion", "type", "source", "id", "subject", "time", "datacontenttype",
            "correlationid", "traceparent", "data"
        ],
        "properties": {
            "specversion": {"const": "1.0"},
            "type": {"const": event_type.as_str()},
            "source": {"type": "string", "format": "uri-reference"},
            "id": uuid,
            "subject": {"type": "string", "minLength": 1},
            "time": {"type": "string", "format": "date-time"},
            "datacontenttype": {"const": "application/json"},
            "correlationid": uuid,
            "causationid": uuid,
            "correlationtime": {"type": "string", "format": "date-time"},
            "traceparent": {
                "type": "string",
                "pattern": "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}"
            },
            "data": data
        },
        "$defs": definitions
    })
}
