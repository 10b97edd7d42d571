//! The parameters of a request (GraphQL over HTTP), from a JSON body or a URL.
//!
//! Invariant: variables keep the order of their keys and all digits of numbers. A repeated key is refused, because a
//! proxy may have read the other value. Values are counted before parsing.

mod json_values;

use std::{borrow::Cow, fmt};

use async_graphql::{Name, Value, Variables, indexmap::IndexMap};
use percent_encoding::percent_decode;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::{
    config::OperationLimits,
    domain::field_values::RAW_JSON_MARKER,
    error::{Code, Error, Result},
};

/// The deepest nesting of variables. Metadata may have 16 levels, and a filter far fewer.
const LEVELS: usize = 64;

/// The parameters that a client sent, with variables as unparsed text.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) document: Given,
    pub(crate) operation_name: Option<String>,
    /// JSON text, not validated yet.
    pub(crate) variables: String,
}

impl Sent {
    /// Parses the variables. Fails with `LIMIT_EXCEEDED` for too many values, and with `BAD_REQUEST` for other errors.
    pub(crate) fn read(self, limits: OperationLimits) -> Result<Parameters> {
        let most = limits.max_values;
        if json_values::count(&self.variables, most) > most {
            return Err(Error::limit_exceeded("variables", most, "values"));
        }
        let variables = match object("variables", &self.variables)? {
            None => Variables::default(),
            Some(json) => {
                let value = value(json, LEVELS).map_err(|what| bad(format!("variables {what}")))?;
                Variables::from_value(value)
            }
        };
        Ok(Parameters {
            document: self.document,
            operation_name: self.operation_name,
            variables,
        })
    }
}

/// The parsed parameters of a request.
#[derive(Debug)]
pub(crate) struct Parameters {
    pub(crate) document: Given,
    pub(crate) operation_name: Option<String>,
    pub(crate) variables: Variables,
}

/// The form of a document in a request.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) enum Given {
    /// The text, with the SHA-256 in hexadecimal that the client claims (automatic persisted queries).
    Text {
        text: String,
        sha256: Option<String>,
    },
    /// An identifier of a trusted document (GraphQL over HTTP, appendix A), or a bare SHA-256.
    Id(String),
}

/// A body as received. Null counts as absent, and unknown keys are ignored.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    #[serde(borrow)]
    query: Option<&'a RawValue>,
    #[serde(borrow)]
    document_id: Option<&'a RawValue>,
    #[serde(borrow)]
    operation_name: Option<&'a RawValue>,
    #[serde(borrow)]
    variables: Option<&'a RawValue>,
    #[serde(borrow)]
    extensions: Option<&'a RawValue>,
}

/// Reads a body. Fails with `BAD_REQUEST`, which names the wrong key.
pub(crate) fn from_body(bytes: &[u8]) -> Result<Sent> {
    let text = std::str::from_utf8(bytes).map_err(|_| bad("the body must be UTF-8"))?;
    if text.trim_start().starts_with('[') {
        return Err(bad("the body must be one request: batches are not taken"));
    }
    let body: Body = serde_json::from_str(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        bad(format!(
            "the body must be a JSON object of query, documentId, operationName, variables and extensions, each once: \
             it is not at line {line}, column {column}"
        ))
    })?;
    let string = |key, json: Option<&RawValue>| {
        json.map(|json| serde_json::from_str(json.get()))
            .transpose()
            .map_err(|_| bad(format!("{key} must be a string")))
    };
    let query = string("query", body.query)?;
    let document_id = string("documentId", body.document_id)?;
    let operation_name = string("operationName", body.operation_name)?;
    let json = |json: Option<&'_ RawValue>| json.map_or("null", RawValue::get).to_owned();
    sent(
        query,
        document_id,
        operation_name,
        json(body.variables),
        &json(body.extensions),
    )
}

/// Reads a URL's query, in which variables and extensions are JSON text.
pub(crate) fn from_url(query: &str) -> Result<Sent> {
    const KEYS: [&str; 5] = [
        "query",
        "documentId",
        "operationName",
        "variables",
        "extensions",
    ];
    let mut given = [const { None }; KEYS.len()];
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (key, value) = (decode(key)?, decode(value)?);
        let known = KEYS.iter().position(|known| *known == key);
        if known.is_some_and(|index| given[index].replace(value).is_some()) {
            return Err(bad(format!("{key} must be given once")));
        }
    }
    let [query, document_id, operation_name, variables, extensions] = given;
    let json = |text: Option<String>| text.unwrap_or_else(|| "null".to_owned());
    sent(
        query,
        document_id,
        operation_name,
        json(variables),
        &json(extensions),
    )
}

