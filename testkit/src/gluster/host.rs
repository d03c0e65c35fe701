//! Boots and controls one machine of a GlusterFS cluster: a process tree in a network namespace of the lab, with its
//! own namespaces, file systems and host name.

use std::io::{BufRead, BufReader, Read};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::connections::Connection;
use crate::netns::Namespace;
use crate::process::{self, command_line};
use crate::wait::wait_until;

/// The time limit of a command, in seconds. GlusterFS's own limit is 120 s.
const LIMIT: &str = "60";

/// The mount point of the brick's file system.
pub const BRICK: &str = "/mnt/brick";
/// The mount point of the volume.
pub const VOLUME: &str = "/mnt/volume";
/// The daemons' log folder.
pub const LOGS: &str = "/var/log/glusterfs";

/// The script of a machine's first process. It prints its process ID, sets the machine up, prints "ready", and exits
/// when its standard input closes: at the test's end, or when the test is killed. All other processes of the machine
/// end with it. The kernel then frees the machine's mounts, loop devices and files; all files are in memory.
///
/// The name server in resolv.conf is 127.0.0.1, where nothing listens, so that queries fail at once. GlusterFS resolves
/// every address, and would wait for a silent server. A daemon that ends stays a zombie until this process ends,
/// because dash can't ignore SIGCHLD.
const INIT: &str = r#"
set -e
read -r pid rest </proc/self/stat
echo "$pid"
mount -t proc proc /proc
hostname "$1"
mount -t tmpfs tmpfs /run
mkdir /run/lock /run/gluster
mount -t tmpfs tmpfs /mnt
mkdir /mnt/glusterd /mnt/logs /mnt/brick /mnt/volume
mount --bind /mnt/glusterd /var/lib/glusterd
mount --bind /mnt/logs /var/log/glusterfs
echo "127.0.0.1 localhost $1" >/mnt/hosts
mount --bind /mnt/hosts /etc/hosts
echo "nameserver 127.0.0.1" >/mnt/resolv.conf
mount --bind /mnt/resolv.conf "$(readlink -f /etc/resolv.conf)"
truncate -s 512M /mnt/brick.img
mkfs.ext4 -q -I 512 /mnt/brick.img
mount -o loop /mnt/brick.img /mnt/brick
echo ready
exec cat >/dev/null 2>&1
"#;

/// Prints each log's last eight lines of the levels C, E and W (critical, error, warning), cut to 160 columns.
const COMPLAINTS: &str = r#"
for log in $(find "$1" -name '*.log'); do
    echo "$(hostname):$log"
    grep -E '^\[[^]]*\] [CEW] ' "$log" | tail -n 8 | cut -c -160
done
"#;

/// Pipes the process IDs of all daemons into the next command. All daemons run the binary glusterfsd. The list leaves
/// out zombies, because they have no `exe` link. The machine's /proc shows only the machine's own processes.
const DAEMONS: &str = r#"
cd /proc
for process in [0-9]*; do
    case $(readlink "$process/exe") in
    */glusterfsd) echo "$process" ;;
    esac
done |"#;

/// The time limit for daemons to start or to end.
pub(super) const START: Duration = Duration::from_secs(20);

/// A running machine. Dropping the value ends all the machine's processes.
#[derive(Debug)]
pub struct Host {
    /// The machine's private address.
    pub private: Ipv4Addr,
    init: Child,
    pid: u32,
}

impl Host {
    /// Boots a machine on a network namespace.
    ///
    /// # Errors
    /// When a step fails, for example because no loop device is left.
    pub fn boot(network: &Namespace, name: &str, private: Ipv4Addr) -> Result<Self> {
        let mut command = network.command("unshare");
        command
            .args(["--mount", "--uts", "--ipc", "--pid", "--fork"])
            .args(["sh", "-c", INIT, "init", name])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let init =
            command.spawn().with_context(|| format!("start `{}`", command_line(&command)))?;
        let mut host = Self { private, init, pid: 0 };
        let stdout = host.init.stdout.take().context("no standard output")?;
        let mut lines = BufReader::new(stdout);
        host.pid =
            host.next_line(&mut lines)?.parse().context("the process id of the first process")?;
        let ready = host.next_line(&mut lines)?;
        if ready != "ready" {
            bail!("boot {name}: {ready}");
        }
        Ok(host)
    }

    fn next_line(&mut self, lines: &mut BufReader<ChildStdout>) -> Result<String> {
        let mut line = String::new();
        if lines.read_line(&mut line).context("read what init says")? == 0 {
            let mut why = String::new();
            if let Some(stderr) = &mut self.init.stderr {
                stderr.read_to_string(&mut why).context("read why init failed")?;
            }
            bail!("the first process ended: {}", why.trim());
        }
        Ok(line.trim().to_owned())
    }

