//! The capabilities that loading and attaching need.

use std::fs;

use crate::failure::{Context as _, Failure};

/// Bits of `CapEff` in /proc/self/status (Linux, include/uapi/linux/capability.h).
const CAP_NET_ADMIN: u32 = 12;
const CAP_SYS_ADMIN: u32 = 21;
const CAP_BPF: u32 = 39;

/// Refuses to go on without CAP_NET_ADMIN and CAP_BPF; CAP_SYS_ADMIN stands for the latter on
/// kernels before 5.8, which do not know it.
///
/// # Errors
/// [`Failure::Host`] that names what is missing.
pub fn require() -> Result<(), Failure> {
    let status =
        fs::read_to_string("/proc/self/status").doing(|| "reading /proc/self/status".into())?;
    let missing = missing(effective(&status).unwrap_or(0));
    if missing.is_empty() {
        return Ok(());
    }
    Err(Failure::host(
        format!("this takes privileges that the process does not have: {}", missing.join(", ")),
        "run it as root (sudo rewrite …), or with these capabilities",
    ))
}

fn effective(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

fn missing(effective: u64) -> Vec<&'static str> {
    let has = |capability: u32| effective & (1 << capability) != 0;
    let mut missing = Vec::new();
    if !has(CAP_NET_ADMIN) {
        missing.push("CAP_NET_ADMIN");
    }
    if !has(CAP_BPF) && !has(CAP_SYS_ADMIN) {
        missing.push("CAP_BPF");
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_has_all_it_takes() {
        let status = "Name:\trewrite\nCapEff:\t000001ffffffffff\n";
        assert_eq!(missing(effective(status).unwrap()), Vec::<&str>::new());
    }

    #[test]
    fn what_an_ordinary_user_lacks_is_named() {
        let status = "CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n";
        assert_eq!(missing(effective(status).unwrap()), ["CAP_NET_ADMIN", "CAP_BPF"]);
    }

    #[test]
    fn sys_admin_stands_for_bpf_but_not_for_net_admin() {
        assert_eq!(missing(1 << CAP_SYS_ADMIN), ["CAP_NET_ADMIN"]);
        assert_eq!(missing(1 << CAP_SYS_ADMIN | 1 << CAP_NET_ADMIN), Vec::<&str>::new());
    }
}
