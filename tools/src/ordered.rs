//! Work on several threads whose results come back in the order of the work.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};

/// How many items per thread may be under way or waiting for their turn.
const AHEAD: usize = 4;

/// One item with the place where its result is awaited.
type Job<T, R> = (T, SyncSender<R>);

/// Runs `work` on `threads` threads and hands the results to `consume` on this thread, in the order of the items.
///
/// At most four items per thread are under way at a time, so memory does not grow with their number. When `consume`
/// fails, no further item is begun and its error is returned.
///
/// # Errors
/// The first error of `consume`.
pub fn ordered_map<T, R, E>(
    items: impl IntoIterator<Item = T>,
    threads: usize,
    work: impl Fn(T) -> R + Sync,
    mut consume: impl FnMut(R) -> Result<(), E>,
) -> Result<(), E>
where
    T: Send,
    R: Send,
{
    let threads = threads.max(1);
    let (jobs, queue) = sync_channel::<Job<T, R>>(threads.saturating_mul(AHEAD));
    let queue = Mutex::new(queue);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| run_jobs(&queue, &work));
        }
        let mut waiting = VecDeque::new();
        for item in items {
            if waiting.len() >= threads.saturating_mul(AHEAD) {
                consume_first(&mut waiting, &mut consume)?;
            }
            let (sender, receiver) = sync_channel(1);
            waiting.push_back(receiver);
            if jobs.send((item, sender)).is_err() {
                break;
            }
        }
        while !waiting.is_empty() {
            consume_first(&mut waiting, &mut consume)?;
        }
        // Closing the queue ends the threads. An early return above drops it too.
        drop(jobs);
        Ok(())
    })
}

fn run_jobs<T, R>(queue: &Mutex<Receiver<Job<T, R>>>, work: &(impl Fn(T) -> R + Sync)) {
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((item, sender)) = job else { return };
        // Nobody waits for the result any more when the consumer has failed.
        drop(sender.send(work(item)));
    }
}

fn consume_first<R, E>(
    waiting: &mut VecDeque<Receiver<R>>,
    consume: &mut impl FnMut(R) -> Result<(), E>,
) -> Result<(), E> {
    // A worker that panicked leaves no result; the scope passes its panic on.
    match waiting.pop_front().map(|receiver| receiver.recv()) {
        Some(Ok(result)) => consume(result),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    #[test]
    fn results_come_in_the_order_of_the_items_whatever_the_threads() {
        for threads in [0, 1, 2, 7] {
            let mut results = Vec::new();
            let work = |i: u64| {
                std::thread::sleep(Duration::from_micros((i * 7919) % 300));
                i * i
            };
            ordered_map(0..200_u64, threads, work, |square| {
                results.push(square);
                Ok::<_, Infallible>(())
            })
            .unwrap();
            assert_eq!(results, (0..200_u64).map(|i| i * i).collect::<Vec<_>>());
        }
    }

    #[test]
    fn an_error_of_the_consumer_stops_the_work() {
        let begun = AtomicUsize::new(0);
        let work = |i: usize| {
            begun.fetch_add(1, Ordering::Relaxed);
            i
        };
        let result = ordered_map(0..10_000, 2, work, |i| if i == 5 { Err("stop") } else { Ok(()) });
        assert_eq!(result, Err("stop"));
        assert!(begun.load(Ordering::Relaxed) < 100);
    }

    #[test]
    fn items_are_taken_only_as_they_are_needed() {
        let taken = AtomicUsize::new(0);
        let consumed = AtomicUsize::new(0);
        let items = (0..500).inspect(|_| {
            let ahead = taken.fetch_add(1, Ordering::Relaxed) - consumed.load(Ordering::Relaxed);
            assert!(ahead <= 3 * AHEAD + 1, "{ahead} items are held");
        });
        ordered_map(
            items,
            3,
            |i: i32| i,
            |_| {
                consumed.fetch_add(1, Ordering::Relaxed);
                Ok::<_, Infallible>(())
            },
        )
        .unwrap();
    }
}
