//! Which instances are refused, so that the log has a line when that begins, changes or ends, and none at each heartbeat.

use std::collections::BTreeMap;

use protocol::InstanceId;

/// The reasons, by instance, that the log has.
#[derive(Debug, Default)]
pub(crate) struct Refusals(BTreeMap<InstanceId, String>);

impl Refusals {
    /// Takes note of all instances that are refused now. Returns those that are so newly, or for another reason than
    /// before, and those that are no longer.
    pub(crate) fn note<'a>(
        &mut self,
        refused: impl Iterator<Item = (&'a InstanceId, &'a str)>,
    ) -> (Vec<InstanceId>, Vec<InstanceId>) {
        let mut begun = Vec::new();
        let mut now = BTreeMap::new();
        for (id, reason) in refused {
            let known = self.0.remove_entry(id).filter(|(_, known)| known == reason);
            let (id, reason) = known.unwrap_or_else(|| {
                begun.push(id.clone());
                (id.clone(), reason.to_owned())
            });
            now.insert(id, reason);
        }
        let ended = std::mem::replace(&mut self.0, now).into_keys().collect();
        (begun, ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_news_when_it_begins_changes_or_ends() {
        let id: InstanceId = "s.1".parse().unwrap();
        let mut refusals = Refusals::default();
        let mut note = |reason: Option<&str>| {
            let (begun, ended) = refusals.note(reason.map(|reason| (&id, reason)).into_iter());
            (begun.len(), ended.len())
        };
        assert_eq!(note(None), (0, 0));
        assert_eq!(note(Some("a")), (1, 0));
        assert_eq!(note(Some("a")), (0, 0));
        assert_eq!(note(Some("b")), (1, 0));
        assert_eq!(note(None), (0, 1));
        assert_eq!(note(None), (0, 0));
        assert_eq!(note(Some("b")), (1, 0));
    }
}
