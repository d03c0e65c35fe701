//! Tests the order of the steps, which a test against a kernel can't observe.

use std::collections::BTreeSet;

use tunnel_common::ABI_VERSION;
use tunnel_common::attachment::{Attachment, HOOK_TCX, INGRESS_TC, INGRESS_XDP, VERSION_LEN};
use tunnel_common::local_members::LOCAL_FORMER;
use tunnel_common::members::NAME_LEN;
use tunnel_common::settings::{Settings, VLAN_ONE};

use super::difference::{Changes, Present, SettingChange};
use super::*;
use crate::model::Drain;
use crate::plan::attach_point::{Hook, Ingress};
use crate::plan::handover::Moved;
use crate::plan::range::Range;
use crate::plan::route_metrics::Metrics;
use crate::plan::settings::{InterfaceSettings, both, settings};

const PLACE: AttachPoint = AttachPoint { hook: Hook::Tcx, ingress: Ingress::Tc };

fn record(settings: Settings) -> Attachment {
    Attachment {
        abi_version: ABI_VERSION,
        ifindex: 7,
        attached_at: 1,
        changed_at: 1,
        settings,
        hook: HOOK_TCX,
        ingress: INGRESS_TC,
        clsact_added: 0,
        routes_managed: 1,
        arp_announce_set: 1,
        arp_announce_before: 0,
        verbose: 0,
        arp_ignore_set: 0,
        drain: 0,
        arp_ignore_before: 0,
        reserved: [0; 3],
        version: [0; VERSION_LEN],
        network: [0; NAME_LEN],
        digest_v4: [0; 8],
        digest_v6: [0; 8],
        revision: 0,
        reserved_end: [0; 4],
    }
}

/// The record of the first attach, which has changed the host.
fn first_record(settings: Settings) -> Attachment {
    Attachment {
        clsact_added: 1,
        arp_announce_before: 1,
        arp_ignore_set: 1,
        arp_ignore_before: 2,
        digest_v4: [4; 8],
        digest_v6: [6; 8],
        ..record(settings)
    }
}

fn programs(settings: Settings) -> LoadOptions {
    LoadOptions { place: PLACE, settings, verbose: false }
}

fn of(membership: &Membership) -> Settings {
    settings(membership, &InterfaceSettings::default(), false)
}

fn private(address: &str) -> Private {
    Private(address.parse().unwrap())
}

