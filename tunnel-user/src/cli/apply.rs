//! Defines the arguments of `rewrite apply`.

use std::path::PathBuf;

use crate::config::DEFAULT_PATH;
use crate::trial::ConfirmWithin;
use clap::Args;

use super::InterfaceArg;

/// The arguments of `apply`.
#[derive(Args, Debug)]
pub struct ApplyArgs {
    /// The file
    #[arg(long, value_name = "FILE", default_value = DEFAULT_PATH)]
    pub config: PathBuf,
    /// Name of this host's member, if this host's addresses do not identify it; repeat the option on a gateway
    #[arg(long = "self", value_name = "NAME")]
    pub self_names: Vec<String>,
    /// Roll back to the previous state after this time (60s, 5m), unless you run `rewrite confirm` first
    #[arg(long, value_name = "TIME")]
    pub confirm_within: Option<ConfirmWithin>,
    /// The interface.
    #[command(flatten)]
    pub on: InterfaceArg,
    /// As JSON (docs/json.md)
    #[arg(long)]
    pub json: bool,
    /// Roll back the change on trial now; it is not an error if no trial is pending
    #[arg(long, conflicts_with_all = ["config", "self_names", "confirm_within"])]
    pub revert: bool,
    /// Roll back only the trial with this number; the trial's guard passes the number
    #[arg(long, value_name = "NUMBER", hide = true)]
    pub trial: Option<String>,
    /// Roll back with the guard's copy of the trial, from the file descriptor with this number
    #[arg(long, value_name = "NUMBER", requires_all = ["revert", "trial"], hide = true)]
    pub held: Option<i32>,
    /// Become the guard of the trial
    #[arg(long, requires_all = ["interface", "trial"], conflicts_with = "revert", hide = true)]
    pub guard: bool,
}
