//! Recognizes the API that a request is sent to, by its method, path and host.

use std::borrow::Cow;

/// An API that calls a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Api {
    /// [`POST …/chat/completions`](https://platform.openai.com/docs/api-reference/chat).
    OpenAiChat,
    /// [`POST …/completions`](https://platform.openai.com/docs/api-reference/completions), the
    /// legacy one.
    OpenAiCompletions,
    /// [`POST …/responses`](https://platform.openai.com/docs/api-reference/responses).
    OpenAiResponses,
    /// [`POST …/embeddings`](https://platform.openai.com/docs/api-reference/embeddings).
    OpenAiEmbeddings,
    /// [`POST …/moderations`](https://platform.openai.com/docs/api-reference/moderations).
    OpenAiModerations,
    /// [`POST …/v1/messages`](https://docs.claude.com/en/api/messages).
    AnthropicMessages,
    /// [`POST …/api/chat`](https://docs.ollama.com/api/chat).
    OllamaChat,
    /// [`POST …/api/generate`](https://docs.ollama.com/api/generate).
    OllamaGenerate,
    /// [`POST …/api/embed`](https://docs.ollama.com/api/embed), and the older `/api/embeddings`.
    OllamaEmbed,
}

impl Api {
    /// Returns the operation in OpenTelemetry's conventions. They have none for moderations.
    #[must_use]
    pub const fn operation(self) -> &'static str {
        match self {
            Self::OpenAiChat | Self::OpenAiResponses | Self::AnthropicMessages | Self::OllamaChat => "chat",
            Self::OpenAiCompletions | Self::OllamaGenerate => "text_completion",
            Self::OpenAiEmbeddings | Self::OllamaEmbed => "embeddings",
            Self::OpenAiModerations => "moderation",
        }
    }

    pub(crate) const fn is_ollama(self) -> bool {
        matches!(self, Self::OllamaChat | Self::OllamaGenerate | Self::OllamaEmbed)
    }
}

/// The destination of a request to an API with models. Only the request's body shows whether it
/// calls one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    pub(crate) api: Api,
    provider: Cow<'static, str>,
    /// The name of the deployment in the path, which Azure uses instead of a model in the body.
    pub(crate) deployment: Option<String>,
}

impl Endpoint {
    /// Recognizes a request by its method, its host without the port, its port if the URL has one,
    /// and its path. A query may follow the path. The APIs are recognized below any prefix.
    ///
    /// ```
    /// use spanscope_calls::{Api, Endpoint};
    ///
    /// let endpoint = Endpoint::of("POST", "api.groq.com", None, "/openai/v1/chat/completions").unwrap();
    /// assert_eq!((endpoint.api(), endpoint.provider()), (Api::OpenAiChat, "groq"));
    /// assert_eq!(Endpoint::of("GET", "api.openai.com", None, "/v1/models"), None);
    /// ```
    #[must_use]
    pub fn of(method: &str, host: &str, port: Option<u16>, path: &str) -> Option<Self> {
        if method != "POST" {
            return None;
        }
        let path = path.split(['?', '#']).next()?.trim_end_matches('/');
        let mut segments = path.rsplit('/');
        let last = segments.next()?;
        let before = segments.next().unwrap_or_default();
        let api = match (before, last) {
            ("chat", "completions") => Api::OpenAiChat,
            (_, "completions") => Api::OpenAiCompletions,
            (_, "responses") => Api::OpenAiResponses,
            ("api", "embed" | "embeddings") => Api::OllamaEmbed,
            (_, "embeddings") => Api::OpenAiEmbeddings,
            (_, "moderations") => Api::OpenAiModerations,
            // Other APIs have paths that end with `messages`, but not directly below `v1`.
            ("v1", "messages") => Api::AnthropicMessages,
            ("api", "chat") => Api::OllamaChat,
            ("api", "generate") => Api::OllamaGenerate,
            _ => return None,
        };
        let deployment = path
            .split_once("/deployments/")
            .and_then(|(_, rest)| rest.split_once('/'))
            .map(|(name, _)| name.to_owned())
            .filter(|name| !name.is_empty());
        let provider = provider_of_host(host)
            .or_else(|| (port == Some(11434)).then_some("ollama"))
            .or_else(|| deployment.is_some().then_some("azure.ai.openai"))
            .unwrap_or(match api {
                Api::AnthropicMessages => "anthropic",
                api if api.is_ollama() => "ollama",
                _ => "openai",
            });
        Some(Self {
            api,
            provider: Cow::Borrowed(provider),
            deployment,
        })
    }

    /// Returns the API.
    #[must_use]
    pub const fn api(&self) -> Api {
        self.api
    }

