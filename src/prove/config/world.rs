//! What stands around a config that was moved aside: its loopback ports, the stand-ins behind it, its folder and certificate.
//!
//! In: the addresses that a config names. Out: others, on loopback, and back again for reports. Invariant: the same name gets the same
//! address; nothing that the config names is bound or asked.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use super::docker::Engine;
use crate::prove::moved::{self, known_password};
use crate::prove::server::{self, Scratch};
use crate::prove::upstream::Upstream;
use crate::render::internal_tls;

/// More upstreams than this share the last stand-in.
const MOST_UPSTREAMS: usize = 16;

/// The surroundings of one moved config.
pub struct World {
    /// The folder that the server runs in.
    pub folder: Scratch,
    /// The config's own listeners and where they are now.
    pub listeners: Vec<(String, SocketAddr)>,
    /// The config's own upstreams and their stand-ins.
    pub upstreams: Vec<(String, Upstream)>,
    /// The folder that stands for the root of where the config belongs.
    pub root: Option<String>,
    /// What stands for Docker's engine.
    pub docker: Option<Engine>,
    /// An address at which nobody answers, kept from others.
    closed: TcpListener,
    /// The ports of listeners that aren't asked.
    pub unasked: BTreeSet<u16>,
    /// What could not be moved, or is not asked.
    pub notes: Vec<String>,
}

impl World {
    /// An empty one. Errors: what the system says.
    pub fn new() -> Result<World, String> {
        let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|error| format!("no free port: {error}"))?;
        Ok(World {
            folder: Scratch::new()?,
            listeners: Vec::new(),
            upstreams: Vec::new(),
            root: None,
            docker: None,
            closed,
            unasked: BTreeSet::new(),
            notes: Vec::new(),
        })
    }

    /// Where a listener is now. Errors: what the system says.
    pub fn listener(&mut self, own: &str) -> Result<SocketAddr, String> {
        if let Some((_, addr)) = self.listeners.iter().find(|(name, _)| name == own) {
            return Ok(*addr);
        }
        let taken = |port: u16| self.listeners.iter().any(|(_, addr)| addr.port() == port);
        loop {
            let port = server::free_port().map_err(|error| format!("no free port: {error}"))?;
            if !taken(port) {
                // Where this machine has no IPv6, IPv4 stands for it.
                let ipv6 = own.starts_with('[') && TcpListener::bind((Ipv6Addr::LOCALHOST, port)).is_ok();
                let host = if ipv6 { IpAddr::from(Ipv6Addr::LOCALHOST) } else { Ipv4Addr::LOCALHOST.into() };
                let addr = SocketAddr::from((host, port));
                self.listeners.push((own.to_owned(), addr));
                return Ok(addr);
            }
        }
    }

    /// The port that stands for one of the config's, whether a listener has it or not. Errors: what the system says.
    pub fn own_port(&self, own: &str) -> Result<u16, String> {
        let of = |name: &str| name.rsplit(':').next() == Some(own);
        match self.listeners.iter().find(|(name, _)| of(name)) {
            Some((_, addr)) => Ok(addr.port()),
            None => server::free_port().map_err(|error| format!("no free port: {error}")),
        }
    }

    /// The stand-in for an upstream. Errors: what the system says.
    pub fn upstream(&mut self, own: &str) -> Result<SocketAddr, String> {
        if let Some((_, upstream)) = self.upstreams.iter().find(|(name, _)| name == own) {
            return Ok(upstream.addr());
        }
        if let Some((name, last)) = self.upstreams.get_mut(MOST_UPSTREAMS - 1) {
            name.push_str(&format!(" or {own}"));
            return Ok(last.addr());
        }
        let upstream = Upstream::start().map_err(|error| format!("the stand-in upstream can't listen: {error}"))?;
        let addr = upstream.addr();
        self.upstreams.push((own.to_owned(), upstream));
        Ok(addr)
    }

    /// Stand-ins whose ports stand in the order of these names, and their ports. Errors: what the system says.
    pub fn ascending(&mut self, names: &[String]) -> Result<Vec<u16>, String> {
        let mut made = Vec::new();
        for _ in names {
            made.push(Upstream::start().map_err(|error| format!("the stand-in upstream can't listen: {error}"))?);
        }
        made.sort_by_key(|upstream| upstream.addr().port());
        let ports = made.iter().map(|upstream| upstream.addr().port()).collect();
        self.upstreams.extend(names.iter().cloned().zip(made));
        Ok(ports)
    }

    /// An address at which nobody answers.
    pub fn nobody(&self) -> SocketAddr {
        self.closed.local_addr().unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 9)))
    }

    /// A path in the folder; its parents are made. Errors: what the system says.
    pub fn path(&self, below: &str) -> Result<PathBuf, String> {
        let path = self.folder.path().join(below.trim_start_matches('/'));
        let parent = path.parent().unwrap_or(Path::new("/"));
        std::fs::create_dir_all(parent).map_err(|error| format!("`{}` can't be made: {error}", parent.display()))?;
        Ok(path)
    }

    /// Writes a file into the folder and gives its path. Errors: what the system says.
    pub fn write(&self, below: &str, bytes: &[u8]) -> Result<PathBuf, String> {
        let path = self.path(below)?;
        std::fs::write(&path, bytes).map_err(|error| format!("`{}` can't be written: {error}", path.display()))?;
        Ok(path)
    }

    /// A certificate made for this run, and its key. Errors: it can't be made or written.
    pub fn certificate(&self) -> Result<(PathBuf, PathBuf), String> {
        let (certificate, key) = (self.path("tls/leaf.pem")?, self.path("tls/leaf.key")?);
        if !certificate.exists() {
            let made = internal_tls::internal(&["localhost".to_owned()], None, std::time::SystemTime::now())?;
            self.write("tls/leaf.pem", made.leaf_pem.as_bytes())?;
            self.write("tls/leaf.key", made.leaf_key.reveal().as_bytes())?;
        }
        Ok((certificate, key))
    }

    /// A text in which what belongs to this run has the user's own names.
    pub fn own_names(&self, text: &str) -> String {
        let mut text = text.replace(&format!("{}/tree", self.folder.path().display()), "");
        text = self.root.iter().fold(text, |text, root| text.replace(root.as_str(), ""));
        for (own, addr) in &self.listeners {
            text = text.replace(&addr.to_string(), own);
        }
        for (own, upstream) in &self.upstreams {
            text = text.replace(&upstream.addr().to_string(), own);
        }
        text
    }
}

/// The hash of the password that a user of a config has here.
pub fn hash(user: &str) -> Result<String, String> {
    moved::hash(&known_password(user), None)
}
