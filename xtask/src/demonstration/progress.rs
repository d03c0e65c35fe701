//! Runs, prints and counts the demonstration's steps.

use std::fmt::Display;

use anyhow::{Result, bail};

use crate::interrupt;

/// The finished steps.
#[derive(Default)]
pub struct Progress {
    steps: Vec<Step>,
}

struct Step {
    title: String,
    passed: bool,
}

impl Progress {
    /// Runs a step, and prints the step's output and result. A failure does not stop later steps.
    pub fn step<T: Display>(&mut self, title: &str, step: impl FnOnce() -> Result<T>) {
        println!("{:>2}. {title}", self.steps.len() + 1);
        let result = step();
        interrupt::park_if_interrupted();
        let passed = match result {
            Ok(output) => {
                indent(&output.to_string());
                println!("    passed");
                true
            }
            Err(error) => {
                indent(&format!("{error:#}"));
                println!("    FAILED");
                false
            }
        };
        self.steps.push(Step { title: title.into(), passed });
    }

    /// Prints the result of each step.
    ///
    /// # Errors
    /// If a step failed.
    pub fn end(self) -> Result<()> {
        println!();
        for step in &self.steps {
            println!("{}  {}", if step.passed { "passed" } else { "FAILED" }, step.title);
        }
        let failed = self.steps.iter().filter(|step| !step.passed).count();
        println!("\n{} of {} steps passed", self.steps.len() - failed, self.steps.len());
        if failed > 0 {
            bail!("{failed} steps failed");
        }
        Ok(())
    }
}

fn indent(text: &str) {
    for line in text.lines() {
        println!("    {line}");
    }
}
