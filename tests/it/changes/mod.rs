//! The feed of changes, and subscriptions to it.

mod crowd;
mod ends;
mod events;
mod feed;
mod histories;
mod history;
mod lists;
mod multipart;
mod progress;
mod records;
mod resuming;
mod sockets;
mod subscriptions;
