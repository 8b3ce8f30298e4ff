//! Substitution of `${env.NAME}` in a text, by Llama Stack's rules.
//!
//! | written | NAME has a value | NAME is unset or empty |
//! |---|---|---|
//! | `${env.NAME}` | the value | an error |
//! | `${env.NAME:=default}` | the value | `default`, which may be empty |
//! | `${env.NAME:+text}` | `text` | nothing |
//!
//! A default or text reaches to the next `}` and is not substituted again, and neither is a
//! variable's value. Unlike in Llama Stack, a name may have lower-case letters, and a malformed
//! `${env.` is an error instead of text.

use crate::error::quoted;

const BEGIN: &str = "${env.";

/// Maximum size of the result, in bytes: each of its variables may be as long as the system allows.
const MAX_LEN: usize = 1 << 20;

/// Returns the text with all variables replaced, or an error.
pub(super) fn substitute(text: &str, env: impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, variable)) = rest.split_once(BEGIN) {
        result.push_str(before);
        let Some((inner, after)) = variable.split_once('}') else {
            return Err(format!("{BEGIN}{} has no closing }}", quoted(variable)));
        };
        result.push_str(&value_of(inner, &env)?);
        if result.len() > MAX_LEN {
            return Err("with its variables this is longer than 1 MiB".to_owned());
        }
        rest = after;
    }
    result.push_str(rest);
    Ok(result)
}

fn value_of(inner: &str, env: impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let (name, operation) = inner
        .split_once(':')
        .map_or((inner, None), |(name, operation)| (name, Some(operation)));
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if name.is_empty() || !name.bytes().all(is_name) {
        return Err(malformed(inner));
    }
    let value = env(name).filter(|value| !value.is_empty());
    match operation.map(|operation| operation.split_at_checked(1)) {
        None => value.ok_or_else(|| {
            format!("the variable {name} is not set or empty: set it, or write ${{env.{name}:=default}}")
        }),
        Some(Some(("=", default))) => Ok(value.unwrap_or_else(|| default.to_owned())),
        Some(Some(("+", text))) => Ok(value.map_or_else(String::new, |_| text.to_owned())),
        Some(_) => Err(malformed(inner)),
    }
}

fn malformed(inner: &str) -> String {
    format!(
        "{BEGIN}{}}} is not a variable: write ${{env.NAME}}, ${{env.NAME:=default}} or ${{env.NAME:+text}}",
        quoted(inner)
    )
}
