//! Searches every order in which files, packets and notices can reach the hosts.

use std::collections::{HashMap, HashSet, VecDeque};

use tunnel_common::move_notice::Mark;
use tunnel_common::outcome::{Direction, Outcome};

use crate::host::{Fault, Host, private};
use crate::packet::{Frame, Octets};

/// The way in which a host applies a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steps {
    /// All entries change at once.
    AtOnce,
    /// Entries change one by one, and packets arrive in between.
    OneByOne,
}

/// The input of a search.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The files in their order. Each has the last byte of every host's public address.
    pub files: Vec<Vec<u8>>,
    /// The way in which hosts apply the files.
    pub steps: Steps,
    /// The loader's deliberate fault, if any.
    pub fault: Option<Fault>,
    /// The maximum number of notices in flight.
    pub notices: usize,
}

/// The result of a search.
#[derive(Debug)]
pub struct Found {
    /// The number of reachable states.
    pub states: u64,
    /// Descriptions of the violations that the search found. The search stops once it has more than ten.
    pub bad: Vec<String>,
}

/// The number of a host's state, in the order in which the search finds the states.
type Id = u32;

/// A notice in flight: a request, or the answer to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Notice {
    /// The host that sent the request.
    asker: u8,
    is_request: bool,
    route: [Octets; 2],
    mark: u8,
}

/// A packet of data in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Data {
    from: u8,
    to: u8,
    route: [Octets; 2],
}

/// All hosts, and the notices and data in flight.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    hosts: Vec<Id>,
    /// The notices in flight, sorted. For each host and each destination of its requests, at most one: a request, or
    /// the answer to it.
    notices: Vec<Notice>,
    data: Option<Data>,
}

/// The host's state after a packet, and the packet unless the host dropped it.
type Transition = (Id, Option<(IsRewritten, Frame)>);

struct Search<'a> {
    scenario: &'a Scenario,
    hosts: Vec<Host>,
    numbers: HashMap<Vec<u8>, Id>,
    seen: HashSet<State>,
    queue: VecDeque<State>,
    /// The results so far, by the host's state, the direction and the packet.
    transitions: HashMap<(Id, Leaves, Vec<u8>), Transition>,
    /// For each combination of host states: true if the hosts converge ([`Host::is_at_rest`]) when no notice is lost.
    rests: HashMap<Vec<Id>, bool>,
    bad: Vec<String>,
}

/// The direction in a key: true if the packet leaves.
type Leaves = bool;
/// True if a packet was rewritten.
type IsRewritten = bool;

/// Searches all reachable states.
pub fn search(scenario: &Scenario) -> Found {
    let mut search = Search {
        scenario,
        hosts: Vec::new(),
        numbers: HashMap::new(),
        seen: HashSet::new(),
        queue: VecDeque::new(),
        transitions: HashMap::new(),
        rests: HashMap::new(),
        bad: Vec::new(),
    };
    let first = &scenario.files[0];
    let hosts = (0..first.len()).map(|own| search.number(Host::new(first, own))).collect();
    search.reach(State { hosts, notices: Vec::new(), data: None });
    let mut states = 0;
    while let Some(state) = search.queue.pop_front() {
        states += 1;
        search.go_on(&state);
        if search.bad.len() > 10 {
            break;
        }
    }
    Found { states, bad: search.bad }
}

