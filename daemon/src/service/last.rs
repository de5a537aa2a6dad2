//! The newest answer of each camera, for the retained topic `last`.

use std::collections::HashMap;

/// Newest answer per camera and whether the broker has it. Bounded by the number of cameras.
#[derive(Debug)]
pub(super) struct LastAnswers {
    cameras: usize,
    answers: HashMap<String, Answer>,
}

#[derive(Debug)]
struct Answer {
    seq: u64,
    payload: Vec<u8>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    InFlight,
    Acknowledged,
}

impl LastAnswers {
    /// For at most `cameras` cameras; beyond, the one whose answer is oldest is forgotten.
    pub(super) fn new(cameras: usize) -> Self {
        Self { cameras, answers: HashMap::new() }
    }

    /// Takes an answer in if none newer is known for the camera.
    pub(super) fn offer(&mut self, camera: &str, seq: u64, payload: &[u8]) {
        if self.answers.get(camera).is_some_and(|known| known.seq >= seq) {
            return;
        }
        let answer = Answer { seq, payload: payload.to_vec(), state: State::Waiting };
        self.answers.insert(camera.to_owned(), answer);
        if self.answers.len() > self.cameras {
            let oldest = self.answers.iter().min_by_key(|(_, answer)| answer.seq).map(|(camera, _)| camera.clone());
            oldest.and_then(|camera| self.answers.remove(&camera));
        }
    }

    /// A camera, sequence number and answer that the broker should get next, marked as being on its way.
    pub(super) fn send_next(&mut self) -> Option<(String, u64, Vec<u8>)> {
        let (camera, answer) = self.answers.iter_mut().find(|(_, answer)| answer.state == State::Waiting)?;
        answer.state = State::InFlight;
        Some((camera.clone(), answer.seq, answer.payload.clone()))
    }

    /// The broker has answered for the answer `seq` of the camera.
    pub(super) fn acknowledge(&mut self, camera: &str, seq: u64) {
        if let Some(answer) = self.answers.get_mut(camera).filter(|answer| answer.seq == seq) {
            answer.state = State::Acknowledged;
        }
    }

    /// The client could not take it just now.
    pub(super) fn give_back(&mut self, camera: &str) {
        if let Some(answer) = self.answers.get_mut(camera) {
            answer.state = State::Waiting;
        }
    }

    /// The connection is gone: the next broker, or the same without memory, gets all of them again.
    pub(super) fn connection_lost(&mut self) {
        for answer in self.answers.values_mut() {
            answer.state = State::Waiting;
        }
    }

    /// Whether the broker has all of them.
    pub(super) fn all_acknowledged(&self) -> bool {
        self.answers.values().all(|answer| answer.state == State::Acknowledged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_answer_never_replaces_a_newer_one() {
        let mut last = LastAnswers::new(4);
        last.offer("a", 2, b"two");
        last.offer("a", 1, b"one");
        assert_eq!(last.send_next(), Some(("a".to_owned(), 2, b"two".to_vec())));
        assert_eq!(last.send_next(), None);
    }

    #[test]
    fn an_acknowledgement_of_an_older_answer_leaves_the_newer_one_waiting() {
        let mut last = LastAnswers::new(4);
        last.offer("a", 1, b"one");
        last.send_next();
        last.offer("a", 2, b"two");
        last.acknowledge("a", 1);
        assert!(!last.all_acknowledged());
        assert_eq!(last.send_next().map(|sent| sent.1), Some(2));
        last.acknowledge("a", 2);
        assert!(last.all_acknowledged());
        last.connection_lost();
        assert_eq!(last.send_next().map(|sent| sent.1), Some(2));
    }

    #[test]
    fn cameras_are_bounded() {
        let mut last = LastAnswers::new(2);
        for seq in 0..100 {
            last.offer(&format!("cam{seq}"), seq, b"x");
        }
        assert_eq!(last.answers.len(), 2);
        assert!(last.answers.contains_key("cam99") && last.answers.contains_key("cam98"));
    }
}
