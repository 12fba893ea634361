//! What a decorator found out about its function once, so that a call costs little.

use std::sync::{Arc, OnceLock};

use crate::host::Host;
use crate::record::{SpanContext, Surroundings};

/// What the spans of one decorated function share.
#[derive(Debug)]
pub struct Template<O> {
    /// The metadata every call starts with: a mapping.
    pub attributes: O,
    attributes_json: OnceLock<Box<[u8]>>,
    /// The agent that nested spans belong to, by name and id.
    agent: Option<(String, String)>,
}

impl<O> Template<O> {
    /// `agent` is the name and id of the agent the function is, where it is one.
    #[must_use]
    pub fn new(attributes: O, agent: Option<(String, String)>) -> Self {
        Self { attributes, attributes_json: OnceLock::new(), agent }
    }

    /// The metadata as the inside of a JSON object, written once.
    pub(crate) fn attributes_json<H: Host<Object = O>>(&self, host: &mut H) -> &[u8] {
        if let Some(json) = self.attributes_json.get() {
            return json;
        }
        let start = host.pen().out.len();
        host.members("metadata", &self.attributes, None, &mut true);
        let json = host.pen().out.split_off(start).into_boxed_slice();
        self.attributes_json.get_or_init(|| json)
    }

    /// What nested spans belong to: an agent puts itself in the place of the one outside.
    pub fn surroundings(
        &self,
        outside: Arc<Surroundings>,
        value_bytes: usize,
    ) -> Arc<Surroundings> {
        let Some((name, id)) = &self.agent else { return outside };
        let inside = SpanContext {
            agent_name: Some(name.clone()),
            agent_id: Some(id.clone()),
            ..outside.context.clone()
        };
        Surroundings::new(inside, value_bytes)
    }
}
