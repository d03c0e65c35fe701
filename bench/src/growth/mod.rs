//! The cost of more peers, for new connections and for `rewrite attach`. With the iptables trick, each
//! new connection passes through all rules.

mod place;
mod trick;

use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::interrupt::{Interrupt, cleanly};
use crate::processor::Processor;
use crate::progress::Progress;
use crate::report::{Better, Row, Spread, Table};
use crate::rounds::{Samples, Turn, interleave, ratios};
use crate::suite::Setting;
use place::{Place, Way};

/// The numbers of peers. The first is the base of the comparison.
const PEERS: [u32; 4] = [1, 100, 1_000, 10_000];

/// Runs the suite.
pub fn run(setting: &Setting) -> Result<Vec<Table>> {
    cleanly(|interrupt| {
        let progress = Progress::start("growth");
        let mut places = Vec::new();
        for way in Way::ALL {
            let mut of_way = Vec::new();
            for peers in PEERS {
                interrupt.stop_if_it_came()?;
                let what = format!("{}, {}", way.name(), count(peers));
                progress.at(&format!("growth: a lab for {what}"));
                of_way.push(Place::new(way, peers, &setting.rewrite).context(what)?);
            }
            places.push(of_way);
        }
        let traffic = connect(setting, &places, &progress, interrupt)?;
        let attach = attach(setting, &places, &progress, interrupt)?;
        Ok(vec![compared(&traffic), absolute(&traffic), attached(&attach)])
    })
}

/// Connections per second, for each way and number of peers.
fn connect(
    setting: &Setting,
    places: &[Vec<Place>],
    progress: &Progress,
    interrupt: &Interrupt,
) -> Result<Vec<Vec<Samples>>> {
    let processor = Processor::choose()?;
    let sampler = setting.cpu_noise.sampler([processor], interrupt);
    let (rounds, time) = setting.effort.choose((7, 400), (20, 1000));
    interleave(rounds, places.len(), PEERS.len(), |Turn { round, case, variant }| {
        let place = &places[case][variant];
        let what = format!("{}, {}", place.way.name(), count(place.peers));
        progress.at(&format!("growth: round {} of {rounds}, {what}", round + 1));
        let measure = || place.connections(Duration::from_millis(time), processor);
        sampler.sample(measure).context(what)
    })
}

/// Milliseconds of `rewrite attach`, for each number of peers.
fn attach(
    setting: &Setting,
    places: &[Vec<Place>],
    progress: &Progress,
    interrupt: &Interrupt,
) -> Result<Vec<Samples>> {
    let sampler = setting.cpu_noise.sampler(Processor::all()?, interrupt);
    let rounds = setting.effort.choose(5, 20);
    let attached: Vec<_> =
        places.iter().flatten().filter(|place| place.way == Way::Rewrite).collect();
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
        cells: traffic.iter().map(|of_way| ratios(&of_way[n], &of_way[0])).collect(),
    };
    Table {
        name: "growth",
        title: "TCP connections per second with more peers, as ratio to the same with one peer in the \
                same round."
            .to_owned(),
        unit: "ratio",
        digits: 3,
        better: Better::More,
        columns: ways(),
        rows: PEERS.into_iter().enumerate().skip(1).map(row).collect(),
        notes: vec![
            "Both hosts have all the peers; the one that is there is the last one in the rules of the \
             trick (iptables-legacy). Every peer has a route, for the trick as well."
                .to_owned(),
        ],
    }
}

fn absolute(traffic: &[Vec<Samples>]) -> Table {
    let row = |(n, peers): (usize, u32)| Row {
        what: count(peers),
        cells: traffic.iter().map(|of_way| Spread::of(&of_way[n])).collect(),
    };
    Table {
        name: "growth-connections",
        title: "The same TCP connections, as they were counted.".to_owned(),
        unit: "per second",
        digits: 0,
        better: Better::More,
        columns: ways(),
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
        title: "How long `rewrite attach` takes, from its start to its end, with all its routes."
            .to_owned(),
        unit: "ms",
        digits: 0,
        better: Better::Less,
        columns: vec![Way::Rewrite.name().to_owned()],
        rows: rows.collect(),
        notes: Vec::new(),
    }
}

fn ways() -> Vec<String> {
    Way::ALL.map(|way| way.name().to_owned()).into()
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
        let of_way = |with_most: f64| {
            PEERS.map(|peers| vec![if peers == PEERS[3] { with_most } else { 100.0 }; 2]).to_vec()
        };
        let table = compared(&[of_way(100.0), of_way(25.0)]);
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
