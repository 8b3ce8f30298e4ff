//! The usage under the providers' names, which `spanscope_model::semconv` interprets.

use serde_json::{Map, Value};
use spanscope_model::RawValue;
use spanscope_model::semconv::{AttributeValues, SemanticAttribute as A, TokenCounts};

/// Maximum number of members.
const MAX_MEMBERS: usize = 64;

/// The members of all usage objects of a response. Streams report it at the end, at the start and
/// the end, or with every chunk, each time for the response so far.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    members: Map<String, Value>,
}

impl Usage {
    /// Adds the usage in a part of the response. A zero does not replace a count: some servers use
    /// it for unknown counts.
    pub(crate) fn take(&mut self, reported: &Map<String, Value>) {
        for (key, value) in reported {
            let is_nothing = value.is_null() || value.as_u64() == Some(0);
            if (is_nothing && self.members.contains_key(key)) || value.is_null() {
                continue;
            }
            if self.members.len() < MAX_MEMBERS || self.members.contains_key(key) {
                self.members.insert(key.clone(), value.clone());
            }
        }
    }

    /// Adds the counts that Ollama has among the members of its last line.
    pub(crate) fn take_ollama(&mut self, line: &Map<String, Value>) {
        for (reported, name) in [
            ("prompt_eval_count", "input_tokens"),
            ("eval_count", "output_tokens"),
        ] {
            if let Some(count) = line.get(reported).filter(|count| count.is_u64()) {
                self.members.insert(name.to_owned(), count.clone());
            }
        }
    }

    /// Returns the usage. `excludes_cache`: the provider counts cache reads and writes separately
    /// from the input, as Anthropic does.
    pub(crate) fn counts(&self, excludes_cache: bool) -> Option<TokenCounts> {
        let mut members = self.members.clone();
        let count = |members: &Map<String, Value>, key: &str| members.get(key).and_then(Value::as_u64);
        // DeepSeek's name.
        if let Some(read) = count(&members, "prompt_cache_hit_tokens") {
            members.insert("cached_tokens".to_owned(), read.into());
        }
        if excludes_cache && let Some(input) = count(&members, "input_tokens") {
            let parts = ["cache_read_input_tokens", "cache_creation_input_tokens"];
            let parts = parts.map(|key| count(&members, key).unwrap_or(0));
            let all = parts.into_iter().fold(input, u64::saturating_add);
            members.insert("input_tokens".to_owned(), all.into());
        }
        let text = Value::Object(members).to_string();
        let values = AttributeValues::of([(A::UsageObject.name(), RawValue::Text(&text, None))]);
        let counts = TokenCounts::read(&values, false, |_| ());
        (counts.input.is_some() || counts.output.is_some() || counts.total.is_some()).then_some(counts)
    }

    /// Returns the charge of OpenRouter and others, in US dollars.
    pub(crate) fn cost(&self) -> Option<f64> {
        let cost = self.members.get("cost")?.as_f64()?;
        (cost.is_finite() && cost >= 0.0).then_some(cost)
    }
}
