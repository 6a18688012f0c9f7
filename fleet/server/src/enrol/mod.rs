//! The enrolment endpoint: new boxes, by one-time codes, over TLS. It issues their certificates, and renews them for boxes that are enrolled.
//!
//! Its own certificate is made at each start and vouched for by nobody: codes do that. It needs the issuer's key and the registry,
//! and nothing else of the fleet's secrets.

mod desk;
mod metrics;
mod throttle;

use std::{net::SocketAddr, path::PathBuf, pin::Pin, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use clap::Args;
use examgate::{
    domain::Timestamp,
    exit::Refusal,
    serve::{Bounds, Wire, serve},
    wire::{enrolment::ServerHash, host::Host},
};
use examgate_fleet_core::{folder::Folder, issuer};
use openssl::{
    hash::MessageDigest,
    pkey::PKey,
    ssl::{Ssl, SslAcceptor, SslMethod},
    x509::X509,
};
use tokio::net::TcpListener;
use tokio_openssl::SslStream;

use self::{desk::Desk, metrics::Metrics};
use crate::health::{Board, HealthArguments};

/// The broker's port, if none is named.
const BROKER_PORT: u16 = 8883;

/// How often the list of revoked certificates is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(60 * 60);

/// Boxes come one by one: what is more is no box.
const BOUNDS: Bounds = Bounds { connections: 64, per_address: 8, within: Duration::from_secs(10) };

/// What the endpoint needs.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  examgate-fleetd enrol --folder /var/lib/examgate-fleet --listen 0.0.0.0:8443 --broker broker.example.edu:8883\n\nIt updates devices.toml and revoked.pem in the folder when boxes are enrolled or revoked. RUST_LOG=info logs each enrolment."
)]
pub(crate) struct Arguments {
    /// The fleet's folder, created by `examgate-fleet init`. The root key is not needed: keep it elsewhere.
    #[arg(long, value_name = "DIR")]
    folder: PathBuf,
    /// IP address and port to listen on.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// The broker that enrolled boxes will use, HOST or HOST:PORT [default port: 8883]. HOST must be in the broker's certificate.
    #[arg(long, value_name = "HOST")]
    broker: String,
    #[command(flatten)]
    health: HealthArguments,
}

/// The wall clock, which certificates and codes are dated by.
#[expect(clippy::disallowed_methods, reason = "here the endpoint reads the time, and hands it on")]
fn now() -> Timestamp {
    Timestamp::now()
}

/// Enrols boxes until told to stop (SIGINT, SIGTERM).
///
/// # Errors
/// When the folder is no fleet's, or the address cannot be had.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let folder = Folder::new(&arguments.folder);
    let broker = match arguments.broker.parse::<Host>() {
        Ok(host) => (host, BROKER_PORT),
        Err(_) => Host::parse_with_port(&arguments.broker)
            .with_context(|| Refusal::Usage(format!("--broker: {:?} is no HOST or HOST:PORT", arguments.broker)))?,
    };
    let refused = || Refusal::Usage("--folder cannot be used".into());
    folder.read_trust().with_context(refused)?;
    let issuer = folder.read_issuer().with_context(refused)?;
    let registry = folder.open_registry().with_context(refused)?;
    let (acceptor, server) = acceptor()?;
    let metrics = Metrics::default();
    let board = Board::new(|registry| metrics.register(registry));
    board.does("enrolling");
    let health = arguments.health.listen()?;
    let desk = Arc::new(Desk::new(folder, registry, issuer, broker, server, (board.clone(), metrics)));
    desk.keep_list(now());

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let ended = runtime.block_on(async {
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        let listener = TcpListener::bind(arguments.listen).await;
        let listener = listener.with_context(|| format!("cannot listen on {}", arguments.listen))?;
        tracing::info!(address = %listener.local_addr()?, "enrolling");
        let greet = move |wire: Wire| {
            let ssl = Ssl::new(acceptor.context());
            async move {
                let mut stream = SslStream::new(ssl?, wire)?;
                Pin::new(&mut stream).accept().await?;
                Ok(stream)
            }
        };
        let keeping = Arc::clone(&desk);
        let keep = async move {
            let mut hours = tokio::time::interval(LOOK_EVERY);
            loop {
                hours.tick().await;
                let desk = Arc::clone(&keeping);
                if tokio::task::spawn_blocking(move || desk.keep_list(now())).await.is_err() {
                    bail!("keeping the list of revoked certificates panicked");
                }
            }
        };
        tokio::select! {
            () = serve("enrolment endpoint", listener, BOUNDS, greet, desk::router(desk, BOUNDS.within)) => Ok(()),
            failed = keep => failed,
            failed = board.serve(health) => failed,
            _ = terminate.recv() => Ok(()),
            stopped = tokio::signal::ctrl_c() => stopped.map_err(Into::into),
        }
    });
    runtime.shutdown_timeout(BOUNDS.within);
    ended
}

/// TLS 1.2 or later with a certificate made now, and its hash.
fn acceptor() -> Result<(SslAcceptor, ServerHash)> {
    let (certificate, key) = issuer::unvouched("Examgate enrolment", now())?;
    let certificate = X509::from_pem(certificate.as_bytes())?;
    let mut server = [0; 32];
    server.copy_from_slice(&certificate.digest(MessageDigest::sha256())?);
    let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())?;
    builder.set_certificate(&certificate)?;
    builder.set_private_key(&*PKey::private_key_from_pem(key.as_bytes())?)?;
    builder.check_private_key()?;
    Ok((builder.build(), server))
}
