//! Server and request as JSON: whoami's fields and more.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;

use crate::forwarding::ForwardingChain;
use crate::transport::tls::Session;

/// The response of `/api`, in whoami's order. whoami's fields are left out if they are empty.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Data<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(crate) hostname: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(crate) ip: &'a [IpAddr],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) headers: BTreeMap<String, Vec<String>>,
    pub(crate) url: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) host: String,
    pub(crate) method: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<&'a str>,
    pub(crate) remote_addr: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) environ: BTreeMap<String, String>,

    pub(crate) protocol: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tls: Option<&'a Session>,
    #[serde(flatten)]
    pub(crate) forwarding: ForwardingChain,

    #[serde(flatten)]
    pub(crate) task: Replica<'a>,
}

/// The replica that responds.
#[derive(Serialize)]
pub(crate) struct Replica<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) task: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) slot: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) node: Option<&'a str>,
    pub(crate) version: &'static str,
    pub(crate) state: &'static str,
}

/// Formats a line of JSON with `<`, `>` and `&` escaped, as Go does.
pub(crate) fn json(value: &impl Serialize) -> String {
    let Ok(text) = serde_json::to_string(value) else { return String::new() };
    let mut line = String::with_capacity(text.len() + 1);
    for letter in text.chars() {
        match letter {
            '<' => line.push_str("\\u003c"),
            '>' => line.push_str("\\u003e"),
            '&' => line.push_str("\\u0026"),
            '\u{2028}' => line.push_str("\\u2028"),
            '\u{2029}' => line.push_str("\\u2029"),
            letter => line.push(letter),
        }
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_characters_are_escaped() {
        assert_eq!(json(&"<&>\"\u{2028}é"), "\"\\u003c\\u0026\\u003e\\\"\\u2028é\"\n");
    }
}
