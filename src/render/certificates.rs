//! Where the files of `tls = "internal"` lie: `ca/` once below DIR, `tls/` in each target's folder.
//!
//! In: DIR as it is, the targets and their outputs. Out: the files added to the outputs. Invariant: what serves for long enough comes
//! back as it lies there, so that rendering twice changes nothing; the CA's key is in no folder that a server sees.

use std::path::Path;
use std::time::SystemTime;

use super::internal_tls::{Existing, internal};
use super::target::Target;
use super::{Output, RenderedFile};
use crate::policy::plan::{Plan, Tls};

/// Adds the CA and the certificates to what will be written below `dir`, where the policy asks for them.
///
/// Errors: a name that no certificate can hold.
pub fn add(
    dir: &Path,
    targets: &[&Target],
    plan: &Plan,
    now: SystemTime,
    outputs: &mut [Output],
) -> Result<(), String> {
    if plan.listen.tls != Tls::Internal {
        return Ok(());
    }
    let read = |path: &str| std::fs::read_to_string(dir.join(path)).unwrap_or_default();
    let (mut ca_pem, mut ca_key) = (read("ca/ca.pem"), read("ca/ca.key"));
    for (target, output) in targets.iter().zip(outputs.iter_mut()).filter(|(target, _)| target.internal_tls) {
        let path = |name: &str| format!("{}/tls/{name}", target.folder);
        let (leaf_pem, leaf_key) = (read(&path("leaf.pem")), read(&path("leaf.key")));
        let existing = Existing { ca_pem: &ca_pem, ca_key: &ca_key, leaf_pem: &leaf_pem, leaf_key: &leaf_key };
        let made = internal(&plan.listen.server_names, Some(existing), now)?;
        if made.ca_made {
            output.notes.push(trust(&dir.join("ca/ca.pem")));
        }
        (ca_pem, ca_key) = (made.ca_pem, made.ca_key.reveal().to_owned());
        output.file("ca/ca.pem", ca_pem.clone());
        // Lost, and not needed to keep what serves.
        if !ca_key.is_empty() {
            output.files.push(private("ca/ca.key".to_owned(), &ca_key));
        }
        output.file(path("ca.pem"), ca_pem.clone());
        output.file(path("leaf.pem"), made.leaf_pem);
        output.files.push(private(path("leaf.key"), made.leaf_key.reveal()));
    }
    // The last target has the CA that is in force; the same file is written once.
    let mut seen = std::collections::BTreeSet::new();
    for output in outputs.iter_mut().rev() {
        output.files.retain(|file| !file.path.starts_with("ca/") || seen.insert(file.path.clone()));
    }
    Ok(())
}

fn private(path: String, content: &str) -> RenderedFile {
    RenderedFile { path, content: content.to_owned(), mode: 0o600, secret: true, group: None }
}

/// How clients come to trust the CA (facts measured with curl, Python and Node).
fn trust(ca: &Path) -> String {
    let ca = ca.display();
    format!(
        "clients must trust the new CA {ca}: curl --cacert {ca}; Python: SSL_CERT_FILE={ca}; Node: NODE_EXTRA_CA_CERTS={ca}; \
         Debian: copy it to /usr/local/share/ca-certificates/llmguard.crt and run update-ca-certificates"
    )
}
