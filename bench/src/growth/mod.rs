//! Measures the cost of more peers, for new connections and for `rewrite attach`. With the iptables trick (routes, and
//! NAT with conntrack), each new connection passes through all rules.

mod testbed;
mod trick;

use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::interrupt::{Interrupt, cleanly};
use crate::processor::Processor;
use crate::progress::Progress;
use crate::report::{Better, Row, Spread, Table};
use crate::rounds::{Samples, Turn, interleave, ratios};
use crate::suite::Setting;
use testbed::{Method, Testbed};

/// The numbers of peers. The first is the base of the comparison.
const PEERS: [u32; 4] = [1, 100, 1_000, 10_000];

/// Runs the suite.
pub fn run(setting: &Setting) -> Result<Vec<Table>> {
    cleanly(|interrupt| {
        let progress = Progress::start("growth");
        let mut testbeds = Vec::new();
        for method in Method::ALL {
            let mut of_method = Vec::new();
            for peers in PEERS {
                interrupt.check()?;
                let what = format!("{}, {}", method.name(), count(peers));
                progress.at(&format!("growth: a lab for {what}"));
                of_method.push(Testbed::new(method, peers, &setting.rewrite).context(what)?);
            }
            testbeds.push(of_method);
        }
        let traffic = connect(setting, &testbeds, &progress, interrupt)?;
        let attach = attach(setting, &testbeds, &progress, interrupt)?;
        Ok(vec![compared(&traffic), absolute(&traffic), attached(&attach)])
    })
}

/// Measures the connections per second for each method and number of peers.
fn connect(
    setting: &Setting,
    testbeds: &[Vec<Testbed>],
    progress: &Progress,
    interrupt: &Interrupt,
) -> Result<Vec<Vec<Samples>>> {
    let processor = Processor::choose()?;
    let sampler = setting.cpu_noise.sampler([processor], interrupt);
    let (rounds, time) = setting.effort.choose((7, 400), (20, 1000));
    interleave(rounds, testbeds.len(), PEERS.len(), |Turn { round, case, variant }| {
        let testbed = &testbeds[case][variant];
        let what = format!("{}, {}", testbed.method.name(), count(testbed.peers));
        progress.at(&format!("growth: round {} of {rounds}, {what}", round + 1));
        let measure = || testbed.connections(Duration::from_millis(time), processor);
        sampler.sample(measure).context(what)
    })
}

/// Measures the duration of `rewrite attach` in milliseconds for each number of peers.
fn attach(
    setting: &Setting,
    testbeds: &[Vec<Testbed>],
    progress: &Progress,
    interrupt: &Interrupt,
) -> Result<Vec<Samples>> {
    let sampler = setting.cpu_noise.sampler(Processor::all()?, interrupt);
    let rounds = setting.effort.choose(5, 20);
    let attached: Vec<_> =
        testbeds.iter().flatten().filter(|testbed| testbed.method == Method::Rewrite).collect();
    let samples = interleave(rounds, 1, attached.len(), |Turn { round, variant, .. }| {
        let what = count(attached[variant].peers);
        progress.at(&format!("growth: attach, round {} of {rounds}, {what}", round + 1));
        let measure = || attached[variant].attach_again(&setting.rewrite);
        let time = sampler.sample(measure).context(what)?;
        Ok(time.as_secs_f64() * 1e3)
    })?;
    Ok(samples.into_iter().flatten().collect())
}

fn compared(traffic: &[Vec<Samples>]) -> Table {
    let row = |(n, peers): (usize, u32)| Row {
        what: count(peers),
        cells: traffic.iter().map(|of_method| ratios(&of_method[n], &of_method[0])).collect(),
    };
    Table {
        name: "growth",
        title: "TCP connections per second with more peers, as ratio to the same with one peer in the \
                same round."
            .to_owned(),
        unit: "ratio",
        digits: 3,
        better: Better::More,
        columns: methods(),
        rows: PEERS.into_iter().enumerate().skip(1).map(row).collect(),
        notes: vec![
            "Both hosts have all peers; the only reachable peer is last in the trick's rules (iptables-legacy). Every \
             peer has a route, with the trick as well."
                .to_owned(),
        ],
    }
}

fn absolute(traffic: &[Vec<Samples>]) -> Table {
    let row = |(n, peers): (usize, u32)| Row {
        what: count(peers),
        cells: traffic.iter().map(|of_method| Spread::of(&of_method[n])).collect(),
    };
    Table {
        name: "growth-connections",
        title: "The same TCP connections, in absolute numbers.".to_owned(),
        unit: "per second",
        digits: 0,
        better: Better::More,
        columns: methods(),
        rows: PEERS.into_iter().enumerate().map(row).collect(),
        notes: Vec::new(),
    }
}

fn attached(samples: &[Samples]) -> Table {
    let rows = PEERS
        .into_iter()
        .zip(samples)
        .map(|(peers, samples)| Row { what: count(peers), cells: vec![Spread::of(samples)] });
    Table {
        name: "growth-attach",
        title: "The duration of `rewrite attach`, from start to end, with all its routes."
            .to_owned(),
        unit: "ms",
        digits: 0,
        better: Better::Less,
        columns: vec![Method::Rewrite.name().to_owned()],
        rows: rows.collect(),
        notes: Vec::new(),
    }
}

fn methods() -> Vec<String> {
    Method::ALL.map(|method| method.name().to_owned()).into()
}

/// A number of peers as text, such as `1 peer` or `10,000 peers`.
fn count(peers: u32) -> String {
    match peers {
        1 => "1 peer".to_owned(),
        0..1_000 => format!("{peers} peers"),
        _ => format!("{},{:03} peers", peers / 1_000, peers % 1_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_compared_with_the_first() {
        let of_method = |with_most: f64| {
            PEERS.map(|peers| vec![if peers == PEERS[3] { with_most } else { 100.0 }; 2]).to_vec()
        };
        let table = compared(&[of_method(100.0), of_method(25.0)]);
        let medians = |row: &Row| row.cells.iter().flatten().map(|s| s.median).collect::<Vec<_>>();
        assert_eq!(table.rows.len(), PEERS.len() - 1);
        let last = table.rows.last().unwrap();
        assert_eq!((last.what.as_str(), medians(last)), ("10,000 peers", vec![1.0, 0.25]));
    }

    #[test]
    fn numbers_of_peers_as_people_write_them() {
        assert_eq!(
            [1, 100, 1_000, 10_050].map(count),
            ["1 peer", "100 peers", "1,000 peers", "10,050 peers"]
        );
    }
}
