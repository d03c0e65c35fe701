//! Defines the runs on each kernel. A test with the kernel's preferred hook runs only if it covers code that the
//! same test with clsact does not cover.

use testkit::lab::Nic;

use crate::vm::package::Flavour;

/// A set of runs, and the settings of the machine for the runs.
#[derive(Debug)]
pub struct Suite {
    /// The suffix of the machine's name. The names of the machine's files begin with the machine's name.
    pub suffix: &'static str,
    /// The runs, in order.
    pub runs: &'static [Run],
    /// The flavour of kernels with the necessary drivers.
    pub flavour: Flavour,
    /// The kinds of network interfaces in addition to veth.
    pub nics: &'static [Nic],
}

/// The suite for every kernel.
pub const KERNELS: Suite = Suite { suffix: "", runs: RUNS, flavour: Flavour::Cloud, nics: &[] };

/// The suite for the drivers of real devices.
pub const DRIVERS: Suite =
    Suite { suffix: "-drivers", runs: DRIVER_RUNS, flavour: Flavour::Generic, nics: &Nic::ALL };

/// One start of a test binary.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// The test binary's name in the package `tests`.
    pub binary: &'static str,
    /// The names of the tests to run. An empty list means all tests; a missing test is an error.
    pub tests: &'static [&'static str],
    /// The number of tests that run at once. The machine has two processors.
    pub threads: u8,
    /// The kind of tests.
    pub selection: Selection,
    /// The kernel's ability that the run needs.
    pub needs: Ability,
}

/// The abilities that a kernel may lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ability {
    /// No special ability.
    None,
    /// Attachment of programs with tcx.
    Tcx,
    /// XDP programs that read beyond the first buffer.
    Xdp,
}

impl Ability {
    /// The kernel function whose presence implies the ability. `guest.sh` searches `/proc/kallsyms` for the function.
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::None => "-",
            Self::Tcx => "tcx_prog_attach",
            Self::Xdp => "bpf_xdp_load_bytes",
        }
    }
}

/// The kind of tests in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// The tests that run on every host.
    Default,
    /// The tests marked `#[ignore]`, which need kernel modules that the host may lack.
    Ignored,
}

