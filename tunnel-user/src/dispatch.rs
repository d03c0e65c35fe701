//! Turns the command line into a command, and the command's result into text or JSON and an exit code.

use std::process::ExitCode;
use std::time::Duration;

use clap::CommandFactory as _;
use clap::error::ErrorKind;
use nix::net::if_::if_nametoindex;
use tunnel_user::cli::explain::ExplainArgs;
use tunnel_user::cli::peer::{NetworkArg, PeerCommand};
use tunnel_user::cli::{ApplyArgs, Cli, Command, IngressArg, StatsArgs, StatusArgs};
use tunnel_user::commands::check::Level;
use tunnel_user::commands::{
    apply, attach, check, confirm, detach, diff, doctor, downgrade, dry_run, explain, explain_all,
    metrics, peer, ping, revert, run, stats, status, switch,
};
use tunnel_user::error::Error;
use tunnel_user::host::clock::monotonic;
use tunnel_user::host::network_manager::NetworkManager;
use tunnel_user::ops::difference::Difference;
use tunnel_user::plan::metrics::PeersLimit;
use tunnel_user::plan::peer_edit::Edit;
use tunnel_user::trial::{ConfirmWithin, GuardState};

use crate::output::suggested_commands::completed;
use crate::output::trace::Destination;
use crate::output::typed_command;
use crate::output::{self, as_json, print, print_text, progress, watch};

/// The exit code of a command that worked, and found a fault.
const EXIT_UNHEALTHY: u8 = 1;
/// The exit code of `check` after it found an obstacle that would make `attach` fail.
const EXIT_WOULD_FAIL: u8 = 4;
/// The exit code of `diff` and `attach --dry-run` if attach would change something.
const EXIT_DIFFERENT: u8 = 7;

