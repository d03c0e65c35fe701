//! Tests `rewrite explain`: the outcome of one packet, without an effect on the attached programs and maps.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use etherparse::PacketBuilder;
use serde_json::{Value, json};
use testkit::netns::Namespace;
use testkit::traffic::ping;

use crate::bpffs::dump;
use crate::dual_stack;
use crate::scenario::{CLSACT, NOTHING_MORE, Scenario, XDP, XDP_GENERIC};
use crate::status::keys;

fn attached(more: &[&str]) -> Result<Scenario> {
    let scenario = Scenario::new()?;
    dual_stack::prepare(&scenario)?;
    scenario.attach(&scenario.lab.a, more)?;
    Ok(scenario)
}

/// Explains a packet at host A.
fn explain(scenario: &Scenario, words: &str) -> Result<Value> {
    let words: Vec<_> = ["explain", "--json"].into_iter().chain(words.split(' ')).collect();
    let ended = scenario.try_run(&scenario.lab.a, &words)?;
    ended.require(0, &[])?;
    serde_json::from_str(&ended.stdout).with_context(|| format!("not JSON: {ended:?}"))
}

/// Requires an outcome, a verdict, and the addresses after the program.
fn require(said: &Value, outcome: &str, verdict: &str, after: Option<[&str; 2]>) -> Result<()> {
    let after = after.map_or(
        Value::Null,
        |[source, destination]| json!({ "source": source, "destination": destination }),
    );
    let is_so = said["outcome"] == outcome && said["verdict"] == verdict && said["after"] == after;
    ensure!(is_so, "not {outcome}, {verdict}, {after}: {said:#}");
    Ok(())
}

#[test]
fn a_packet_to_a_peer_is_rewritten() -> Result<()> {
    let scenario = attached(NOTHING_MORE)?;
    for (protocol, name) in [("tcp/24007", "tcp"), ("udp/53", "udp"), ("icmp", "icmp")] {
        let said = explain(&scenario, &format!("10.0.0.1 10.0.0.2 {protocol}"))?;
        require(&said, "rewritten", "pass", Some(["198.51.100.2", "203.0.113.2"]))?;
        assert_eq!(said["packet"]["protocol"], name);
        assert_eq!((&said["peer"], &said["direction"]), (&json!("srvb"), &json!("egress")));
        assert_eq!(said["program"], "rewrite_egress");
    }
    for protocol in ["tcp/24007", "udp/53", "icmp"] {
        let said = explain(&scenario, &format!("fd00::1 fd00::2 {protocol}"))?;
        require(&said, "rewritten", "pass", Some(["2001:db8:a::2", "2001:db8:b::2"]))?;
    }
    let said = explain(&scenario, "10.0.0.1 10.0.0.2 tcp/24007")?;
    let wanted = [
        "after",
        "direction",
        "entry",
        "interface",
        "outcome",
        "packet",
        "peer",
        "program",
        "remedy",
        "route",
        "verdict",
        "what",
    ];
    assert_eq!(keys(&said), wanted);
    let entry = json!({
        "peer": "srvb", "key": "10.0.0.2", "role": "private",
        "private": "10.0.0.2", "public": "203.0.113.2",
    });
    assert_eq!(said["entry"], entry);
    let route = json!({ "by_interface": true, "what": "via 198.51.100.1 dev eth0" });
    assert_eq!(said["route"], route);
    let packet = json!({
        "source": "10.0.0.1", "destination": "10.0.0.2", "protocol": "tcp",
        "ports": [40_000, 24_007], "flags": "SYN", "vlans": [], "length": 54,
        "assumed": "source port 40000, flag SYN, no payload",
    });
    assert_eq!(said["packet"], packet);
    Ok(())
}

#[test]
fn the_text_says_the_same() -> Result<()> {
    let scenario = attached(NOTHING_MORE)?;
    let host = &scenario.lab.a;
    let said = scenario.rewrite.run(host, &["explain", "10.0.0.1", "10.0.0.2", "tcp/24007"])?;
    let wanted = "\
eth0 egress: rewritten (pass): the packet goes to srvb
  packet   tcp 10.0.0.1:40000 > 10.0.0.2:24007 SYN, 54 bytes
  assumed  source port 40000, flag SYN, no payload
  route    via 198.51.100.1 dev eth0
  entry    10.0.0.2, the private key of srvb: 10.0.0.2 at 203.0.113.2
  wire     198.51.100.2:40000 > 203.0.113.2:24007
";
    assert_eq!(said, wanted);
    let said = scenario.rewrite.run(host, &["explain", "10.0.0.2", "198.51.100.2", "--in"])?;
    ensure!(said.starts_with("eth0 ingress: spoofed (drop): from a private address"), "{said}");
    ensure!(said.contains("\n  stack    nothing: the packet is dropped\n  help: "), "{said}");
    Ok(())
}

