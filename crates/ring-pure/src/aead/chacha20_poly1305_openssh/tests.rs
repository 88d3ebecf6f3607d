use std::cell::Cell;

thread_local! {
    pub(super) static WIPED: Cell<usize> = const { Cell::new(0) };
}