    /// A command on the machine, with a time limit.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mut command = self.command_without_limit("timeout");
        command.args(["--kill-after=5", LIMIT, program]);
        command
    }

    /// A command on the machine without a time limit. The command ends with the machine at the latest.
    #[must_use]
    pub fn command_without_limit(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--target={}", self.pid))
            .args(["--net", "--mount", "--uts", "--ipc", "--pid", "--", program]);
        command
    }

    /// Runs a program with arguments on the machine and returns its output.
    ///
    /// # Errors
    /// When the program fails or exceeds the time limit; the error contains the program's standard error.
    pub fn run(&self, words: &[&str]) -> Result<String> {
        let (program, arguments) = words.split_first().context("no program to run was named")?;
        process::run(self.command(program).args(arguments))
    }

    /// Runs a shell script on the machine; the arguments are `$1` and so on.
    ///
    /// # Errors
    /// As [`Host::run`].
    pub fn shell(&self, script: &str, arguments: &[&str]) -> Result<String> {
        process::run(self.command("sh").args(["-e", "-c", script, "sh"]).args(arguments))
    }

    /// The path of a machine's file, as seen from outside the machine.
    #[must_use]
    pub fn path(&self, inside: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{inside}", self.pid))
    }

    /// Runs `gluster` without its interactive questions.
    ///
    /// # Errors
    /// As [`Host::run`].
    pub fn gluster(&self, arguments: &[&str]) -> Result<String> {
        process::run(self.command("gluster").arg("--mode=script").args(arguments))
    }

    /// Starts glusterd, which in turn starts the machine's bricks and healer, and waits until glusterd answers.
    ///
    /// # Errors
    /// When glusterd does not answer.
    pub fn start_glusterd(&self) -> Result<()> {
        self.run(&["glusterd"])?;
        wait_until("glusterd to answer", START, || Ok(self.gluster(&["peer", "status"]).ok()))?;
        Ok(())
    }

    /// Ends glusterd, the bricks and the healer as a shutdown does: waits for the processes to end, and removes their
    /// files in /run. A machine that has mounted the volume loses the mount.
    ///
    /// # Errors
    /// When the daemons do not end.
    pub fn stop_glusterd(&self) -> Result<()> {
        self.shell(&format!("{DAEMONS} xargs -r kill -TERM"), &[])?;
        wait_until("the daemons to end", START, || {
            let left = self.shell(&format!("{DAEMONS} cat"), &[])?;
            Ok(left.is_empty().then_some(()))
        })?;
        self.shell("rm -rf /run/gluster/* /run/glusterd*", &[])?;
        Ok(())
    }

    /// True if glusterd reports a connection to its peer.
    ///
    /// # Errors
    /// When glusterd does not answer.
    pub fn is_connected(&self) -> Result<bool> {
        let status = self.gluster(&["peer", "status"])?;
        Ok(status.contains("State: Peer in Cluster (Connected)"))
    }

    /// The open TCP connections to a peer.
    ///
    /// # Errors
    /// As [`Host::run`].
    pub fn connections(&self, peer: Ipv4Addr) -> Result<Vec<Connection>> {
        let (own, peer) = (self.private.to_string(), peer.to_string());
        let listed =
            self.run(&["ss", "-Htne", "state", "established", "src", &own, "dst", &peer])?;
        listed
            .lines()
            .map(Connection::parse)
            .collect::<Option<_>>()
            .with_context(|| format!("`ss` printed {listed:?}"))
    }

    /// Drops every arriving packet, except loopback traffic, new connections from the peer's private address to this
    /// machine's, and established and related packets. From then on, the kernel tracks every connection.
    ///
    /// # Errors
    /// As [`Host::run`].
    pub fn close_firewall(&self, peer: Ipv4Addr) -> Result<()> {
        let peer = peer.to_string();
        let own = self.private.to_string();
        let rules: [&[&str]; 4] = [
            &["-A", "INPUT", "-i", "lo", "-j", "ACCEPT"],
            &["-A", "INPUT", "-m", "conntrack", "--ctstate", "ESTABLISHED,RELATED", "-j", "ACCEPT"],
            &[
                "-A",
                "INPUT",
                "-s",
                &peer,
                "-d",
                &own,
                "-m",
                "conntrack",
                "--ctstate",
                "NEW",
                "-j",
                "ACCEPT",
            ],
            &["-P", "INPUT", "DROP"],
        ];
        for rule in rules {
            process::run(self.command("iptables").arg("-w").args(rule))?;
        }
        Ok(())
    }

    /// The number of connections that the kernel tracks for this machine.
    ///
    /// # Errors
    /// As [`Host::run`].
    pub fn tracked_connections(&self) -> Result<u32> {
        let count = self.run(&["cat", "/proc/sys/net/netfilter/nf_conntrack_count"])?;
        count.trim().parse().with_context(|| format!("the number of connections is {count}"))
    }

    /// The last warnings and errors in each log of the daemons, for the report of a failure.
    ///
    /// # Errors
    /// As [`Host::run`].
    pub fn complaints(&self) -> Result<String> {
        self.shell(COMPLAINTS, &[LOGS])
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // The first process exits when its standard input closes, and all other processes end with it.
        drop(self.init.stdin.take());
        if let Err(error) = self.init.wait() {
            eprintln!("wait for a machine to end: {error}");
        }
    }
}
