//! What is opened ahead on a connection, for the next one who wants it.

/// One at most. Each has a number of its own, so that the end of one is not taken for that of the next.
#[derive(Debug)]
pub(super) struct Ahead<T> {
    kept: Option<(u64, T)>,
    next: u64,
}

impl<T> Default for Ahead<T> {
    fn default() -> Self {
        Self { kept: None, next: 0 }
    }
}

impl<T> Ahead<T> {
    /// Keeps it until it is taken, and says its number.
    pub(super) fn keep(&mut self, opened: T) -> u64 {
        let number = self.next;
        self.next += 1;
        self.kept = Some((number, opened));
        number
    }

    pub(super) fn take(&mut self) -> Option<T> {
        self.kept.take().map(|(_, opened)| opened)
    }

    /// Takes the one with this number, if it is that one that is there.
    pub(super) fn take_number(&mut self, number: u64) -> Option<T> {
        self.kept.take_if(|(kept, _)| *kept == number).map(|(_, opened)| opened)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_one_that_was_taken_leaves_the_next_one_where_it_is() {
        let mut ahead = Ahead::default();
        let first = ahead.keep("first");
        assert_eq!(ahead.take(), Some("first"));
        let second = ahead.keep("second");
        assert_eq!((ahead.take_number(first), ahead.take_number(second)), (None, Some("second")));
        assert_eq!((ahead.take_number(second), ahead.take()), (None, None));
    }
}
