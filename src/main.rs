//! The binary at the door: arguments, configuration, then the box. Exit codes follow sysexits(3): 64 for a bad command line
//! or configuration, 1 for everything else.

use std::{
    io::{IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use examgate::{
    app::{
        self, Environment, card, doctor,
        provision::{Places, provision},
        tune,
    },
    config::{Config, ConfigError},
    domain::{DeviceId, Timestamp},
    edge::system::Tail,
    exit,
    store::Credentials,
    wire::keys::PublicKey,
};
use tracing_subscriber::{EnvFilter, Layer as _, layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// The Examgate box: reads an ID card at the exam-room door, compares the face with the enrolled photo, and admits, denies or refers.
#[derive(Parser)]
#[command(
    version,
    after_help = "Start with `examgate doctor --config FILE`: it names what is wrong and how to mend it."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Write the log as JSON, one object per line (to standard error).
    #[arg(long, global = true)]
    log_json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Run the box: verify students at the door until SIGTERM or SIGINT.
    #[command(after_help = "Example:\n  examgate run --config /etc/examgate/door.toml")]
    Run {
        /// The box's configuration (TOML).
        #[arg(long)]
        config: PathBuf,
    },
    /// Check every part of the box and say what is wrong and how to fix it.
    #[command(
        after_help = "Examples:\n  examgate doctor --config /etc/examgate/door.toml\n  examgate doctor --config door.toml --json | jq '.[] | select(.state != \"well\")'\n\nThe exit code is 1 if a part is unwell. Stop the box first: only one program can hold the camera and the card reader."
    )]
    Doctor {
        /// The box's configuration (TOML).
        #[arg(long)]
        config: PathBuf,
        /// Check with this user's permissions instead of root's, because the service runs as this user. Only root can choose another
        /// user [default: examgate, or the owner of the key folder if there is no user examgate].
        #[arg(long, value_name = "NAME", conflicts_with = "tune")]
        user: Option<String>,
        /// Print the findings as one JSON array.
        #[arg(long)]
        json: bool,
        /// Benchmark the embedder on this machine instead of checking the box: float or 8-bit net, execution provider, number of
        /// threads. The fastest choice is written to the file that `tuning` in the configuration names. Stop the box first: if the
        /// timings vary too much, nothing is written.
        #[arg(long, conflicts_with = "json")]
        tune: bool,
    },
    /// Show what a card on the reader says, which profile it reaches, and the value to put into the roster. It prints the card's number.
    #[command(
        after_help = "Examples:\n  examgate card\n  examgate card --config /etc/examgate/door.toml --wait 60\n  examgate card --config /etc/examgate/door.toml --times 20\n\nA box that runs reads the card too: stop it first, or use another machine's reader."
    )]
    Card {
        /// Read the card as this box reads it, with its keys (TOML) [default: try every profile and form that takes no key].
        #[arg(long)]
        config: Option<PathBuf>,
        /// Let the card prove itself so many times, and print how long that takes and which limit (`card.slowest_ms`) would leave room.
        #[arg(long, value_name = "N", requires = "config", value_parser = clap::value_parser!(u16).range(1..=1000))]
        times: Option<u16>,
        /// How many seconds to wait for a card.
        #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
        wait: u64,
    },
    /// Change the id of the box. Its events are kept; events that wait for a receipt are sent under the new id.
    #[command(
        name = "change-id",
        after_help = "Set `device` in the configuration to the new id, stop the box, then:\n  examgate change-id --from door-1 --config /etc/examgate/door.toml"
    )]
    ChangeId {
        /// The box's configuration (TOML), with the new id.
        #[arg(long)]
        config: PathBuf,
        /// The old id of the box.
        #[arg(long, value_name = "ID", value_parser = |text: &str| DeviceId::new(text))]
        from: DeviceId,
    },
    /// Enrol this box with its fleet: generate its keys on the box, and get its certificate with a one-time code.
    #[command(
        after_help = "Example, with the code that `examgate-fleet device add` printed:\n  examgate provision --url https://fleet.example.edu:8443 --code 7KQ2-M9XA-3HTD-W5RN-8PCB-VE4F --keys /var/lib/examgate/keys --folder /etc/examgate\n\nIt prints the lines to add to the configuration. If it fails, run the same command again with the same code."
    )]
    Provision(Box<ProvisionArguments>),
    /// Run a scripted demonstration of an exam morning with a real pcscd, a real MQTT broker and a real collector.
    #[cfg(feature = "sim")]
    #[command(
        after_help = "Example:\n  examgate demo\n\nRun it from the project's folder, after `make models pictures`. `make demo` does both."
    )]
    Demo(examgate::rig::demo::Arguments),
    /// The old name of `examgate-lab attacks`.
    #[cfg(feature = "sim")]
    #[command(hide = true, disable_help_flag = true)]
    Attacks {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
        _arguments: Vec<std::ffi::OsString>,
    },
}

