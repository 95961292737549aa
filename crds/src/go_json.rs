//! The JSON that Go makes of a spec, byte for byte.
//!
//! Each `write` below is one struct of Knative's `ingress_types.go`, a line per
//! field in Go's order: `omitempty` and `always` are its tags.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::{
    HeaderMatch, HttpIngressPath, HttpIngressRuleValue, IngressBackendSplit, IngressRule,
    IngressSpec, IngressTls, IntOrString, List,
};

impl IngressSpec {
    /// The spec as Go's `encoding/json` writes it (Go 1.22 or newer: before, `\b`
    /// and `\f` were `\u0008` and `\u000c`), which is what Knative hashes.
    ///
    /// No white space; fields in the order of the structs; map keys in the order
    /// of their bytes; `<`, `>`, `&`, U+2028 and U+2029 escaped, all else raw.
    #[must_use]
    pub fn go_json(&self) -> String {
        let mut json = String::new();
        self.write(&mut json);
        json
    }
}

/// A value that Go's encoder writes.
trait GoJson {
    /// Appends the value.
    fn write(&self, json: &mut String);

    /// Whether `omitempty` leaves it out; a struct it never does.
    fn is_empty(&self) -> bool {
        false
    }
}

/// The fields of one struct, commas between those that are written.
struct Fields<'a> {
    json: &'a mut String,
    first: bool,
}

fn object(json: &mut String, write_fields: impl FnOnce(&mut Fields<'_>)) {
    json.push('{');
    write_fields(&mut Fields { json, first: true });
    json.push('}');
}

impl Fields<'_> {
    fn always(&mut self, name: &str, value: &impl GoJson) {
        if !self.first {
            self.json.push(',');
        }
        self.first = false;
        write_text(self.json, name);
        self.json.push(':');
        value.write(self.json);
    }

    fn omitempty(&mut self, name: &str, value: &impl GoJson) {
        if !value.is_empty() {
            self.always(name, value);
        }
    }
}

impl GoJson for IngressSpec {
    fn write(&self, json: &mut String) {
        object(json, |fields| {
            fields.omitempty("tls", &self.tls);
            fields.omitempty("rules", &self.rules);
            fields.omitempty("httpOption", &self.http_option.0);
        });
    }
}

impl GoJson for IngressTls {
    fn write(&self, json: &mut String) {
        object(json, |fields| {
            fields.omitempty("hosts", &self.hosts);
            fields.omitempty("secretName", &self.secret_name);
            fields.omitempty("secretNamespace", &self.secret_namespace);
        });
    }
}

impl GoJson for IngressRule {
    fn write(&self, json: &mut String) {
        object(json, |fields| {
            fields.omitempty("hosts", &self.hosts);
            fields.omitempty("visibility", &self.visibility.0);
            fields.omitempty("http", &self.http);
        });
    }
}

impl GoJson for HttpIngressRuleValue {
    fn write(&self, json: &mut String) {
        object(json, |fields| fields.always("paths", &self.paths));
    }
}

impl GoJson for HttpIngressPath {
    fn write(&self, json: &mut String) {
        object(json, |fields| {
            fields.omitempty("path", &self.path);
            fields.omitempty("rewriteHost", &self.rewrite_host);
            fields.omitempty("headers", &self.headers);
            fields.always("splits", &self.splits);
            fields.omitempty("appendHeaders", &self.append_headers);
        });
    }
}

impl GoJson for HeaderMatch {
    fn write(&self, json: &mut String) {
        object(json, |fields| fields.always("exact", &self.exact));
    }
}

impl GoJson for IngressBackendSplit {
    fn write(&self, json: &mut String) {
        object(json, |fields| {
            fields.always("serviceNamespace", &self.service_namespace);
            fields.always("serviceName", &self.service_name);
            fields.always("servicePort", &self.service_port);
            fields.omitempty("percent", &self.percent);
            fields.omitempty("appendHeaders", &self.append_headers);
        });
    }
}

impl GoJson for IntOrString {
    fn write(&self, json: &mut String) {
        match self {
            IntOrString::Int(number) => i64::from(*number).write(json),
            IntOrString::String(name) => name.write(json),
        }
    }
}

impl GoJson for i64 {
    fn write(&self, json: &mut String) {
        // Writing to a String cannot fail.
        let _ = write!(json, "{self}");
    }

    fn is_empty(&self) -> bool {
        *self == 0
    }
}

impl GoJson for String {
    fn write(&self, json: &mut String) {
        write_text(json, self);
    }

    fn is_empty(&self) -> bool {
        String::is_empty(self)
    }
}

/// A pointer: nothing where it is nil.
impl<T: GoJson> GoJson for Option<T> {
    fn write(&self, json: &mut String) {
        match self {
            Some(value) => value.write(json),
            None => json.push_str("null"),
        }
    }

    fn is_empty(&self) -> bool {
        self.is_none()
    }
}

impl<T: GoJson> GoJson for Vec<T> {
    fn write(&self, json: &mut String) {
        json.push('[');
        for (index, element) in self.iter().enumerate() {
            if index > 0 {
                json.push(',');
            }
            element.write(json);
        }
        json.push(']');
    }

    fn is_empty(&self) -> bool {
        Vec::is_empty(self)
    }
}

impl<T: GoJson> GoJson for List<T> {
    fn write(&self, json: &mut String) {
        if self.is_absent() {
            json.push_str("null");
        } else {
            Vec::write(self, json);
        }
    }
}

impl<T: GoJson> GoJson for BTreeMap<String, T> {
    fn write(&self, json: &mut String) {
        object(json, |fields| {
            for (key, value) in self {
                fields.always(key, value);
            }
        });
    }

    fn is_empty(&self) -> bool {
        BTreeMap::is_empty(self)
    }
}

fn write_text(json: &mut String, text: &str) {
    json.push('"');
    for character in text.chars() {
        match character {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\u{8}' => json.push_str("\\b"),
            '\u{c}' => json.push_str("\\f"),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            '\0'..='\u{1f}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                // Writing to a String cannot fail.
                let _ = write!(json, "\\u{:04x}", u32::from(character));
            }
            _ => json.push(character),
        }
    }
    json.push('"');
}
