//! The state of the screen of `rewrite top`: the order and the filter of the peers, the selected peer, and the answer to
//! each key.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::net::IpAddr;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use tunnel_user::commands::ping::Report;
use tunnel_user::commands::stats::{Interface, NotRewritten, Peer, Stats};
use tunnel_user::model::Private;
use tunnel_user::plan::routes::probes;

/// The number of peers by which a page key moves.
const PAGE: isize = 10;

/// The order of the peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The most bits per second first.
    Rate,
    /// The greatest loss of the last pings first.
    Loss,
    /// The longest time without a packet first.
    Heard,
    /// By name.
    Name,
}

impl Order {
    /// The word on the screen.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Loss => "loss",
            Self::Heard => "heard",
            Self::Name => "name",
        }
    }

    const fn next(self) -> Self {
        match self {
            Self::Rate => Self::Loss,
            Self::Loss => Self::Heard,
            Self::Heard => Self::Name,
            Self::Name => Self::Rate,
        }
    }

    fn compare(self, a: &Row<'_>, b: &Row<'_>) -> Ordering {
        match self {
            Self::Rate => b.bits().total_cmp(&a.bits()),
            Self::Loss => b.loss().total_cmp(&a.loss()),
            Self::Heard => b.seconds_unheard().total_cmp(&a.seconds_unheard()),
            Self::Name => Ordering::Equal,
        }
    }
}

/// The result of the last pings of a peer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pinged {
    /// The state's name.
    pub state: &'static str,
    /// True if packets arrive in both directions.
    pub is_ok: bool,
    /// The share of the pings without an answer, from 0 to 1.
    pub loss: f64,
    /// The mean time in milliseconds; `None` without an answer.
    pub milliseconds: Option<f64>,
}

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// The interface's name.
    pub interface: &'a str,
    /// The private ranges of this host.
    own: &'a [Private],
    /// The peer with its counters and rates.
    pub peer: &'a Peer,
    /// The last pings; `None` before the first ones.
    pub pinged: Option<Pinged>,
}

impl Row<'_> {
    fn bits(&self) -> f64 {
        self.peer
            .rates
            .map_or(0.0, |rates| rates.egress.bits_per_second + rates.ingress.bits_per_second)
    }

    fn loss(&self) -> f64 {
        self.pinged.map_or(-1.0, |pinged| pinged.loss)
    }

    fn seconds_unheard(&self) -> f64 {
        self.peer.traffic.last_heard.as_ref().map_or(f64::INFINITY, |last| last.seconds_ago)
    }

    fn contains(&self, text: &str) -> bool {
        let Peer { name, private, addresses, .. } = self.peer;
        let mut publics = addresses.iter().map(|addresses| addresses.public.to_string());
        name.contains(text)
            || private.iter().any(|address| address.contains(text))
            || publics.any(|address| address.contains(text))
    }

    /// The first host addresses of this host's and the peer's private ranges, in a family that both have.
    fn pair(&self) -> Option<(IpAddr, IpAddr)> {
        self.peer.addresses.iter().find_map(|addresses| {
            let of_family = |own: &&Private| own.0.family() == addresses.family();
            let own = self.own.iter().find(of_family)?;
            let first = |range: Private| probes(range.0).into_iter().next();
            Some((first(*own)?, first(addresses.private)?))
        })
    }
}

/// The request of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing beyond the view.
    None,
    /// To end.
    Quit,
    /// To close the output of a command.
    Close,
    /// To run `rewrite` with these words.
    Run(Vec<String>),
}

/// The peers, and the part of them that the screen shows.
#[derive(Debug)]
pub struct View {
    stats: Stats,
    /// The last pings, by interface and peer.
    pings: BTreeMap<String, BTreeMap<String, Pinged>>,
    /// The interface and the name of the selected peer.
    selected: Option<(String, String)>,
    /// The order of the peers.
    pub order: Order,
    /// The text that a shown peer's name or address contains.
    pub filter: String,
    /// True while the operator types the filter.
    pub is_typing: bool,
    /// True if all peers are pinged from time to time.
    pub probes: bool,
}

impl View {
    /// The view of the first reading.
    pub const fn new(stats: Stats, probes: bool) -> Self {
        Self {
            stats,
            pings: BTreeMap::new(),
            selected: None,
            order: Order::Rate,
            filter: String::new(),
            is_typing: false,
            probes,
        }
    }

    /// Takes over a new reading.
    pub fn update(&mut self, stats: Stats) {
        self.stats = stats;
    }

    /// Takes over the results of pings. A peer with several addresses has its worst result.
    pub fn note_pings(&mut self, report: &Report) {
        self.pings.clear();
        for peer in &report.peers {
            let lost = peer.sent.saturating_sub(peer.received);
            let pinged = Pinged {
                state: peer.state,
                is_ok: peer.is_ok,
                loss: f64::from(lost) / f64::from(peer.sent.max(1)),
                milliseconds: peer.milliseconds.map(|[_, mean, _]| mean),
            };
            let of_interface = self.pings.entry(peer.interface.clone()).or_default();
            let known = of_interface.entry(peer.name.clone()).or_insert(pinged);
            if known.is_ok && !pinged.is_ok || known.loss < pinged.loss {
                *known = pinged;
            }
        }
    }

