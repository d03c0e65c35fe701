//! Writes readings in the Prometheus text format, version 0.0.4. docs/monitoring.md lists the metrics.

use std::fmt;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet, prometheus_text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use tunnel_common::counters::{Count, PeerCounters};

use super::{DaemonReading, Peers, Reading, since_1970};
use crate::plan::activity::Traffic;

/// The media type of the format.
pub const CONTENT_TYPE: &str = prometheus_text::CONTENT_TYPE;

/// Everything that one text shows.
#[derive(Clone, Debug)]
pub struct Exposition {
    /// The attached interfaces.
    pub interfaces: Vec<Reading>,
    /// The daemon that writes the text; `None` for a command.
    pub daemon: Option<DaemonReading>,
    /// The time that the readings took.
    pub took: Duration,
}

impl Exposition {
    /// The text. A failure is a fault in the program: the output is memory.
    ///
    /// # Errors
    /// If the encoder fails.
    pub fn into_text(self) -> Result<String, fmt::Error> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        prometheus_text::encode(&mut text, &registry)?;
        Ok(text)
    }
}

/// The names and values of one series' labels.
type Labels<'a> = Vec<(&'static str, &'a str)>;

impl Collector for Exposition {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut families = Families(encoder);
        let version = vec![("version", env!("CARGO_PKG_VERSION"))];
        families.gauges("rewrite_build_info", "The version of rewrite", [(version, 1.0)])?;
        self.peers(&mut families)?;
        self.not_rewritten(&mut families)?;
        self.maps(&mut families)?;
        let trials = self.interfaces.iter().map(|reading| {
            (interface(&reading.interface), f64::from(u8::from(reading.is_trial_pending)))
        });
        families.gauges(
            "rewrite_trial_pending",
            "1 while a change of the interface is on trial",
            trials,
        )?;
        if let Some(daemon) = &self.daemon {
            families.daemon(daemon)?;
        }
        let took = [(Labels::new(), self.took.as_secs_f64())];
        families.gauges(
            "rewrite_read_duration_seconds",
            "The time that reading the maps took",
            took,
        )
    }
}

/// The value of one peer's series, or of the sum's; `None` leaves the series out.
type PeerValue<T> = fn(&Reading, &PeerCounters) -> Option<T>;

impl Exposition {
    fn peers(&self, families: &mut Families<'_>) -> fmt::Result {
        families.gauges(
            "rewrite_peers",
            "The number of peers by the state of their traffic",
            self.interfaces.iter().flat_map(|reading| {
                let states = reading.states;
                let counts = [
                    (Traffic::Heard, states.heard),
                    (Traffic::Silent, states.silent),
                    (Traffic::Unknown, states.unknown),
                ];
                counts.map(|(state, count)| {
                    let mut labels = on(reading);
                    labels.push(("state", state.name()));
                    (labels, count as f64)
                })
            }),
        )?;
        families.counters(
            "rewrite_peer_packets",
            "Rewritten packets to a peer (egress) and from a peer (ingress); without the label \
             peer, of all peers",
            self.by_direction(|count| count.packets),
        )?;
        families.counters(
            "rewrite_peer_bytes",
            "Bytes of the rewritten packets, with their link headers",
            self.by_direction(|count| count.bytes),
        )?;
        families.counters(
            "rewrite_peer_router_errors",
            "ICMP errors of routers about packets to a peer",
            self.by_peer(|_, counters| Some(counters.router_errors)),
        )?;
        families.gauges(
            "rewrite_peer_last_sent_timestamp_seconds",
            "The time of the last packet to a peer",
            self.by_peer(|reading, counters| reading.now.seconds(counters.last_sent)),
        )?;
        families.gauges(
            "rewrite_peer_last_heard_timestamp_seconds",
            "The time of the last packet from a peer",
            self.by_peer(|reading, counters| reading.now.seconds(counters.last_heard)),
        )?;
        let silent = self.interfaces.iter().flat_map(|reading| {
            let peers = match &reading.peers {
                Peers::Each(peers) => &peers[..],
                Peers::Sum(_) => &[],
            };
            peers.iter().map(move |peer| {
                let is_silent = peer.traffic == Traffic::Silent;
                (of_peer(reading, &peer.name), f64::from(u8::from(is_silent)))
            })
        });
        families.gauges(
            "rewrite_peer_silent",
            "1 if packets go to a peer, and none comes back",
            silent,
        )
    }