/// Decodes a part of a URL's query, in the encoding of forms.
fn decode(text: &str) -> Result<String> {
    let text = text.replace('+', " ");
    percent_decode(text.as_bytes())
        .decode_utf8()
        .map(Cow::into_owned)
        .map_err(|_| bad("the URL must be UTF-8, percent-encoded"))
}

/// Combines the parameters; `variables` and `extensions` are JSON text, not validated yet.
fn sent(
    query: Option<String>,
    document_id: Option<String>,
    operation_name: Option<String>,
    variables: String,
    extensions: &str,
) -> Result<Sent> {
    let sha256 = persisted_query(extensions)?;
    // An empty text counts as no document: clients of a socket that cannot omit it send it with an id.
    let named = document_id.is_some() || sha256.is_some();
    let query = query.filter(|text| !(named && text.is_empty()));
    let document = match (query, document_id, sha256) {
        (Some(text), None, sha256) => Given::Text { text, sha256 },
        (None, Some(id), None) | (None, None, Some(id)) => Given::Id(id),
        (None, None, None) => return Err(bad("query is missing")),
        (_, Some(_), _) => {
            return Err(bad(
                "documentId must come without query and extensions.persistedQuery",
            ));
        }
    };
    Ok(Sent {
        document,
        // An empty operation name counts as none, because no operation has one (GraphQL over HTTP, section 5.2).
        operation_name: operation_name.filter(|name| !name.is_empty()),
        variables,
    })
}

/// Returns the SHA-256 of an automatic persisted query, as Apollo's clients send it. Other extensions are ignored.
fn persisted_query(extensions: &str) -> Result<Option<String>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Extensions<'a> {
        #[serde(borrow)]
        persisted_query: Option<&'a RawValue>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct PersistedQuery {
        version: u64,
        sha256_hash: String,
    }
    let Some(json) = object("extensions", extensions)? else {
        return Ok(None);
    };
    let extensions: Extensions = serde_json::from_str(json)
        .map_err(|_| bad("extensions must be an object that has persistedQuery once at most"))?;
    let Some(json) = extensions.persisted_query else {
        return Ok(None);
    };
    match serde_json::from_str(json.get()) {
        Ok(PersistedQuery {
            version: 1,
            sha256_hash,
        }) => Ok(Some(sha256_hash)),
        _ => Err(bad(
            "extensions.persistedQuery must be an object of version, which is 1, and sha256Hash, a string",
        )),
    }
}

/// Returns the text of a JSON object, or none for null.
fn object<'a>(key: &str, json: &'a str) -> Result<Option<&'a str>> {
    if json.is_empty() {
        let message = format!("{key} is empty: leave it out, or send a JSON object");
        return Err(bad(message));
    }
    let raw: &RawValue =
        serde_json::from_str(json).map_err(|_| bad(format!("{key} must be JSON")))?;
    let found = match (raw.get(), raw.get().as_bytes()) {
        ("null", _) => return Ok(None),
        (object, [b'{', ..]) => return Ok(Some(object)),
        (_, [b'[', ..]) => "a list",
        (_, [b'"', ..]) => "text: send the object itself, not JSON in a string",
        (_, [b't' | b'f', ..]) => "true or false",
        _ => "a number",
    };
    Err(bad(format!("{key} must be a JSON object, not {found}")))
}

fn bad(message: impl Into<String>) -> Error {
    Error::new(Code::BadRequest, message)
}

/// The keys and raw values of an object, in order.
pub(super) struct Entries<'a>(pub(super) Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(
                self,
                mut map: A,
            ) -> std::result::Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// Parses JSON text as a GraphQL value. A number that would be written differently stays as raw text, which only the
/// JSON scalar accepts.
fn value(json: &str, levels: usize) -> std::result::Result<Value, String> {
    let json = json.trim_matches([' ', '\t', '\n', '\r']);
    let unreadable = |_| "must be JSON, with strings of Unicode".to_owned();
    Ok(match json.as_bytes().first() {
        Some(b'{' | b'[') if levels == 0 => {
            return Err(format!("must be at most {LEVELS} levels deep"));
        }
        Some(b'{') => {
            let Entries(entries) = serde_json::from_str(json).map_err(unreadable)?;
            let mut values = IndexMap::with_capacity(entries.len());
            for (key, raw) in entries {
                if key == RAW_JSON_MARKER {
                    return Err("have a reserved key".to_owned());
                }
                let value = value(raw.get(), levels - 1)?;
                if values.insert(Name::new(&key), value).is_some() {
                    return Err(format!("have the key {key:.100} twice in an object"));
                }
            }
            Value::Object(values)
        }
        Some(b'[') => {
            let array: Vec<&RawValue> = serde_json::from_str(json).map_err(unreadable)?;
            let values = array.into_iter().map(|raw| value(raw.get(), levels - 1));
            Value::List(values.collect::<std::result::Result<_, _>>()?)
        }
        Some(b'-' | b'0'..=b'9') => match serde_json::from_str::<serde_json::Number>(json) {
            Ok(number) if number.to_string() == json => Value::Number(number),
            _ => Value::Object(IndexMap::from([(
                Name::new(RAW_JSON_MARKER),
                Value::String(json.to_owned()),
            )])),
        },
        _ => serde_json::from_str(json).map_err(unreadable)?,
    })
}

