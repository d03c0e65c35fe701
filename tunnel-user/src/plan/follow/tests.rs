use std::collections::VecDeque;
use std::time::Duration;

use super::backoff::LONGEST;
use super::eager::TRIES;
use super::quiet::QUIET;
use super::{AWAITED, Action, Drift, Event, Follow, Notify, Problem, REGULARLY, Report, Standing};

/// A host that answers checks and attaches, with a clock that jumps from deadline to deadline.
struct Host {
    follow: Follow,
    now: Duration,
    looks: u32,
    attaches: Vec<Vec<String>>,
    notified: Vec<Notify>,
    reports: Vec<Report>,
    stopped: bool,
    /// The result of the checks.
    found: Drift,
    /// The result of each attach. After a success, the checks return the contained [`Drift`].
    attach: Result<Drift, Problem>,
}

fn same() -> Drift {
    Drift::None("srva, 1 peer".into())
}

fn differs(what: &str) -> Drift {
    Drift::Found(vec![what.into()])
}

fn problem(why: &str, attached: bool) -> Problem {
    let standing = if attached { Standing::AsItWas } else { Standing::NotAttached };
    Problem { why: why.into(), standing, awaited: false }
}

/// A problem that the host's network manager may solve by itself.
fn awaited(why: &str, standing: Standing) -> Problem {
    Problem { why: why.into(), standing, awaited: true }
}

impl Host {
    fn new(found: Drift) -> Self {
        Self {
            follow: Follow::default(),
            now: Duration::ZERO,
            looks: 0,
            attaches: Vec::new(),
            notified: Vec::new(),
            reports: Vec::new(),
            stopped: false,
            found,
            attach: Ok(same()),
        }
    }

    /// A host that follows its file.
    fn following() -> Self {
        let mut host = Self::new(differs("not attached"));
        host.event(Event::Started);
        host.wait(QUIET);
        assert_eq!((host.attaches.len(), host.readies()), (1, 1), "{:?}", host.notified);
        host.attaches.clear();
        host.notified.clear();
        host.reports.clear();
        host.looks = 0;
        host
    }

    fn event(&mut self, event: Event) {
        let mut actions = VecDeque::from(self.follow.on(self.now, event));
        while let Some(action) = actions.pop_front() {
            match action {
                Action::FindDrift => {
                    self.looks += 1;
                    let looked = Event::Compared(self.found.clone());
                    actions.extend(self.follow.on(self.now, looked));
                }
                Action::Attach(why) => {
                    self.attaches.push(why);
                    let result = self.attach.clone().map(|found| self.found = found);
                    actions.extend(self.follow.on(self.now, Event::Attached(result)));
                }
                Action::Notify(tell) => self.notified.push(tell),
                Action::Report(report) => self.reports.push(report),
                Action::Stop => self.stopped = true,
            }
        }
    }

    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while self.follow.deadline() <= end {
            self.now = self.now.max(self.follow.deadline());
            let looks = self.looks;
            self.event(Event::Due);
            assert!(self.looks > looks, "a deadline passed and nothing was done");
        }
        self.now = end;
    }

    fn readies(&self) -> usize {
        self.notified.iter().filter(|tell| **tell == Notify::Ready).count()
    }

    fn status(&self) -> &str {
        let lines = self.notified.iter().rev();
        let mut lines = lines.filter_map(|tell| match tell {
            Notify::Status(line) => Some(line.as_str()),
            _ => None,
        });
        lines.next().unwrap_or_default()
    }
}

#[test]
fn it_takes_over_what_is_as_the_file_says_and_only_then_it_is_ready() {
    let mut host = Host::new(same());
    host.attach = Ok(Drift::Unknown(problem("not yet", false)));
    host.event(Event::Started);
    assert_eq!((host.attaches.len(), host.readies()), (1, 0));
    host.found = same();
    host.wait(AWAITED);
    assert_eq!((host.attaches.len(), host.readies()), (1, 1));
    assert_eq!(host.status(), "srva, 1 peer");
}

#[test]
fn it_waits_for_an_address_says_so_and_is_ready_when_it_comes() {
    let mut host = Host::new(Drift::Unknown(problem("no member\n  help: wait", false)));
    host.event(Event::Started);
    host.wait(Duration::from_secs(120));
    assert_eq!((host.attaches.len(), host.readies(), host.reports.len()), (0, 0, 1));
    assert_eq!(host.status(), "not attached, waiting: no member; help: wait");
    host.found = differs("not attached");
    host.event(Event::Changed);
    host.wait(QUIET * 2);
    assert_eq!((host.attaches.len(), host.readies(), host.reports.len()), (1, 1, 2));
}