    /// The names of the interfaces.
    pub fn interfaces(&self) -> impl Iterator<Item = &str> {
        self.stats.interfaces.iter().map(|interface| &interface.interface[..])
    }

    /// All peers, in no particular order.
    pub fn all(&self) -> impl Iterator<Item = Row<'_>> {
        self.stats.interfaces.iter().flat_map(|Interface { interface, own, peers, .. }| {
            let pings = self.pings.get(interface);
            peers.iter().map(move |peer| {
                let pinged = pings.and_then(|pings| pings.get(&peer.name)).copied();
                Row { interface, own, peer, pinged }
            })
        })
    }

    /// The peers that match the filter, in the chosen order.
    pub fn rows(&self) -> Vec<Row<'_>> {
        let mut rows: Vec<_> = self.all().filter(|row| row.contains(&self.filter)).collect();
        rows.sort_by(|a, b| {
            let by_name = || (&a.peer.name, a.interface).cmp(&(&b.peer.name, b.interface));
            self.order.compare(a, b).then_with(by_name)
        });
        rows
    }

    /// The index of the selected peer in `rows`: the first, if the operator has selected none of them.
    pub fn position(&self, rows: &[Row<'_>]) -> usize {
        let is_selected = |row: &Row<'_>| {
            self.selected.as_ref().is_some_and(|(interface, name)| {
                row.interface == interface && row.peer.name == *name
            })
        };
        rows.iter().position(is_selected).unwrap_or(0)
    }

    /// The reasons for which packets were not rewritten, the most frequent one first.
    pub fn not_rewritten(&self) -> Vec<(&str, &NotRewritten)> {
        let mut reasons: Vec<_> = self
            .stats
            .interfaces
            .iter()
            .flat_map(|one| one.not_rewritten.iter().map(|reason| (&one.interface[..], reason)))
            .filter(|(_, reason)| reason.counter.packets > 0)
            .collect();
        let rate = |reason: &NotRewritten| reason.rate.map_or(0.0, |rate| rate.packets_per_second);
        reasons.sort_by(|(_, a), (_, b)| {
            rate(b).total_cmp(&rate(a)).then(b.counter.packets.cmp(&a.counter.packets))
        });
        reasons
    }

    /// Answers a key. `is_open` says that the output of a command is on the screen.
    pub fn press(&mut self, key: &KeyEvent, is_open: bool) -> Action {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return match key.code {
                KeyCode::Char('c') => Action::Quit,
                _ => Action::None,
            };
        }
        if self.is_typing {
            match key.code {
                KeyCode::Char(letter) => self.filter.push(letter),
                KeyCode::Backspace => {
                    self.filter.pop();
                }
                KeyCode::Enter => self.is_typing = false,
                KeyCode::Esc => (self.is_typing, self.filter) = (false, String::new()),
                _ => {}
            }
            return Action::None;
        }
        match key.code {
            KeyCode::Char('q') => return Action::Quit,
            KeyCode::Esc if is_open => return Action::Close,
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Char('/') => self.is_typing = true,
            KeyCode::Char('s') => self.order = self.order.next(),
            KeyCode::Down | KeyCode::Char('j') => self.move_by(1),
            KeyCode::Up | KeyCode::Char('k') => self.move_by(-1),
            KeyCode::PageDown => self.move_by(PAGE),
            KeyCode::PageUp => self.move_by(-PAGE),
            KeyCode::Home => self.move_by(isize::MIN),
            KeyCode::End => self.move_by(isize::MAX),
            KeyCode::Char('p') => return self.run(|row| Some(on(row, &["ping", &row.peer.name]))),
            KeyCode::Char('t') => {
                return self.run(|row| Some(on(row, &["trace", "--peer", &row.peer.name])));
            }
            KeyCode::Char('e') => {
                return self.run(|row| {
                    let (own, peer) = row.pair()?;
                    Some(on(row, &["explain", &own.to_string(), &peer.to_string()]))
                });
            }
            _ => {}
        }
        Action::None
    }

    fn run(&self, words: impl Fn(&Row<'_>) -> Option<Vec<String>>) -> Action {
        let rows = self.rows();
        let selected = rows.get(self.position(&rows));
        selected.and_then(words).map_or(Action::None, Action::Run)
    }

    fn move_by(&mut self, distance: isize) {
        let rows = self.rows();
        let last = rows.len().saturating_sub(1);
        let target = self.position(&rows).saturating_add_signed(distance).min(last);
        let selected = rows.get(target);
        self.selected = selected.map(|row| (row.interface.to_owned(), row.peer.name.clone()));
    }
}

/// The words of a command on the row's interface.
fn on(row: &Row<'_>, words: &[&str]) -> Vec<String> {
    let words = words.iter().copied().chain(["--interface", row.interface]);
    words.map(str::to_owned).collect()
}

#[cfg(test)]
pub(super) mod tests;
