//! The conventions as data: which attributes fill which field, first match first.
//!
//! Four generations of the GenAI conventions and several dialects. To support another, add a row.

use crate::kind::SpanKind;
use crate::usage::UsageBasis;

/// Attributes that may fill a field, best first.
pub(super) type Keys = &'static [&'static str];

pub(super) const PROVIDER: Keys =
    &["gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system", "ai.model.provider"];

/// Old spellings of providers and what they are called now.
pub(super) const PROVIDER_NAMES: &[(&str, &str)] = &[
    ("az.ai.openai", "azure.ai.openai"),
    ("vertex_ai", "gcp.vertex_ai"),
    ("gemini", "gcp.gemini"),
    ("xai", "x_ai"),
];

pub(super) const REQUESTED_MODEL: Keys = &[
    "gen_ai.request.model",
    "llm.request.model_name",
    "llm.model_name",
    "ai.model.id",
    "langfuse.observation.model.name",
];

/// Then the requested model.
pub(super) const MODEL: Keys =
    &["gen_ai.response.model", "llm.response.model_name", "llm.model_name", "ai.response.model"];

pub(super) const SESSION_ID: Keys = &[
    "gen_ai.conversation.id",
    "session.id",
    "langfuse.session.id",
    "traceloop.association.properties.session_id",
    "traceloop.association.properties.thread_id",
    "ai.telemetry.metadata.sessionId",
];

pub(super) const USER_ID: Keys = &[
    "user.id",
    "enduser.id",
    "langfuse.user.id",
    "traceloop.association.properties.user_id",
    "ai.telemetry.metadata.userId",
];

/// Then `traceloop.entity.name` on agents, then the service.
pub(super) const AGENT_NAME: Keys = &["gen_ai.agent.name", "agent.name", "agent_name"];
pub(super) const AGENT_ENTITY: Keys = &["traceloop.entity.name"];
pub(super) const AGENT_ID: Keys = &["gen_ai.agent.id"];
pub(super) const AGENT_VERSION: Keys = &["gen_ai.agent.version"];
pub(super) const REASONING_EFFORT: Keys =
    &["gen_ai.request.reasoning_effort", "gen_ai.openai.request.reasoning_effort"];

pub(super) const TAGS: Keys =
    &["tag.tags", "langfuse.trace.tags", "ai.telemetry.metadata.tags", "logfire.tags"];

/// US dollars.
pub(super) const CLIENT_COST: Keys = &["llm.cost.total", "operation.cost", "gen_ai.usage.cost"];

/// Of the resource.
pub(super) const ENVIRONMENT: Keys = &["deployment.environment.name", "deployment.environment"];
pub(super) const SERVICE: Keys = &["service.name"];
pub(super) const SERVICE_VERSION: Keys = &["service.version"];

/// Input totals, with what is known of each dialect: does the total include cached tokens?
pub(super) const INPUT_TOKENS: &[(&str, Option<UsageBasis>)] = &[
    ("gen_ai.usage.input_tokens", Some(UsageBasis::Inclusive)),
    ("gen_ai.usage.prompt_tokens", None),
    ("llm.token_count.prompt", Some(UsageBasis::Inclusive)),
    ("llm.usage.prompt_tokens", None),
    ("ai.usage.inputTokens", Some(UsageBasis::Inclusive)),
    ("ai.usage.promptTokens", None),
];
pub(super) const OUTPUT_TOKENS: Keys = &[
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.completion_tokens",
    "llm.token_count.completion",
    "llm.usage.completion_tokens",
    "ai.usage.outputTokens",
    "ai.usage.completionTokens",
];
pub(super) const TOTAL_TOKENS: Keys = &[
    "gen_ai.usage.total_tokens",
    "llm.token_count.total",
    "llm.usage.total_tokens",
    "ai.usage.totalTokens",
];
pub(super) const CACHE_READ: Keys = &[
    "cache_read_input_tokens",
    "cached_input_tokens",
    "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.usage.cache_read_input_tokens",
    "llm.token_count.prompt_details.cache_read",
    "ai.usage.cachedInputTokens",
];
pub(super) const CACHE_WRITE_5M: Keys = &["cache_write_5m_input_tokens"];
pub(super) const CACHE_WRITE_1H: Keys = &["cache_write_1h_input_tokens"];
/// Both caches together.
pub(super) const CACHE_WRITE: Keys = &[
    "cache_creation_input_tokens",
    "cache_write_input_tokens",
    "gen_ai.usage.cache_write.input_tokens",
    "gen_ai.usage.cache_creation.input_tokens",
    "gen_ai.usage.cache_creation_input_tokens",
    "llm.token_count.prompt_details.cache_write",
];
pub(super) const REASONING: Keys = &[
    "reasoning_tokens",
    "reasoning_output_tokens",
    "gen_ai.usage.reasoning.output_tokens",
    "llm.token_count.completion_details.reasoning",
    "ai.usage.reasoningTokens",
];
pub(super) const AUDIO_INPUT: Keys =
    &["audio_input_tokens", "llm.token_count.prompt_details.audio"];
