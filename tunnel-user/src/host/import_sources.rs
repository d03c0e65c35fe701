//! Reads the sources of an import: the outputs of tools, and the files of cluster software.

use std::fs;
use std::io::{self, ErrorKind, Read as _};
use std::path::Path;

use serde_json::Value;

use super::firewall_rules::{LEGACY, NF_TABLES, output};
use super::netlink::Netlink;
use super::snapshot::Snapshot;
use crate::error::{Context as _, Error};
use crate::plan::import::iptables_save::Saved;
use crate::plan::import::tunnel::Outputs;
use crate::plan::import::{HeldAddress, HostFacts, corosync, gluster, hosts_file, is_link_local};

/// The programs of iptables on nf_tables.
const ON_NFT: [&str; 2] = ["iptables-nft", "ip6tables-nft"];

/// The host's name, addresses and default route. `hosts` is the path of the file that names addresses.
///
/// # Errors
/// If the kernel refuses, or the file can't be read. A missing file has no names.
pub async fn facts(hosts: &Path) -> Result<HostFacts, Error> {
    let netlink = Netlink::connect()?;
    let snapshot = Snapshot::take(&netlink).await?;
    let names = snapshot.names();
    let held = netlink.addresses().await?.into_iter().filter_map(|held| {
        let is_loopback = held.address.is_loopback();
        let interface = names.get(&held.link).filter(|_| !is_loopback)?.clone();
        Some(HeldAddress { interface, address: held.address, length: held.length })
    });
    let hostname = fs::read_to_string("/proc/sys/kernel/hostname").ok();
    Ok(HostFacts {
        hostname: hostname.map(|name| name.trim().to_owned()),
        names: hosts_file::names(&text_or_empty(hosts)?),
        addresses: held.filter(|held| !is_link_local(held.address)).collect(),
        uplink: netlink.default_link().await?.and_then(|link| names.get(&link).cloned()),
    })
}

/// The text of a file that names hosts. A missing file is empty.
///
/// # Errors
/// If the file can't be read.
pub fn text_or_empty(path: &Path) -> Result<String, Error> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        read => read.context(|| format!("reading {}", path.display())),
    }
}

/// The text of the file at `path`, or of standard input for `-`.
///
/// # Errors
/// [`Error::Refused`] if the text can't be read, or is not UTF-8.
pub fn input(path: &Path) -> Result<String, Error> {
    let mut text = String::new();
    let read = match path.as_os_str() == "-" {
        true => io::stdin().read_to_string(&mut text).map(drop),
        false => fs::read_to_string(path).map(|read| text = read),
    };
    let refused = |error| {
        let what = format!("{} can't be read: {error}", path.display());
        Error::refused(what, "name a file with the source's text, or - for standard input")
    };
    read.map_err(refused).map(|()| text)
}

/// The tables `nat` of all programs of iptables. Skips programs that this host lacks, and asks none for a table that
/// the kernel has not: the question would make it.
///
/// # Errors
/// [`Error::Host`] if a program fails, the names of the tables can't be read, or the kernel has a table whose program
/// is missing.
pub fn iptables() -> Result<Vec<Saved>, Error> {
    let mut programs = Vec::new();
    for (program, tables) in LEGACY {
        if has_nat(tables)? {
            programs.push(program);
        }
    }
    programs.extend(ON_NFT);
    let mut saved = Vec::new();
    for program in programs {
        match output(&format!("{program}-save"), &["-t", "nat"]) {
            Ok(text) => saved.push(Saved {
                program: Some(program.to_owned()),
                text: String::from_utf8_lossy(&text).into_owned(),
            }),
            Err(error)
                if ON_NFT.contains(&program)
                    && (error.kind() == ErrorKind::NotFound || !Path::new(NF_TABLES).exists()) => {}
            Err(error) => return Err(unanswered(&error)),
        }
    }
    Ok(saved)
}

/// True if the file of table names has the table `nat`. A missing file names no table.
fn has_nat(tables: &str) -> Result<bool, Error> {
    match fs::read_to_string(tables) {
        Ok(names) => Ok(names.lines().any(|name| name == "nat")),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => {
            Err(unanswered(&io::Error::new(error.kind(), format!("can't read {tables}: {error}"))))
        }
    }
}

/// The ruleset of nft. Null on a kernel without nf_tables.
///
/// # Errors
/// [`Error::Host`] if nft can't be run, or fails.
pub fn nft() -> Result<Value, Error> {
    match json("nft", &["--json", "list", "ruleset"]) {
        Err(_) if !Path::new(NF_TABLES).exists() => Ok(Value::Null),
        ruleset => ruleset,
    }
}

/// The outputs of ip(8) and bridge(8) about tunnels.
///
/// # Errors
/// [`Error::Host`] if a tool can't be run, or fails.
pub fn tunnels() -> Result<Outputs, Error> {
    Ok(Outputs {
        links: json("ip", &["-j", "-d", "address", "show"])?,
        routes: vec![
            json("ip", &["-j", "route", "show"])?,
            json("ip", &["-j", "-6", "route", "show"])?,
        ],
        neighbors: json("ip", &["-j", "neighbor", "show"])?,
        forwarding: json("bridge", &["-j", "fdb", "show"])?,
    })
}

/// The interfaces and peers of WireGuard. Empty on a host without the tool wg.
///
/// # Errors
/// [`Error::Host`] if the tool fails.
pub fn wireguard() -> Result<String, Error> {
    match output("wg", &["show", "all", "dump"]) {
        Ok(text) => Ok(String::from_utf8_lossy(&text).into_owned()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(unanswered(&error)),
    }
}

/// The files of GlusterFS's peers, each with its name. None without the folder.
///
/// # Errors
/// If the folder or a file can't be read.
pub fn gluster_peers() -> Result<Vec<(String, String)>, Error> {
    let reading = || format!("reading {}", gluster::PEERS);
    let entries = match fs::read_dir(gluster::PEERS) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.context(reading)?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.context(reading)?;
        let text = fs::read_to_string(entry.path()).context(reading)?;
        files.push((entry.file_name().to_string_lossy().into_owned(), text));
    }
    files.sort();
    Ok(files)
}

/// The text of corosync.conf. Empty without the file.
///
/// # Errors
/// If the file can't be read.
pub fn corosync_conf() -> Result<String, Error> {
    text_or_empty(Path::new(corosync::PATH))
}

/// The output of a tool as JSON. A tool that prints nothing has nothing to list.
fn json(program: &str, arguments: &[&str]) -> Result<Value, Error> {
    let text = output(program, arguments).map_err(|error| unanswered(&error))?;
    if text.trim_ascii().is_empty() {
        return Ok(Value::Null);
    }
    let parsed = serde_json::from_slice(&text);
    parsed.map_err(|error| unanswered(&io::Error::other(format!("{program}: {error}"))))
}

fn unanswered(error: &io::Error) -> Error {
    Error::host(
        error.to_string(),
        "install the tool, and run rewrite as root; or save the tool's output, and name it with --input FILE",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_missing_file_names_no_table() {
        assert!(!has_nat("/nonexistent/ip_tables_names").unwrap());
        let refused = has_nat("/").unwrap_err().to_string();
        assert!(refused.contains("can't read /"), "{refused}");
    }
}
