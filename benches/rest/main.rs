//! The reference implementations: handwritten REST endpoints that return an anonymous viewer's data from the service's
//! own database, and fixed bytes.
//!
//! `rest URL` serves a database over sqlx, `rest --embedded URL` an SQLite one over rusqlite, and `rest --fixed FILE` a
//! file's bytes. Each prints its address.
//!
//! They are optimized for speed: one seekable statement for each page, only the columns that are sent, and metadata
//! passed on as text. They have neither limits nor timeouts, and a page and its counts may come from two states.

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
    // A response is one write, so waiting for another gains nothing.
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
