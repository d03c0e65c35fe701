//! The speed of the processors just now. Others that share them without being seen, as other virtual machines
//! do, makes everything on them slower by half: a look before and after each sample tells.

use std::fmt;
use std::hint::black_box;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde::Serialize;

use crate::interrupt::Interrupt;
use crate::processor::Processor;
use crate::progress::Progress;

/// The numbers that a look adds up, again and again: they stay in the nearest cache.
const WORDS: usize = 1024;
const TIMES: usize = 400;
/// Looks in a row, of which the fastest counts: an interrupt makes one slower, not all.
const LOOKS: usize = 5;
/// A sample is disturbed if a look beside it took this many times as long as the fastest of all.
const DISTURBED: f64 = 1.1;
/// The least time of the search for the fastest before the first sample; and its share of the patience.
const SEARCH_MIN: Duration = Duration::from_secs(2);
const SEARCH_SHARE: u32 = 60;
/// From one look to the next while the processor is slow.
const PAUSE: Duration = Duration::from_millis(20);

/// The noise around the samples of a run.
pub struct CpuNoise(Mutex<Seen>);

struct Seen {
    /// Seconds of the fastest look.
    fastest: f64,
    /// The time that is left for waiting, and for samples that are taken again.
    patience: Duration,
    /// For each sample that was kept, seconds of the slower look beside it.
    kept: Vec<f64>,
    again: usize,
}

/// Takes samples on some of the processors.
pub struct Sampler<'a> {
    cpu_noise: &'a CpuNoise,
    processors: Vec<Processor>,
    interrupt: &'a Interrupt,
}

/// The fate of the samples of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Disturbance {
    /// All that count.
    pub kept: usize,
    /// The samples beside which the processor was slow.
    pub disturbed: usize,
    /// The samples that do not count, because another was taken in their place.
    pub again: usize,
}

impl CpuNoise {
    /// Looks how fast the processors can be. All samples together may take `patience` longer for being
    /// taken while nothing disturbs them.
    pub fn find(patience: Duration) -> Result<Self> {
        let _progress = Progress::start("looking how fast the processors can be");
        let mut fastest = f64::INFINITY;
        let end = Instant::now() + SEARCH_MIN.max(patience / SEARCH_SHARE);
        while Instant::now() < end {
            for processor in Processor::all()? {
                fastest = fastest.min(processor.run(|| Ok(look()))?);
            }
        }
        Ok(Self(Mutex::new(Seen { fastest, patience, kept: Vec::new(), again: 0 })))
    }

    /// For samples on `processors`, until a signal comes.
    pub fn sampler<'a>(
        &'a self,
        processors: impl Into<Vec<Processor>>,
        interrupt: &'a Interrupt,
    ) -> Sampler<'a> {
        Sampler { cpu_noise: self, processors: processors.into(), interrupt }
    }

    /// The fate of the samples, now that the fastest look is known.
    pub fn disturbance(&self) -> Disturbance {
        let Seen { fastest, ref kept, again, .. } = *self.seen();
        let disturbed = kept.iter().filter(|&&look| look > fastest * DISTURBED).count();
        Disturbance { kept: kept.len(), disturbed, again }
    }

    /// Seconds of a look at the slowest of them.
    fn look_at(&self, processors: &[Processor]) -> Result<f64> {
        let mut slowest = 0.0_f64;
        for processor in processors {
            let looked = processor.run(|| Ok(look()))?;
            let mut seen = self.seen();
            seen.fastest = seen.fastest.min(looked);
            slowest = slowest.max(looked);
        }
        Ok(slowest)
    }

    fn is_slow(&self, look: f64) -> bool {
        look > self.seen().fastest * DISTURBED
    }

    /// True if there is so much patience left; if so, it is less now.
    fn spend(&self, time: Duration) -> bool {
        let mut seen = self.seen();
        match seen.patience.checked_sub(time) {
            Some(left) => {
                seen.patience = left;
                true
            }
            None => false,
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sampler<'_> {
    /// Takes a sample: as long as there is patience, when the processors are not slow, and again if they
    /// have become so in the meantime.
    ///
    /// # Errors
    /// The errors of `measure`, and an error if a signal came.
    pub fn sample<T>(&self, mut measure: impl FnMut() -> Result<T>) -> Result<T> {
        let Self { cpu_noise, processors, interrupt } = self;
        loop {
            interrupt.stop_if_it_came()?;
            let start = Instant::now();
            let before = cpu_noise.look_at(processors)?;
            if cpu_noise.is_slow(before) && cpu_noise.spend(PAUSE) {
                thread::sleep(PAUSE);
                continue;
            }
            let measured = measure()?;
            let slower = cpu_noise.look_at(processors)?.max(before);
            if cpu_noise.is_slow(slower) && cpu_noise.spend(start.elapsed()) {
                cpu_noise.seen().again += 1;
                continue;
            }
            cpu_noise.seen().kept.push(slower);
            return Ok(measured);
        }
    }
}

impl fmt::Display for Disturbance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kept, disturbed, again } = self;
        write!(
            f,
            "{disturbed} of {kept} samples were taken while the processor was slower than it can be by \
             more than a tenth; {again} were taken again for that."
        )
    }
}

/// Seconds that a fixed amount of work takes: additions without a dependency from one to the next, so that
/// they are as fast as the processor's units are free.
fn look() -> f64 {
    let words = [1_u64; WORDS];
    let once = || {
        let start = Instant::now();
        for _ in 0..TIMES {
            black_box(black_box(&words).iter().sum::<u64>());
        }
        start.elapsed().as_secs_f64()
    };
    (0..LOOKS).map(|_| once()).fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cpu_noise(patience: Duration, fastest: f64) -> CpuNoise {
        CpuNoise(Mutex::new(Seen { fastest, patience, kept: Vec::new(), again: 0 }))
    }

    #[test]
    fn a_sample_beside_which_the_processor_is_slow_is_taken_again_as_long_as_there_is_patience() {
        let (mut taken, never) = (0, Interrupt::none());
        let mut measure = || {
            taken += 1;
            thread::sleep(PAUSE);
            Ok(taken)
        };
        // No processor to look at is never slow, whatever is the fastest.
        let quiet = cpu_noise(Duration::from_secs(1), 1.0);
        assert_eq!(quiet.sampler([], &never).sample(&mut measure).unwrap(), 1);
        assert_eq!(quiet.disturbance(), Disturbance { kept: 1, disturbed: 0, again: 0 });
        // One that was infinitely fast once is always slow.
        let processor = [Processor::choose().unwrap()];
        let busy = cpu_noise(5 * PAUSE, 0.0);
        assert_eq!(busy.sampler(processor, &never).sample(&mut measure).unwrap(), 2);
        assert_eq!(busy.disturbance(), Disturbance { kept: 1, disturbed: 1, again: 0 });
    }

    #[test]
    fn patience_is_spent_once() {
        let cpu_noise = cpu_noise(Duration::from_secs(3), 1.0);
        let spent = [2, 2, 1, 1].map(|seconds| cpu_noise.spend(Duration::from_secs(seconds)));
        assert_eq!(spent, [true, false, true, false]);
    }
}
