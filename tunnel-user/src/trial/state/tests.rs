//! Tests the files of a trial.

use super::*;
use crate::host::network_namespace::NetworkNamespace;

fn trial(phase: Phase) -> Trial {
    let json = serde_json::json!({
        "id": "7", "interface": "eth0", "attached_at": 1, "config": "/new.toml", "content": "00",
        "deadline": 0, "guard": null, "phase": phase,
        "way_back": {
            "self_names": [], "no_routes": false, "hook": 0, "ingress": 0, "verbose": false
        },
    });
    serde_json::from_value(json).unwrap()
}

fn rolled_back(at: &str) -> RolledBack {
    let json = serde_json::json!({ "config": "/new.toml", "content": "00", "at": at });
    serde_json::from_value(json).unwrap()
}

/// Makes the trial's record and the rollback's record unwritable: a folder stands in the place of each temporary file.
fn full(state: &State) {
    for name in [TRIAL, ROLLED_BACK] {
        fs::create_dir(state.path.join(format!("{name}.new"))).unwrap();
    }
}

fn empty(state: &State) {
    for name in [TRIAL, ROLLED_BACK] {
        fs::remove_dir(state.path.join(format!("{name}.new"))).unwrap();
    }
}

#[test]
fn what_was_prepared_needs_no_room() {
    let top = tempfile::tempdir().unwrap();
    let state = State { path: top.path().join("eth0") };
    let last = rolled_back("later");
    state.begin(&trial(Phase::Applying), "").unwrap();
    state.prepare(&trial(Phase::Applying), &rolled_back("soon")).unwrap();
    full(&state);
    for phase in [Phase::Applying, Phase::Applied, Phase::GoingBack] {
        state.record(&trial(phase)).unwrap();
        assert_eq!(state.read::<Trial>(TRIAL).unwrap(), Some(trial(phase)));
    }
    let other = Trial { id: "8".into(), ..trial(Phase::Applied) };
    assert!(state.record(&other).is_err(), "this one was not prepared");
    empty(&state);
    fs::create_dir(state.path.join("rolled-back.json.new")).unwrap();
    let _full = state.roll_back(&last, None);
    assert_eq!(state.rolled_back().unwrap(), Some(rolled_back("soon")));
    assert!(!state.has_trial());
}

#[test]
fn a_guard_goes_back_by_a_lost_record_and_not_once_the_trial_is_over() {
    let top = tempfile::tempdir().unwrap();
    let state = State { path: top.path().join("eth0") };
    let held = trial(Phase::Applying);
    let at = |attached_at| AttachId { attached_at, pins: None };
    let standing = || state.standing(&held, at(1));
    assert_eq!(standing(), Standing::Lost);
    assert!(matches!(state.standing(&held, at(2)), Standing::Over(_)));
    state.begin(&held, "").unwrap();
    assert_eq!(standing(), Standing::Pending(Box::new(held.clone())));
    assert!(matches!(state.standing(&held, at(2)), Standing::Over(_)));
    fs::write(state.path.join(TRIAL), "{").unwrap();
    assert_eq!(standing(), Standing::Lost);
    // A detach ends the trial, but finds no guard in the damaged record.
    assert!(state.discard().unwrap());
    assert!(matches!(standing(), Standing::Over(_)));
    state.has_seen_end().unwrap();
    assert!(!state.path.exists());
}

#[test]
fn each_interface_has_a_folder_beside_those_of_the_pins() {
    for (namespace, interface, path) in [
        (NetworkNamespace::Host, "eth0", "/run/rewrite/eth0"),
        (NetworkNamespace::Other(42), "eth0.7", "/run/rewrite/netns-42/eth0%2e7"),
    ] {
        let state = State::of(&Folder::of(namespace, interface));
        assert_eq!(state.path, Path::new(path));
    }
}