const fn run(binary: &'static str, tests: &'static [&'static str], needs: Ability) -> Run {
    Run { binary, tests, threads: 2, selection: Selection::Default, needs }
}

const RUNS: &[Run] = &[
    run("packet_table", &[], Ability::None),
    run(
        "control",
        &[
            "bpftool::the_map_of_peers_reads_as_text",
            "explain::a_packet_that_arrives_meets_the_ingress_program_with_clsact",
            "explain::the_attached_programs_and_maps_stay_as_they_are",
            "peers::a_peer_that_moved_is_followed",
            "ping::a_wrong_address_of_this_host_in_the_peers_file_is_found",
            "ping::on_healthy_hosts_each_address_is_ok_by_clsact",
            "ping_network::a_network_without_traffic_is_answered_by_the_program_over_clsact",
            "stats::the_json_has_the_documented_shape_and_counts",
            "status::a_filter_that_is_gone_is_found",
            "undo::detach_leaves_a_host_of_both_families_as_it_was",
            "undo::detach_leaves_the_host_as_it_was_with_clsact",
            "undo_clsact::filters_of_somebody_else_stay_as_they_are",
        ],
        Ability::None,
    ),
    run(
        "control",
        &[
            "run_at_boot::it_waits_for_the_underlay_address_and_is_ready_when_the_private_one_works",
            "run_follows_network::the_peers_follow_a_new_default_gateway",
            "unit::every_command_works_with_the_capabilities_of_the_unit_by_clsact",
        ],
        Ability::None,
    ),
    run(
        "control",
        &["unit::every_command_works_with_the_capabilities_of_the_unit_with_xdp"],
        Ability::Xdp,
    ),
    run("control", &["upgrade_contents::members_of_all_kinds_go_along_by_clsact"], Ability::None),
    run("control", &["upgrade_contents::members_of_all_kinds_go_along"], Ability::Tcx),
    run(
        "control",
        &[
            "gone_namespaces::pins_of_a_namespace_that_is_gone_are_told_and_cleared_away_by_clsact",
            "gone_namespaces::what_is_written_down_for_lost_pins_of_a_namespace_that_is_gone_is_cleared_away",
            "ping_network::a_network_without_traffic_is_answered_by_the_program_over_tcx",
            "status::the_json_has_the_documented_shape",
            "undo::detach_leaves_the_host_as_it_was",
            "unit::every_command_works_with_the_capabilities_of_the_unit",
        ],
        Ability::Tcx,
    ),
    run(
        "control",
        &[
            "explain::a_packet_that_arrives_meets_the_ingress_program_at_xdp",
            "ping::on_healthy_hosts_each_address_is_ok_with_xdp",
            "ping_network::a_network_without_traffic_is_answered_by_the_kernel_with_xdp",
            "undo::detach_leaves_the_host_as_it_was_with_xdp",
        ],
        Ability::Xdp,
    ),
    Run {
        selection: Selection::Ignored,
        ..run(
            "control",
            &[
                "trace::a_ping_is_seen_on_both_sides_by_clsact",
                "trace::a_trace_follows_programs_that_are_replaced",
                "trace::a_file_holds_each_packet_on_both_sides",
                "trace::only_the_wanted_packets_are_shown",
                "trace::nothing_is_left_of_a_trace_that_was_killed",
            ],
            Ability::None,
        )
    },
    Run {
        selection: Selection::Ignored,
        ..run("control", &["trace::a_ping_is_seen_on_both_sides_by_tcx"], Ability::Tcx)
    },
    Run {
        selection: Selection::Ignored,
        ..run("control", &["trace::a_ping_is_seen_on_both_sides_with_xdp"], Ability::Xdp)
    },
    run(
        "dataplane",
        &[
            "fragments::a_datagram_of_many_fragments_arrives_both_ways",
            "guarded::a_direct_peer_on_the_link_reaches_the_private_address",
            "guarded::a_host_that_forwards_sends_no_packet_of_others_as_its_own",
            "icmp_errors::a_closed_udp_port_of_the_peer_refuses",
            "iptables_trick::rewrite_on_a_and_the_trick_on_b",
            "offloads::clsact_with_all_offloads",
            "offloads::clsact_without_offloads",
            "path_mtu::bulk_tcp_from_a_finds_the_mtu_of_the_path",
            "port_conflict::nobody_reads_the_datagrams_of_a_private_socket_over_ipv4",
            "port_conflict::nobody_reads_the_datagrams_of_a_private_socket_over_ipv6",
            "public_flows::tcp_to_the_public_address_works_beside_tcp_to_the_private_one",
        ],
        Ability::None,
    ),
    run("dataplane", &["offloads::tcx_with_all_offloads"], Ability::Tcx),
    run("dataplane", &["offloads::xdp_with_all_offloads"], Ability::Xdp),
    Run { selection: Selection::Ignored, ..run("kernel_modules", &[], Ability::None) },
];

// All tests share one set of interfaces, so they run one at a time.
const DRIVER_RUNS: &[Run] = &[
    Run { selection: Selection::Ignored, threads: 1, ..run("drivers", &[], Ability::None) },
    Run { selection: Selection::Ignored, threads: 1, ..run("control", &[], Ability::Tcx) },
];

/// A run's line for `guest.sh`: the needed kernel function, the test binary, and the binary's arguments.
/// `--show-output` also prints the output of passed tests, which contains the reasons for skipped parts. Filters are
/// parts of tests' names. Returns `None` if the run lists tests and no test matches a filter.
pub fn line(run: &Run, filters: &[String]) -> Option<String> {
    let is_wanted =
        |test: &&&str| filters.is_empty() || filters.iter().any(|word| test.contains(word));
    let named: Vec<&str> = run.tests.iter().filter(is_wanted).copied().collect();
    let mut words = vec![run.needs.symbol(), run.binary];
    if run.tests.is_empty() {
        words.extend(filters.iter().map(String::as_str));
    } else if named.is_empty() {
        return None;
    } else {
        words.extend(named);
        words.push("--exact");
    }
    if run.selection == Selection::Ignored {
        words.push("--ignored");
    }
    words.push("--show-output");
    Some(format!("{} --test-threads={}\n", words.join(" "), run.threads))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMED: Run = run("control", &["undo::clsact", "undo::tcx", "status::json"], Ability::Tcx);
    const WHOLE: Run =
        Run { selection: Selection::Ignored, ..run("kernel_modules", &[], Ability::None) };

    fn filters(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn a_run_without_filters_has_all_its_tests() {
        let named = "tcx_prog_attach control undo::clsact undo::tcx status::json --exact --show-output --test-threads=2\n";
        assert_eq!(line(&NAMED, &[]).as_deref(), Some(named));
        let whole = "- kernel_modules --ignored --show-output --test-threads=2\n";
        assert_eq!(line(&WHOLE, &[]).as_deref(), Some(whole));
    }

    #[test]
    fn filters_choose_among_the_tests_of_a_run() {
        let named = "tcx_prog_attach control undo::clsact undo::tcx --exact --show-output --test-threads=2\n";
        assert_eq!(line(&NAMED, &filters("undo:: vlan::")).as_deref(), Some(named));
        assert_eq!(line(&NAMED, &filters("vlan::")), None);
        let whole = "- kernel_modules undo:: vlan:: --ignored --show-output --test-threads=2\n";
        assert_eq!(line(&WHOLE, &filters("undo:: vlan::")).as_deref(), Some(whole));
    }
}
