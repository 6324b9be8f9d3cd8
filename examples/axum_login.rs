//! Login, a page for members, and logout with axum: `cargo run --example axum_login`.

use axum::Router;
use axum::extract::Form;
use axum::http::StatusCode;
use axum::response::{Html, Redirect};
use axum::routing::{get, post};
use serde::Deserialize;
use sessile::web::{SessionError, SessionLayer, WebSession};
use sessile::{Counter, MemoryStore, Policy, Sessions};

const VISITS: Counter = Counter::new("visits");

#[derive(Deserialize)]
struct Login {
    user: String,
    password: String,
}

async fn index(session: WebSession) -> Result<Html<String>, SessionError> {
    let Some(user) = session.principal() else {
        return Ok(Html(FORM.to_owned()));
    };
    let visits = session.add(&VISITS, 1)?;
    let user = user.replace(['<', '&'], "");
    Ok(Html(format!("{user}, visit {visits} <form method=post action=/logout><button>Log out")))
}

async fn login(
    session: WebSession,
    Form(form): Form<Login>,
) -> Result<Result<Redirect, StatusCode>, SessionError> {
    // Your own check of the password, of course.
    if form.user.is_empty() || form.password != "secret" {
        return Ok(Err(StatusCode::UNAUTHORIZED));
    }
    // Replaces the token: the one from before the login is refused from now on.
    session.login(&form.user)?;
    Ok(Ok(Redirect::to("/")))
}

async fn logout(session: WebSession) -> Result<Redirect, SessionError> {
    session.invalidate()?;
    Ok(Redirect::to("/"))
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let sessions = Sessions::new(MemoryStore::new(), Policy::default());
    let app = Router::new()
        .route("/", get(index))
        .route("/login", post(login))
        .route("/logout", post(logout))
        .layer(SessionLayer::new(&sessions));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
    println!("http://{}, any user, password secret", listener.local_addr()?);
    axum::serve(listener, app).await
}

const FORM: &str = "<form method=post action=/login><input name=user placeholder=user> \
    <input name=password type=password placeholder=password> <button>Log in";
