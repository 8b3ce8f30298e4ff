//! Runs of agents and workflows.

use tracing::field::Empty;
use tracing::info_span;

use super::{HelperSpan, spanned};

/// One run of an agent. Its fields name what seed 5's agent traces are asked by: task, session, user, tenant.
#[derive(Debug)]
pub struct Agent {
    span: HelperSpan,
}

spanned!(Agent);

impl Agent {
    /// Begins a run.
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

    /// The agent's id, where it has one beside its name.
    pub fn agent_id(&self, id: &str) -> &Self {
        self.span.record("agent_id", id);
        self
    }

    /// The run's own id; without one the trace id stands for it.
    pub fn task(&self, id: &str) -> &Self {
        self.span.record("task_id", id);
        self
    }

    /// The session that the run is part of.
    pub fn session(&self, id: &str) -> &Self {
        self.span.record("session_id", id);
        self
    }

    /// Who asked.
    pub fn user(&self, id: &str) -> &Self {
        self.span.record("user_id", id);
        self
    }

    /// Whose it is.
    pub fn tenant(&self, id: &str) -> &Self {
        self.span.record("tenant_id", id);
        self
    }

    /// The conversation with the model.
    pub fn conversation(&self, id: &str) -> &Self {
        self.span.record("gen_ai.conversation.id", id);
        self
    }

    /// What was asked, as JSON. This is content.
    pub fn input_messages(&self, json: &str) -> &Self {
        self.span.record("gen_ai.input.messages", json);
        self
    }

    /// What it answered, as JSON. This is content.
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
    /// Begins a run. Workflows have few names; ids go into attributes.
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
