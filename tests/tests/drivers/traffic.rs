//! Tests TCP, UDP and ping between the private addresses, with the kernel's best hook and with clsact, the older hook.

use anyhow::{Context, Result};
use testkit::lab::{FAMILIES, Nic};

use crate::hosts::{Hosts, Offloads, all_of};

pub fn arrives(nic: Nic, offloads: Offloads) -> Result<()> {
    let hosts = Hosts::new(nic, offloads)?;
    for hook in [&[][..], &["--hook", "clsact"]] {
        hosts.attach_both(hook)?;
        let tried = FAMILIES.map(|family| hosts.talk([family.a_private, family.b_private]));
        hosts.require(all_of(tried)).with_context(|| format!("attach {hook:?}"))?;
        hosts.detach_both()?;
    }
    Ok(())
}
