//! The spelling of providers' names.

/// Returns a provider's name in OpenTelemetry's current spelling; `None` if no other spelling is
/// known.
#[must_use]
pub fn canonical_provider(name: &str) -> Option<&'static str> {
    const MAX_LEN: usize = 32;
    if name.len() > MAX_LEN {
        return None;
    }
    let mut lower = [0; MAX_LEN];
    let lower = &mut lower[..name.len()];
    lower.copy_from_slice(name.as_bytes());
    lower.make_ascii_lowercase();
    Some(match &*lower {
        b"openai" | b"openai.chat" | b"openai.responses" | b"openai.completion" | b"openai.embedding" => {
            "openai"
        }
        b"anthropic" | b"anthropic.messages" => "anthropic",
        b"aws.bedrock" | b"aws" | b"amazon" | b"bedrock" | b"amazon-bedrock" => "aws.bedrock",
        b"azure.ai.inference" | b"az.ai.inference" => "azure.ai.inference",
        b"azure.ai.openai" | b"az.ai.openai" | b"azure" | b"azure_openai" | b"azure-openai" => {
            "azure.ai.openai"
        }
        b"cohere" => "cohere",
        b"deepseek" => "deepseek",
        b"gcp.gemini" | b"gemini" => "gcp.gemini",
        b"gcp.gen_ai" | b"google" | b"google.generative-ai" => "gcp.gen_ai",
        b"gcp.vertex_ai" | b"vertex_ai" | b"vertexai" | b"google.vertex" => "gcp.vertex_ai",
        b"groq" => "groq",
        b"ibm.watsonx.ai" | b"watsonx" => "ibm.watsonx.ai",
        b"mistral_ai" | b"mistralai" | b"mistral" => "mistral_ai",
        b"moonshot_ai" | b"moonshot" => "moonshot_ai",
        b"perplexity" => "perplexity",
        b"x_ai" | b"xai" => "x_ai",
        b"ollama" => "ollama",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_spellings_of_a_provider_become_one_name() {
        for (seen, canonical) in [
            ("az.ai.openai", "azure.ai.openai"),
            ("MistralAI", "mistral_ai"),
            ("xai", "x_ai"),
            ("Anthropic", "anthropic"),
            ("vertexai", "gcp.vertex_ai"),
        ] {
            assert_eq!(canonical_provider(seen), Some(canonical));
        }
        assert_eq!(canonical_provider("remote::vllm"), None);
        assert_eq!(canonical_provider(&"x".repeat(100_000)), None);
    }
}