#[test]
fn a_burst_of_events_is_one_look_and_without_a_difference_no_attach() {
    let mut host = Host::following();
    for _ in 0..50 {
        host.event(Event::Changed);
        host.wait(Duration::from_millis(10));
    }
    host.wait(QUIET);
    assert_eq!((host.looks, host.attaches.len(), host.reports.len()), (1, 0, 0));
}

#[test]
fn what_an_attach_sets_off_ends_in_a_look() {
    let mut host = Host::following();
    host.found = differs("a route is gone");
    host.event(Event::Changed);
    host.wait(QUIET);
    for _ in 0..3 {
        host.event(Event::Changed);
    }
    host.wait(REGULARLY / 2);
    // One check starts the attach, one check follows the attach, and one check answers the events.
    assert_eq!((host.attaches.len(), host.looks), (1, 3));
}

#[test]
fn the_same_difference_again_after_it_was_repaired_is_repaired_again() {
    let mut host = Host::following();
    for round in 1..=3 {
        host.found = differs("a route is gone");
        host.event(Event::Changed);
        host.wait(QUIET * 3);
        assert_eq!(host.attaches.len(), round);
    }
    assert_eq!(host.reports, []);
}

#[test]
fn what_attach_does_not_repair_is_tried_with_backoff_and_not_in_a_loop() {
    let mut host = Host::following();
    host.attach = Ok(differs("odd"));
    host.found = differs("odd");
    for _ in 0..600 {
        host.event(Event::Changed);
        host.wait(Duration::from_millis(100));
    }
    // Three attaches in a row; then the attaches that the backoff and the events allow in a minute.
    let most = 3 + 6 + 2 * TRIES;
    assert!((8..=most).contains(&host.attaches.len()), "{}", host.attaches.len());
    assert!(host.status().contains("not repaired this: odd"), "{}", host.status());
    assert_eq!(host.reports.len(), 1);
}

#[test]
fn what_goes_again_while_an_attach_puts_it_back_is_put_back_again_at_once() {
    let mut host = Host::following();
    let gone = || differs("a route is gone");
    (host.found, host.attach) = (gone(), Ok(gone()));
    host.event(Event::Changed);
    host.wait(QUIET);
    assert_eq!((host.attaches.len(), host.reports.len()), (3, 1), "{:?}", host.reports);
    // The end of the network manager's work is an event, which causes an attach before the backoff ends.
    host.wait(Duration::from_secs(20));
    let attaches = host.attaches.len();
    host.attach = Ok(same());
    host.event(Event::Changed);
    host.wait(QUIET);
    assert_eq!((host.attaches.len(), host.status()), (attaches + 1, "srva, 1 peer"));
}

#[test]
fn what_goes_right_behind_an_attach_is_put_back_after_the_next_event() {
    let mut host = Host::following();
    for round in 1..=20 {
        host.found = differs("a route is gone");
        host.event(Event::Changed);
        host.wait(QUIET);
        assert_eq!(host.attaches.len(), round);
    }
    assert_eq!(host.reports, []);
}

#[test]
fn a_short_loss_of_the_address_is_told_to_the_service_manager_alone() {
    let mut host = Host::following();
    let lost = awaited("no member", Standing::Cut("198.51.100.2 is gone".into()));
    host.found = Drift::Unknown(lost.clone());
    host.event(Event::Changed);
    host.wait(AWAITED / 2);
    let status = "attached, but no packet gets through, 198.51.100.2 is gone: no member";
    assert_eq!((host.status(), host.reports.len()), (status, 0));
    host.found = same();
    host.event(Event::Changed);
    host.wait(AWAITED * 2);
    assert_eq!((host.status(), host.reports.len()), ("srva, 1 peer", 0));

    // A lasting loss causes one report, whatever happens meanwhile.
    host.found = Drift::Unknown(lost.clone());
    for _ in 0..10 {
        host.event(Event::Changed);
        host.wait(AWAITED / 8);
    }
    assert_eq!(host.reports, [Report::Problem(lost)]);
    host.wait(AWAITED * 10);
    assert_eq!(host.reports.len(), 1);
}