pub(super) const AUDIO_OUTPUT: Keys =
    &["audio_output_tokens", "llm.token_count.completion_details.audio"];

/// A source of an input or output.
pub(super) enum Source {
    /// One attribute.
    Key(&'static str),
    /// Flattened attributes under a prefix, built up again.
    Prefix(&'static str),
    /// Events of these names, as a list of messages with the role given.
    Events(&'static [(&'static str, &'static str)]),
}
use Source::{Events, Key, Prefix};

/// Joined with the input messages where both stand.
pub(super) const SYSTEM_INSTRUCTIONS: &str = "gen_ai.system_instructions";

pub(super) const INPUT: &[Source] = &[
    Key("gen_ai.input.messages"),
    Key("input.value"),
    Prefix("llm.input_messages."),
    Prefix("gen_ai.prompt."),
    Key("gen_ai.prompt"),
    Key("traceloop.entity.input"),
    Key("langfuse.observation.input"),
    Key("ai.prompt.messages"),
    Key("ai.prompt"),
    Key("gen_ai.tool.call.arguments"),
    Key("tool.parameters"),
    Key("tool_arguments"),
    Key("ai.toolCall.args"),
    Key("mlflow.spanInputs"),
    Key("gcp.vertex.agent.llm_request"),
    Key("gcp.vertex.agent.tool_call_args"),
    Events(&[
        ("gen_ai.system.message", "system"),
        ("gen_ai.user.message", "user"),
        ("gen_ai.assistant.message", "assistant"),
        ("gen_ai.tool.message", "tool"),
    ]),
];

pub(super) const OUTPUT: &[Source] = &[
    Key("gen_ai.output.messages"),
    Key("output.value"),
    Prefix("llm.output_messages."),
    Prefix("gen_ai.completion."),
    Key("gen_ai.completion"),
    Key("traceloop.entity.output"),
    Key("langfuse.observation.output"),
    Key("ai.response.text"),
    Key("ai.response.toolCalls"),
    Key("ai.response.object"),
    Key("gen_ai.tool.call.result"),
    Key("tool_response"),
    Key("ai.toolCall.result"),
    Key("mlflow.spanOutputs"),
    Key("gcp.vertex.agent.llm_response"),
    Key("gcp.vertex.agent.tool_response"),
    Events(&[("gen_ai.choice", "assistant")]),
];

/// Attributes whose words say the kind, best first; compared without letter case.
pub(super) const KINDS: &[(&str, &[(&str, SpanKind)])] = &[
    (
        "openinference.span.kind",
        &[
            ("llm", SpanKind::Llm),
            ("tool", SpanKind::Tool),
            ("chain", SpanKind::Chain),
            ("agent", SpanKind::Agent),
            ("retriever", SpanKind::Retriever),
            ("embedding", SpanKind::Retriever),
            ("reranker", SpanKind::Retriever),
            ("guardrail", SpanKind::Custom),
            ("evaluator", SpanKind::Custom),
            ("prompt", SpanKind::Custom),
        ],
    ),
    (
        "langfuse.observation.type",
        &[
            ("generation", SpanKind::Llm),
            ("tool", SpanKind::Tool),
            ("agent", SpanKind::Agent),
            ("chain", SpanKind::Chain),
            ("span", SpanKind::Chain),
            ("retriever", SpanKind::Retriever),
            ("embedding", SpanKind::Retriever),
            ("guardrail", SpanKind::Custom),
            ("evaluator", SpanKind::Custom),
            ("event", SpanKind::Custom),
        ],
    ),
    (
        "gen_ai.operation.name",
        &[
            ("chat", SpanKind::Llm),
            ("generate_content", SpanKind::Llm),
            ("text_completion", SpanKind::Llm),
            ("embeddings", SpanKind::Retriever),
            ("retrieval", SpanKind::Retriever),
            ("execute_tool", SpanKind::Tool),
            ("create_agent", SpanKind::Agent),
            ("invoke_agent", SpanKind::Agent),
            ("invoke_workflow", SpanKind::Chain),
            ("plan", SpanKind::Chain),
        ],
    ),
    (
        "traceloop.span.kind",
        &[
            ("workflow", SpanKind::Chain),
            ("task", SpanKind::Chain),
            ("agent", SpanKind::Agent),
            ("tool", SpanKind::Tool),
        ],
    ),
    (
        "mlflow.spanType",
        &[
            ("llm", SpanKind::Llm),
            ("chat_model", SpanKind::Llm),
            ("tool", SpanKind::Tool),
            ("chain", SpanKind::Chain),
            ("agent", SpanKind::Agent),
            ("retriever", SpanKind::Retriever),
            ("embedding", SpanKind::Retriever),
            ("reranker", SpanKind::Retriever),
            ("parser", SpanKind::Custom),
        ],
    ),
];

/// The first word of these says the kind by its beginning, longest first.
pub(super) const OPERATION: Keys = &["ai.operationId", "operation.name"];
pub(super) const OPERATION_KINDS: &[(&str, SpanKind)] = &[
    ("ai.generateText.doGenerate", SpanKind::Llm),
    ("ai.streamText.doStream", SpanKind::Llm),
    ("ai.generateObject.doGenerate", SpanKind::Llm),
    ("ai.streamObject.doStream", SpanKind::Llm),
    ("ai.embed", SpanKind::Retriever),
    ("ai.toolCall", SpanKind::Tool),
    ("ai.", SpanKind::Chain),
];

/// Spans around a model call that repeat its tokens.
pub(super) const OUTER_OPERATIONS: Keys =
    &["ai.generateText", "ai.streamText", "ai.generateObject", "ai.streamObject"];

/// Their presence makes a tool.
pub(super) const TOOL_SIGNS: Keys = &["mcp.method.name", "gen_ai.tool.name"];

/// Every attribute that some row reads by its whole name.
pub(super) fn known_keys() -> impl Iterator<Item = &'static str> {
    let lists: [Keys; 26] = [
        PROVIDER,
        REQUESTED_MODEL,
        MODEL,
        SESSION_ID,
        USER_ID,
        AGENT_NAME,
        AGENT_ENTITY,
        AGENT_ID,
        AGENT_VERSION,
        REASONING_EFFORT,
        TAGS,
        CLIENT_COST,
        ENVIRONMENT,
        SERVICE,
        SERVICE_VERSION,
        OUTPUT_TOKENS,
        TOTAL_TOKENS,
        CACHE_READ,
        CACHE_WRITE_5M,
        CACHE_WRITE_1H,
        CACHE_WRITE,
        REASONING,
        AUDIO_INPUT,
        AUDIO_OUTPUT,
        OPERATION,
        TOOL_SIGNS,
    ];
    let sources = INPUT.iter().chain(OUTPUT).filter_map(|source| match source {
        Key(key) => Some(*key),
        Prefix(_) | Events(_) => None,
    });
    lists
        .into_iter()
        .flatten()
        .copied()
        .chain(INPUT_TOKENS.iter().map(|(key, _)| *key))
        .chain(KINDS.iter().map(|(key, _)| *key))
        .chain(sources)
        .chain([SYSTEM_INSTRUCTIONS])
}
