//! What a task takes while it waits, counted by the allocator.
#![allow(unsafe_code, reason = "nothing else counts what is allocated")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicIsize, Ordering};

use russh_util::runtime::spawn;
use tokio::sync::oneshot;

/// Much more than whatever else happens to be allocated meanwhile.
const SIZE: usize = 1 << 17;

struct Counting;

static HELD: AtomicIsize = AtomicIsize::new(0);

// SAFETY: all is handed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size().cast_signed(), Ordering::Relaxed);
        // SAFETY: as asked for by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size().cast_signed(), Ordering::Relaxed);
        // SAFETY: as asked for by the caller.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_task_takes_the_memory_of_its_future_once() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (go_on, wait) = oneshot::channel::<()>();
    let before = HELD.load(Ordering::Relaxed);
    runtime.block_on(async {
        let task = spawn(async move {
            let block = [7_u8; SIZE];
            let _ = wait.await;
            usize::from(block[0]) + block.len()
        });
        tokio::task::yield_now().await;
        let held = usize::try_from(HELD.load(Ordering::Relaxed) - before).unwrap();
        assert!((SIZE..SIZE + SIZE / 2).contains(&held), "{held} bytes for {SIZE}");
        go_on.send(()).unwrap();
        assert_eq!(task.await.unwrap(), SIZE + 7);
    });
}
