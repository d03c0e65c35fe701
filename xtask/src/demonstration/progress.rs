//! Runs, prints and counts the steps.

use std::fmt::Display;

use anyhow::{Result, bail};

use super::interrupt;

/// The steps so far.
#[derive(Default)]
pub struct Progress {
    steps: Vec<Step>,
}

struct Step {
    title: String,
    held: bool,
}

impl Progress {
    /// Runs a step and prints its output and its result. Later steps run in any case.
    pub fn step<T: Display>(&mut self, title: &str, step: impl FnOnce() -> Result<T>) {
        println!("{:>2}. {title}", self.steps.len() + 1);
        let result = step();
        interrupt::stand_still_if_it_came();
        let held = match result {
            Ok(found) => {
                indent(&found.to_string());
                println!("    held");
                true
            }
            Err(error) => {
                indent(&format!("{error:#}"));
                println!("    DID NOT HOLD");
                false
            }
        };
        self.steps.push(Step { title: title.into(), held });
    }

    /// Prints the result of each step.
    ///
    /// # Errors
    /// If a step did not hold.
    pub fn end(self) -> Result<()> {
        println!();
        for step in &self.steps {
            println!("{}  {}", if step.held { "held        " } else { "DID NOT HOLD" }, step.title);
        }
        let failed = self.steps.iter().filter(|step| !step.held).count();
        println!("\n{} of {} steps held", self.steps.len() - failed, self.steps.len());
        if failed > 0 {
            bail!("{failed} steps did not hold");
        }
        Ok(())
    }
}

fn indent(text: &str) {
    for line in text.lines() {
        println!("    {line}");
    }
}
