//! Who answers.

/// Who a service's process is among others, as its surroundings have told it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The name that clients see: the host's, unless it was given another.
    pub host: String,
    /// Swarm's name of the task, such as `ping.1.u2w0…`.
    pub task: Option<String>,
    /// Swarm's number of the task among its service's.
    pub slot: Option<String>,
    /// The host that the task runs on.
    pub node: Option<String>,
}

impl Identity {
    /// The same without control characters, which no header can carry.
    pub(crate) fn printable(self) -> Self {
        let printable = |text: String| text.replace(char::is_control, "");
        Self {
            host: printable(self.host),
            task: self.task.map(printable),
            slot: self.slot.map(printable),
            node: self.node.map(printable),
        }
    }
}

impl From<&str> for Identity {
    /// One that is known only by its host.
    fn from(host: &str) -> Self {
        Self { host: host.to_owned(), ..Self::default() }
    }
}