#[test]
fn a_failed_attach_is_not_tried_again_by_the_events_that_it_sets_off() {
    let mut host = Host::following();
    host.found = differs("a peer");
    host.attach = Err(problem("the kernel refused", true));
    host.event(Event::Changed);
    for _ in 0..5 {
        host.wait(QUIET);
        host.event(Event::Changed);
    }
    assert_eq!(host.attaches.len(), 1);
    assert_eq!(host.status(), "attached as before: the kernel refused");
    host.attach = Ok(same());
    host.wait(LONGEST);
    assert_eq!((host.attaches.len(), host.status()), (2, "srva, 1 peer"));
}

#[test]
fn after_a_failed_attach_another_difference_is_tried_at_once() {
    let mut host = Host::following();
    host.found = differs("a peer");
    host.attach = Err(problem("the kernel refused", true));
    host.event(Event::Changed);
    host.wait(QUIET);
    (host.found, host.attach) = (differs("another peer"), Ok(same()));
    host.event(Event::Changed);
    host.wait(QUIET);
    assert_eq!(host.attaches, [["a peer"], ["another peer"]]);
}

#[test]
fn a_wrong_file_is_reported_once_and_changes_nothing() {
    let mut host = Host::following();
    host.found = Drift::Unknown(problem("cluster.toml:3: no", true));
    host.event(Event::Changed);
    host.wait(Duration::from_secs(100));
    assert_eq!((host.attaches.len(), host.reports.len()), (0, 1));
    host.found = same();
    host.event(Event::Changed);
    host.wait(QUIET);
    assert_eq!((host.attaches.len(), host.reports.len(), host.readies()), (0, 2, 0));
}

#[test]
fn with_a_wrong_file_at_the_start_what_runs_makes_it_ready() {
    let mut host = Host::new(Drift::Unknown(problem("cluster.toml:3: no", true)));
    host.event(Event::Started);
    assert_eq!((host.attaches.len(), host.readies()), (0, 1));
    host.found = same();
    host.event(Event::Changed);
    host.wait(QUIET * 2);
    assert_eq!((host.attaches.len(), host.readies()), (1, 1));
}

#[test]
fn a_reload_is_announced_tries_what_failed_and_ends() {
    let mut host = Host::following();
    host.event(Event::Reload);
    let status = Notify::Status("srva, 1 peer".into());
    assert_eq!(host.notified, [Notify::Reloading, Notify::Ready, status]);

    host.found = differs("a peer");
    host.attach = Err(problem("the kernel refused", true));
    host.event(Event::Changed);
    host.wait(QUIET);
    host.notified.clear();
    host.event(Event::Reload);
    assert_eq!((host.attaches.len(), host.readies()), (2, 1));
    host.attach = Ok(same());
    host.event(Event::Reload);
    host.wait(QUIET);
    assert_eq!((host.attaches.len(), host.readies()), (3, 2));
}

#[test]
fn a_reload_before_it_is_ready_does_not_make_it_ready() {
    let mut host = Host::new(Drift::Unknown(problem("no member", false)));
    host.event(Event::Started);
    host.event(Event::Reload);
    assert_eq!(host.readies(), 0);
}

#[test]
fn it_looks_regularly_for_what_nobody_announces() {
    let mut host = Host::following();
    host.found = differs("no program");
    host.wait(REGULARLY + QUIET);
    assert_eq!(host.attaches.len(), 1);
}

#[test]
fn it_ends_when_told_to() {
    let mut host = Host::following();
    host.event(Event::Stop);
    assert!(host.stopped);
    assert_eq!((host.notified, host.attaches.len()), (vec![Notify::Stopping], 0));
}

#[test]
fn a_deadline_that_an_event_has_put_off_is_waited_for() {
    let mut host = Host::following();
    host.event(Event::Changed);
    assert_eq!(host.follow.on(host.now + QUIET / 2, Event::Due), []);
    assert_eq!(host.follow.on(host.now + QUIET, Event::Due), [Action::FindDrift]);
}

#[test]
fn attaches_that_each_leave_another_difference_are_no_failure() {
    let mut follow = Follow::default();
    follow.on(Duration::ZERO, Event::Started);
    for what in ["a peer", "a route", "an address", "a sysctl", "a program"] {
        let actions = follow.on(Duration::ZERO, Event::Compared(differs(what)));
        assert_eq!(actions, [Action::Attach(vec![what.into()])]);
        follow.on(Duration::ZERO, Event::Attached(Ok(())));
    }
}
