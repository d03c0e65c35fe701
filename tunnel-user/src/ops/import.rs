//! The steps that `import` and `init` share: they read a source, make the cluster file, and write it.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::config;
use crate::error::{Context as _, Error};
use crate::host::file_replacement::{NotReplaced, Replacement, create};
use crate::host::import_sources;
use crate::model::MemberName;
use crate::plan::import::draft::{Draft, draft};
use crate::plan::import::iptables_save::{self, Saved};
use crate::plan::import::switch_over::{self, SwitchOver};
use crate::plan::import::{
    Finding, FindingKind, Found, HostFacts, Source, cluster_text, corosync, gluster, hosts_file,
    nft_ruleset, tunnel, wireguard,
};

/// The interface of the printed commands, if this host has no default route.
const UNKNOWN_INTERFACE: &str = "IFACE";

/// The cluster file of an import, and the way to it.
#[derive(Clone, Debug)]
pub struct Import {
    /// The source; `None` for an example.
    pub source: Option<Source>,
    /// The members.
    pub draft: Draft,
    /// The parts of the source that are not in the file as they stand, the gravest first.
    pub findings: Vec<Finding>,
    /// The file's text.
    pub text: String,
    /// The interface that the commands attach.
    pub interface: String,
    /// The commands of the switch-over.
    pub way: SwitchOver,
    /// The written file.
    pub written: Option<PathBuf>,
}

impl Import {
    /// True if the operator has to act before an attach with the file.
    #[must_use]
    pub fn needs_work(&self) -> bool {
        self.findings.iter().any(|finding| finding.kind.needs_work())
    }
}

/// Reads a source: the text at `input`, or else the host itself.
///
/// # Errors
/// If the source can't be read, or has another form.
pub(crate) fn read(
    source: Source,
    input: Option<&Path>,
    facts: &HostFacts,
) -> Result<Found, Error> {
    let text = input.map(import_sources::input).transpose()?;
    Ok(match (source, text) {
        (Source::Iptables, Some(text)) => iptables_save::found(&[Saved { program: None, text }]),
        (Source::Iptables, None) => iptables_save::found(&import_sources::iptables()?),
        (Source::Nft, Some(text)) => {
            let ruleset = serde_json::from_str(&text);
            nft_ruleset::found(&ruleset.map_err(|error| malformed(source, &error.to_string()))?)
        }
        (Source::Nft, None) => nft_ruleset::found(&import_sources::nft()?),
        (Source::Vxlan | Source::Ipip, Some(_)) => {
            return Err(Error::refused(
                format!("--input has no meaning for {source}: several tools describe a tunnel"),
                "leave out --input, and run the command on the host with the tunnel",
            ));
        }
        (Source::Vxlan | Source::Ipip, None) => tunnel::found(source, &import_sources::tunnels()?),
        (Source::Wireguard, Some(text)) => wireguard::found(&text, facts),
        (Source::Wireguard, None) => wireguard::found(&import_sources::wireguard()?, facts),
        (Source::Gluster, Some(text)) if text.trim_start().starts_with('<') => {
            gluster::found_in_status(&text).map_err(|why| malformed(source, &why))?
        }
        (Source::Gluster, Some(text)) => gluster::found(&[("the peer's file".to_owned(), text)]),
        (Source::Gluster, None) => gluster::found(&import_sources::gluster_peers()?),
        (Source::Corosync, Some(text)) => corosync::found(&text),
        (Source::Corosync, None) => corosync::found(&import_sources::corosync_conf()?),
        (Source::Hosts, Some(text)) => hosts_file::found(&text),
        (Source::Hosts, None) => {
            hosts_file::found(&import_sources::text_or_empty(Path::new(hosts_file::PATH))?)
        }
    })
}

fn malformed(source: Source, why: &str) -> Error {
    let form = match source {
        Source::Nft => "nft --json list ruleset",
        _ => "gluster peer status --xml",
    };
    Error::refused(
        format!("the text of {source} has another form: {why}"),
        format!("give it the output of: {form}"),
    )
}

/// The place of the new file, and the rules about it.
#[derive(Clone, Debug)]
pub struct Target {
    /// The file to write; `None` writes none.
    pub out: Option<PathBuf>,
    /// True if a file at that place may be replaced.
    pub force: bool,
}