#[test]
fn a_packet_that_leaves_and_is_not_rewritten_has_a_reason() -> Result<()> {
    let scenario = attached(NOTHING_MORE)?;
    let said = explain(&scenario, "198.51.100.2 192.0.2.77")?;
    require(&said, "left-alone", "pass", Some(["198.51.100.2", "192.0.2.77"]))?;
    ensure!(said["entry"].is_null() && said["peer"].is_null(), "{said}");
    assert_eq!(said["what"], "no peer has 192.0.2.77: the packet stays as it is");
    let said = explain(&scenario, "198.51.100.2 203.0.113.2 tcp/22")?;
    require(&said, "left-alone", "pass", Some(["198.51.100.2", "203.0.113.2"]))?;
    assert_eq!(said["entry"]["role"], "public");
    let said = explain(&scenario, "192.0.2.5 10.0.0.2 tcp/22")?;
    require(&said, "foreign-source", "pass", Some(["192.0.2.5", "10.0.0.2"]))?;
    let remedy = said["remedy"].as_str().unwrap_or_default();
    ensure!(remedy.contains("send from 10.0.0.1"), "{remedy}");
    Ok(())
}

#[test]
fn a_bypass_rule_takes_its_port_in_both_directions() -> Result<()> {
    let scenario = Scenario::new()?;
    let rule = format!("bypass = [\"tcp/22\"]\n{}", scenario.lab.cluster_toml());
    scenario.file("cluster.toml", rule)?;
    scenario.attach(&scenario.lab.a, NOTHING_MORE)?;
    let said = explain(&scenario, "10.0.0.1 10.0.0.2 tcp/22")?;
    require(&said, "bypass", "pass", Some(["10.0.0.1", "10.0.0.2"]))?;
    let said = explain(&scenario, "203.0.113.2 198.51.100.2 tcp/22 --in")?;
    require(&said, "bypass", "pass", Some(["203.0.113.2", "198.51.100.2"]))?;
    let said = explain(&scenario, "10.0.0.1 10.0.0.2 tcp/23")?;
    require(&said, "rewritten", "pass", Some(["198.51.100.2", "203.0.113.2"]))
}

fn arrives(more: &[&str], program: &str) -> Result<()> {
    let scenario = attached(more)?;
    for protocol in ["tcp/24007", "udp/53", "icmp"] {
        let said = explain(&scenario, &format!("203.0.113.2 198.51.100.2 {protocol} --in"))?;
        require(&said, "rewritten", "pass", Some(["10.0.0.2", "10.0.0.1"]))?;
        assert_eq!((&said["program"], &said["route"]), (&json!(program), &Value::Null));
        let said = explain(&scenario, &format!("2001:db8:b::2 2001:db8:a::2 {protocol} --in"))?;
        require(&said, "rewritten", "pass", Some(["fd00::2", "fd00::1"]))?;
    }
    let said = explain(&scenario, "192.0.2.7 198.51.100.2 tcp/22 --in")?;
    require(&said, "left-alone", "pass", Some(["192.0.2.7", "198.51.100.2"]))?;
    assert_eq!(said["what"], "no peer has 192.0.2.7: the packet stays as it is");
    let said = explain(&scenario, "203.0.113.2 198.51.100.77 --in")?;
    require(&said, "foreign-destination", "pass", Some(["203.0.113.2", "198.51.100.77"]))?;
    let said = explain(&scenario, "10.0.0.2 198.51.100.2 --in")?;
    require(&said, "spoofed", "drop", None)?;
    let said = explain(&scenario, "192.0.2.7 10.0.0.1 --in")?;
    require(&said, "private-destination", "drop", None)
}

#[test]
fn a_packet_that_arrives_meets_the_ingress_program() -> Result<()> {
    arrives(NOTHING_MORE, "rewrite_ingress")
}

#[test]
fn a_packet_that_arrives_meets_the_ingress_program_with_clsact() -> Result<()> {
    arrives(CLSACT, "rewrite_ingress")
}

#[test]
fn a_packet_that_arrives_meets_the_ingress_program_at_xdp() -> Result<()> {
    arrives(XDP, "rewrite_xdp")
}

#[test]
fn a_packet_that_arrives_meets_the_ingress_program_at_generic_xdp() -> Result<()> {
    arrives(XDP_GENERIC, "rewrite_xdp")
}

