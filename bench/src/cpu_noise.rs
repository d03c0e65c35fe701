//! Measures CPU noise. Invisible load, such as other virtual machines, can slow the processors by half. To detect such
//! load, a sampler runs a probe, which is a short timed computation, before and after each sample.

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

/// The number of words that a probe adds up, and the number of passes over the words. The words fit into
/// the L1 cache.
const WORDS: usize = 1024;
const PASSES: usize = 400;
/// The number of times that a probe repeats its computation. The fastest repetition counts: an interrupt
/// slows one repetition, but not all.
const PROBES: usize = 5;
/// A sample is disturbed if a probe before or after it took more than this multiple of the fastest probe.
const DISTURBED: f64 = 1.1;
/// The initial search for the fastest probe takes `SEARCH_MIN`, or the run's patience (see [`CpuNoise::find`]) divided
/// by `SEARCH_SHARE` if the quotient is longer.
const SEARCH_MIN: Duration = Duration::from_secs(2);
const SEARCH_SHARE: u32 = 60;
/// The pause between two probes while the processor is slow.
const PAUSE: Duration = Duration::from_millis(20);

/// The noise around the samples of a run.
pub struct CpuNoise(Mutex<State>);

struct State {
    /// The duration of the fastest probe in seconds.
    fastest: f64,
    /// The remaining time for waiting and for repeated samples.
    patience: Duration,
    /// For each kept sample, the duration in seconds of the slower of its two probes.
    kept: Vec<f64>,
    repeated: usize,
}

/// Takes samples, and probes its processors before and after each sample.
pub struct Sampler<'a> {
    cpu_noise: &'a CpuNoise,
    processors: Vec<Processor>,
    interrupt: &'a Interrupt,
}

/// The numbers of kept, disturbed and repeated samples of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Disturbance {
    /// The kept samples, including the disturbed samples.
    pub kept: usize,
    /// The kept samples before or after which a probe was slow.
    pub disturbed: usize,
    /// The discarded samples. A new sample replaced each discarded sample.
    pub repeated: usize,
}

impl CpuNoise {
    /// Measures the processors' top speed. All samples together may spend the additional time `patience` on
    /// waiting and on repetitions.
    pub fn find(patience: Duration) -> Result<Self> {
        let _progress = Progress::start("measuring the processors' top speed");
        let mut fastest = f64::INFINITY;
        let end = Instant::now() + SEARCH_MIN.max(patience / SEARCH_SHARE);
        while Instant::now() < end {
            for processor in Processor::all()? {
                fastest = fastest.min(processor.run(|| Ok(probe()))?);
            }
        }
        Ok(Self(Mutex::new(State { fastest, patience, kept: Vec::new(), repeated: 0 })))
    }

    /// A sampler that probes `processors` and stops at a signal.
    pub fn sampler<'a>(
        &'a self,
        processors: impl Into<Vec<Processor>>,
        interrupt: &'a Interrupt,
    ) -> Sampler<'a> {
        Sampler { cpu_noise: self, processors: processors.into(), interrupt }
    }

    /// Counts the samples. A sample's probes are compared with the fastest probe of the whole run.
    pub fn disturbance(&self) -> Disturbance {
        let State { fastest, ref kept, repeated, .. } = *self.state();
        let disturbed = kept.iter().filter(|&&probe| probe > fastest * DISTURBED).count();
        Disturbance { kept: kept.len(), disturbed, repeated }
    }

    /// Probes the processors; returns the duration of the slowest probe in seconds.
    fn probe(&self, processors: &[Processor]) -> Result<f64> {
        let mut slowest = 0.0_f64;
        for processor in processors {
            let probed = processor.run(|| Ok(probe()))?;
            let mut state = self.state();
            state.fastest = state.fastest.min(probed);
            slowest = slowest.max(probed);
        }
        Ok(slowest)
    }

    fn is_slow(&self, probe: f64) -> bool {
        probe > self.state().fastest * DISTURBED
    }

    /// Deducts `time` from the remaining patience. Returns false if less than `time` remains.
    fn spend(&self, time: Duration) -> bool {
        let mut state = self.state();
        match state.patience.checked_sub(time) {
            Some(left) => {
                state.patience = left;
                true
            }
            None => false,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sampler<'_> {
    /// Takes a sample. While patience remains, waits for the processors to be fast, and repeats the
    /// sample if they were slow after it.
    ///
    /// # Errors
    /// The errors of `measure`, and an error after a signal.
    pub fn sample<T>(&self, mut measure: impl FnMut() -> Result<T>) -> Result<T> {
        let Self { cpu_noise, processors, interrupt } = self;
        loop {
            interrupt.check()?;
            let start = Instant::now();
            let before = cpu_noise.probe(processors)?;
            if cpu_noise.is_slow(before) && cpu_noise.spend(PAUSE) {
                thread::sleep(PAUSE);
                continue;
            }
            let measured = measure()?;
            let slower = cpu_noise.probe(processors)?.max(before);
            if cpu_noise.is_slow(slower) && cpu_noise.spend(start.elapsed()) {
                cpu_noise.state().repeated += 1;
                continue;
            }
            cpu_noise.state().kept.push(slower);
            return Ok(measured);
        }
    }
}

impl fmt::Display for Disturbance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kept, disturbed, repeated } = self;
        write!(
            f,
            "{disturbed} of {kept} samples were taken while the processor was slower than it can be by \
             more than a tenth; {repeated} samples were repeated for that reason."
        )
    }
}

/// The duration in seconds of a fixed amount of work: independent additions, whose speed depends on the
/// processor's free execution units.
fn probe() -> f64 {
    let words = [1_u64; WORDS];
    let once = || {
        let start = Instant::now();
        for _ in 0..PASSES {
            black_box(black_box(&words).iter().sum::<u64>());
        }
        start.elapsed().as_secs_f64()
    };
    (0..PROBES).map(|_| once()).fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cpu_noise(patience: Duration, fastest: f64) -> CpuNoise {
        CpuNoise(Mutex::new(State { fastest, patience, kept: Vec::new(), repeated: 0 }))
    }

    #[test]
    fn a_disturbed_sample_is_repeated_while_patience_remains() {
        let (mut taken, never) = (0, Interrupt::none());
        let mut measure = || {
            taken += 1;
            thread::sleep(PAUSE);
            Ok(taken)
        };
        // Without a processor to probe, no sample is disturbed.
        let quiet = cpu_noise(Duration::from_secs(1), 1.0);
        assert_eq!(quiet.sampler([], &never).sample(&mut measure).unwrap(), 1);
        assert_eq!(quiet.disturbance(), Disturbance { kept: 1, disturbed: 0, repeated: 0 });
        // With a fastest probe of zero seconds, every sample is disturbed.
        let processor = [Processor::choose().unwrap()];
        let busy = cpu_noise(5 * PAUSE, 0.0);
        assert_eq!(busy.sampler(processor, &never).sample(&mut measure).unwrap(), 2);
        assert_eq!(busy.disturbance(), Disturbance { kept: 1, disturbed: 1, repeated: 0 });
    }

    #[test]
    fn patience_is_spent_once() {
        let cpu_noise = cpu_noise(Duration::from_secs(3), 1.0);
        let spent = [2, 2, 1, 1].map(|seconds| cpu_noise.spend(Duration::from_secs(seconds)));
        assert_eq!(spent, [true, false, true, false]);
    }
}