    fn by_peer<T>(&self, value: PeerValue<T>) -> Vec<(Labels<'_>, T)> {
        let mut series = Vec::new();
        for reading in &self.interfaces {
            match &reading.peers {
                Peers::Each(peers) => series.extend(peers.iter().filter_map(|peer| {
                    Some((of_peer(reading, &peer.name), value(reading, &peer.counters)?))
                })),
                Peers::Sum(sum) => {
                    series.extend(value(reading, sum).map(|value| (on(reading), value)));
                }
            }
        }
        series
    }

    fn by_direction(&self, value: fn(Count) -> u64) -> Vec<(Labels<'_>, u64)> {
        let both = self.by_peer(|_, counters| Some([counters.egress, counters.ingress]));
        let series = both.into_iter().flat_map(|(labels, [egress, ingress])| {
            [("egress", egress), ("ingress", ingress)].map(|(direction, count)| {
                let mut labels = labels.clone();
                labels.push(("direction", direction));
                (labels, value(count))
            })
        });
        series.collect()
    }

    fn not_rewritten(&self, families: &mut Families<'_>) -> fmt::Result {
        let counts = |value: fn(Count) -> u64| {
            self.interfaces.iter().flat_map(move |reading| {
                reading.not_rewritten.iter().map(move |(direction, reason, count)| {
                    let mut labels = on(reading);
                    labels.push(("direction", direction.name()));
                    labels.push(("reason", reason.name()));
                    labels.push(("verdict", reason.verdict().name()));
                    (labels, value(*count))
                })
            })
        };
        families.counters(
            "rewrite_not_rewritten_packets",
            "Packets that concerned a peer and were not rewritten",
            counts(|count| count.packets),
        )?;
        families.counters(
            "rewrite_not_rewritten_bytes",
            "Bytes of the packets that concerned a peer and were not rewritten",
            counts(|count| count.bytes),
        )
    }

    fn maps(&self, families: &mut Families<'_>) -> fmt::Result {
        let fills = || {
            self.interfaces.iter().flat_map(|reading| {
                reading.maps.iter().map(move |fill| {
                    let mut labels = interface(&reading.interface);
                    labels.push(("map", fill.map));
                    (labels, fill)
                })
            })
        };
        families.gauges(
            "rewrite_map_entries",
            "The number of entries of a map",
            fills().map(|(labels, fill)| (labels, fill.entries as f64)),
        )?;
        families.gauges(
            "rewrite_map_max_entries",
            "The largest number of entries of a map",
            fills().map(|(labels, fill)| (labels, f64::from(fill.max_entries))),
        )
    }
}

fn interface(name: &str) -> Labels<'_> {
    vec![("interface", name)]
}

fn on(reading: &Reading) -> Labels<'_> {
    let mut labels = interface(&reading.interface);
    labels.extend(reading.network.as_deref().map(|network| ("network", network)));
    labels
}

fn of_peer<'a>(reading: &'a Reading, name: &'a str) -> Labels<'a> {
    let mut labels = on(reading);
    labels.push(("peer", name));
    labels
}

/// Writes one family of series after the other.
struct Families<'a>(DescriptorEncoder<'a>);

