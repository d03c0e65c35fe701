//! Tests `rewrite top` in a terminal, that of tmux.

use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use testkit::lab::B_PRIVATE;
use testkit::process::run;
use testkit::traffic::ping;
use testkit::wait::wait_until;

use crate::scenario::{NOTHING_MORE, Scenario};

/// A busy machine draws a screen late.
const PATIENCE: Duration = Duration::from_secs(60);

/// A terminal in which a command runs. Dropping the value ends both.
struct Terminal {
    /// The socket of a tmux server of its own.
    socket: String,
}

impl Terminal {
    fn open(scenario: &Scenario, size: (u16, u16), command: &str) -> Result<Self> {
        let terminal = Self { socket: scenario.path("tmux") };
        let (width, height) = (size.0.to_string(), size.1.to_string());
        // The terminal outlives the command, so that the test sees its last words.
        let kept = format!("{command}; echo ENDED $?; exec sleep infinity");
        terminal.tmux(&["new-session", "-d", "-x", &width, "-y", &height, &kept])?;
        Ok(terminal)
    }

    fn tmux(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new("tmux");
        command.args(["-S", &self.socket, "-f", "/dev/null"]).args(arguments);
        run(&mut command)
    }

    fn press(&self, keys: &str) -> Result<()> {
        self.tmux(&["send-keys", keys]).map(drop)
    }

    /// Waits until the screen has all words, and returns it.
    fn wait_for(&self, words: &[&str]) -> Result<String> {
        let what = format!("{words:?} on the screen");
        let mut last = String::new();
        let shown = wait_until(&what, PATIENCE, || {
            last = self.tmux(&["capture-pane", "-p"])?;
            Ok(words.iter().all(|word| last.contains(word)).then(|| last.clone()))
        });
        shown.map_err(|error| error.context(format!("the screen:\n{last}")))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Ignore errors: the server may have ended.
        let _ = self.tmux(&["kill-server"]);
    }
}

fn top(scenario: &Scenario, more: &str) -> String {
    let binary = scenario.rewrite.binary().display().to_string();
    format!("{binary} --netns {} top {more}", scenario.lab.a.name())
}

#[test]
fn the_peers_fit_80_columns_and_a_key_pings_and_explains_the_selected_one() -> Result<()> {
    let scenario = Scenario::new()?;
    scenario.attach_both(NOTHING_MORE)?;
    let terminal = Terminal::open(&scenario, (80, 24), &top(&scenario, "eth0"))?;
    terminal.wait_for(&["eth0  1 peer: 0 heard, 0 silent  by rate, every 1 s", "never"])?;
    ping(&scenario.lab.a, B_PRIVATE, 1, 56)?;
    let screen = terminal.wait_for(&["1 peer: 1 heard", "srvb", "q quit"])?;
    ensure!(screen.lines().all(|line| line.chars().count() <= 80), "{screen}");
    ensure!(!screen.contains("203.0.113.2"), "{screen}");
    terminal.press("p")?;
    terminal.wait_for(&["rewrite ping srvb --interface eth0 ", "203.0.113.2", "mtu 1500/1500"])?;
    terminal.press("e")?;
    terminal.wait_for(&["rewrite explain 10.0.0.1 10.0.0.2 --interface eth0 ", "rewritten"])?;
    terminal.press("Escape")?;
    terminal.wait_for(&["/ filter"])?;
    terminal.press("q")?;
    terminal.wait_for(&["ENDED 0"])?;
    Ok(())
}

#[test]
fn a_wide_terminal_has_paths_and_losses() -> Result<()> {
    let scenario = Scenario::new()?;
    scenario.attach_both(NOTHING_MORE)?;
    let terminal = Terminal::open(&scenario, (200, 50), &top(&scenario, "--probe"))?;
    terminal.wait_for(&["eth0 to 203.0.113.2", " 0 %", " ms", " ok"])?;
    scenario.detach(&scenario.lab.b)?;
    terminal.press("p")?;
    terminal.wait_for(&["on srvb"])?;
    terminal.press("C-c")?;
    terminal.wait_for(&["ENDED 0"])?;
    Ok(())
}

#[test]
fn a_pipe_is_refused_with_the_command_for_it() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let ended = scenario.try_run(host, &["top"])?;
    ended.require(4, &["top needs a terminal", "rewrite stats --interval 1 --json"])
}
