//! Verifies and opens the messages of a batch on all processors, while the batch before is committed.
//!
//! What a message comes to does not depend on any other, and results come back in the order of the messages: so each box's events stay in
//! order. Threads take the next message that nobody has begun, so one that takes long, as a malicious one does, holds up a single thread.
//! It keeps nothing between batches and never judges a chain.

use std::{
    io,
    num::NonZero,
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// Most threads: beyond this the database is what is waited for.
const THREADS: usize = 8;

/// Fewer messages are not worth a further thread: to start one takes as long as to open half a message.
const EACH: usize = 4;

/// Does `work` on each of `items` with several threads, and `meanwhile` on this one. Gives what each item came to, in order.
pub(super) fn beside<T: Sync, R: Send + Sync, M>(
    items: &[T],
    work: impl Fn(&T) -> R + Sync,
    meanwhile: impl FnOnce() -> M,
) -> (Vec<R>, M) {
    let done: Vec<OnceLock<R>> = items.iter().map(|_| OnceLock::new()).collect();
    let next = AtomicUsize::new(0);
    let help = || {
        while let (at, Some(item)) = turn(&next, items) {
            // Nobody else has this turn.
            let _ = done[at].set(work(item));
        }
    };
    let meanwhile = thread::scope(|scope| {
        for _ in 0..helpers(items.len()) {
            // Without a further thread it takes longer, no more.
            let _: io::Result<_> = thread::Builder::new().name("opening".into()).spawn_scoped(scope, help);
        }
        let meanwhile = meanwhile();
        help();
        meanwhile
    });
    let all = done.into_iter().map(|cell| cell.into_inner().expect("a thread that panics ends all of this"));
    (all.collect(), meanwhile)
}

fn turn<'a, T>(next: &AtomicUsize, items: &'a [T]) -> (usize, Option<&'a T>) {
    let at = next.fetch_add(1, Ordering::Relaxed);
    (at, items.get(at))
}

/// How many threads besides this one are worth it.
fn helpers(items: usize) -> usize {
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    processors.min(THREADS).min(items / EACH)
}

#[cfg(test)]
mod tests {
    use std::sync::{Barrier, mpsc};

    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_items_whoever_is_done_first() {
        let items: Vec<usize> = (0..200).collect();
        // The first is the last to be done, if there is anybody else to do the others.
        let (tell, told) = mpsc::channel();
        let told = std::sync::Mutex::new(told);
        let alone = helpers(items.len()) == 0;
        let (squares, said) = beside(
            &items,
            |&item| {
                if item == 0 && !alone {
                    told.lock().expect("no panic").recv().expect("somebody does the last");
                }
                if item == 199 {
                    tell.send(()).expect("awaited");
                }
                item * item
            },
            || "meanwhile",
        );
        assert_eq!(squares, items.iter().map(|item| item * item).collect::<Vec<_>>());
        assert_eq!(said, "meanwhile");
    }

    #[test]
    fn the_rest_is_done_while_something_else_is() {
        let items: Vec<u32> = (0..8).collect();
        if helpers(items.len()) == 0 {
            return;
        }
        // Neither could go on if one waited for the end of the other.
        let both = Barrier::new(2);
        let at_first = |&item: &u32| {
            if item == 0 {
                both.wait();
            }
            item
        };
        let (done, _) = beside(&items, at_first, || both.wait());
        assert_eq!(done, items);
        assert_eq!(beside(&[] as &[u32], |&item| item, || 7), (Vec::new(), 7));
    }
}
