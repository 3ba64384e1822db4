//! What has to hold after a call, and whether it did.

use std::fmt::Write;

use serde::Serialize;
use serde_json::Value;

/// One line of the report.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Check {
    /// Stable.
    pub(crate) name: &'static str,
    pub(crate) ok: bool,
    pub(crate) value: Value,
    pub(crate) aim: String,
    /// In plain words, what did not hold.
    #[serde(skip)]
    pub(crate) complaint: String,
}

impl Check {
    pub(crate) fn new(name: &'static str, value: Value, aim: impl Into<String>, problems: Vec<String>) -> Self {
        Self { name, ok: problems.is_empty(), value, aim: aim.into(), complaint: problems.join("; ") }
    }
}

/// All of them for people, and in plain words what does not hold.
pub(crate) fn verdict(checks: &[Check]) -> String {
    let mut text = String::new();
    for check in checks {
        let mark = if check.ok { "holds" } else { "FAILS" };
        let _ = writeln!(text, "    {mark}  {:<22} {:<10} {}", check.name, check.value.to_string(), check.aim);
    }
    text.push('\n');
    if checks.iter().all(|check| check.ok) {
        text.push_str("  Everything holds.\n");
    } else {
        text.push_str("  What does not hold:\n");
        for check in checks.iter().filter(|check| !check.ok) {
            let _ = writeln!(text, "    {}: {}", check.name, check.complaint);
        }
    }
    text
}
