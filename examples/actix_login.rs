//! Login, a page for members, and logout with actix-web: `cargo run --example actix_login`.

use actix_web::error::ErrorUnauthorized;
use actix_web::web::{Form, Html, Redirect};
use actix_web::{App, HttpServer, Result, get, post};
use serde::Deserialize;
use sessile::actix::{SessionMiddleware, WebSession};
use sessile::{Counter, MemoryStore, Policy, Sessions};

const VISITS: Counter = Counter::new("visits");

#[derive(Deserialize)]
struct Login {
    user: String,
    password: String,
}

#[get("/")]
async fn index(session: WebSession) -> Result<Html> {
    let Some(user) = session.principal() else {
        return Ok(Html::new(FORM));
    };
    let visits = session.add(&VISITS, 1)?;
    let user = user.replace(['<', '&'], "");
    let page = format!("{user}, visit {visits} <form method=post action=/logout><button>Log out");
    Ok(Html::new(page))
}

#[post("/login")]
async fn login(session: WebSession, form: Form<Login>) -> Result<Redirect> {
    // Your own check of the password, of course.
    if form.user.is_empty() || form.password != "secret" {
        return Err(ErrorUnauthorized("wrong password\n"));
    }
    // Replaces the token: the one from before the login is refused from now on.
    session.login(&form.user)?;
    Ok(Redirect::to("/").see_other())
}

#[post("/logout")]
async fn logout(session: WebSession) -> Result<Redirect> {
    session.invalidate()?;
    Ok(Redirect::to("/").see_other())
}

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let sessions = Sessions::new(MemoryStore::new(), Policy::default());
    let server = HttpServer::new(move || {
        let app = App::new().service(index).service(login).service(logout);
        app.wrap(SessionMiddleware::new(&sessions))
    });
    let server = server.bind("127.0.0.1:8080")?;
    println!("http://{}, any user, password secret", server.addrs()[0]);
    server.run().await
}

const FORM: &str = "<form method=post action=/login><input name=user placeholder=user> \
    <input name=password type=password placeholder=password> <button>Log in";
