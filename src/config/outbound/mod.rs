//! The flags of outbound connections.

mod certificates;
mod proxy_url;
pub(super) mod servers;

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use rustls::pki_types::CertificateDer;

use super::sources::heading;

pub(crate) use proxy_url::ProxyUrl;

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = heading::OUTBOUND)]
pub struct Outbound {
    /// PEM file of certificate authorities, in addition to Mozilla's, for MCP servers, the JWKS and the OpenTelemetry
    /// collector; can be given several times
    #[arg(
        long,
        env = "CONNECTORS_CA_FILE",
        value_name = "FILE",
        value_delimiter = ','
    )]
    ca_file: Vec<PathBuf>,

    /// HTTP proxy for connections to public addresses, as http://[USER:PASSWORD@]HOST:PORT. By default there is none:
    /// HTTP_PROXY and its like are not read
    #[arg(
        long,
        env = "CONNECTORS_OUTBOUND_PROXY",
        value_name = "URL",
        hide_env_values = true,
        value_parser = str::parse::<ProxyUrl>
    )]
    outbound_proxy: Option<ProxyUrl>,
}

/// The rules of outbound connections.
#[derive(Clone, Debug, Default)]
pub struct OutboundRules {
    /// Certificate authorities in addition to Mozilla's.
    pub authorities: Vec<CertificateDer<'static>>,
    /// The proxy for connections to public addresses.
    pub proxy: Option<ProxyUrl>,
}

impl Outbound {
    /// Reads the certificate files.
    pub fn rules(&self) -> anyhow::Result<OutboundRules> {
        let mut authorities = Vec::new();
        for file in &self.ca_file {
            let read = certificates::read(file);
            authorities.extend(read.with_context(|| format!("--ca-file {}", file.display()))?);
        }
        Ok(OutboundRules {
            authorities,
            proxy: self.outbound_proxy.clone(),
        })
    }
}
