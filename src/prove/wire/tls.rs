//! TLS of the test client. In: [`TlsOptions`]. Out: a rustls connection for them.
//!
//! Invariant: with a CA, exactly the certificates that it signed, or that it is, pass; without one every certificate passes,
//! since such a request asks what the server answers and not who it is.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore};
use rustls::{SignatureScheme, client::Resumption};

/// How TLS is spoken.
#[derive(Debug, Clone, Default)]
pub struct TlsOptions {
    /// The name sent as SNI and looked for in the certificate; without it no SNI is sent and no name is looked for.
    pub server_name: Option<String>,
    /// PEM with the CA, or the server's own certificate, that is trusted alone; without it any certificate passes.
    pub ca_pem: Option<Vec<u8>>,
    /// The protocols offered by ALPN, such as `http/1.1`; none: no ALPN.
    pub alpn: Vec<Vec<u8>>,
}

/// A connection that has sent nothing yet. Errors: a PEM without certificates, a name that is none.
pub(super) fn client(options: &TlsOptions, ip: IpAddr) -> Result<ClientConnection, String> {
    let provider = Arc::new(ring::default_provider());
    let trust = options.ca_pem.as_deref().map(|pem| Trust::new(pem, &provider)).transpose()?;
    let verifier = Verifier { trust, check_name: options.server_name.is_some(), provider: provider.clone() };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.enable_sni = options.server_name.is_some();
    config.alpn_protocols = options.alpn.clone();
    config.resumption = Resumption::disabled();
    let name = match &options.server_name {
        Some(name) => ServerName::try_from(name.clone()).map_err(|_| format!("`{name}` is not a server name"))?,
        None => ServerName::IpAddress(ip.into()),
    };
    ClientConnection::new(Arc::new(config), name).map_err(|error| error.to_string())
}

#[derive(Debug)]
struct Trust {
    certificates: Vec<CertificateDer<'static>>,
    chains: Arc<WebPkiServerVerifier>,
}

impl Trust {
    fn new(pem: &[u8], provider: &Arc<CryptoProvider>) -> Result<Self, String> {
        let certificates = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| format!("the trusted certificate can't be read: {error}"))?;
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates.iter().cloned());
        let chains = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
            .build()
            .map_err(|error| format!("the trusted certificate can't be used: {error}"))?;
        Ok(Trust { certificates, chains })
    }
}

#[derive(Debug)]
struct Verifier {
    trust: Option<Trust>,
    check_name: bool,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(trust) = &self.trust else { return Ok(ServerCertVerified::assertion()) };
        if trust.certificates.iter().any(|trusted| trusted == leaf) {
            return Ok(ServerCertVerified::assertion());
        }
        match trust.chains.verify_server_cert(leaf, intermediates, name, ocsp, now) {
            // The name is the last thing that is checked, so everything else was right.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.check_name => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
