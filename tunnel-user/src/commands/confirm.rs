//! `rewrite confirm`: keeps the change on trial.

use crate::dataplane::bpffs;
use crate::error::Error;
use crate::host::netlink::Netlink;
use crate::interrupt::Interrupt;
use crate::ops::lock_attached::lock_attached;
use crate::trial::{AttachId, Phase, State, Trial};

/// Keeps the change on trial, and ends the trial on the named interface or, without a name, on the only attached
/// interface.
///
/// # Errors
/// [`Error::Refused`] if no trial is pending, or the trial's change is incomplete.
pub async fn run(interface: Option<&str>) -> Result<Trial, Error> {
    bpffs::require()?;
    let (netlink, interrupt) = (Netlink::connect()?, Interrupt::listen()?);
    let (_lock, running) = lock_attached(interface, &netlink, &interrupt).await?;
    let interface = running.folder.interface();
    let state = State::of(&running.folder);
    let attach = AttachId::of(&running.folder, &running.attachment)?;
    let trial = state.pending(attach)?.ok_or_else(|| match state.rolled_back() {
        Ok(Some(last)) => Error::refused(
            format!(
                "no trial is pending on {interface}: {} was rolled back at {}",
                last.config.display(),
                last.at
            ),
            format!(
                "try it again: rewrite apply --interface {interface} --config {} --confirm-within 60s",
                last.config.display()
            ),
        ),
        _ => Error::refused(
            format!("no trial is pending on {interface}"),
            "`rewrite apply --confirm-within 60s` starts one; `rewrite status` shows the running \
             state",
        ),
    })?;
    let halfway = match trial.phase {
        Phase::Applied => None,
        Phase::Applying => Some("apply was killed before it finished"),
        Phase::GoingBack => Some("the rollback was killed before it finished"),
    };
    if let Some(halfway) = halfway {
        return Err(Error::refused(
            format!("{interface} does not match {}: {halfway}", trial.config.display()),
            format!("roll back, then apply again: rewrite apply --revert --interface {interface}"),
        ));
    }
    state.discard()?;
    Ok(trial)
}
