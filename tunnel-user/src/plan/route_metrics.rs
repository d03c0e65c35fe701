//! Holds and prints the metrics of a route: the MTU and TCP's initial parameters.

use std::fmt;

/// The names of the metrics in `ip route`. The index is the metric's number in the kernel's interface
/// (include/uapi/linux/rtnetlink.h, RTAX_MAX is 17 since Linux 4.15).
const NAMES: [&str; KINDS] = [
    "",
    "lock",
    "mtu",
    "window",
    "rtt",
    "rttvar",
    "ssthresh",
    "cwnd",
    "advmss",
    "reordering",
    "hoplimit",
    "initcwnd",
    "features",
    "rto_min",
    "initrwnd",
    "quickack",
    "congctl",
    "fastopen_no_cookie",
];
const KINDS: usize = 18;
/// RTAX_LOCK: a set of bits, one bit for each other metric.
const LOCK: usize = 1;
/// RTAX_CC_ALGO: the only metric whose value is a name.
const CONGESTION_CONTROL: usize = 16;
/// The maximum size of a congestion control's name with the final zero byte (include/net/tcp.h, TCP_CA_NAME_MAX).
const NAME_SIZE: usize = 16;

/// The metrics of a route. The kernel treats the value 0 as an absent metric.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    values: [u32; KINDS],
    congestion_control: [u8; NAME_SIZE],
}

impl Metrics {
    /// Sets a metric by its number. Ignores a number that this version does not know, and the number of the congestion
    /// control, whose value is a name.
    pub fn set(&mut self, kind: u16, value: u32) {
        if usize::from(kind) != CONGESTION_CONTROL
            && let Some(place) = self.values.get_mut(usize::from(kind))
        {
            *place = value;
        }
    }

    /// Sets the name of the congestion control.
    pub fn set_congestion_control(&mut self, name: &str) {
        if name.len() < NAME_SIZE {
            self.congestion_control = [0; NAME_SIZE];
            self.congestion_control[..name.len()].copy_from_slice(name.as_bytes());
        }
    }

    /// The name of the congestion control, if there is one.
    #[must_use]
    pub fn congestion_control(&self) -> Option<&str> {
        let name = self.congestion_control.split(|byte| *byte == 0).next()?;
        std::str::from_utf8(name).ok().filter(|name| !name.is_empty())
    }

    /// The metrics with numeric values, as pairs of the metric's number and its value.
    pub fn numbers(&self) -> impl Iterator<Item = (u16, u32)> {
        let numbered = (0_u16..).zip(self.values);
        numbered.filter(|(_, value)| *value != 0)
    }

    /// True if there are no metrics.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Prints the metrics as `ip route` does, with a space before each.
impl fmt::Display for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let locked = self.values[LOCK];
        for (kind, name) in NAMES.into_iter().enumerate().skip(LOCK + 1) {
            let lock = if locked & (1 << kind) == 0 { "" } else { "lock " };
            match (kind, self.values[kind]) {
                (CONGESTION_CONTROL, _) => {
                    if let Some(control) = self.congestion_control() {
                        write!(f, " {name} {lock}{control}")?;
                    }
                }
                (_, 0) => {}
                (_, value) => write!(f, " {name} {lock}{value}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_written_as_ip_route_takes_them() {
        let mut metrics = Metrics::default();
        assert!(metrics.is_empty());
        assert_eq!(metrics.to_string(), "");
        metrics.set(2, 1300);
        assert!(!metrics.is_empty());
        metrics.set(8, 1200);
        metrics.set(11, 30);
        metrics.set(1, 1 << 2);
        metrics.set_congestion_control("reno");
        let words = " mtu lock 1300 advmss 1200 initcwnd 30 congctl reno";
        assert_eq!(metrics.to_string(), words);
        let numbers: Vec<_> = metrics.numbers().collect();
        assert_eq!(numbers, [(1, 4), (2, 1300), (8, 1200), (11, 30)]);
    }

    #[test]
    fn what_this_version_does_not_know_is_left_out() {
        let mut metrics = Metrics::default();
        metrics.set(18, 1);
        metrics.set(u16::MAX, 1);
        metrics.set_congestion_control("a name that is too long");
        metrics.set_congestion_control("sixteen bytes: 1");
        assert!(metrics.is_empty());
        metrics.set_congestion_control("fifteen bytes 1");
        assert_eq!(metrics.to_string(), " congctl fifteen bytes 1");
    }
}
