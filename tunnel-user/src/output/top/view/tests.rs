use tunnel_common::counters::PeerCounters;
use tunnel_user::commands::ping;
use tunnel_user::commands::stats::{Counter, Rates};
use tunnel_user::commands::traffic_report::{LastPacket, Traffic};
use tunnel_user::model::Public;
use tunnel_user::plan::activity;
use tunnel_user::plan::peers::PeerAddresses;
use tunnel_user::plan::rate::Rate;

use super::*;

/// A peer with a number of bits per second in each direction, heard so many seconds ago.
pub(in super::super) fn peer(name: &str, host: u8, bits: f64, heard: Option<f64>) -> Peer {
    let rate = Rate { packets_per_second: bits / 8000.0, bits_per_second: bits };
    let last = |seconds_ago| LastPacket { at: String::new(), seconds_ago };
    Peer {
        name: name.to_owned(),
        private: vec![format!("10.0.0.{host}")],
        addresses: vec![PeerAddresses {
            private: Private(format!("10.0.0.{host}").parse().unwrap()),
            public: Public(format!("203.0.113.{host}").parse().unwrap()),
        }],
        state: activity::Traffic::Heard,
        egress: Counter::from(PeerCounters::default().egress),
        ingress: Counter::from(PeerCounters::default().ingress),
        rates: Some(Rates { egress: rate, ingress: rate }),
        traffic: Traffic {
            last_sent: None,
            last_heard: heard.map(last),
            router_errors: 0,
            is_time_unknown: false,
        },
    }
}

pub(in super::super) fn view(peers: Vec<Peer>) -> View {
    let own = vec![Private("10.0.0.1".parse().unwrap())];
    let interface = Interface { interface: "eth0".into(), own, peers, not_rewritten: Vec::new() };
    View::new(Stats { seconds: Some(1.0), interfaces: vec![interface] }, true)
}

fn three() -> View {
    view(vec![
        peer("srvb", 2, 8_000.0, Some(0.2)),
        peer("srvc", 3, 80_000.0, Some(30.0)),
        peer("srvd", 4, 0.0, None),
    ])
}

fn names(view: &View) -> Vec<&str> {
    view.rows().iter().map(|row| &row.peer.name[..]).collect()
}

fn type_keys(view: &mut View, keys: &str) -> Vec<Action> {
    keys.chars().map(|key| view.press(&KeyCode::Char(key).into(), false)).collect()
}

fn pinged(name: &str, received: u32) -> ping::Peer {
    ping::Peer {
        name: name.into(),
        private: "10.0.0.2".into(),
        public: "203.0.113.2".into(),
        interface: "eth0".into(),
        state: if received == 4 { "ok" } else { "lossy" },
        is_ok: received == 4,
        sent: 4,
        received,
        milliseconds: Some([0.5, 1.5, 2.0]),
        mtu_out: None,
        mtu_back: None,
        stamp: None,
        arrived: 0,
        what: String::new(),
        remedy: None,
    }
}

#[test]
fn each_order_has_its_first_peer() {
    let mut view = three();
    let peers = vec![pinged("srvb", 3), pinged("srvc", 4)];
    view.note_pings(&Report { network: None, peers, networks: Vec::new() });
    assert_eq!(names(&view), ["srvc", "srvb", "srvd"], "by rate");
    for (order, wanted) in [
        (Order::Loss, ["srvb", "srvc", "srvd"]),
        (Order::Heard, ["srvd", "srvc", "srvb"]),
        (Order::Name, ["srvb", "srvc", "srvd"]),
        (Order::Rate, ["srvc", "srvb", "srvd"]),
    ] {
        type_keys(&mut view, "s");
        assert_eq!(view.order, order);
        assert_eq!(names(&view), wanted, "by {}", order.name());
    }
}

#[test]
fn a_peer_with_two_addresses_has_its_worst_ping() {
    let mut view = three();
    let peers = vec![pinged("srvb", 4), pinged("srvb", 1), pinged("srvb", 4)];
    view.note_pings(&Report { network: None, peers, networks: Vec::new() });
    let rows = view.rows();
    let srvb = rows.iter().find(|row| row.peer.name == "srvb").unwrap();
    let expected = Pinged { state: "lossy", is_ok: false, loss: 0.75, milliseconds: Some(1.5) };
    assert_eq!(srvb.pinged, Some(expected));
}

#[test]
fn the_selection_stays_with_its_peer_when_the_order_changes() {
    let mut view = three();
    view.press(&KeyCode::Down.into(), false);
    assert_eq!(view.position(&view.rows()), 1, "srvb");
    type_keys(&mut view, "ss");
    assert_eq!(names(&view)[view.position(&view.rows())], "srvb");
    view.press(&KeyCode::Home.into(), false);
    assert_eq!(view.position(&view.rows()), 0);
    view.press(&KeyCode::Up.into(), false);
    assert_eq!(view.position(&view.rows()), 0);
    view.press(&KeyCode::PageDown.into(), false);
    assert_eq!(view.position(&view.rows()), 2);
    view.update(Stats { seconds: None, interfaces: Vec::new() });
    view.press(&KeyCode::Down.into(), false);
    assert_eq!(view.position(&view.rows()), 0);
}

#[test]
fn the_filter_takes_names_and_addresses_and_letters_are_no_commands_meanwhile() {
    let mut view = three();
    assert_eq!(type_keys(&mut view, "/srvq"), vec![Action::None; 5]);
    assert_eq!(names(&view), [""; 0]);
    view.press(&KeyCode::Backspace.into(), false);
    type_keys(&mut view, "c");
    view.press(&KeyCode::Enter.into(), false);
    assert_eq!(names(&view), ["srvc"]);
    view.press(&KeyCode::Esc.into(), false);
    assert_eq!(names(&view).len(), 3);
    type_keys(&mut view, "/113.4");
    assert_eq!(names(&view), ["srvd"]);
}

#[test]
fn keys_run_commands_for_the_selected_peer() {
    let mut view = three();
    for (key, wanted) in [
        ("p", "ping srvc --interface eth0"),
        ("t", "trace --peer srvc --interface eth0"),
        ("e", "explain 10.0.0.1 10.0.0.3 --interface eth0"),
    ] {
        let words = wanted.split(' ').map(str::to_owned).collect();
        assert_eq!(type_keys(&mut view, key), [Action::Run(words)]);
    }
    assert_eq!(view.press(&KeyCode::Esc.into(), true), Action::Close);
    assert_eq!(view.press(&KeyCode::Esc.into(), false), Action::None);
    let end = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(view.press(&end, true), Action::Quit);
    assert_eq!(type_keys(&mut view, "q"), [Action::Quit]);
    let mut nobody = self::view(Vec::new());
    assert_eq!(type_keys(&mut nobody, "pte"), vec![Action::None; 3]);
}