/// Where to enrol a new box, and where to put its keys and certificates.
#[derive(clap::Args)]
struct ProvisionArguments {
    /// Address of the fleet's enrolment endpoint (`examgate-fleetd enrol`): https://HOST:PORT.
    #[arg(long)]
    url: String,
    /// The one-time code that `examgate-fleet device add` printed: six groups of four letters and digits.
    #[arg(long)]
    code: String,
    /// Accept only the fleet with this root public key (64 hexadecimal digits) [default: any fleet that proves the code].
    #[arg(long, value_name = "KEY")]
    root: Option<PublicKey>,
    /// The key folder; created with mode 0700 if it does not exist.
    #[arg(long, value_name = "DIR")]
    keys: PathBuf,
    /// The folder for the certificate, the CA certificates and the trust document.
    #[arg(long, value_name = "DIR")]
    folder: PathBuf,
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(64) } else { ExitCode::SUCCESS };
        }
    };
    let tail = log(&arguments);
    match obey(arguments.command, tail) {
        Ok(code) => code,
        Err(error) => {
            let bad_configuration = error.chain().any(|cause| cause.is::<ConfigError>());
            let _ = writeln!(std::io::stderr(), "examgate: {error:#}");
            ExitCode::from(if bad_configuration { exit::USAGE } else { exit::code(error.downcast_ref()) })
        }
    }
}

fn obey(command: Command, log: Tail) -> Result<ExitCode> {
    match command {
        Command::Run { config } => app::run(&read(&config)?, &environment(log, &config)).map(|()| ExitCode::SUCCESS),
        Command::Doctor { config, tune: true, .. } => {
            writeln!(std::io::stdout(), "{}", tune::tune(&read(&config)?)?.join("\n"))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Doctor { config: path, json, user, tune: false } => {
            let (config, mut environment) = (read(&path)?, environment(log, &path));
            let judged = doctor::judge_as(&config, &mut environment, user.as_deref())?;
            let mut findings = doctor::examine(&config, &environment);
            findings.insert(0, judged);
            let text = if json { doctor::as_json(&findings) } else { doctor::as_text(&findings) };
            writeln!(std::io::stdout(), "{text}")?;
            Ok(if doctor::is_well(&findings) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Card { config, times, wait } => {
            let path = config.unwrap_or_default();
            let config = (path != PathBuf::new()).then(|| read(&path)).transpose()?;
            let environment = environment(log, &path);
            let configured = config.as_ref().map(|config| (config, &environment));
            let patience = Duration::from_secs(wait);
            let told = match (configured, times) {
                (Some(configured), Some(times)) => card::time(configured, times, patience)?,
                (configured, _) => card::look(configured, patience)?,
            };
            match told {
                Some(described) => write!(std::io::stdout(), "{described}")?,
                None => anyhow::bail!("no card lay on a reader within {wait} seconds"),
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::ChangeId { config, from } => {
            writeln!(std::io::stdout(), "{}", app::change_id(&read(&config)?, &environment(log, &config), &from)?)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Provision(arguments) => {
            let ProvisionArguments { url, code, root, keys, folder } = *arguments;
            let places = Places { keys, folder };
            let lines = provision(&url, &code, root, &places, now())?;
            writeln!(std::io::stderr(), "enrolled; put these lines into the configuration:")?;
            writeln!(std::io::stdout(), "{lines}")?;
            Ok(ExitCode::SUCCESS)
        }
        #[cfg(feature = "sim")]
        Command::Demo(arguments) => {
            let as_expected = examgate::rig::demo::run(&arguments, &mut std::io::stdout())?;
            Ok(if as_expected { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        #[cfg(feature = "sim")]
        Command::Attacks { .. } => {
            writeln!(std::io::stderr(), "examgate: this is now, with the same arguments: examgate-lab attacks")?;
            Ok(ExitCode::from(64))
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a command that asks once is handed the time here")]
fn now() -> Timestamp {
    Timestamp::now()
}

fn read(path: &PathBuf) -> Result<Config> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Config::parse(&text).with_context(|| format!("{} cannot be used", path.display()))
}

#[expect(clippy::disallowed_methods, reason = "here the environment is read, once")]
fn environment(log: Tail, configuration: &Path) -> Environment {
    let credentials = Credentials::new(std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from));
    Environment { credentials, configuration: Some(configuration.into()), log: Some(log) }
}

/// `RUST_LOG` chooses; without it, everything from `info` up, but the runtime's chatter only from `warn` up. What `doctor` finds
/// is its answer: the log stays silent. Gives the end of the log.
#[expect(clippy::disallowed_methods, reason = "lines are kept with the time that the log itself shows")]
fn log(arguments: &Arguments) -> Tail {
    let silent = matches!(arguments.command, Command::Doctor { .. } | Command::Card { .. } | Command::ChangeId { .. });
    let usual = if silent { "off" } else { "info,ort=warn" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(usual));
    let stderr = std::io::stderr;
    let lines = tracing_subscriber::fmt::layer().with_writer(stderr).with_ansi(stderr().is_terminal());
    let tail = Tail::new(Timestamp::now);
    let lines = if arguments.log_json { lines.json().flatten_event(true).boxed() } else { lines.boxed() };
    tracing_subscriber::registry().with(tail.clone()).with(lines.with_filter(filter)).init();
    tail
}

#[cfg(all(test, feature = "sim"))]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn every_command_has_examples_that_parse() {
        examgate::rig::examples::check(&Arguments::command());
    }
}