/// Makes the file of a source, and writes it.
///
/// # Errors
/// [`Error::Refused`] if the source has no peer, or a file is there already; [`Error::Host`] if it can't be written.
pub(crate) fn import(
    source: Source,
    found: &Found,
    facts: &HostFacts,
    self_name: Option<&MemberName>,
    target: &Target,
) -> Result<Import, Error> {
    let draft = draft(found, facts, self_name);
    let findings = [&draft.findings[..], &found.findings].concat();
    if draft.peers() == 0 {
        return Err(no_peer(source, &findings));
    }
    let origin = format!("Imported from {source}.");
    finish(Some(source), found, (draft, findings), facts, &origin, target)
}

/// Makes the file from its parts, and writes it.
///
/// # Errors
/// As [`import`].
pub(crate) fn finish(
    source: Option<Source>,
    found: &Found,
    (draft, mut findings): (Draft, Vec<Finding>),
    facts: &HostFacts,
    origin: &str,
    target: &Target,
) -> Result<Import, Error> {
    let text = cluster_text::text(&draft, source, &found.tunnels, origin);
    let path = target.out.as_deref().unwrap_or(Path::new(config::DEFAULT_PATH));
    let has_blanks = findings.iter().any(|finding| finding.kind == FindingKind::Blank);
    if let Err(error) = config::parse(path, &text)
        && !has_blanks
    {
        let why = error.to_string();
        findings.push(Finding::of(FindingKind::Contradiction, "the file", why));
    }
    findings.sort_by_key(|finding| finding.kind);
    let interface = interface(&draft, facts);
    let way = switch_over::plan(source, found, &draft, &interface, &path.display().to_string());
    let mut import = Import { source, draft, findings, text, interface, way, written: None };
    if let Some(out) = &target.out {
        write(out, &import.text, target.force)?;
        import.written = Some(out.clone());
    }
    Ok(import)
}

/// The interface with the underlay address of this host, or else the one with the default route.
fn interface(draft: &Draft, facts: &HostFacts) -> String {
    let own = draft.self_member().into_iter().flat_map(|member| &member.addresses);
    let mut underlay = own.filter_map(|addresses| addresses.underlay.or(addresses.public));
    let holder = underlay.find_map(|address| facts.interface_of(address));
    holder.or(facts.uplink.as_deref()).unwrap_or(UNKNOWN_INTERFACE).to_owned()
}

fn no_peer(source: Source, findings: &[Finding]) -> Error {
    let mut what = format!("{source} has no peer that a cluster file could take");
    for Finding { place, text, why, .. } in findings.iter().take(10) {
        what.push_str(&format!("\n  {place}: {text}: {why}"));
    }
    Error::refused(what, "import from another source (rewrite import --help), or run rewrite init")
}

/// Refuses a place that has a file already, before the sources are read.
///
/// # Errors
/// [`Error::Refused`] if the file exists.
pub(crate) fn require_free(target: &Target) -> Result<(), Error> {
    match &target.out {
        Some(out) if !target.force && fs::symlink_metadata(out).is_ok() => Err(taken(out)),
        _ => Ok(()),
    }
}

fn taken(out: &Path) -> Error {
    Error::refused(
        format!("{} exists already", out.display()),
        "name another file with --out FILE, or replace this one with --force",
    )
}

fn write(out: &Path, text: &str, force: bool) -> Result<(), Error> {
    let unwritable = |error: &dyn std::fmt::Display| {
        Error::host(
            format!("{} can't be written: {error}", out.display()),
            "let this process write to its folder, or name another file with --out FILE",
        )
    };
    match create(out, text) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && force => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(taken(out)),
        created => return created.map_err(|error| unwritable(&error)),
    }
    // The rename would replace a symbolic link itself.
    let path = fs::canonicalize(out).map_err(|error| unwritable(&error))?;
    let former = fs::read_to_string(&path).context(|| format!("reading {}", path.display()))?;
    let replaced = Replacement::prepare(&path, former, text).map_err(NotReplaced::from);
    replaced.and_then(Replacement::commit).map_err(|error| unwritable(&error))
}
