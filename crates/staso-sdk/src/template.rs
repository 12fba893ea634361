//! What a decorator found out about its function once, so that a call costs little.

use std::sync::OnceLock;

use crate::host::Host;
use crate::record::{Around, SpanContext, Surroundings};

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

    /// Writes the metadata as the inside of a JSON object. What one span wrote whole, the others copy.
    pub(crate) fn write_attributes<H: Host<Object = O>>(&self, host: &mut H, is_first: &mut bool) {
        if let Some(json) = self.attributes_json.get() {
            return host.pen().members(json, is_first);
        }
        let (start, begins) = (host.pen().out.len(), *is_first);
        host.members("metadata", &self.attributes, None, is_first);
        if begins && !host.pen().is_full() {
            let _ = self.attributes_json.set(host.pen().out[start..].into());
        }
    }

    /// What nested spans belong to: an agent puts itself in the place of the one outside.
    pub fn surroundings(&self, outside: Around, value_bytes: usize) -> Around {
        let Some((name, id)) = &self.agent else { return outside };
        let inside = SpanContext {
            agent_name: Some(name.clone()),
            agent_id: Some(id.clone()),
            ..outside.context.clone()
        };
        Around::shared(Surroundings::new(inside, value_bytes))
    }
}
