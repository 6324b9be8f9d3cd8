//! A session server: sessions over HTTP as a small JSON API, and a page to look at one.
//!
//! `cargo run --release --example session_server` and follow what it prints. `RUST_LOG=debug` prints
//! a line for each request.

#[path = "session_server/api.rs"]
mod api;
#[path = "session_server/args.rs"]
mod args;
#[path = "session_server/journal.rs"]
mod journal;
#[path = "session_server/meetings.rs"]
mod meetings;
#[path = "session_server/page.rs"]
mod page;
#[path = "session_server/race.rs"]
mod race;

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;
use sessile::web::SessionLayer;
use sessile::{Os, Sessions};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use args::Args;
use journal::{Journal, Noted};

fn main() -> ExitCode {
    let args = Args::parse();
    let is_terminal = io::stderr().is_terminal();
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into());
    let log = tracing_subscriber::fmt().with_writer(io::stderr).with_ansi(is_terminal);
    log.with_target(false).with_env_filter(filter.from_env_lossy()).init();
    let outcome = match &args {
        Args { race: true, .. } => args.check().and_then(|()| race::run()),
        args => serve(args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn serve(args: &Args) -> Result<(), Box<dyn std::error::Error>> {
    let (store, clock) = args.store().await?;
    let journal = Journal::default();
    let store = Noted::new(store, journal.clone());
    let sessions = Sessions::with(store, clock, Os, args.policy()?);
    let layer = SessionLayer::new(&sessions)
        .transports(args.transports()?)
        .on_error(api::on_error)
        .spawn(|upkeep| drop(tokio::spawn(upkeep)));
    let listener = TcpListener::bind(&args.listen)
        .await
        .map_err(|error| format!("cannot listen on {}: {error}", args.listen))?;
    // A closed output is no reason not to serve.
    let _ = writeln!(io::stdout(), "{}", args.banner(listener.local_addr()?));
    let (mut first, mut last) = (Signals::new()?, Signals::new()?);
    let app = api::router(layer, journal, args.remember_for);
    let server = axum::serve(listener, app).with_graceful_shutdown(async move {
        first.next().await;
        tracing::info!("stopping: finishing what runs");
    });
    tokio::select! {
        served = server => served?,
        () = last.give_up() => tracing::warn!("not waiting for the last clients"),
    }
    tracing::info!("stopped");
    Ok(())
}

/// SIGINT and SIGTERM.
struct Signals(Signal, Signal);

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self(signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?))
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.0.recv() => {}
            _ = self.1.recv() => {}
        }
    }

    /// Waits until enough was waited for: some time after the first signal, or for the second.
    async fn give_up(&mut self) {
        self.next().await;
        let _ = tokio::time::timeout(PATIENCE, self.next()).await;
    }
}

/// No request takes longer, unless its client never sends the rest of it.
const PATIENCE: Duration = Duration::from_secs(20);
