//! Tests that the traffic of a GlusterFS volume on two pairs of replicas moves to a second network and back, as
//! docs/move-to-infiniband.md describes it, while clients write through a mount and through libgfapi.
//!
//! Run as root, with the binary `rewrite` built (see `testkit::rewrite_command`) and with Debian's
//! `glusterfs-server`, `qemu-utils` and `qemu-block-extra` installed. `--nocapture` shows the
//! measured times.

mod disk_image;
mod files;
mod scene;
mod worker;

use std::net::Ipv4Addr;

use anyhow::Result;
use testkit::gluster::Distributed;
use testkit::lab::FourHosts;

use crate::scene::{ON_THE_FIRST, ON_THE_SECOND, Scene, Stage};

/// The networks in the file for two attached interfaces. The private addresses are on neither network, so packets over
/// the first network are rewritten, too.
const BOTH_ATTACHED: &str = "\
[[network]]
name      = \"ethernet\"
interface = \"eth0\"

[[network]]
name      = \"ib\"
interface = \"ib0\"
";

fn both_attached() -> String {
    let addresses = FourHosts::PRIVATE.iter().zip(FourHosts::FIRST).zip(FourHosts::SECOND);
    let members = addresses.zip(FourHosts::NAMES).map(|(((private, first), second), name)| {
        format!(
            "\n[[member]]\nname    = \"{name}\"\nprivate = \"{private}\"\n\
             public  = {{ ethernet = \"{first}\", ib = \"{second}\" }}\n"
        )
    });
    BOTH_ATTACHED.to_owned() + &members.collect::<String>()
}

/// The file for a single network.
fn one_attached(private: [Ipv4Addr; 4], public: [Ipv4Addr; 4]) -> String {
    let addresses = private.iter().zip(public).zip(FourHosts::NAMES);
    let members = addresses.map(|((private, public), name)| {
        format!(
            "[[member]]\nname    = \"{name}\"\nprivate = \"{private}\"\npublic  = \"{public}\"\n\n"
        )
    });
    members.collect()
}

#[test]
fn peers_known_by_private_address_move_to_the_second_network_and_back() -> Result<()> {
    let before = one_attached(FourHosts::PRIVATE, FourHosts::FIRST);
    let scene = Scene::set("rwgpa", &before)?;
    scene.on_each(&["attach", "eth0"])?;
    let cluster = Distributed::start_by_address(&scene.lab, FourHosts::PRIVATE)?;
    let stage = Stage::enter(&scene, cluster, (&["eth0", "ib0"], "net 10.0.0.0/8"))?;
    stage.play(|stage| {
        stage.require_traffic(ON_THE_FIRST)?;
        scene.write_file(&both_attached())?;
        stage.on_each(&["check"])?;
        // Without this attach, eth0's network is unknown, and ib0 would get the traffic at once.
        stage.on_each(&["attach", "eth0"])?;
        stage.on_each(&["attach", "ib0"])?;
        stage.require_traffic(ON_THE_FIRST)?;
        stage.on_each(&["peer", "set", "--all", "--network", "ib"])?;
        stage.require_traffic(ON_THE_SECOND)?;
        stage.without_the_first_network()?;
        stage.connect_anew()?;
        stage.require_traffic(ON_THE_SECOND)?;
        stage.on_each(&["peer", "set", "--all", "--network", "ethernet"])?;
        stage.require_traffic(ON_THE_FIRST)?;
        // ib0 no longer carries traffic, so no host has to wait for the others.
        stage.on_each(&["detach", "ib0"])?;
        scene.write_file(&before)?;
        stage.on_each(&["attach", "eth0"])?;
        stage.require_traffic(ON_THE_FIRST)
    })
}

#[test]
fn peers_known_by_name_move_to_the_second_network_and_back() -> Result<()> {
    // The private addresses are the addresses of the first network throughout.
    let scene = Scene::set("rwgpn", &one_attached(FourHosts::FIRST, FourHosts::SECOND))?;
    let cluster = Distributed::start_by_name(&scene.lab, FourHosts::FIRST)?;
    let stage = Stage::enter(&scene, cluster, (&["ib0"], "net 192.0.2.0/24"))?;
    stage.play(|stage| {
        stage.require_traffic(ON_THE_FIRST)?;
        stage.on_each(&["check"])?;
        // All hosts must handle incoming packets before the first host sends.
        stage.on_each(&["attach", "ib0", "--no-routes"])?;
        stage.require_traffic(ON_THE_FIRST)?;
        stage.on_each(&["attach", "ib0"])?;
        stage.require_traffic(ON_THE_SECOND)?;
        stage.without_the_first_network()?;
        stage.connect_anew()?;
        stage.require_traffic(ON_THE_SECOND)?;
        stage.on_each(&["attach", "ib0", "--no-routes"])?;
        stage.require_traffic(ON_THE_FIRST)?;
        stage.on_each(&["detach", "ib0"])?;
        stage.require_traffic(ON_THE_FIRST)
    })
}
