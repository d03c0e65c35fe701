//! Formats the output of `rewrite apply` and `rewrite confirm`, as text and as JSON, and the lines about a trial.

use std::fmt::Write as _;

use serde::Serialize;
use tunnel_user::commands::{apply, revert, status};
use tunnel_user::error::Error;
use tunnel_user::trial::{Phase, Rollback, Trial};

use super::diff::Change;
use super::text::routes as print_routes;
use super::{attach, detach, diff};

/// The report of apply, with the deadline of the trial and the command that confirms the trial. Apply has already
/// printed the difference.
pub fn applied(report: &apply::Report, wanted_trial: bool) -> Result<String, Error> {
    let mut text = attach::text(&report.attached);
    let is_same = report.difference.changes.is_empty();
    match &report.trial {
        Some(trial) => on_trial(&mut text, trial)?,
        None => {
            if wanted_trial {
                let _ = writeln!(text, "  no change, and so no trial");
            }
            text.push_str(&attach::back(&report.attached, report.previous.as_ref(), is_same));
        }
    }
    Ok(text)
}

/// Adds the deadline of the trial, and the commands that keep the change or roll it back.
pub fn on_trial(text: &mut String, trial: &Trial) -> Result<(), Error> {
    let interface = &trial.interface;
    let until = trial.until()?;
    let then = match trial.way_back {
        Rollback::Attach(_) => "restores the previous state",
        Rollback::Routes(_) => "moves the traffic back",
        Rollback::Detach => "detaches the interface again",
    };
    let _ = writeln!(text, "  on trial until {until}: then rewrite {then}");
    let _ = writeln!(text, "  keep it:      rewrite confirm --interface {interface}");
    let _ = writeln!(text, "  back at once: rewrite apply --revert --interface {interface}");
    Ok(())
}

/// The value that `apply --json` prints (docs/json.md).
pub fn applied_json(report: &apply::Report) -> Result<impl Serialize + use<>, Error> {
    #[derive(Serialize)]
    struct Applied<D> {
        interface: String,
        difference: D,
        trial: Option<status::Trial>,
    }
    Ok(Applied {
        interface: report.attached.interface.clone(),
        difference: diff::json(&report.difference),
        trial: report.trial.as_ref().map(status::Trial::of).transpose()?,
    })
}

/// The report of confirm.
pub fn confirmed(trial: &Trial) -> String {
    format!("{}: confirmed, {} stays\n", trial.interface, trial.subject)
}

/// The value that `confirm --json` prints (docs/json.md).
pub fn confirmed_json(trial: &Trial) -> impl Serialize + use<> {
    #[derive(Serialize)]
    struct Confirmed {
        interface: String,
        config: Option<String>,
        subject: String,
    }
    Confirmed {
        interface: trial.interface.clone(),
        config: trial.subject.config(),
        subject: trial.subject.to_string(),
    }
}

/// The value that `apply --revert --json` prints (docs/json.md).
pub fn reverted_json(outcome: &revert::Outcome) -> impl Serialize + use<> {
    #[derive(Serialize)]
    struct Reverted<A, D> {
        reverted: bool,
        why: Option<String>,
        config: Option<String>,
        subject: Option<String>,
        attached: Option<A>,
        detached: Option<D>,
        routes: Option<Change<String>>,
    }
    let (why, trial, attached, detached) = match outcome {
        revert::Outcome::Nothing(why) => (Some(why.clone()), None, None, None),
        revert::Outcome::WentBack(done) => (None, Some(&done.0), Some(&done.1), None),
        revert::Outcome::Detached(done) => (None, Some(&done.0), None, done.1.as_ref()),
        revert::Outcome::MovedBack(done) => (None, Some(&done.0), None, None),
    };
    let routes = match outcome {
        revert::Outcome::MovedBack(done) => Some(Change::from(&done.1)),
        _ => None,
    };
    Reverted {
        reverted: trial.is_some(),
        why,
        config: trial.and_then(|trial| trial.subject.config()),
        subject: trial.map(|trial| trial.subject.to_string()),
        attached: attached.map(|attached| attach::json(attached, None)),
        detached: detached.map(detach::interface_json),
        routes,
    }
}

/// The report of apply --revert.
pub fn reverted(outcome: &revert::Outcome) -> String {
    match outcome {
        revert::Outcome::Nothing(why) => format!("nothing to roll back: {why}\n"),
        revert::Outcome::WentBack(done) => {
            let (trial, attached) = &**done;
            format!(
                "{}: rolled back from {} to the previous state\n{}",
                trial.interface,
                trial.subject,
                attach::text(attached)
            )
        }
        revert::Outcome::Detached(done) => {
            let (trial, report) = &**done;
            let detached = report.as_ref().map(detach::one).unwrap_or_default();
            format!("{}: rolled back from {}\n{detached}", trial.interface, trial.subject)
        }
        revert::Outcome::MovedBack(done) => {
            let (trial, changes) = &**done;
            let mut text = format!("{}: rolled back from {}\n", trial.interface, trial.subject);
            print_routes(&mut text, changes);
            text
        }
    }
}

/// The line of `rewrite status` about a pending trial.
pub fn pending(interface: &str, trial: &status::Trial) -> String {
    let status::Trial { subject, until, overdue, phase, .. } = trial;
    let revert = format!("rewrite apply --revert --interface {interface}");
    let halfway = match phase {
        Phase::Applied => "",
        Phase::Applying | Phase::GoingBack => ", and incomplete",
    };
    if *overdue {
        return format!("{subject}, overdue since {until}{halfway}: {revert}");
    }
    format!("{subject} until {until}{halfway}; keep it: rewrite confirm --interface {interface}")
}
