//! Records all host state that attach might change, for a comparison before and after a command.

use std::io;

use anyhow::{Context, Result};
use aya::programs::{SchedClassifier, TcAttachType};
use testkit::lab::PUBLIC_INTERFACE;
use testkit::netns::Namespace;
use tunnel_user::error::is_io;

use crate::bpffs::{pins, tree};

const LOOKS: &[&[&str]] = &[
    &["ip", "-json", "address"],
    &["ip", "-json", "-d", "link"],
    &["ip", "-json", "route", "show", "table", "all"],
    &["ip", "-json", "-6", "route", "show", "table", "all"],
    &["ip", "-json", "rule"],
    &["tc", "-json", "qdisc", "show"],
    &["bpftool", "-j", "net", "show"],
    &["sysctl", "-a", "-r", "^net[.]ipv[46][.]conf[.]"],
];
const FILTERS: &[&str] = &["ingress", "egress"];

/// The state of a host at one moment.
#[derive(Debug)]
pub struct HostState {
    looks: Vec<(String, String)>,
}

impl HostState {
    pub fn of(host: &Namespace) -> Result<Self> {
        let mut looks = Vec::new();
        for words in LOOKS {
            looks.push((words.join(" "), host.run(words)?));
        }
        for hook in FILTERS {
            let words = ["tc", "filter", "show", "dev", PUBLIC_INTERFACE, hook];
            // A host without a clsact qdisc has no filters.
            looks.push((words.join(" "), host.run(&words).unwrap_or_default()));
        }
        // Debian's bpftool does not know tcx.
        for (attach_type, name) in
            [(TcAttachType::Ingress, "ingress"), (TcAttachType::Egress, "egress")]
        {
            let programs = host.enter(|| tcx_programs(attach_type))??;
            looks.push((format!("tcx {name}"), programs));
        }
        looks.push(("pins".into(), format!("{:#?}", tree(&pins(host)?)?)));
        Ok(Self { looks })
    }

    /// The recorded output of the command `words`.
    pub fn look(&self, words: &str) -> &str {
        self.looks.iter().find(|(look, _)| look == words).map_or("", |(_, said)| said)
    }

    /// The commands whose output differs between `self` and `later`, with both outputs.
    pub fn changes(&self, later: &Self) -> Vec<String> {
        self.looks
            .iter()
            .zip(&later.looks)
            .filter(|(before, after)| before != after)
            .map(|((look, before), (_, after))| format!("{look}\nwas {before}\nis  {after}"))
            .collect()
    }

    /// Panics if the host has changed since this record, and prints the changes.
    #[track_caller]
    pub fn assert_unchanged(&self, host: &Namespace, when: &str) {
        match Self::of(host) {
            Ok(later) => {
                let changes = self.changes(&later);
                assert!(changes.is_empty(), "{when}: {}", changes.join("\n"));
            }
            Err(error) => panic!("{when}: {error:#}"),
        }
    }
}

/// The programs that are attached to eth0 at tcx, if the host has an eth0.
fn tcx_programs(attach_type: TcAttachType) -> Result<String> {
    if nix::net::if_::if_nametoindex(PUBLIC_INTERFACE).is_err() {
        return Ok("no interface".into());
    }
    let answer = SchedClassifier::query_tcx(PUBLIC_INTERFACE, attach_type);
    // Kernels before 6.6 do not know the attach type.
    if answer.as_ref().is_err_and(|error| is_io(error, io::ErrorKind::InvalidInput)) {
        return Ok("no tcx".into());
    }
    let (_, programs) = answer.context("ask for the programs of eth0")?;
    let named =
        programs.iter().map(|program| (program.id(), program.name_as_str().map(str::to_owned)));
    Ok(format!("{:?}", named.collect::<Vec<_>>()))
}
