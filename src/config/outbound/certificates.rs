//! Certificate authorities from PEM files (RFC 7468).

use std::{fs, path::Path};

use anyhow::{Context, anyhow, bail, ensure};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

use crate::config::file::bounded;

/// The first byte of DER: a sequence.
const DER: u8 = 0x30;

/// Reads the certificates of a file; there must be at least one.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let file = path.to_owned();
    let bytes = bounded(move || fs::read(file)).context("it cannot be read")?;
    ensure!(
        bytes.first() != Some(&DER),
        "it is DER, and PEM is expected. Convert it: openssl x509 -inform der -in {0} -out {0}.pem",
        path.display()
    );
    ensure!(
        !String::from_utf8_lossy(&bytes).contains("PRIVATE KEY-----"),
        "it has a private key. Give a file with the authority's certificate alone"
    );
    let mut certificates = Vec::new();
    for (index, certificate) in CertificateDer::pem_slice_iter(&bytes).enumerate() {
        let number = index + 1;
        let certificate = certificate
            .map_err(|error| anyhow!("certificate {number} of it is not sound PEM: {error}"))?;
        let added = RootCertStore::empty().add(certificate.clone());
        added.map_err(|error| anyhow!("certificate {number} of it cannot be used: {error}"))?;
        certificates.push(certificate);
    }
    if certificates.is_empty() {
        bail!(
            "it has no certificate. PEM is expected, which begins with -----BEGIN CERTIFICATE-----"
        );
    }
    Ok(certificates)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(content: &[u8]) -> String {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), content).unwrap();
        match read(file.path()) {
            Ok(certificates) => format!("{} read", certificates.len()),
            Err(error) => format!("{error:#}"),
        }
    }

    #[test]
    fn a_file_has_certificates_alone() {
        let one = include_str!("../../../tests/it/keys/test-only-ca.pem");
        let key = include_str!("../../../tests/it/keys/test-only-ec-p256.pem");
        assert_eq!(said(one.as_bytes()), "1 read");
        let bundle = format!("# The one\n{one}\n# The other\r\n{one}");
        assert_eq!(said(bundle.as_bytes()), "2 read");
        let windows = one.replace('\n', "\r\n");
        assert_eq!(said(windows.as_bytes()), "1 read");
        let der = CertificateDer::from_pem_slice(one.as_bytes()).unwrap();
        let lines: Vec<&str> = one.lines().collect();
        let cut = lines[..lines.len() - 1].join("\n");
        for (content, expected) in [
            (der.to_vec(), "openssl x509 -inform der"),
            (format!("{one}{key}").into_bytes(), "it has a private key"),
            (key.as_bytes().to_vec(), "it has a private key"),
            (Vec::new(), "it has no certificate"),
            (b"ca.pem".to_vec(), "it has no certificate"),
            (cut.into_bytes(), "certificate 1 of it is not sound PEM"),
            (
                format!("{one}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
                    .into_bytes(),
                "certificate 2 of it cannot be used",
            ),
        ] {
            let said = said(&content);
            assert!(said.contains(expected), "{said}");
        }
        let missing = read(Path::new("/nowhere/ca.pem")).unwrap_err();
        assert!(format!("{missing:#}").contains("No such file"));
    }
}
