//! Runs of agents and workflows.

use tracing::field::Empty;
use tracing::info_span;

use super::{HelperSpan, spanned};

/// One run of an agent. Its fields are those by which agent traces are queried: task, session,
/// user, tenant.
#[derive(Debug)]
pub struct Agent {
    span: HelperSpan,
}

spanned!(Agent);

impl Agent {
    /// Starts a run.
    pub fn invoke(agent: &str) -> Self {
        let span = info_span!(
            target: "agents",
            "invoke_agent",
            otel.name = format!("invoke_agent {agent}"),
            otel.status_code = Empty,
            otel.status_description = Empty,
            error.type = Empty,
            gen_ai.operation.name = "invoke_agent",
            gen_ai.agent.name = agent,
            gen_ai.conversation.id = Empty,
            gen_ai.input.messages = Empty,
            gen_ai.output.messages = Empty,
            agent_id = Empty,
            task_id = Empty,
            session_id = Empty,
            user_id = Empty,
            tenant_id = Empty,
        );
        Self {
            span: HelperSpan(span),
        }
    }

    /// Sets the agent's id, if it has one in addition to its name.
    pub fn agent_id(&self, id: &str) -> &Self {
        self.span.record("agent_id", id);
        self
    }

    /// Sets the run's own id; the default is the trace id.
    pub fn task(&self, id: &str) -> &Self {
        self.span.record("task_id", id);
        self
    }

    /// Sets the session.
    pub fn session(&self, id: &str) -> &Self {
        self.span.record("session_id", id);
        self
    }

    /// Sets the user.
    pub fn user(&self, id: &str) -> &Self {
        self.span.record("user_id", id);
        self
    }

    /// Sets the tenant.
    pub fn tenant(&self, id: &str) -> &Self {
        self.span.record("tenant_id", id);
        self
    }

    /// Sets the conversation with the model.
    pub fn conversation(&self, id: &str) -> &Self {
        self.span.record("gen_ai.conversation.id", id);
        self
    }

    /// Sets the input messages, as JSON. They are content.
    pub fn input_messages(&self, json: &str) -> &Self {
        self.span.record("gen_ai.input.messages", json);
        self
    }

    /// Sets the output messages, as JSON. They are content.
    pub fn output_messages(&self, json: &str) -> &Self {
        self.span.record("gen_ai.output.messages", json);
        self
    }
}

/// One run of a workflow: several agents and steps that belong together.
#[derive(Debug)]
pub struct Workflow {
    span: HelperSpan,
}

spanned!(Workflow);

impl Workflow {
    /// Starts a run. Workflows have few names; ids belong in attributes.
    pub fn invoke(workflow: &str) -> Self {
        let span = info_span!(
            target: "agents",
            "invoke_workflow",
            otel.name = format!("invoke_workflow {workflow}"),
            otel.status_code = Empty,
            otel.status_description = Empty,
            error.type = Empty,
            gen_ai.operation.name = "invoke_workflow",
            gen_ai.workflow.name = workflow,
        );
        Self {
            span: HelperSpan(span),
        }
    }
}