/// Requires that one host's program rewrites a packet and the other host's program restores it, as `explain --all`
/// proves from the file.
#[test]
fn a_packet_gets_through_the_programs_of_both_hosts_as_the_proof_says() -> Result<()> {
    let scenario = attached(NOTHING_MORE)?;
    let (a, b) = (&scenario.lab.a, &scenario.lab.b);
    scenario.attach(b, NOTHING_MORE)?;
    for private in [["10.0.0.1", "10.0.0.2"], ["fd00::1", "fd00::2"]] {
        let on_wire = explain(&scenario, &private.join(" "))?["after"].clone();
        let [source, destination] = [&on_wire["source"], &on_wire["destination"]];
        let (Some(source), Some(destination)) = (source.as_str(), destination.as_str()) else {
            anyhow::bail!("{on_wire}")
        };
        let said = scenario.json(b, &["explain", source, destination, "--in", "--json"])?;
        require(&said, "rewritten", "pass", Some(private))?;
    }
    let path = scenario.path("cluster.toml");
    let said = scenario.rewrite.run(a, &["explain", "--all", "--config", &path])?;
    assert_eq!(said, "all 4 pairs of 2 members: every packet arrives as it was sent\n");
    Ok(())
}

/// The counters, and the entries that the programs write.
fn state(scenario: &Scenario, host: &Namespace) -> Result<Vec<Value>> {
    let maps = ["reason_counters", "peer_counters", "flows_v4", "flows_v6", "peers_v4", "peers_v6"];
    maps.into_iter().map(|map| dump(&scenario.pin(host, map)?)).collect()
}

#[test]
fn the_attached_programs_and_maps_stay_as_they_are() -> Result<()> {
    let scenario = attached(NOTHING_MORE)?;
    let host = &scenario.lab.a;
    scenario.attach(&scenario.lab.b, NOTHING_MORE)?;
    assert_eq!(ping(host, testkit::lab::B_PRIVATE, 2, 56)?.returned, 2);
    let (before, pins) = (state(&scenario, host)?, crate::bpffs::tree(&scenario.pin(host, "")?)?);
    for words in [
        "10.0.0.1 10.0.0.2 tcp/22",
        "198.51.100.2 203.0.113.2 tcp/22",
        "192.0.2.5 10.0.0.2",
        "203.0.113.2 198.51.100.2 tcp/22 --in",
        "10.0.0.2 198.51.100.2 --in",
    ] {
        explain(&scenario, words)?;
    }
    assert_eq!(state(&scenario, host)?, before);
    assert_eq!(crate::bpffs::tree(&scenario.pin(host, "")?)?, pins);
    // A real packet between the same addresses writes a flow.
    let words = "ping -n -c 1 -W 1 -I 198.51.100.2 203.0.113.2";
    host.run(&words.split(' ').collect::<Vec<_>>())?;
    ensure!(state(&scenario, host)? != before, "a packet that is sent leaves notes");
    Ok(())
}

#[test]
fn a_flow_that_the_interface_remembers_is_known_to_the_copy() -> Result<()> {
    let scenario = attached(NOTHING_MORE)?;
    let host = &scenario.lab.a;
    // B answers the SYN of this connection with a reset; A remembers the flow.
    let dial = "timeout 5 bash -c 'exec 3<>/dev/tcp/203.0.113.2/7023' || true";
    host.run(&["sh", "-c", dial])?;
    let flows = dump(&scenario.pin(host, "flows_v4")?)?;
    let flow = flows.as_array().and_then(|all| all.first()).context("no flow")?;
    let port = flow["formatted"]["key"]["local_port"].clone();
    let [high, low] = [&port[0], &port[1]].map(|byte| byte.as_u64().unwrap_or_default() as u8);
    let frame = PacketBuilder::ethernet2([2; 6], [4; 6])
        .ipv4([203, 0, 113, 2], [198, 51, 100, 2], 63)
        .tcp(7023, u16::from_be_bytes([high, low]), 1, 1000)
        .syn()
        .ack(1);
    let mut bytes = Vec::new();
    frame.write(&mut bytes, &[])?;
    let path = scenario.path("reply.pcap");
    write_pcap(Path::new(&path), &[&bytes])?;
    let said = explain(&scenario, &format!("--in --pcap {path}"))?;
    require(&said, "public-flow", "pass", Some(["203.0.113.2", "198.51.100.2"]))?;
    // docs/troubleshooting.md has this output.
    let said = scenario.rewrite.run(host, &["explain", "--pcap", &path, "--in"])?;
    let port = u16::from_be_bytes([high, low]);
    let wanted = format!(
        "eth0 ingress: public-flow (pass): of a flow that this host started with public addresses\n  \
         packet   tcp 203.0.113.2:7023 > 198.51.100.2:{port} SYN ACK, 54 bytes\n  \
         entry    203.0.113.2, the public key of srvb: 10.0.0.2 at 203.0.113.2\n  \
         stack    203.0.113.2:7023 > 198.51.100.2:{port}, unchanged\n  \
         help: dial the private address of srvb\n"
    );
    assert_eq!(said, wanted);
    Ok(())
}

