//! Reports of routers about the configuration, as the registry needs them. Pure.

/// Reports of routers about the configuration.
pub(crate) trait Reports {
    /// Returns whether definitions can be tried: a router polls whose API has not failed, or none polls yet.
    fn can_try(&self) -> bool;

    /// Returns whether there are routers, and each of them uses `generation` or a later one and, if it has an API, has
    /// reported on it.
    fn is_confirmed(&self, generation: u64) -> bool;

    /// Returns the error that a router reports for a definition, such as (`http`, `routers`, `ping`), in its latest
    /// report, if that is about the generation `since` or a later one.
    fn error(&self, since: u64, protocol: &str, kind: &str, name: &str) -> Option<String>;

    /// Returns a number that differs if any report or acknowledgement does.
    fn revision(&self) -> u64;
}
