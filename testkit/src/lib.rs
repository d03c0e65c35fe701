//! Contains the shared code of the tests, the measurements and the demonstration: labs of network namespaces, captures,
//! packets.

pub mod capture;
pub mod frame;
pub mod gluster;
pub mod iptables_trick;
pub mod kernel_counters;
pub mod lab;
pub mod netns;
pub mod numbered_stream;
pub mod packet;
pub mod process;
pub mod raw_link;
pub mod rewrite_command;
pub mod test_run;
pub mod traffic;
pub mod tun;
pub mod udp_segment;
pub mod udp_tunnel;
pub mod wait;
