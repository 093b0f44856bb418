//! The same work done by many at once.

use anyhow::Result;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

/// Has `workers` threads do `work`, `each` times in every one of `rounds` rounds; returns how often per second it was done
/// in each round.
///
/// # Errors
///
/// The first of `work`.
pub fn rates(
    workers: usize,
    rounds: usize,
    each: usize,
    work: impl Fn() -> Result<()> + Sync,
) -> Result<Vec<f64>> {
    let barrier = Barrier::new(workers + 1);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..workers)
            .map(|_| {
                scope.spawn(|| {
                    let mut result = Ok(());
                    for _ in 0..rounds {
                        barrier.wait();
                        // A worker that failed still comes to every barrier: the others wait there for it.
                        result = result.and_then(|()| (0..each).try_for_each(|_| work()));
                        barrier.wait();
                    }
                    result
                })
            })
            .collect();
        let rates = (0..rounds)
            .map(|_| {
                barrier.wait();
                let started = Instant::now();
                barrier.wait();
                (workers.len() * each) as f64 / started.elapsed().as_secs_f64()
            })
            .collect();
        for worker in workers {
            worker
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        }
        Ok(rates)
    })
}
