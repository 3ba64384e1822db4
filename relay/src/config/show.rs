//! `--check-config`: the merged settings as a file, with where each value came from and no secret.

use std::fmt::Write;

use super::{Loaded, Origin};

/// Settings that name a secret: what they hold is never shown.
const SECRETS: [&str; 3] = ["relay.key", "operator.key", "web.key"];

impl Loaded {
    /// The merged settings, readable as a file again.
    #[must_use]
    pub fn show(&self) -> String {
        let mut out = format!("# {}: in order\n", self.file.display());
        let Ok(toml::Value::Table(sections)) = toml::Value::try_from(&self.settings) else { return out };
        for (section, fields) in &sections {
            match fields {
                toml::Value::Table(fields) => self.section(&mut out, &format!("[{section}]"), section, fields),
                toml::Value::Array(elements) => {
                    for (index, element) in elements.iter().enumerate() {
                        if let toml::Value::Table(fields) = element {
                            self.section(&mut out, &format!("[[{section}]]"), &format!("{section}[{index}]"), fields);
                        }
                    }
                }
                _ => {}
            }
        }
        out
    }

    fn section(&self, out: &mut String, head: &str, path: &str, fields: &toml::Table) {
        let _ = writeln!(out, "\n{head}");
        for (name, value) in fields {
            let key = format!("{path}.{name}");
            let origin = match self.origin(&key) {
                Origin::Default => "default".to_owned(),
                Origin::File(line) => format!("line {line}"),
                Origin::Environment(variable) => format!("environment {variable}"),
                Origin::Flag => format!("--set {key}"),
            };
            let secret = if SECRETS.contains(&key.as_str()) && value.as_str() != Some("") { ", the file holds ***" } else { "" };
            let _ = writeln!(out, "{name} = {value}  # {origin}{secret}");
        }
    }
}