    /// Returns the provider, as OpenTelemetry spells it. For an unknown host it is the provider
    /// whose API the host is compatible with.
    #[must_use]
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// Returns the endpoint with another provider, for hosts that only the caller knows.
    #[must_use]
    pub fn with_provider(mut self, provider: impl Into<String>) -> Self {
        self.provider = Cow::Owned(provider.into());
        self
    }

    pub(crate) fn into_provider(self) -> Cow<'static, str> {
        self.provider
    }
}

/// Returns the provider of a public host or of one of its subdomains.
fn provider_of_host(host: &str) -> Option<&'static str> {
    const HOSTS: [(&str, &str); 21] = [
        ("openai.com", "openai"),
        ("anthropic.com", "anthropic"),
        ("openai.azure.com", "azure.ai.openai"),
        ("cognitiveservices.azure.com", "azure.ai.openai"),
        ("services.ai.azure.com", "azure.ai.inference"),
        ("models.ai.azure.com", "azure.ai.inference"),
        ("groq.com", "groq"),
        ("mistral.ai", "mistral_ai"),
        ("deepseek.com", "deepseek"),
        ("x.ai", "x_ai"),
        ("perplexity.ai", "perplexity"),
        ("cohere.com", "cohere"),
        ("cohere.ai", "cohere"),
        ("moonshot.ai", "moonshot_ai"),
        ("moonshot.cn", "moonshot_ai"),
        ("generativelanguage.googleapis.com", "gcp.gemini"),
        ("aiplatform.googleapis.com", "gcp.vertex_ai"),
        // The conventions have no names for these.
        ("openrouter.ai", "openrouter"),
        ("together.xyz", "together"),
        ("fireworks.ai", "fireworks"),
        ("ollama.com", "ollama"),
    ];
    let is_at = |known: &str| {
        let start = host.len().checked_sub(known.len())?;
        let (head, tail) = (host.get(..start)?, host.get(start..)?);
        // Regional hosts of Vertex AI put the region before a dash.
        let is_border = head.is_empty() || head.ends_with(['.', '-']);
        (is_border && tail.eq_ignore_ascii_case(known)).then_some(())
    };
    let found = HOSTS.iter().find(|(known, _)| is_at(known).is_some());
    found.map(|(_, provider)| *provider)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn apis_are_recognized_below_any_prefix() {
        for (path, api) in [
            ("/v1/chat/completions", Api::OpenAiChat),
            ("/chat/completions", Api::OpenAiChat),
            ("/gateway/eu/v1/chat/completions?trace=1", Api::OpenAiChat),
            ("/v1/completions", Api::OpenAiCompletions),
            ("/v1/responses", Api::OpenAiResponses),
            ("/v1/embeddings/", Api::OpenAiEmbeddings),
            ("/v1/moderations", Api::OpenAiModerations),
            ("/anthropic/v1/messages", Api::AnthropicMessages),
            ("/api/chat", Api::OllamaChat),
            ("/api/generate", Api::OllamaGenerate),
            ("/api/embed", Api::OllamaEmbed),
            ("/api/embeddings", Api::OllamaEmbed),
        ] {
            let found = Endpoint::of("POST", "localhost", None, path);
            assert_eq!(found.map(|endpoint| endpoint.api), Some(api), "{path}");
        }
        for path in [
            "/v1/messages/count_tokens",
            "/v1/messages/batches",
            "/v1/threads/t/messages",
            "/v1/responses/resp_1/cancel",
            "/v1/models",
            "/chat",
            "/",
            "",
        ] {
            assert_eq!(Endpoint::of("POST", "localhost", None, path), None, "{path}");
        }
        assert_eq!(Endpoint::of("GET", "localhost", None, "/v1/responses"), None);
    }

    #[test]
    fn azure_names_the_model_in_its_path() {
        let path = "/openai/deployments/my-gpt/chat/completions?api-version=2024-10-21";
        let endpoint = Endpoint::of("POST", "me.openai.azure.com", None, path).unwrap();
        assert_eq!(endpoint.deployment.as_deref(), Some("my-gpt"));
        assert_eq!(endpoint.provider(), "azure.ai.openai");
    }

    #[test]
    fn a_provider_is_recognized_by_its_host_and_not_by_a_part_of_another_host() {
        let provider = |host, port, path| Endpoint::of("POST", host, port, path).unwrap().provider;
        let chat = "/v1/chat/completions";
        assert_eq!(provider("API.OpenAI.com", None, chat), "openai");
        assert_eq!(
            provider("eu-west1-aiplatform.googleapis.com", None, chat),
            "gcp.vertex_ai"
        );
        assert_eq!(provider("max.ai", None, chat), "openai");
        assert_eq!(provider("localhost", Some(11434), chat), "ollama");
        assert_eq!(provider("localhost", None, "/api/chat"), "ollama");
        assert_eq!(provider("localhost", None, "/v1/messages"), "anthropic");
    }
}
