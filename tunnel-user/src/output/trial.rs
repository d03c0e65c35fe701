//! Formats the output of `rewrite apply` and `rewrite confirm`, as text and as JSON.

use std::fmt::Write as _;

use serde::Serialize;
use tunnel_user::commands::{apply, revert, status};
use tunnel_user::error::Error;
use tunnel_user::trial::{Phase, Trial};

use super::{attach, diff};

/// The report of apply, with the deadline of the trial and the command that confirms the trial. Apply has already
/// printed the difference.
pub fn applied(report: &apply::Report, netns: Option<&str>) -> Result<String, Error> {
    let mut text = attach::text(&report.attached);
    let Some(trial) = &report.trial else { return Ok(text) };
    let rewrite = match netns {
        Some(name) => format!("rewrite --netns {name}"),
        None => "rewrite".into(),
    };
    let interface = &trial.interface;
    let until = trial.until()?;
    let _ = writeln!(text, "  on trial until {until}: then rewrite restores the previous state");
    let _ = writeln!(text, "  keep it:      {rewrite} confirm --interface {interface}");
    let _ = writeln!(text, "  back at once: {rewrite} apply --revert --interface {interface}");
    Ok(text)
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
    format!("{}: confirmed, {} stays\n", trial.interface, trial.config.display())
}

/// The value that `confirm --json` prints (docs/json.md).
pub fn confirmed_json(trial: &Trial) -> impl Serialize + use<> {
    #[derive(Serialize)]
    struct Confirmed {
        interface: String,
        config: String,
    }
    Confirmed { interface: trial.interface.clone(), config: trial.config.display().to_string() }
}

/// The value that `apply --revert --json` prints (docs/json.md).
pub fn reverted_json(outcome: &revert::Outcome) -> impl Serialize + use<> {
    #[derive(Serialize)]
    struct Reverted<A> {
        reverted: bool,
        why: Option<String>,
        config: Option<String>,
        attached: Option<A>,
    }
    let (why, done) = match outcome {
        revert::Outcome::Nothing(why) => (Some(why.clone()), None),
        revert::Outcome::WentBack(done) => (None, Some(&**done)),
    };
    Reverted {
        reverted: done.is_some(),
        why,
        config: done.map(|(trial, _)| trial.config.display().to_string()),
        attached: done.map(|(_, attached)| attach::json(attached, None)),
    }
}

/// The report of apply --revert.
pub fn reverted(outcome: &revert::Outcome) -> String {
    match outcome {
        revert::Outcome::Nothing(why) => format!("nothing to roll back: {why}\n"),
        revert::Outcome::WentBack(done) => {
            let (trial, attached) = &**done;
            let config = trial.config.display();
            format!(
                "{}: rolled back from {config} to the previous state\n{}",
                trial.interface,
                attach::text(attached)
            )
        }
    }
}

/// The line of `rewrite status` about a pending trial.
pub fn pending(interface: &str, trial: &status::Trial) -> String {
    let status::Trial { config, until, overdue, phase } = trial;
    let revert = format!("rewrite apply --revert --interface {interface}");
    let halfway = match phase {
        Phase::Applied => "",
        Phase::Applying | Phase::GoingBack => ", and incomplete",
    };
    if *overdue {
        return format!("{config}, overdue since {until}{halfway}: {revert}");
    }
    format!("{config} until {until}{halfway}; keep it: rewrite confirm --interface {interface}")
}
