//! Lists our programs on eth0 at every hook, independently of the code under test, and attaches a second program.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::tc::TcAttachOptions;
use aya::programs::{LinkOrder, SchedClassifier, TcAttachType};
use serde_json::Value;
use testkit::lab::PUBLIC_INTERFACE;
use testkit::netns::Namespace;
use testkit::wait::wait_until;

use crate::bpffs::BPFFS;
use crate::scenario::Scenario;

pub const LINKS: [&str; 2] = ["egress_link", "ingress_link"];
const OURS: &str = "rewrite_";
const PATIENCE: Duration = Duration::from_secs(10);

/// Our tc programs on eth0, egress and ingress, as `NAME by HOOK`. The ingress list also has any XDP program, ours or
/// not, as `ID by XDP`.
pub fn programs(host: &Namespace) -> Result<[Vec<String>; 2]> {
    let mut egress = filters(host, "egress")?;
    egress.extend(host.enter(|| by_tcx(TcAttachType::Egress))??);
    let mut ingress = filters(host, "ingress")?;
    ingress.extend(host.enter(|| by_tcx(TcAttachType::Ingress))??);
    let link: Value =
        serde_json::from_str(&host.run(&["ip", "-json", "link", "show", PUBLIC_INTERFACE])?)?;
    if link[0]["xdp"].is_object() {
        ingress.push(format!("{} by XDP", link[0]["xdp"]["prog"]["id"]));
    }
    Ok([egress, ingress])
}

fn by_tcx(attach_type: TcAttachType) -> Result<Vec<String>> {
    let (_, programs) = SchedClassifier::query_tcx(PUBLIC_INTERFACE, attach_type)
        .context("ask for the programs of eth0")?;
    let names = programs.iter().filter_map(|program| program.name_as_str());
    Ok(names.filter(|name| name.starts_with(OURS)).map(|name| format!("{name} by tcx")).collect())
}

fn filters(host: &Namespace, hook: &str) -> Result<Vec<String>> {
    let shown = host.run(&["tc", "-json", "filter", "show", "dev", PUBLIC_INTERFACE, hook]);
    // An interface without a clsact qdisc has no filters. Any other failure of `tc` counts as this case.
    let Ok(shown) = shown else { return Ok(Vec::new()) };
    let filters: Value = serde_json::from_str(&shown)?;
    let names = filters.as_array().into_iter().flatten().filter_map(|filter| {
        let name = filter["options"]["bpf_name"].as_str()?;
        Some(format!("{name} by clsact"))
    });
    Ok(names.filter(|name| name.starts_with(OURS)).collect())
}

/// Requires one program in each direction.
pub fn require_one_each(host: &Namespace, when: &str) -> Result<()> {
    let found = programs(host)?;
    ensure!(found.iter().all(|programs| programs.len() == 1), "{when}: {found:?}");
    Ok(())
}

/// Waits until there is one program in each direction.
pub fn wait_for_one_each(host: &Namespace, when: &str) -> Result<()> {
    wait_until(&format!("one program in each direction, {when}"), PATIENCE, || {
        Ok(programs(host)?.iter().all(|programs| programs.len() == 1).then_some(()))
    })
}

/// Opens a descriptor of a pinned link. The link exists at least as long as the descriptor is open.
pub fn hold(pin: &Path) -> Result<FdLink> {
    let link = PinnedLink::from_pin(pin).with_context(|| format!("open {}", pin.display()))?;
    Ok(link.into())
}

/// Opens descriptors of a host's egress and ingress links.
pub fn hold_both(scenario: &Scenario, host: &Namespace) -> Result<Vec<FdLink>> {
    LINKS.iter().map(|name| hold(&scenario.pin(host, name)?)).collect()
}

/// Runs B's program on A's eth0 in addition to A's program, until the returned link is dropped. The program uses B's
/// maps, and so resembles a leftover program whose pins somebody removed.
pub fn run_second(scenario: &Scenario, attach_type: TcAttachType) -> Result<FdLink> {
    let (host, other) = (&scenario.lab.a, &scenario.lab.b);
    let name = match attach_type {
        TcAttachType::Egress => "rewrite_egress",
        _ => "rewrite_ingress",
    };
    let pin = scenario.pin(other, name)?;
    host.enter(|| -> Result<FdLink> {
        let mut program = SchedClassifier::from_pin(&pin).context("open the program")?;
        let options = TcAttachOptions::TcxOrder(LinkOrder::default());
        let id = program
            .attach_with_options(PUBLIC_INTERFACE, attach_type, options)
            .context("attach it")?;
        Ok(program.take_link(id)?.try_into()?)
    })?
}

/// A path outside rewrite's folder for an additional pin. The path is unique to this host.
pub fn foreign_pin(host: &Namespace, name: &str) -> Result<PathBuf> {
    Ok(Path::new(BPFFS).join(format!("somebodys-{}-{name}", host.inode()?)))
}
