//! Checks the capabilities that a command needs.

use std::fs;

use crate::error::{Context as _, Error};

/// Bits of `CapEff` in /proc/self/status (Linux, include/uapi/linux/capability.h).
const CAP_NET_ADMIN: u32 = 12;
const CAP_NET_RAW: u32 = 13;
const CAP_SYS_ADMIN: u32 = 21;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

/// The task of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Read and change maps and interfaces: CAP_NET_ADMIN and CAP_BPF.
    UseMaps,
    /// Everything in [`Task::UseMaps`]; in addition, load programs for a test run, which needs CAP_PERFMON.
    TestPrograms,
    /// Everything in [`Task::UseMaps`]; in addition, load programs, whose pointer arithmetic the verifier allows only
    /// with CAP_PERFMON (Linux, kernel/bpf/verifier.c, allow_ptr_leaks), and send move notices, which needs
    /// CAP_NET_RAW.
    LoadPrograms,
}

/// Refuses to continue without the capabilities that `task` needs. CAP_SYS_ADMIN includes CAP_BPF and CAP_PERFMON, as
/// in the kernel (include/linux/capability.h, bpf_capable and perfmon_capable).
///
/// # Errors
/// [`Error::Host`] that names the missing privilege.
pub fn require(task: Task) -> Result<(), Error> {
    let status =
        fs::read_to_string("/proc/self/status").context(|| "reading /proc/self/status".into())?;
    let missing = missing(effective(&status).unwrap_or(0), task);
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::host(
        format!("this process lacks privileges: {}", missing.join(", ")),
        "run it as root (sudo rewrite …), or with these capabilities",
    ))
}

fn effective(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

fn missing(effective: u64, task: Task) -> Vec<&'static str> {
    let has = |capability: u32| effective & (1 << capability) != 0;
    let mut missing = Vec::new();
    if !has(CAP_NET_ADMIN) {
        missing.push("CAP_NET_ADMIN");
    }
    if task == Task::LoadPrograms && !has(CAP_NET_RAW) {
        missing.push("CAP_NET_RAW");
    }
    if !has(CAP_BPF) && !has(CAP_SYS_ADMIN) {
        missing.push("CAP_BPF");
    }
    if task != Task::UseMaps && !has(CAP_PERFMON) && !has(CAP_SYS_ADMIN) {
        missing.push("CAP_PERFMON");
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: [&str; 0] = [];

    #[test]
    fn root_has_all_it_takes() {
        let status = "Name:\trewrite\nCapEff:\t000001ffffffffff\n";
        assert_eq!(missing(effective(status).unwrap(), Task::LoadPrograms), NOTHING);
    }

    #[test]
    fn what_an_ordinary_user_lacks_is_named() {
        let status = "CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n";
        let effective = effective(status).unwrap();
        assert_eq!(missing(effective, Task::UseMaps), ["CAP_NET_ADMIN", "CAP_BPF"]);
        assert_eq!(
            missing(effective, Task::LoadPrograms),
            ["CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_BPF", "CAP_PERFMON"]
        );
    }

    #[test]
    fn only_loading_takes_net_raw_and_perfmon() {
        let effective = 1 << CAP_BPF | 1 << CAP_NET_ADMIN;
        assert_eq!(missing(effective, Task::UseMaps), NOTHING);
        assert_eq!(missing(effective, Task::LoadPrograms), ["CAP_NET_RAW", "CAP_PERFMON"]);
    }

    #[test]
    fn a_test_run_takes_perfmon_alone_beside_the_maps() {
        let effective = 1 << CAP_BPF | 1 << CAP_NET_ADMIN;
        assert_eq!(missing(effective, Task::TestPrograms), ["CAP_PERFMON"]);
    }

    #[test]
    fn sys_admin_stands_for_bpf_and_perfmon_but_not_for_those_of_the_network() {
        let lacking = ["CAP_NET_ADMIN", "CAP_NET_RAW"];
        assert_eq!(missing(1 << CAP_SYS_ADMIN, Task::LoadPrograms), lacking);
        let with_both = 1 << CAP_SYS_ADMIN | 1 << CAP_NET_ADMIN | 1 << CAP_NET_RAW;
        assert_eq!(missing(with_both, Task::LoadPrograms), NOTHING);
    }
}