#[cfg(test)]
mod tests {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

    use super::*;

    fn read(sent: Sent) -> Result<Parameters> {
        sent.read(OperationLimits::default())
    }

    const VARIABLES: &str =
        r#"{"m":{"z":1.10,"a":[1e2,12345678901234567890123,-0,1.0,7]},"s":"é\u0000"}"#;

    fn text(text: &str) -> Given {
        Given::Text {
            text: text.to_owned(),
            sha256: None,
        }
    }

    #[test]
    fn variables_keep_keys_and_numbers() {
        let body = format!(r#"{{"query":"{{a}}","variables":{VARIABLES}}}"#);
        let encoded = utf8_percent_encode(VARIABLES, NON_ALPHANUMERIC);
        for parameters in [
            from_body(body.as_bytes()).unwrap(),
            from_url(&format!("query={{a}}&variables={encoded}")).unwrap(),
        ] {
            let parameters = read(parameters).unwrap();
            assert_eq!(parameters.document, text("{a}"));
            assert_eq!(
                serde_json::to_string(&parameters.variables).unwrap(),
                VARIABLES
            );
        }
    }

    #[test]
    fn refuses_what_is_no_request() {
        let deep = "[".repeat(100) + &"]".repeat(100);
        for (body, expected) in [
            ("", "JSON object"),
            ("[]", "batches"),
            ("{}", "query is missing"),
            (r#"{"query":null}"#, "query is missing"),
            (r#"{"query":1}"#, "query must be a string"),
            (r#"{"query":"\ud800"}"#, "query must be a string"),
            (
                r#"{"query":"{a}","query":"{a}"}"#,
                "each once: it is not at line 1, column 22",
            ),
            (
                r#"{"query":"{a}","operationName":1}"#,
                "operationName must be a string",
            ),
            (
                r#"{"query":"{a}","variables":[]}"#,
                "variables must be a JSON object, not a list",
            ),
            (
                r#"{"query":"{a}","variables":""}"#,
                "variables must be a JSON object, not text: send the object itself, not JSON in a string",
            ),
            (
                r#"{"query":"{a}","variables":"{\"a\":1}"}"#,
                "variables must be a JSON object, not text: send the object itself, not JSON in a string",
            ),
            (
                r#"{"query":"{a}","variables":false}"#,
                "variables must be a JSON object, not true or false",
            ),
            (
                r#"{"query":"{a}","variables":-1}"#,
                "variables must be a JSON object, not a number",
            ),
            (
                r#"{"query":"{a}","extensions":[]}"#,
                "extensions must be a JSON object, not a list",
            ),
            (
                r#"{"query":"{a}","extensions":"{}"}"#,
                "extensions must be a JSON object, not text",
            ),
            (r#"{"documentId":1}"#, "documentId must be a string"),
            (
                r#"{"query":"{a}","documentId":"a"}"#,
                "documentId must come without query",
            ),
            (
                r#"{"documentId":"a","extensions":{"persistedQuery":{"version":1,"sha256Hash":"a"}}}"#,
                "documentId must come without query and extensions.persistedQuery",
            ),
            (
                r#"{"extensions":{"persistedQuery":{"version":2,"sha256Hash":"a"}}}"#,
                "version, which is 1",
            ),
            (
                r#"{"extensions":{"persistedQuery":{"version":1}}}"#,
                "version, which is 1",
            ),
            (
                r#"{"extensions":{"persistedQuery":{"version":1,"sha256Hash":1}}}"#,
                "sha256Hash, a string",
            ),
            (
                r#"{"query":"{a}","extensions":{"persistedQuery":"a"}}"#,
                "extensions.persistedQuery must be an object",
            ),
            (
                r#"{"query":"{a}","extensions":{"persistedQuery":null,"persistedQuery":null}}"#,
                "persistedQuery once at most",
            ),
            (
                r#"{"extensions":{"persistedQuery":null}}"#,
                "query is missing",
            ),
            (r#"{"query":"{a}","variables":{"a":"\ud800"}}"#, "Unicode"),
            (
                r#"{"query":"{a}","variables":{"a":1,"b":{"c":1,"c":1}}}"#,
                "the key c twice",
            ),
            (
                r#"{"query":"{a}","variables":{"$serde_json::private::RawValue":"1"}}"#,
                "reserved",
            ),
            (r#"{"query":"{a}"} {}"#, "JSON object"),
            (
                &format!(r#"{{"query":"{{a}}","variables":{{"a":{deep}}}}}"#),
                "levels",
            ),
        ] {
            let read = from_body(body.as_bytes()).and_then(read);
            let error = read.unwrap_err();
            assert!(error.message.contains(expected), "{body}: {error}");
        }
        assert!(from_body(b"\xff").unwrap_err().message.contains("UTF-8"));
        // Unread members may have any value.
        let unknown =
            format!(r#"{{"query":"{{a}}","x":{deep},"x":1,"extensions":{{"a":{deep}}}}}"#);
        read(from_body(unknown.as_bytes()).unwrap()).unwrap();
    }

    #[test]
    fn a_document_is_given_as_text_or_by_what_it_is_known_by() {
        let id = |id: &str| Given::Id(id.to_owned());
        let hashed = Given::Text {
            text: "{a}".to_owned(),
            sha256: Some("0a".to_owned()),
        };
        let persisted = r#"{"persistedQuery":{"version":1,"sha256Hash":"0a","more":1}}"#;
        let encoded = utf8_percent_encode(persisted, NON_ALPHANUMERIC);
        for (body, url, expected) in [
            (
                r#""documentId":"sha256:0a""#.to_owned(),
                "documentId=sha256:0a".to_owned(),
                id("sha256:0a"),
            ),
            (
                r#""query":"","documentId":"0a""#.to_owned(),
                "query=&documentId=0a".to_owned(),
                id("0a"),
            ),
            (
                format!(r#""query":null,"extensions":{persisted}"#),
                format!("extensions={encoded}"),
                id("0a"),
            ),
            (
                format!(r#""query":"{{a}}","documentId":null,"extensions":{persisted}"#),
                format!("query={{a}}&extensions={encoded}"),
                hashed,
            ),
        ] {
            let body = from_body(format!("{{{body}}}").as_bytes()).unwrap();
            assert_eq!(body.document, expected);
            assert_eq!(from_url(&url).unwrap().document, expected);
        }
    }

    #[test]
    fn reads_a_url_as_forms_are_written() {
        let read = |url: &str| {
            let read = from_url(url).and_then(read)?;
            Ok::<_, Error>((read.document, read.operation_name))
        };
        let name = |name: &str| Some(name.to_owned());
        for (url, query, operation) in [
            ("query=%7Ba%7D", "{a}", None),
            ("query={a}&operationName=", "{a}", None),
            (
                "&query=%7ba+b%20c%2B%C3%A9%7d&&operationName=A",
                "{a b c+é}",
                name("A"),
            ),
            ("qu%65ry={a}&variables=null&extensions=%7B%7D", "{a}", None),
            ("query={a}&x=1&x=2&x", "{a}", None),
            ("query", "", None),
            ("query={a(b:\"=\")}", "{a(b:\"=\")}", None),
        ] {
            assert_eq!(read(url).unwrap(), (text(query), operation), "{url}");
        }
        for (url, expected) in [
            ("", "query is missing"),
            ("Query={a}", "query is missing"),
            ("query={a}&query={a}", "query must be given once"),
            ("query={a}&qu%65ry={a}", "query must be given once"),
            ("documentId=a&documentId=a", "documentId must be given once"),
            (
                "query={a}&variables=&variables=",
                "variables must be given once",
            ),
            (
                "query={a}&operationName=A&operationName=A",
                "operationName must be given once",
            ),
            (
                "query={a}&extensions={}&extensions={}",
                "extensions must be given once",
            ),
            (
                "query={a}&variables=",
                "variables is empty: leave it out, or send a JSON object",
            ),
            ("query={a}&extensions=", "extensions is empty"),
            ("query={a}&variables={", "variables must be JSON"),
            ("query={a}&variables={}{}", "variables must be JSON"),
            (
                "query={a}&variables=[]",
                "variables must be a JSON object, not a list",
            ),
            (
                "query={a}&variables=\"{}\"",
                "not text: send the object itself",
            ),
            (
                "query={a}&extensions=1",
                "extensions must be a JSON object, not a number",
            ),
            ("query=%ff", "UTF-8"),
            ("query={a}&%ff=1", "UTF-8"),
        ] {
            assert_eq!(
                read(url).map_err(|error| error.message.contains(expected)),
                Err(true),
                "{url}"
            );
        }
    }
}
