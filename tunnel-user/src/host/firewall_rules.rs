//! Asks the host's firewalls for their rules, through their own tools.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::plan::firewall::{Chain, iptables, nft};

/// The programs of iptables on the older interface of the kernel, each with the file that names its tables. iptables-nft
/// keeps its tables in nft's ruleset.
pub(super) const LEGACY: [(&str, &str); 2] = [
    ("iptables-legacy", "/proc/net/ip_tables_names"),
    ("ip6tables-legacy", "/proc/net/ip6_tables_names"),
];
/// A folder that can be missing although the kernel has nf_tables built in: it only explains a failure of a tool.
pub(super) const NF_TABLES: &str = "/sys/module/nf_tables";

/// The chains of all firewalls in this network namespace, and the firewalls whose rules can't be read, each with the
/// reason.
#[must_use]
pub fn chains() -> (Vec<Chain>, Vec<String>) {
    let (mut chains, mut unreadable) = (Vec::new(), Vec::new());
    match output("nft", &["--json", "list", "ruleset"]) {
        Ok(text) => match serde_json::from_slice::<Value>(&text) {
            Ok(ruleset) => chains.extend(nft::chains(&ruleset)),
            Err(error) => unreadable.push(format!("nft: {error}")),
        },
        // A kernel without nf_tables has no rules of nft.
        Err(_) if !Path::new(NF_TABLES).exists() => {}
        Err(error) => unreadable.push(format!("nft: {error}")),
    }
    for (program, tables) in LEGACY {
        if fs::read_to_string(tables).is_ok_and(|names| !names.trim().is_empty()) {
            match output(&format!("{program}-save"), &[]) {
                Ok(text) => {
                    chains.extend(iptables::chains(program, &String::from_utf8_lossy(&text)));
                }
                Err(error) => unreadable.push(format!("{program}: {error}")),
            }
        }
    }
    (chains, unreadable)
}

/// The standard output of a tool.
///
/// # Errors
/// If the tool can't be run, or fails; the error then has its standard error.
pub(super) fn output(program: &str, arguments: &[&str]) -> io::Result<Vec<u8>> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = output
        .map_err(|error| io::Error::new(error.kind(), format!("can't run {program}: {error}")))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("{}: {}", output.status, said.trim())))
}
