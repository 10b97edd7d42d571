//! The opponents: REST endpoints, written by hand, that give what an anonymous viewer sees of the service's own database; and fixed
//! bytes.
//!
//! `rest URL` serves the database of a URL over sqlx, `rest --embedded URL` that of SQLite over rusqlite, and `rest --fixed FILE` a
//! file's bytes. Each prints where it listens.
//!
//! They do what an engineer would do for speed: one statement a page from which the database can seek, only the columns that are
//! sent, and metadata passed on as text. They have neither limits nor timeouts, and a page and its counts may be of two states.

mod answer;
mod fixed;
mod on_rusqlite;
mod on_sqlx;
mod query;

use std::env;

use axum::{Router, serve::ListenerExt};
use tokio::net::TcpListener;

async fn serve(app: Router) -> Result<(), Box<dyn std::error::Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("Listens at http://{}", listener.local_addr()?);
    // An answer is one write: nothing is gained by waiting for another.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    axum::serve(listener, app).await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let app = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--fixed", file] => fixed::router(file)?,
        ["--embedded", url] => on_rusqlite::router(url)?,
        [url] => on_sqlx::router(url).await?,
        _ => return Err("usage: rest URL | rest --embedded URL | rest --fixed FILE".into()),
    };
    serve(app).await
}