/// Runs the command, prints its result, and returns the exit code.
///
/// # Errors
/// The error of the command, or of the output.
pub async fn run(cli: Cli) -> Result<ExitCode, Error> {
    let mut code = ExitCode::SUCCESS;
    match cli.command {
        Command::Attach(args) if args.dry_run => {
            let request = args.attach.request(cli.verbose);
            let planned = progress::during("planning", dry_run::run(&request)).await?;
            code = difference_code(&planned.difference);
            match args.json {
                true => print(&as_json(&output::dry_run::json(&planned))?)?,
                false => print_text(&output::dry_run::text(&planned))?,
            }
        }
        Command::Attach(args) => {
            let request = args.attach.request(cli.verbose);
            let attaching = format!("attaching {}", request.interface);
            let attach = attach::run(&request, typed_command::trial(args.confirm_within));
            let outcome = progress::during(&attaching, attach).await?;
            let index = if_nametoindex(request.interface.as_str()).unwrap_or_default();
            let manager = NetworkManager::of(index, &request.interface);
            let manager = manager.filter(|_| !request.no_routes);
            let note = manager.map(|manager| manager.consequence(&request.interface));
            if args.json {
                print(&as_json(&output::attach::outcome_json(&outcome, note.as_deref())?)?)?;
            } else {
                print_text(&output::attach::outcome(&outcome)?)?;
                if let Some(note) = note {
                    print_text(&format!("  note: {note}\n"))?;
                }
            }
        }
        Command::Run { attach, detach_on_exit, metrics, hooks } => {
            let request = attach.request(cli.verbose);
            let (metrics, hooks) = (metrics.options(), hooks.options());
            let detached = run::run(&request, detach_on_exit, &metrics, hooks).await?;
            print(&detached.map_or_else(String::new, |report| output::detach::one(&report)))?;
        }
        Command::Detach(args) => {
            let detached = if args.gone {
                progress::during("removing the remains", detach::gone()).await?
            } else {
                let interface = args.on.name().map(str::to_owned);
                let target = interface.map_or(detach::Target::All, detach::Target::Interface);
                progress::during("detaching", detach::run(&target)).await?
            };
            let said = output::detach::all(&detached);
            match args.json {
                true => print(&as_json(&output::detach::json(&detached))?)?,
                false if said.is_empty() && detached.failures.is_empty() => {
                    print(match args.gone {
                        true => output::detach::NOTHING_LEFT,
                        false => output::text::NOTHING_ATTACHED,
                    })?
                }
                false => print_text(&said)?,
            }
            for failure in &detached.failures {
                eprintln!("rewrite: {}", completed(&failure.to_string()));
            }
            // Exit with the code of the worst failure: higher codes need more work from the operator.
            code = detached.failures.iter().map(Error::exit_code).max().unwrap_or(0).into();
        }
        Command::Downgrade { on, json } => {
            let interface = on.into_name();
            let going_back = format!("downgrading {interface} to the previous version");
            let report = progress::during(&going_back, downgrade::run(&interface)).await?;
            match json {
                true => print(&as_json(&output::downgrade::json(&report))?)?,
                false => print_text(&output::downgrade::text(&report))?,
            }
        }
        Command::Status(args) => {
            let StatusArgs { on, brief, wrong, peers, probe, require, json } = args;
            let interface = on.into_name();
            let request = status::Request { interface, peers, probe, require };
            let reading = status::run(&request);
            let status = match probe {
                true => progress::during("pinging the peers", reading).await?,
                false => reading.await?,
            };
            if !status.is_healthy() {
                code = ExitCode::from(EXIT_UNHEALTHY);
            }
            match json {
                true => print(&as_json(&status)?)?,
                false if brief => print_text(&output::status::brief(&status))?,
                false if wrong => print_text(&output::status::wrong(&status))?,
                false => print_text(&output::status::text(&status))?,
            }
        }
        Command::Ping(args) => {
            let request = args.request();
            let pinging = ping::run(&request);
            let report = progress::during("pinging the peers", pinging).await?;
            if !report.is_ok() {
                code = ExitCode::from(EXIT_UNHEALTHY);
            }
            match args.json {
                true => print(&as_json(&report)?)?,
                false => print_text(&output::ping::text(&report))?,
            }
        }
        Command::Doctor { on, json } => {
            let interface = on.into_name();
            let looking = doctor::run(interface.as_deref());
            let report =
                progress::during("looking at this host, pinging the peers", looking).await?;
            if !report.is_healthy() {
                code = ExitCode::from(EXIT_UNHEALTHY);
            }
            match json {
                true => print(&as_json(&report)?)?,
                false => print_text(&output::doctor::text(&report))?,
            }
        }
        Command::Explain(args) => code = explain_command(args).await?,
        Command::Import(args) => code = output::import::import(&args).await?,
        Command::Init(args) => code = output::import::init(&args).await?,
        Command::Peer(command) => peer_command(command).await?,
        Command::Stats(args) => stats_command(args, cli.verbose).await?,
        Command::Top(args) => output::top::run(args, cli.netns.as_deref()).await?,
        Command::Events { on, follow, json } => {
            output::events::run(on.name(), follow, json).await?
        }
        Command::Trace(args) => {
            let destination = match &args.write {
                Some(path) => Destination::File(path),
                None if args.json => Destination::Json,
                None => Destination::Lines,
            };
            output::trace::run(&args.request(), destination, args.count).await?;
        }
        Command::Diff { config, self_names, on, json } => {
            let comparing = diff::run(&config, &self_names, on.name());
            let difference = progress::during("comparing", comparing).await?;
            code = difference_code(&difference);
            match json {
                true => print(&as_json(&output::diff::json(&difference))?)?,
                false => print_text(&output::diff::text(&difference))?,
            }
        }
        Command::Apply(args) if args.revert => {
            let is_guards = args.held.is_some();
            let asker = match args.held {
                Some(number) => revert::Asker::Guard(Box::new(GuardState::inherited(number)?)),
                None => revert::Asker::Operator {
                    interface: args.on.name().map(str::to_owned),
                    id: args.trial,
                },
            };
            let outcome = progress::during("rolling back", revert::run(&asker)).await?;
            let said = match args.json {
                true => {
                    as_json(&output::trial::reverted_json(&outcome)).and_then(|text| print(&text))
                }
                false => print_text(&output::trial::reverted(&outcome)),
            };
            // If the guard runs this command, ignore an output error, such as a full log: a failure would make the
            // guard repeat the rollback.
            if !is_guards {
                said?;
            }
        }
        Command::Apply(args) if args.guard => {
            let interface = args.on.name().unwrap_or_default().to_owned();
            let never = apply::guard(&interface, &args.trial.unwrap_or_default())?;
            match never {}
        }
        Command::Apply(args) => apply_command(args).await?,
        Command::Confirm { on, json } => {
            let confirming = confirm::run(on.name());
            let trial = progress::during("confirming", confirming).await?;
            match json {
                true => print(&as_json(&output::trial::confirmed_json(&trial))?)?,
                false => print_text(&output::trial::confirmed(&trial))?,
            }
        }
        Command::Check { on, config, self_names, ingress, json } => {
            let (interface, ingress) = (on.into_name(), ingress.map(IngressArg::wanted));
            let checking = check::run(&config, &self_names, interface.as_deref(), ingress);
            let findings = progress::during("checking", checking).await?;
            if findings.iter().any(|finding| finding.level == Level::Bad) {
                code = ExitCode::from(EXIT_WOULD_FAIL);
            }
            match json {
                true => print(&as_json(&output::check::json(&findings))?)?,
                false => print_text(&output::check::text(&findings))?,
            }
        }
    }
    Ok(code)
}

