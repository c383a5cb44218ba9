//! Questions to managers' agents about the updates of services, which heartbeats carry. Pure: callers pass the time in.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use protocol::Update;

/// Time for which a question is open.
const OPEN_FOR: Duration = Duration::from_secs(10);
/// Maximum number of services with open questions.
const MAX_OPEN: usize = 256;

/// Open questions, by service.
#[derive(Debug, Default)]
pub(crate) struct Questions {
    open: BTreeMap<String, Question>,
    /// Number of the latest question.
    count: u64,
}

#[derive(Debug)]
struct Question {
    number: u64,
    until: Instant,
    answer: Option<Update>,
}

impl Questions {
    /// Asks for the update of `service`. Returns the number of the question. Beyond the maximum it stays without an answer.
    pub(crate) fn ask(&mut self, now: Instant, service: &str) -> u64 {
        self.count += 1;
        self.open.retain(|_, question| question.until > now);
        if self.open.len() < MAX_OPEN || self.open.contains_key(service) {
            let answer = self.open.remove(service).and_then(|known| known.answer);
            let question = Question { number: self.count, until: now + OPEN_FOR, answer };
            self.open.insert(service.to_owned(), question);
        }
        self.count
    }

    /// Returns the services with a question that has no answer yet, with its number.
    pub(crate) fn unanswered(&self, now: Instant) -> BTreeMap<String, u64> {
        let open = self.open.iter().filter(|(_, question)| question.until > now);
        let open = open.filter(|(_, question)| question.answer_since(question.number).is_none());
        open.map(|(service, question)| (service.clone(), question.number)).collect()
    }

    /// Records an answer.
    pub(crate) fn answered(&mut self, service: &str, update: Update) {
        if let Some(question) = self.open.get_mut(service)
            && question.answer.as_ref().is_none_or(|known| known.number <= update.number)
        {
            question.answer = Some(update);
        }
    }

    /// Returns the answer to question `number` or to a later one.
    pub(crate) fn answer(&self, service: &str, number: u64) -> Option<&Update> {
        self.open.get(service)?.answer_since(number)
    }
}

impl Question {
    fn answer_since(&self, number: u64) -> Option<&Update> {
        self.answer.as_ref().filter(|answer| answer.number >= number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_answer_to_the_question_or_to_a_later_one_counts() {
        let (mut questions, now) = (Questions::default(), Instant::now());
        let update = |number| Update { number, ..Update::default() };
        let first = questions.ask(now, "s");
        questions.answered("s", update(first));
        assert!(questions.answer("s", first).is_some() && questions.unanswered(now).is_empty());
        let second = questions.ask(now, "s");
        assert_eq!(questions.unanswered(now), [("s".to_owned(), second)].into());
        questions.answered("s", update(first));
        questions.answered("other", update(second));
        assert!(questions.answer("s", first).is_some() && questions.answer("s", second).is_none());
        questions.answered("s", update(second));
        questions.answered("s", update(first));
        assert!(questions.answer("s", second).is_some(), "an earlier answer arrives late");
        questions.ask(now, "s");
        assert!(questions.unanswered(now + OPEN_FOR).is_empty(), "the question is closed");
    }

    #[test]
    fn number_of_open_questions_is_bounded() {
        let (mut questions, now) = (Questions::default(), Instant::now());
        for number in 0..=MAX_OPEN {
            questions.ask(now, &number.to_string());
        }
        assert_eq!(questions.unanswered(now).len(), MAX_OPEN);
        questions.ask(now + OPEN_FOR, "s");
        assert_eq!(questions.unanswered(now + OPEN_FOR).len(), 1);
    }
}
