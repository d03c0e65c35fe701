//! `status` and `check` report a foreign program in front of ours that keeps packets from our program.

use std::io::ErrorKind;
use std::net::UdpSocket;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aya::programs::links::FdLink;
use aya::programs::tc::TcAttachOptions;
use aya::programs::{LinkOrder, SchedClassifier, TcAttachType};
use testkit::lab::{A_PRIVATE, B_PRIVATE, PUBLIC_INTERFACE};
use testkit::netns::Namespace;
use testkit::wait::retry_eintr;

use crate::passing_program::load_passing;
use crate::scenario::{NOTHING_MORE, Scenario};

/// Attaches a program that passes every packet to a host's eth0, at the position `order`. Dropping the link detaches
/// the program.
pub fn pass_all(host: &Namespace, attach_type: TcAttachType, order: LinkOrder) -> Result<FdLink> {
    let pin = load_passing(host)?;
    let link = host.enter(|| -> Result<FdLink> {
        let mut program = SchedClassifier::from_pin(&pin).context("open the program")?;
        let options = TcAttachOptions::TcxOrder(order);
        let id = program.attach_with_options(PUBLIC_INTERFACE, attach_type, options)?;
        Ok(program.take_link(id)?.try_into()?)
    })?;
    std::fs::remove_file(&pin).context("unpin the program")?;
    link
}

/// True if the peer answers a datagram to a closed port of its private address with an ICMP error.
fn is_answered(host: &Namespace) -> Result<bool> {
    let socket = host.enter(|| UdpSocket::bind((A_PRIVATE, 0)))??;
    socket.set_read_timeout(Some(Duration::from_millis(300)))?;
    socket.connect((B_PRIVATE, 9))?;
    socket.send(b"knock")?;
    let answer = retry_eintr(|| socket.recv(&mut [0; 16]));
    Ok(answer.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused))
}

fn require_told(scenario: &Scenario, direction: &str) -> Result<()> {
    let host = &scenario.lab.a;
    let config = scenario.path("cluster.toml");
    let ended = scenario.try_run(host, &["status"])?;
    let wanted = format!("a program in front of rewrite, at {direction}");
    for word in ["WRONG", &wanted, "called pass_all", "TCX_PASS"] {
        ensure!(ended.stdout.contains(word), "{word:?} is not in {}", ended.stdout);
    }
    let check = scenario.try_run(host, &["check", "--config", &config])?;
    ensure!(check.stdout.contains(&wanted), "{}", check.stdout);
    Ok(())
}

#[test]
fn a_program_in_front_that_passes_all_is_named_by_status_and_check() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach_both(NOTHING_MORE)?;
    for (attach_type, direction) in
        [(TcAttachType::Egress, "egress"), (TcAttachType::Ingress, "ingress")]
    {
        ensure!(is_answered(host)?, "{direction}: no answer beforehand");
        let link = pass_all(host, attach_type, LinkOrder::first())?;
        ensure!(!is_answered(host)?, "{direction}: packets are rewritten all the same");
        require_told(&scenario, direction)?;
        drop(link);
        scenario.require_healthy(host)?;
        scenario.require_traffic()?;
    }
    Ok(())
}

#[test]
fn a_program_behind_is_none_of_our_business() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach_both(NOTHING_MORE)?;
    let _egress = pass_all(host, TcAttachType::Egress, LinkOrder::last())?;
    let _ingress = pass_all(host, TcAttachType::Ingress, LinkOrder::last())?;
    scenario.require_healthy(host)?;
    scenario.require_traffic()
}

#[test]
fn check_names_what_will_be_in_front_of_the_egress_program() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let _egress = pass_all(host, TcAttachType::Egress, LinkOrder::default())?;
    let _ingress = pass_all(host, TcAttachType::Ingress, LinkOrder::default())?;
    let check = scenario.try_run(host, &["check", "--config", &scenario.path("cluster.toml")])?;
    ensure!(check.stdout.contains("in front of rewrite, at egress"), "{}", check.stdout);
    // Attach puts our ingress program in front of the foreign program, so `check` has nothing to report at ingress.
    ensure!(!check.stdout.contains("in front of rewrite, at ingress"), "{}", check.stdout);
    Ok(())
}