async fn stats_command(args: StatsArgs, verbose: bool) -> Result<(), Error> {
    let StatsArgs { on, json, prometheus, watch, interval, peers, reasons } = args;
    if prometheus {
        return print(&metrics::run(PeersLimit::default()).await?);
    }
    let selection = stats::Selection { interface: on.into_name(), peers, reasons };
    let values = match interval {
        Some(seconds) => watch::Values::Rates(Duration::from_secs(seconds.into())),
        None if watch => watch::Values::Totals,
        None => {
            let stats = stats::run(&selection).await?.stats;
            let all = !selection.reasons.is_empty();
            return print(&if json { as_json(&stats)? } else { output::stats::text(&stats, all) });
        }
    };
    watch::stats(values, &selection, json, verbose).await
}

async fn apply_command(args: ApplyArgs) -> Result<(), Error> {
    let ApplyArgs { config, self_names, confirm_within, on, json, .. } = args;
    let request = apply::Request {
        config,
        self_names,
        trial: typed_command::trial(confirm_within),
        interface: on.name().map(str::to_owned),
    };
    let print_changes = |difference: &Difference| {
        if json {
            return Ok(());
        }
        progress::make_room();
        print_text(&output::diff::changes(difference))
    };
    let report = progress::during("applying", apply::run(&request, print_changes)).await?;
    match json {
        true => print(&as_json(&output::trial::applied_json(&report)?)?),
        false => print_text(&output::trial::applied(&report, confirm_within.is_some())?),
    }
}

/// The exit code of a comparison with the file.
fn difference_code(difference: &Difference) -> ExitCode {
    match difference.changes.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(EXIT_DIFFERENT),
    }
}

async fn explain_command(args: ExplainArgs) -> Result<ExitCode, Error> {
    let Some(subject) = args.subject() else {
        let proof = progress::during("checking every pair", explain_all::run(&args.config)).await?;
        match args.json {
            true => print(&as_json(&proof)?)?,
            false => print_text(&output::explain::proof(&proof))?,
        }
        let failed = ExitCode::from(EXIT_UNHEALTHY);
        return Ok(if proof.holds() { ExitCode::SUCCESS } else { failed });
    };
    let explaining = explain::run(&subject, args.direction(), args.interface.as_deref());
    let explanation = progress::during("running the packet", explaining).await?;
    match args.json {
        true => print(&as_json(&explanation)?)?,
        false => print_text(&output::explain::text(&explanation))?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn switch_command(
    peer: Option<String>,
    by: NetworkArg,
    json: bool,
    confirm_within: Option<ConfirmWithin>,
) -> Result<(), Error> {
    let Some(network) = by.network else { return Ok(()) };
    let which = peer.map_or(switch::Selection::All, switch::Selection::One);
    let switching = switch::run(&which, &network, typed_command::trial(confirm_within));
    let report = progress::during("switching", switching).await?;
    match json {
        true => print(&as_json(&output::peers::switched_json(&report)?)?),
        false => print_text(&output::peers::switched(&report, confirm_within.is_some())?),
    }
}

async fn peer_command(command: PeerCommand) -> Result<(), Error> {
    let (edit, save, on, json, confirm_within) = match command {
        PeerCommand::List { on, json } => {
            let interfaces = peer::list(on.into_name().as_deref()).await?;
            return print(&if json {
                output::peers::json(&interfaces)?
            } else {
                output::peers::text(&interfaces, monotonic()?)
            });
        }
        PeerCommand::Add { name, private, public, direct, bypass, save, on, json } => {
            let bypass = bypass.into_iter().collect();
            (Edit::Add { name, private, public, direct, bypass }, save, on, json, None)
        }
        PeerCommand::Set { peer, by, json, confirm_within, .. } if by.network.is_some() => {
            return switch_command(peer, by, json, confirm_within).await;
        }
        PeerCommand::Set { properties, .. } if properties.is_empty() => {
            let words = "name a change: --public, --direct, --bypass, --no-bypass, --drain or \
                         --network";
            Cli::command().error(ErrorKind::MissingRequiredArgument, words).exit();
        }
        PeerCommand::Set { peer, properties, confirm_within, save, on, json, .. } => {
            (properties.edit(peer.unwrap_or_default()), save, on, json, confirm_within)
        }
        PeerCommand::Remove { peer, save, on, json } => {
            (Edit::Remove { peer }, save, on, json, None)
        }
    };
    let save = save.request();
    let changing = peer::run(&edit, on.name(), save.as_ref(), typed_command::trial(confirm_within));
    let report = progress::during("changing the peers", changing).await?;
    match json {
        true => print(&as_json(&output::peers::changed_json(&report)?)?),
        false => print_text(&output::peers::changed(&report, confirm_within.is_some())?),
    }
}