/// Plans an attach from `before` (`None`: a detached interface) to `after`, and passes the steps to `see`.
fn with_plan<T>(
    before: Option<&Membership>,
    after: &Membership,
    see: impl FnOnce(&[Step<'_>]) -> T,
) -> T {
    let attached = before.map(|before| Attached {
        attachment: first_record(of(before)),
        place: PLACE,
        added: BTreeSet::from([private("10.0.0.1"), private("10.0.0.9")]),
    });
    let mut local = LocalChange::first(&after.identity);
    local.added = BTreeSet::from([private("10.0.0.1")]);
    let wanted = Wanted {
        membership: after,
        local: &local,
        programs: programs(of(after)),
        record: Attachment {
            hook: 0,
            ingress: INGRESS_XDP,
            attached_at: 9,
            changed_at: 9,
            arp_announce_set: 0,
            revision: 2,
            ..record(of(after))
        },
        sysctls: Vec::new(),
        missing: BTreeSet::new(),
        routes: RouteChanges::default(),
        drain: Drain::NONE,
    };
    let mut steps = preparation(attached.as_ref(), after, wanted.programs);
    steps.extend(attach(attached.as_ref(), &wanted));
    see(&steps)
}

fn position(steps: &[Step<'_>], wanted: impl Fn(&Step<'_>) -> bool) -> usize {
    steps.iter().position(wanted).unwrap_or_else(|| panic!("no such step in {steps:?}"))
}

fn replaced(steps: &[Step<'_>]) -> Vec<Settings> {
    let settings = |step: &Step<'_>| match step {
        Step::ReplacePrograms { to, .. } => Some(to.settings),
        _ => None,
    };
    steps.iter().filter_map(settings).collect()
}

fn v4() -> Membership {
    Membership::of_lines("b 10.0.0.2 203.0.113.2")
}

/// The host of [`v4`] with another public address.
fn moved() -> Membership {
    Membership::of_text(
        "[[member]]\nname = \"own\"\nprivate = \"10.0.0.1\"\npublic = \"192.0.2.2\"\n\
         [[member]]\nname = \"b\"\nprivate = \"10.0.0.2\"\npublic = \"203.0.113.2\"\n",
        &["own"],
    )
}

fn prefix() -> Membership {
    Membership::of_lines("b 10.0.2.0/24 203.0.2.0/24")
}

fn v6() -> Membership {
    Membership::of_text(
        "[[member]]\nname = \"own\"\nprivate = \"fd00::1\"\npublic = \"2001:db8::1\"\n\
         [[member]]\nname = \"b\"\nprivate = \"fd00::2\"\npublic = \"2001:db8::2\"\n",
        &["own"],
    )
}

#[test]
fn a_first_attach_has_its_programs_before_its_address_and_its_routes() {
    with_plan(None, &v4(), |steps| {
        let programs = position(steps, |step| matches!(step, Step::AttachPrograms(_)));
        assert!(position(steps, |step| matches!(step, Step::ChangePeers(..))) < programs);
        assert!(programs < position(steps, |step| matches!(step, Step::AddAddresses(_))));
        assert!(programs < position(steps, |step| matches!(step, Step::ChangeRoutes(_))));
        assert!(matches!(steps[..2], [Step::CreatePins, Step::Begin(Kind::Attach)]));
        assert!(matches!(steps.last(), Some(Step::End)));
    });
}

#[test]
fn programs_do_right_by_the_entries_of_before_and_after_while_these_change() {
    for (before, after) in [(v4(), prefix()), (prefix(), v4()), (v4(), v4())] {
        with_plan(Some(&before), &after, |steps| {
            let change = position(steps, |step| matches!(step, Step::ChangePeers(..)));
            let running = *replaced(&steps[..change]).last().unwrap_or(&of(&before));
            assert_eq!(both(&running, &of(&before)), running);
            assert_eq!(both(&running, &of(&after)), running);
            assert_eq!(replaced(steps).last(), Some(&of(&after)));
        });
    }
}

#[test]
fn programs_are_replaced_once_where_the_new_ones_serve_both() {
    with_plan(Some(&v4()), &v4(), |steps| assert_eq!(replaced(steps).len(), 1));
    with_plan(Some(&v4()), &prefix(), |steps| assert_eq!(replaced(steps).len(), 1));
    with_plan(Some(&prefix()), &v4(), |steps| assert_eq!(replaced(steps), [of(&v4())]));
    with_plan(Some(&v4()), &v6(), |steps| {
        assert_eq!(replaced(steps), [both(&of(&v4()), &of(&v6())), of(&v6())]);
    });
}

#[test]
fn the_record_never_promises_more_than_the_programs_can_do() {
    for (before, after) in [(v4(), prefix()), (prefix(), v4()), (v4(), v4())] {
        with_plan(Some(&before), &after, |steps| {
            let (mut running, mut recorded) = (of(&before), of(&before));
            for step in steps {
                match step {
                    Step::ReplacePrograms { to, .. } => running = to.settings,
                    Step::RecordSettings(settings) => recorded = *settings,
                    Step::Record(record) => recorded = record.settings,
                    _ => {}
                }
                assert_eq!(both(&running, &recorded), running, "behind {step:?}");
            }
            assert_eq!(recorded, of(&after));
        });
    }
}

#[test]
fn programs_that_are_replaced_can_come_back_as_they_ran() {
    for (before, after) in [(v4(), prefix()), (prefix(), v4()), (v4(), v6())] {
        with_plan(Some(&before), &after, |steps| {
            let mut running = programs(of(&before));
            for step in steps {
                if let Step::ReplacePrograms { from, to } = step {
                    assert_eq!(*from, running);
                    running = *to;
                }
            }
            assert_eq!(running, programs(of(&after)));
        });
    }
}

#[test]
fn an_attach_again_keeps_the_record_of_what_the_first_one_has_set_on_the_host() {
    with_plan(Some(&v4()), &prefix(), |steps| {
        let recorded = steps.iter().find_map(|step| match step {
            Step::Record(record) => Some(**record),
            _ => None,
        });
        let first = first_record(of(&v4()));
        assert_eq!(recorded, Some(Attachment { changed_at: 9, revision: 2, ..first }));
    });
}

#[test]
fn the_address_of_a_member_that_this_host_is_no_longer_goes_last() {
    with_plan(Some(&v4()), &v4(), |steps| {
        let [.., Step::RemoveAddresses(removed), Step::End] = steps else { panic!("{steps:?}") };
        assert_eq!(*removed, BTreeSet::from([private("10.0.0.9")]));
    });
}

#[test]
fn what_can_not_be_taken_back_comes_behind_all_that_can() {
    let is_in_order = |steps: &[Step<'_>]| steps.is_sorted_by_key(|step| !step.is_reversible());
    assert!(with_plan(None, &v4(), is_in_order));
    assert!(with_plan(Some(&v4()), &prefix(), is_in_order));
    assert!(is_in_order(&detach(&BTreeSet::new(), Vec::new(), &Keep::default())));
}

#[test]
fn a_change_of_peers_replaces_programs_that_lack_something_or_look_elsewhere() {
    let narrowed_to = |running: &Membership, wanted: &Membership, is_stale: bool, narrows: bool| {
        let change = PeerChange {
            running: programs(of(running)),
            is_stale,
            narrows,
            needed: of(wanted),
            membership: wanted,
            options: PeerOptions::of_file(Drain::NONE, &LocalChange::first(&wanted.identity)),
            sysctls: Vec::new(),
            routes: RouteChanges::default(),
        };
        replaced(&change_peers(&change))
    };
    let steps_to = |running: &Membership, wanted: &Membership, is_stale: bool| {
        narrowed_to(running, wanted, is_stale, false)
    };
    assert_eq!(steps_to(&prefix(), &v4(), false), [], "they can do more than they need");
    assert_eq!(narrowed_to(&prefix(), &v4(), false, true), [of(&v4())], "the file is final");
    assert_eq!(narrowed_to(&v4(), &v4(), false, true), []);
    assert_eq!(steps_to(&v4(), &prefix(), false), [of(&prefix())]);
    assert_eq!(steps_to(&v4(), &v4(), true), [of(&v4())]);
}

#[test]
fn a_detach_has_routes_go_before_programs_and_pins_last() {
    let added = BTreeSet::from([private("10.0.0.1"), private("10.0.0.9")]);
    let keep = Keep { routes: false, addresses: BTreeSet::from([private("10.0.0.1")]) };
    let steps = detach(&added, Vec::new(), &keep);
    let routes = position(&steps, |step| matches!(step, Step::ChangeRoutes(_)));
    assert!(routes < position(&steps, |step| matches!(step, Step::DetachPrograms)));
    assert!(matches!(steps.last(), Some(Step::RemovePins)));
    let gone = steps.iter().find_map(|step| match step {
        Step::RemoveAddresses(addresses) => Some(addresses.clone()),
        _ => None,
    });
    assert_eq!(gone, Some(BTreeSet::from([private("10.0.0.9")])));
    let keep = Keep { routes: true, ..Keep::default() };
    let kept = detach(&added, Vec::new(), &keep);
    assert!(!kept.iter().any(|step| matches!(step, Step::ChangeRoutes(_))));
}

/// The state of an interface with this membership.
fn present(membership: &Membership) -> Present {
    Present {
        identity: Some(membership.identity.clone()),
        peers: membership.peers.clone(),
        bypass: membership.bypass.clone(),
        record: None,
    }
}

#[test]
fn for_people_a_first_attach_is_all_that_it_brings() {
    with_plan(None, &v4(), |steps| {
        let changes = Changes::of(&Present::default(), steps);
        let (before, after) = changes.local_members.unwrap();
        assert_eq!((before.len(), after.len()), (0, 1));
        assert_eq!(changes.peers.added.len(), 1);
    });
    with_plan(Some(&v4()), &v4(), |steps| {
        let changes = Changes::of(&present(&v4()), steps);
        assert_eq!(changes.removed_addresses, [private("10.0.0.9")]);
        assert_eq!(changes.peers, Default::default());
    });
}

#[test]
fn for_people_a_host_that_moves_has_another_underlay_address() {
    let (before, after) = (v4(), moved());
    with_plan(Some(&before), &after, |steps| {
        let changes = Changes::of(&present(&before), steps);
        let told = |underlay| vec![format!("own, 10.0.0.1 as {underlay}")];
        assert_eq!(changes.local_members, Some((told("198.51.100.2"), told("192.0.2.2"))));
    });
}

#[test]
fn for_people_bypass_rules_and_recorded_options_are_changes() {
    let mut wanted = v4();
    wanted.bypass.insert("tcp/22".parse().unwrap());
    let local = LocalChange::first(&wanted.identity);
    let before = record(Settings::default());
    let after = Attachment { revision: 8, drain: 300, routes_managed: 1, ..before };
    let steps = [
        Step::Record(Box::new(Attachment { routes_managed: 0, ..after })),
        Step::ChangePeers(&wanted, PeerOptions::of_file(Drain::NONE, &local)),
        Step::RecordSettings(Settings { vlan: VLAN_ONE, vlan_id: 7, ..before.settings }),
    ];
    let record = Some(Attachment { routes_managed: 1, ..before });
    let changes = Changes::of(&Present { record, ..present(&v4()) }, &steps);
    assert_eq!(changes.bypass, Some((Vec::new(), vec!["tcp/22".into()])));
    let told = |(name, from, to): (&'static str, &str, &str)| SettingChange {
        name,
        from: from.into(),
        to: to.into(),
    };
    let drain = Drain::from_seconds(before.drain).to_string();
    let wanted = [
        ("routes set by", "rewrite", "the operator"),
        ("drain", drain.as_str(), "5m"),
        ("revision", "none", "8"),
        ("vlan", "none", "7"),
    ];
    assert_eq!(changes.settings, wanted.map(told));
}

#[test]
fn for_people_an_address_and_a_route_are_changes_and_a_mark_is_none() {
    let route = PeerRoute {
        destination: private("10.0.0.2"),
        link: 7,
        gateway: None,
        source: None,
        onlink: false,
        metrics: Metrics::default(),
    };
    let routes = RouteChanges { set: vec![route], remove: Vec::new() };
    let added = BTreeSet::from([private("10.0.0.1")]);
    let steps = [Step::AddAddresses(added), Step::ChangeRoutes(routes.clone()), Step::End];
    let changes = Changes::of(&Present::default(), &steps);
    let added_addresses = vec![private("10.0.0.1")];
    assert_eq!(changes, Changes { added_addresses, routes, ..Changes::default() });
    assert!(Changes::of(&Present::default(), &steps[2..]).is_empty());
}

#[test]
fn a_host_that_moves_goes_on_at_its_former_address_while_it_has_it() {
    let (before, after) = (v4().identity, moved().identity);
    let held = ["198.51.100.2", "192.0.2.2"].map(|address| address.parse().unwrap());
    let first = LocalChange::first(&before);
    assert!(!first.has_moved());
    let moves = LocalChange::following(&before, &first.tables(), &after, &held);
    assert!(moves.has_moved());
    let former = moves.tables().v4[&Range::single([198, 51, 100, 2])];
    assert_eq!((former.role, former.private), (LOCAL_FORMER, [10, 0, 0, 1]));
    let options = PeerOptions::of_file(Drain::NONE, &moves);
    assert_eq!((options.own.v4, &options.local_previous[..]), (Moved::Now, &held[..1]));
    let again = LocalChange::following(&after, &moves.tables(), &after, &held);
    assert_eq!((again.own_move.v4, again.has_moved()), (Moved::Before, true));
    assert!(!LocalChange::following(&after, &moves.tables(), &after, &held[1..]).has_moved());
}
