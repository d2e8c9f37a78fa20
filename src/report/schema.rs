//! The JSON Schema of the format for programs (`schemas/findings.json`).
//!
//! In: nothing. Out: a schema. Invariant: tests hold it against what is written, and the file against it.

use serde_json::{Value, json};

use crate::rules::RULES;

/// The schema.
pub fn schema() -> Value {
    let rules: Vec<&str> = RULES.iter().map(|rule| rule.id).collect();
    let place = |what: &str| json!({"type": "integer", "minimum": 1, "description": what});
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Findings of llmguard",
        "description": "What `llmguard lint --format json` writes. Fields may be added; those that are here stay.",
        "type": "object",
        "required": ["version", "policy", "files", "findings", "suppressed", "summary"],
        "properties": {
            "version": {"const": 1},
            "policy": {"type": ["string", "null"], "description": "The policy's file; null: the built-in one."},
            "files": {"type": "array", "items": {"type": "string"}, "description": "All that were read, sorted."},
            "findings": {"type": "array", "items": {"$ref": "#/$defs/finding"}},
            "suppressed": {"type": "integer", "minimum": 0, "description": "How many comments and the baseline hide."},
            "summary": {
                "type": "object",
                "required": ["error", "warning", "info"],
                "additionalProperties": {"type": "integer", "minimum": 0},
            },
        },
        "$defs": {
            "finding": {
                "type": "object",
                "required": ["rule", "severity", "message", "file", "line", "column", "end_line", "end_column"],
                "properties": {
                    "rule": {"enum": rules},
                    "severity": {"enum": ["error", "warning", "info"]},
                    "message": {"type": "string"},
                    "file": {"type": "string", "description": "As reached from the argument; `<stdin>` for standard input."},
                    "line": place("From 1."),
                    "column": place("In characters, from 1."),
                    "end_line": place("Where it ends."),
                    "end_column": place("One past the last character."),
                    "request": {"$ref": "#/$defs/request"},
                    "expected": {"$ref": "#/$defs/decision"},
                    "actual": {"$ref": "#/$defs/decision"},
                    "steps": {"type": "array", "items": {"$ref": "#/$defs/step"}},
                    "help": {"type": "string"},
                    "fix": {"$ref": "#/$defs/fix"},
                },
                "additionalProperties": false,
            },
            "request": {
                "description": "A request line of `llmguard decide`. Strings stand for bytes.",
                "type": "object",
                "required": ["method", "target"],
                "properties": {
                    "method": {"type": "string"},
                    "target": {"type": "string"},
                    "headers": {"$ref": "#/$defs/headers"},
                    "client": {"type": "string", "description": "With the credential of this client."},
                    "client_ip": {"type": "string"},
                    "address": {"type": "string", "description": "The address that the request comes to, where several listen on its port."},
                    "body": {"type": "string"},
                    "body_bytes": {"type": "integer", "minimum": 0},
                    "port": {"type": "integer", "minimum": 0, "maximum": 65535},
                    "tls": {"type": "boolean"},
                    "sni": {
                        "type": ["string", "null"],
                        "description": "The name in the TLS handshake; null: none; absent: the Host.",
                    },
                    "http": {"enum": ["1.0", "1.1", "2"]},
                },
                "additionalProperties": false,
            },
            "headers": {
                "description": "Names and values.",
                "type": "array",
                "items": {"type": "array", "items": {"type": "string"}, "minItems": 2, "maxItems": 2},
            },
            "decision": {
                "type": "object",
                "required": ["outcome"],
                "properties": {
                    "outcome": {"enum": ["refused", "answered", "proxied", "unknown"]},
                    "status": {"type": "integer", "minimum": 100, "maximum": 999},
                    "statuses": {"type": "array", "items": {"type": "integer"}, "minItems": 1},
                    "client": {"type": ["string", "null"]},
                    "upstream": {"type": "string"},
                    "target": {"type": "string"},
                    "host": {"type": "string"},
                    "reason": {"type": "string"},
                    "limits": {"type": "array"},
                    "answer_headers": {"$ref": "#/$defs/headers", "description": "Of the headers that it is about, the answer's lines."},
                    "upstream_headers": {"$ref": "#/$defs/headers", "description": "Of the headers that it is about, the upstream's."},
                },
                "additionalProperties": true,
            },
            "step": {
                "type": "object",
                "required": ["file", "line", "column", "note"],
                "properties": {
                    "file": {"type": "string"},
                    "line": place("From 1."),
                    "column": place("In characters, from 1."),
                    "note": {"type": "string"},
                },
            },
            "fix": {
                "type": "object",
                "required": ["description", "safe", "edits"],
                "properties": {
                    "description": {"type": "string"},
                    "safe": {"type": "boolean", "description": "Whether `--fix` alone applies it."},
                    "edits": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/edit"}},
                },
                "additionalProperties": false,
            },
            "edit": {
                "description": "Bytes `start` to `end` of the file become `text`.",
                "type": "object",
                "required": ["file", "start", "end", "text"],
                "properties": {
                    "file": {"type": "string"},
                    "start": {"type": "integer", "minimum": 0},
                    "end": {"type": "integer", "minimum": 0},
                    "text": {"type": "string"},
                },
                "additionalProperties": false,
            },
        },
    })
}
