//! HTTP: requests, responses, caches, tokens and limits of callers.

mod connections;
mod console;
mod graphiql;
mod hostile;
mod http2;
mod http_caching;
mod jwks;
mod listening;
mod negotiation;
mod rate_limit;
mod requests;
mod response_cache;
mod retry_after;
