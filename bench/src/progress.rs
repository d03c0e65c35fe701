//! Shows the progress with a spinner on a terminal, and prints nothing to a pipe.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// The progress line. Dropping this value removes the line from the terminal.
pub struct Progress(ProgressBar);

impl Progress {
    /// Starts the progress line with the first step.
    pub fn start(what: &str) -> Self {
        // The spinner draws nothing if standard error is not a terminal.
        let bar = ProgressBar::new_spinner().with_message(what.to_owned());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(120));
        Self(bar)
    }

    /// Shows the current step.
    pub fn at(&self, what: &str) {
        self.0.set_message(what.to_owned());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
