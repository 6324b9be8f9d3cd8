//! A session server: sessions over HTTP as a small JSON API.
//!
//! `cargo run --release --example session_server` and follow what it prints.

#[path = "session_server/api.rs"]
mod api;
#[path = "session_server/args.rs"]
mod args;
#[path = "session_server/race.rs"]
mod race;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use sessile::Sessions;
use sessile::web::SessionLayer;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use args::Args;

fn main() -> ExitCode {
    let args = Args::parse();
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_target(false).init();
    let outcome = if args.race { race::run() } else { serve(&args) };
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
    let sessions = Sessions::new(store, clock, args.policy()?);
    let layer = SessionLayer::new(sessions)
        .transports(args.transports()?)
        .on_error(api::on_error)
        .spawn(|upkeep| drop(tokio::spawn(upkeep)));
    let listener = TcpListener::bind(&args.listen)
        .await
        .map_err(|error| format!("cannot listen on {}: {error}", args.listen))?;
    // Somebody may have stopped reading, which is no reason not to serve.
    let _ = writeln!(std::io::stdout(), "{}", args.banner(listener.local_addr()?));
    axum::serve(listener, api::router(layer)).with_graceful_shutdown(stop()?).await?;
    tracing::info!("stopped");
    Ok(())
}

/// Waits for SIGINT or SIGTERM.
fn stop() -> std::io::Result<impl Future<Output = ()> + Send> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("stopping: finishing what runs");
    })
}
