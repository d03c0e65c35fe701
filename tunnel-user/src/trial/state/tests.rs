//! Tests the files of a trial.

use super::super::record::Subject;
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
    state.begin(&trial(Phase::Applying), Some("")).unwrap();
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
    let at = |attached_at| Some(AttachId { attached_at, pins: None });
    let standing = || state.standing(&held, at(1));
    assert_eq!(standing(), Standing::Lost);
    assert!(matches!(state.standing(&held, at(2)), Standing::Over(_)));
    state.begin(&held, Some("")).unwrap();
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
        assert_eq!(state.before(), Path::new(path).join("before.toml"));
        assert_eq!(state.log(), Path::new(path).join("guard.log"));
    }
}

#[test]
fn a_trial_is_pending_for_its_attach_once_it_has_a_guard() {
    let top = tempfile::tempdir().unwrap();
    let state = State { path: top.path().join("eth0") };
    let pending = |attached_at| state.pending(Some(AttachId { attached_at, pins: None })).unwrap();
    assert_eq!((state.has_trial(), pending(1)), (false, None));
    state.begin(&trial(Phase::Applying), Some("")).unwrap();
    assert_eq!((state.has_trial(), pending(1)), (true, None));
    let guard = Some(Guard::Unit { name: "rewrite-trial-7".into() });
    let guarded = Trial { guard, ..trial(Phase::Applying) };
    state.record(&guarded).unwrap();
    assert_eq!(pending(1), Some(guarded));
    assert_eq!(pending(2), None, "another attach");
}

#[test]
fn a_guard_takes_its_own_trial_into_memory_and_no_other() {
    let top = tempfile::tempdir().unwrap();
    let state = State { path: top.path().join("eth0") };
    let trial = trial(Phase::Applying);
    state.begin(&trial, Some("drain = \"1s\"\n")).unwrap();
    let before = Some("drain = \"1s\"\n".to_owned());
    assert_eq!(state.held("7").unwrap(), GuardState { trial, before });
    assert_eq!(state.held("8").unwrap_err().exit_code(), 4);
    fs::remove_file(state.before()).unwrap();
    assert_eq!(state.held("7").unwrap_err().exit_code(), 1, "nothing to go back to");
}

#[test]
fn a_guard_is_told_why_its_trial_is_over() {
    let top = tempfile::tempdir().unwrap();
    let state = State { path: top.path().join("eth0") };
    let (held, later) = (trial(Phase::Applying), Trial { id: "8".into(), ..trial(Phase::Applied) });
    let standing =
        |held, attached_at| state.standing(held, Some(AttachId { attached_at, pins: None }));
    state.begin(&later, Some("")).unwrap();
    assert_eq!(standing(&held, 1), Standing::Over(ANOTHER_BEGUN));
    state.begin(&held, Some("")).unwrap();
    assert_eq!(standing(&held, 2), Standing::Over(ATTACHED_ANEW));
    state.clear().unwrap();
    assert_eq!(standing(&held, 1), Standing::Over(NOT_PENDING));
    assert_eq!(standing(&later, 1), Standing::Lost, "the mark is for one trial");
    assert!(!state.discard().unwrap(), "there was no trial");
    assert!(!state.path.exists());
}

#[test]
fn what_was_prepared_for_another_trial_is_not_taken() {
    let top = tempfile::tempdir().unwrap();
    let state = State { path: top.path().join("eth0") };
    state.begin(&trial(Phase::Applying), Some("")).unwrap();
    state.prepare(&trial(Phase::Applying), &rolled_back("soon")).unwrap();
    full(&state);
    let other = Trial { id: "8".into(), ..trial(Phase::Applied) };
    assert!(state.record(&other).is_err());
    assert_eq!(state.read::<Trial>(TRIAL).unwrap(), Some(trial(Phase::Applying)));
    let other =
        RolledBack { subject: Subject::Peer { peer: "srvb".into() }, ..rolled_back("soon") };
    assert!(state.roll_back(&other, None).is_err());
    assert_eq!(state.rolled_back().unwrap(), None);
    assert!(state.has_trial(), "the trial goes on");
}

#[test]
fn a_record_that_can_not_be_read_or_removed_is_told_with_the_remedy_for_it() {
    let top = tempfile::tempdir().unwrap();
    let state = State { path: top.path().join("eth0") };
    fs::create_dir(&state.path).unwrap();
    for (name, remedy) in [
        (ROLLED_BACK, "the next attach removes it"),
        (NEXT_ROLLED_BACK, "the next attach removes it"),
        (TRIAL, "the guard has a copy"),
    ] {
        fs::write(state.path.join(name), "{").unwrap();
        let refusal = state.read::<RolledBack>(name).unwrap_err();
        assert!(
            matches!(&refusal, Error::Refused { help, .. } if help.starts_with(remedy)),
            "{refusal:?}"
        );
    }
    fs::create_dir(state.path.join(ENDED)).unwrap();
    assert_eq!(state.read::<Trial>(ENDED).unwrap_err().exit_code(), 1);
    assert_eq!(state.has_seen_end().unwrap_err().exit_code(), 1);
}

#[test]
fn an_interface_without_a_complete_attach_belongs_to_the_trial_of_a_first_attach() {
    let top = tempfile::tempdir().unwrap();
    let state = State { path: top.path().join("eth0") };
    let first = Trial { way_back: Rollback::Detach, ..trial(Phase::Applying) };
    state.begin(&first, None).unwrap();
    assert!(state.has_first_attach().unwrap());
    assert_eq!(state.standing(&first, None), Standing::Pending(Box::new(first.clone())));
    let other = Some(AttachId { attached_at: 2, pins: None });
    assert_eq!(state.standing(&first, other), Standing::Over(ATTACHED_ANEW));
    assert_eq!(state.held("7").unwrap(), GuardState { trial: first, before: None });
    let later = trial(Phase::Applying);
    state.begin(&later, Some("")).unwrap();
    assert!(!state.has_first_attach().unwrap());
    assert_eq!(state.standing(&later, None), Standing::Over(ATTACHED_ANEW));
}