impl Families<'_> {
    /// Writes counters. The format adds `_total` to the name.
    fn counters<'a>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (Labels<'a>, u64)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in series {
            let mut one = family.encode_family(&labels)?;
            one.encode_counter::<NoLabelSet, u64, u64>(&value, None)?;
        }
        Ok(())
    }

    fn gauges<'a>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (Labels<'a>, f64)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in series {
            family.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }

    fn daemon(&mut self, daemon: &DaemonReading) -> fmt::Result {
        let labels = || interface(&daemon.interface);
        let flag = |is_set: bool| [(labels(), f64::from(u8::from(is_set)))];
        self.gauges(
            "rewrite_daemon_start_time_seconds",
            "The start of the daemon",
            since_1970(daemon.started).map(|seconds| (labels(), seconds)),
        )?;
        self.gauges(
            "rewrite_attached",
            "1 if the interface is attached and runs the programs",
            flag(daemon.is_attached),
        )?;
        self.gauges(
            "rewrite_daemon_follows_file",
            "1 if the interface matches the file",
            flag(daemon.follows),
        )?;
        self.counters(
            "rewrite_attaches",
            "Attaches by the daemon that worked",
            [(labels(), daemon.attaches)],
        )?;
        self.counters(
            "rewrite_plan_failures",
            "Attaches by the daemon that failed",
            [(labels(), daemon.failed_attaches)],
        )?;
        self.counters(
            "rewrite_events",
            "Events of the interface since the start of the daemon",
            daemon.events.iter().map(|(event, count)| {
                let mut labels = labels();
                labels.push(("event", event));
                (labels, count)
            }),
        )
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::plan::activity::Now;
    use crate::plan::metrics::{MapFill, PeerReading, States};

    fn reading(peers: Peers) -> Reading {
        Reading {
            interface: "eth0".into(),
            network: Some("internet".into()),
            runs_programs: true,
            peers,
            states: States { heard: 1, silent: 0, unknown: 0 },
            not_rewritten: Vec::new(),
            maps: vec![MapFill { map: "members", entries: 1, max_entries: 512 }],
            is_trial_pending: false,
            now: Now { clock: None, wall: SystemTime::UNIX_EPOCH },
        }
    }

    fn text(peers: Peers) -> String {
        let interfaces = vec![reading(peers)];
        Exposition { interfaces, daemon: None, took: Duration::ZERO }.into_text().unwrap()
    }

    const COUNTERS: PeerCounters = PeerCounters {
        egress: Count { packets: 3, bytes: 300 },
        last_sent: 0,
        ingress: Count { packets: u64::MAX, bytes: 200 },
        last_heard: 0,
        router_errors: 0,
    };

    fn srvb() -> PeerReading {
        PeerReading { name: "srvb".into(), counters: COUNTERS, traffic: Traffic::Heard }
    }

    #[test]
    fn each_peer_has_its_series_and_a_count_keeps_all_its_digits() {
        let text = text(Peers::Each(vec![srvb()]));
        let of = "interface=\"eth0\",network=\"internet\",peer=\"srvb\"";
        for line in [
            "# TYPE rewrite_peer_packets_total counter".to_owned(),
            format!("rewrite_peer_packets_total{{{of},direction=\"egress\"}} 3"),
            format!("rewrite_peer_packets_total{{{of},direction=\"ingress\"}} {}", u64::MAX),
            format!("rewrite_peer_silent{{{of}}} 0.0"),
            "rewrite_map_max_entries{interface=\"eth0\",map=\"members\"} 512.0".to_owned(),
        ] {
            assert!(text.lines().any(|other| other == line), "{line} is not in {text}");
        }
        assert!(!text.contains("rewrite_peer_last_heard_timestamp_seconds{"), "{text}");
    }

    #[test]
    fn the_sum_has_no_name_of_a_peer() {
        let text = text(Peers::Sum(COUNTERS));
        let of = "interface=\"eth0\",network=\"internet\"";
        let line = format!("rewrite_peer_bytes_total{{{of},direction=\"egress\"}} 300");
        assert!(text.lines().any(|other| other == line), "{text}");
        assert!(!text.contains("peer=") && !text.contains("rewrite_peer_silent{"), "{text}");
    }
}