/// Writes a capture of Ethernet frames.
fn write_pcap(path: &Path, frames: &[&[u8]]) -> Result<()> {
    let mut file = Vec::new();
    let words = |file: &mut Vec<u8>, words: &[u32]| {
        file.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    };
    words(&mut file, &[0xa1b2_c3d4, 4 << 16 | 2, 0, 0, 65_535, 1]);
    for frame in frames {
        let len = frame.len() as u32;
        words(&mut file, &[0, 0, len, len]);
        file.extend_from_slice(frame);
    }
    fs::write(path, file).with_context(|| format!("write {}", path.display()))
}

#[test]
fn a_packet_of_a_capture_is_explained() -> Result<()> {
    let scenario = attached(NOTHING_MORE)?;
    let mut frames = [Vec::new(), Vec::new()];
    let from_b =
        PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4([203, 0, 113, 2], [198, 51, 100, 2], 63);
    from_b.udp(53, 5_353).write(&mut frames[0], b"answer")?;
    let in_vlan = PacketBuilder::ethernet2([2; 6], [4; 6]).single_vlan(100.try_into()?);
    in_vlan
        .ipv4([203, 0, 113, 2], [198, 51, 100, 2], 63)
        .udp(53, 5_353)
        .write(&mut frames[1], b"x")?;
    let path = scenario.path("two.pcap");
    write_pcap(Path::new(&path), &[&frames[0], &frames[1]])?;
    let said = explain(&scenario, &format!("--in --pcap {path}"))?;
    require(&said, "rewritten", "pass", Some(["10.0.0.2", "10.0.0.1"]))?;
    assert_eq!(said["packet"]["ports"], json!([53, 5_353]));
    ensure!(said["packet"]["assumed"].is_null(), "{said}");
    let said = explain(&scenario, &format!("--in --pcap {path} --packet 2"))?;
    require(&said, "left-alone", "pass", Some(["203.0.113.2", "198.51.100.2"]))?;
    assert_eq!(said["packet"]["vlans"], json!([100]));
    let words = ["explain", "--pcap", &path, "--packet", "3"];
    let ended = scenario.try_run(&scenario.lab.a, &words)?;
    ended.require(4, &["has 2 packets, and no packet 3", "help"])
}

#[test]
fn the_bytes_of_a_packet_are_explained() -> Result<()> {
    let scenario = attached(NOTHING_MORE)?;
    let mut frame = Vec::new();
    let from_a = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64);
    from_a.udp(9, 53).write(&mut frame, &[])?;
    let hex: String = frame[14..].iter().map(|byte| format!("{byte:02x}")).collect();
    let said = explain(&scenario, &format!("--hex {hex}"))?;
    require(&said, "rewritten", "pass", Some(["198.51.100.2", "203.0.113.2"]))?;
    // The UDP header is cut.
    let said = explain(&scenario, &format!("--hex {}", &hex[..44]))?;
    require(&said, "truncated", "pass", Some(["10.0.0.1", "10.0.0.2"]))?;
    let words = |hex| scenario.try_run(&scenario.lab.a, &["explain", "--hex", hex]);
    words("45zz")?.require(2, &["two hexadecimal digits"])?;
    words("4500")?.require(4, &["no whole IP header", "help"])
}

#[test]
fn the_route_says_if_the_packet_reaches_the_program() -> Result<()> {
    let scenario = attached(NOTHING_MORE)?;
    let host = &scenario.lab.a;
    let route = |words: &str| Ok::<_, anyhow::Error>(explain(&scenario, words)?["route"].clone());
    let local = route("10.0.0.2 10.0.0.1")?;
    ensure!(local["by_interface"] == false, "{local}");
    ensure!(local["what"].as_str().is_some_and(|what| what.contains("stays here")), "{local}");
    host.run(&["ip", "route", "replace", "unreachable", "10.0.0.2"])?;
    let none = route("10.0.0.1 10.0.0.2")?;
    ensure!(none["by_interface"] == false, "{none}");
    ensure!(none["what"].as_str().is_some_and(|what| what.contains("no route")), "{none}");
    Ok(())
}

#[test]
fn an_interface_whose_programs_do_not_run_is_refused() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let words = ["explain", "10.0.0.1", "10.0.0.2"];
    scenario.try_run(host, &words)?.require(4, &["no interface is attached", "rewrite attach"])?;
    scenario.attach(host, NOTHING_MORE)?;
    let other = [&words[..], &["--interface", "eth7"]].concat();
    scenario.try_run(host, &other)?.require(4, &["eth7 is not attached", "eth0"])?;
    let families = ["explain", "10.0.0.1", "fd00::2"];
    scenario.try_run(host, &families)?.require(4, &["IPv4", "one family"])?;
    fs::remove_file(scenario.pin(host, "egress_link")?).context("remove the link")?;
    let ended = scenario.try_run(host, &words)?;
    ended.require(4, &["the programs of eth0 do not run", "rewrite attach eth0"])
}
