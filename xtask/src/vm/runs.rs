//! What is run on each kernel: one line a run, chosen so that a kernel takes about a minute.

/// One start of a test binary.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// The test of the package `tests` that cargo builds.
    pub binary: &'static str,
    /// Parts of the names of those of its tests that run; none means all of them. One that no test's
    /// name has a part of is an error.
    pub filters: &'static [&'static str],
    /// How many of them run at once. The machine has two processors.
    pub threads: u8,
    /// Which of them.
    pub which: Which,
}

/// Which tests of a binary a run means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Those that run everywhere.
    Usual,
    /// Those marked `#[ignore]`, which take modules that the kernel of the host may lack.
    Ignored,
}

const fn run(binary: &'static str, filters: &'static [&'static str], which: Which) -> Run {
    Run { binary, filters, threads: 2, which }
}

/// The runs, in this order.
pub const RUNS: &[Run] = &[
    run("packet_table", &[], Which::Usual),
    run(
        "control",
        &[
            "bpftool::the_map_of_peers_reads_as_text",
            "peers::a_peer_that_moved_is_followed",
            "stats::the_json",
            "status::the_json",
            "undo::detach_leaves_the_host_as_it_was",
            "undo_clsact::filters_of_somebody_else",
        ],
        Which::Usual,
    ),
    run(
        "dataplane",
        &[
            "fragments",
            "icmp_errors::a_closed_udp_port",
            "iptables_trick::rewrite_on_a",
            "offloads::clsact_with_all_offloads",
            "offloads::clsact_without_offloads",
            "offloads::tcx_with_all_offloads",
            "path_mtu::bulk_tcp_from_a",
            "public_flows::tcp_to_the_public_address",
        ],
        Which::Usual,
    ),
    run("kernel_modules", &[], Which::Ignored),
];

/// The arguments for the test binary. What a test that passed has said is shown: the reason to skip
/// the rest of it, where a kernel lacks what it takes.
pub fn arguments(run: &Run) -> Vec<String> {
    let mut words: Vec<_> = run.filters.iter().map(|&filter| filter.to_owned()).collect();
    words.push(format!("--test-threads={}", run.threads));
    words.push("--show-output".to_owned());
    if run.which == Which::Ignored {
        words.push("--ignored".to_owned());
    }
    words
}
