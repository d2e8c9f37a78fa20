//! Which model a request body names, if that is certain.
//!
//! In: headers and body. Out: the model's name, or nothing. Invariant: nothing comes out where two readers of JSON could disagree:
//! servers match keys without case, take the first or the last of two, or ignore what follows the object (measured on Go's decoder).

use std::borrow::Cow;
use std::fmt;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::http::Request;

/// The model that a request's JSON body names with certainty.
pub fn model(request: &Request) -> Option<String> {
    if request.header("content-encoding").next().is_some() {
        return None;
    }
    let multipart = request
        .header("content-type")
        .any(|value| value.trim_ascii_start().get(..10).is_some_and(|start| start.eq_ignore_ascii_case(b"multipart/")));
    if multipart {
        return None;
    }
    serde_json::from_slice::<Object>(request.body.as_deref()?).ok()?.model
}

/// A JSON object of which only the model is kept.
struct Object {
    model: Option<String>,
}

/// A string, and whether it was written with escapes.
struct Text<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor;
        impl<'de> Visitor<'de> for ObjectVisitor {
            type Value = Object;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Object, M::Error> {
                let mut models = 0;
                let mut model = None;
                while let Some(Text(key)) = map.next_key::<Text<'_>>()? {
                    let names_it = ["model", "name"].iter().any(|name| key.eq_ignore_ascii_case(name));
                    if !names_it {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    }
                    models += 1;
                    let Text(value) = map.next_value::<Text<'_>>()?;
                    // Escapes are never needed for these words: whoever writes them hopes for two readings.
                    model = match (&key, value) {
                        (Cow::Borrowed(_), Cow::Borrowed(value)) => Some(value.to_owned()),
                        _ => None,
                    };
                }
                Ok(Object { model: model.filter(|_| models == 1) })
            }
        }
        deserializer.deserialize_map(ObjectVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_that_is_not_certain_is_none() {
        let certain = |body: &str| serde_json::from_str::<Object>(body).ok().and_then(|object| object.model);
        assert_eq!(
            certain(r#" {"a":[{"model":"x"}],"model":"llama3:8b","b":"\"model\":\"y\""} "#).as_deref(),
            Some("llama3:8b")
        );
        assert_eq!(certain(r#"{"name":"llama3"}"#).as_deref(), Some("llama3"));
        assert_eq!(certain(r#"{"Model":"llama3"}"#).as_deref(), Some("llama3"));
        for body in [
            r#"{"model":"a","model":"a"}"#,
            r#"{"model":"a","MODEL":"b"}"#,
            r#"{"model":"a","name":"a"}"#,
            r#"{"mod\u0065l":"a"}"#,
            r#"{"model":"\u0061"}"#,
            r#"{"model":1}"#,
            r#"{"model":null}"#,
            r#"{}"#,
            r#"[{"model":"a"}]"#,
            r#"{"model":"a"} {"model":"b"}"#,
            r#"{"model":"a"} x"#,
            "\u{feff}{\"model\":\"a\"}",
            r#"{'model':'a'}"#,
            r#"{"model":"a",}"#,
            "",
        ] {
            assert_eq!(certain(body), None, "{body}");
        }
    }
}