impl Search<'_> {
    fn number(&mut self, host: Host) -> Id {
        let next = self.hosts.len() as Id;
        let number = *self.numbers.entry(host.key()).or_insert(next);
        if number == next {
            self.hosts.push(host);
        }
        number
    }

    fn reach(&mut self, state: State) {
        if self.seen.insert(state.clone()) {
            self.queue.push_back(state);
        }
    }

    fn host(&self, id: Id) -> &Host {
        &self.hosts[id as usize]
    }

    /// The state after a change of the host with this index.
    fn with(&mut self, state: &State, index: usize, change: impl FnOnce(&mut Host)) -> State {
        let mut host = self.host(state.hosts[index]).clone();
        change(&mut host);
        let mut next = state.clone();
        next.hosts[index] = self.number(host);
        next
    }

    fn go_on(&mut self, state: &State) {
        self.check(state);
        self.files_arrive(state);
        self.notices_go(state);
        if state.data.is_none() {
            self.data_leaves(state);
            self.time_goes(state);
            self.check_rest(state);
        }
    }

    /// The owner of this address.
    fn holder(&self, state: &State, [.., last]: Octets) -> Option<usize> {
        state.hosts.iter().position(|id| self.host(*id).held.contains(&last))
    }

    fn handle(&mut self, id: Id, direction: Direction, frame: &Frame) -> Transition {
        let key = (id, direction == Direction::Egress, frame.0.clone());
        if let Some(transition) = self.transitions.get(&key) {
            return transition.clone();
        }
        let (mut host, mut packet) = (self.host(id).clone(), frame.clone());
        let outcome = host.handle(direction, &mut packet);
        let is_rewritten = |outcome| matches!(outcome, Outcome::Rewritten { .. });
        let passed = outcome.map(|outcome| (is_rewritten(outcome), packet));
        let transition = (self.number(host), passed);
        self.transitions.insert(key, transition.clone());
        transition
    }

    fn report(&mut self, state: &State, what: String) {
        let hosts: Vec<_> = state.hosts.iter().map(|id| self.host(*id).clone()).collect();
        self.bad.push(format!("{what}: {state:?} {hosts:#?}"));
    }

    /// Checks that the data in flight would reach the right host now.
    fn check(&mut self, state: &State) {
        let Some(Data { from, to, route }) = state.data else { return };
        let to = usize::from(to);
        let holder = self.holder(state, route[1]);
        if holder != Some(to) {
            self.report(state, format!("{route:?} from {from} to {to} reaches {holder:?}"));
            return;
        }
        let (_, passed) = self.handle(state.hosts[to], Direction::Ingress, &Frame::data(route));
        let expected = [private(usize::from(from)), private(to)];
        match passed {
            Some((true, packet)) if packet.route() == expected => {}
            other => self.report(state, format!("{route:?} from {from} to {to} becomes {other:?}")),
        }
    }

    /// Visits the states in which a file has reached a host, or a loader has made its next change. When a host gets a
    /// new file, the model discards the host's requests in flight and the answers to them: it assumes that both arrive,
    /// or get lost, before the host's next file.
    fn files_arrive(&mut self, state: &State) {
        let (fault, steps) = (self.scenario.fault, self.scenario.steps);
        for index in 0..state.hosts.len() {
            let host = self.host(state.hosts[index]);
            if host.is_changing() {
                let next = self.with(state, index, Host::step);
                self.reach(next);
                continue;
            }
            let following = host.file + 1;
            let Some(file) = self.scenario.files.get(following).cloned() else { continue };
            let mut next = self.with(state, index, |host| {
                host.begin(following, &file, fault);
                while steps == Steps::AtOnce && host.is_changing() {
                    host.step();
                }
            });
            next.notices.retain(|notice| usize::from(notice.asker) != index);
            self.reach(next);
        }
    }

    fn notices_go(&mut self, state: &State) {
        let may_leave = state.notices.len() < self.scenario.notices;
        for index in (0..state.hosts.len()).filter(|_| may_leave) {
            let host = self.host(state.hosts[index]);
            if host.is_changing() {
                continue;
            }
            for (route, mark) in host.notices() {
                let asker = index as u8;
                let is_same =
                    |notice: &Notice| notice.asker == asker && notice.route.contains(&route[1]);
                if state.notices.iter().any(is_same) || !self.matters(state, route, mark) {
                    continue;
                }
                let frame = Frame::notice(true, route, mark);
                let (_, passed) = self.handle(state.hosts[index], Direction::Egress, &frame);
                if !matches!(passed, Some((false, _))) {
                    self.report(state, format!("a notice to {route:?} becomes {passed:?}"));
                }
                let mut next = state.clone();
                next.notices.push(Notice { asker, is_request: true, route, mark: number(mark) });
                next.notices.sort_by_key(|notice| (notice.asker, notice.route, notice.is_request));
                self.reach(next);
            }
        }
        for index in 0..state.notices.len() {
            let mut lost = state.clone();
            lost.notices.remove(index);
            let next = self.notice_arrives(&lost, state.notices[index]);
            self.reach(next);
            self.reach(lost);
        }
    }

    /// True if a notice can have an effect: its mark is [`Mark::Asked`], or a host awaits the notice's sender. Such a
    /// host would send a notice with the mark [`Mark::Asked`] in the opposite direction. The caller ensures that the
    /// sender's loader has no more changes to make.
    fn matters(&self, state: &State, [from, to]: [Octets; 2], mark: Mark) -> bool {
        let waits = |id: &Id| {
            let notices = self.host(*id).notices();
            notices.iter().any(|(route, mark)| *route == [to, from] && *mark == Mark::Asked)
        };
        mark == Mark::Asked || state.hosts.iter().any(waits)
    }

    /// The state after the arrival of a notice. `state` no longer contains the notice.
    fn notice_arrives(&mut self, state: &State, notice: Notice) -> State {
        let [source, destination] = notice.route;
        let Some(to) = self.holder(state, destination) else { return state.clone() };
        let frame = Frame::notice(notice.is_request, notice.route, MARKS[usize::from(notice.mark)]);
        let (id, passed) = self.handle(state.hosts[to], Direction::Ingress, &frame);
        let mut next = state.clone();
        next.hosts[to] = id;
        match passed {
            // The programs drop the notice, so the kernel does not answer.
            None => {}
            Some((false, packet)) if notice.is_request => {
                // The kernel echoes the notice.
                let mark = packet.mark();
                let route = [destination, source];
                let reply = Frame::notice(false, route, mark);
                let (_, sent) = self.handle(id, Direction::Egress, &reply);
                if !matches!(sent, Some((false, _))) {
                    self.report(state, format!("the answer {route:?} becomes {sent:?}"));
                }
                if mark == Mark::Announced {
                    return next;
                }
                let (is_request, mark) = (false, number(mark));
                next.notices.push(Notice { is_request, route, mark, ..notice });
                next.notices.sort_by_key(|notice| (notice.asker, notice.route, notice.is_request));
            }
            Some((false, _)) => {}
            other => self.report(state, format!("{notice:?} becomes {other:?}")),
        }
        next
    }

    /// Visits the states in which a host has sent a packet to another host, and the packet is in flight.
    fn data_leaves(&mut self, state: &State) {
        for from in 0..state.hosts.len() {
            for to in (0..state.hosts.len()).filter(|to| *to != from) {
                let frame = Frame::data([private(from), private(to)]);
                let (_, passed) = self.handle(state.hosts[from], Direction::Egress, &frame);
                let Some((true, packet)) = passed else {
                    self.report(state, format!("a packet from {from} to {to} becomes {passed:?}"));
                    continue;
                };
                let route = packet.route();
                if self.holder(state, route[0]) != Some(from) {
                    self.report(state, format!("{from} sends {route:?} from an address it lacks"));
                    continue;
                }
                let data = Some(Data { from: from as u8, to: to as u8, route });
                self.reach(State { data, ..state.clone() });
            }
        }
    }

    /// Visits the states in which one host's former peer addresses have expired, or its loader has set their expiry.
    /// Once all hosts are at rest on the last file ([`Host::is_at_rest`]) and no notice is in flight, the operator may
    /// remove a host's previous underlay addresses from its interface.
    fn time_goes(&mut self, state: &State) {
        for index in 0..state.hosts.len() {
            let host = self.host(state.hosts[index]);
            if host.is_changing() {
                continue;
            }
            let drained = self.with(state, index, Host::drain);
            self.reach(drained);
            let rested = self.with(state, index, Host::note_shown);
            self.reach(rested);
        }
        let last = self.scenario.files.len() - 1;
        let file = self.scenario.files[last].clone();
        let is_at_rest =
            |host: &Host| host.file == last && !host.is_changing() && host.is_at_rest(&file);
        if state.notices.is_empty() && state.hosts.iter().all(|id| is_at_rest(self.host(*id))) {
            for index in 0..state.hosts.len() {
                let next = self.with(state, index, |host| host.lose_previous_underlays(&file));
                self.reach(next);
            }
        }
    }

    /// Checks that hosts on the last file converge ([`Host::is_at_rest`]) if no further notice is lost.
    fn check_rest(&mut self, state: &State) {
        let last = self.scenario.files.len() - 1;
        let is_last = |id: &Id| self.host(*id).file == last && !self.host(*id).is_changing();
        if self.rests.contains_key(&state.hosts) || !state.hosts.iter().all(is_last) {
            return;
        }
        let file = self.scenario.files[last].clone();
        let mut at = State { notices: Vec::new(), ..state.clone() };
        for _ in 0..3 {
            for index in 0..at.hosts.len() {
                for (route, mark) in self.host(at.hosts[index]).notices() {
                    let (asker, is_request, mark) = (index as u8, true, number(mark));
                    at = self.notice_arrives(&at, Notice { asker, is_request, route, mark });
                    if let Some(answer) = at.notices.pop() {
                        at = self.notice_arrives(&at, answer);
                    }
                }
            }
        }
        for index in 0..at.hosts.len() {
            at = self.with(&at, index, |host| {
                host.note_shown();
                host.drain();
            });
        }
        let rests = at.hosts.iter().all(|id| self.host(*id).is_at_rest(&file));
        self.rests.insert(state.hosts.clone(), rests);
        if !rests {
            self.report(&at, "it does not come to rest".into());
        }
    }
}

const MARKS: [Mark; 4] = [Mark::Asked, Mark::Shown, Mark::ShownFormer, Mark::Announced];

/// The mark's index in [`MARKS`].
fn number(mark: Mark) -> u8 {
    MARKS.iter().position(|known| *known == mark).unwrap_or(0) as u8
}
