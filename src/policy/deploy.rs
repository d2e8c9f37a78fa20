//! The `[log]` and `[deploy]` tables: where things lie and run.
//!
//! In: the tables, and whether the listener speaks TLS. Out: [`Log`] and [`Deploy`]. Invariant: every path, image and port can be written into every target as it stands.

use super::file::{DeployFile, LogFile};
use super::plan::{Deploy, Gpu, Log, LogPath, Proxy, Tls};
use super::validate::Check;
use super::value::{GpuSetting, Spanned};

/// Whether a path can be written into every target: printable, without what a config language reads.
fn is_plain_path(path: &str) -> bool {
    !path.is_empty() && path.len() <= 1024 && path.chars().all(|c| !c.is_control() && !"\"'`\\$;{}#*?<>|".contains(c))
}

pub(super) fn log(file: &LogFile, check: &mut Check<'_>) -> Log {
    let json = check.word("log.format", file.format.as_ref(), &[("json", true), ("off", false)], true);
    if let Some(path) = file.path.as_ref().filter(|_| !json) {
        check.warning(path.span, "`log.path` does nothing with `format = \"off\"`", "leave one of the two out");
    }
    let path = match &file.path {
        None => LogPath::Default,
        Some(path) if path.value == "stdout" => LogPath::Stdout,
        Some(path) => {
            let climbs = path.value.split('/').any(|part| part == "..");
            if !is_plain_path(&path.value)
                || path.value.ends_with('/')
                || path.value.starts_with('~')
                || climbs
                || path.value.contains(' ')
            {
                check.error(
                    path.span,
                    format!("`log.path` can't be `{}`", path.value.escape_debug()),
                    "write a file's path without blanks, quotes and `..`, such as \"logs/access.log\", or \"stdout\"",
                );
            }
            LogPath::File(path.value.clone())
        }
    };
    if json { Log::Json(path) } else { Log::Off }
}

pub(super) fn deploy(file: &DeployFile, tls: Option<&Tls>, check: &mut Check<'_>) -> Deploy {
    let proxies = [("caddy", Proxy::Caddy), ("nginx", Proxy::Nginx), ("traefik", Proxy::Traefik)];
    let proxy = check.word("deploy.proxy", file.proxy.as_ref(), &proxies, Proxy::Caddy);
    for (key, image, example) in [
        ("proxy_image", &file.proxy_image, "caddy:2.11.7"),
        ("ollama_image", &file.ollama_image, "ollama/ollama:0.32.15"),
    ] {
        let Some(image) = image else { continue };
        let shown = image.value.escape_debug();
        match is_pinned(&image.value) {
            Some(true) => {}
            Some(false) => check.error(
                image.span,
                format!("`deploy.{key}` is not pinned: `{shown}`"),
                format!("name a version, such as \"{example}\"; what `latest` means changes under your feet"),
            ),
            None => check.error(
                image.span,
                format!("`deploy.{key}` is no image: `{shown}`"),
                format!("write NAME:VERSION or NAME@sha256:DIGEST, such as \"{example}\""),
            ),
        }
    }
    if let Some(dir) = &file.models_dir
        && !(is_plain_path(&dir.value)
            && !dir.value.contains(':')
            && (dir.value.starts_with('/') || dir.value.starts_with("./")))
    {
        check.error(
            dir.span,
            format!("`deploy.models_dir` can't be `{}`", dir.value.escape_debug()),
            "write an absolute path, or one that starts with ./",
        );
    }
    if let Some(publish) = &file.publish {
        match published(&publish.value) {
            Some(host) if tls == Some(&Tls::Off) && !host.is_loopback() => check.warning(
                publish.span,
                format!("keys cross the network in clear: this publishes on {host} and `listen.tls` is off"),
                "begin with a loopback address, such as \"127.0.0.1:8080:8080\", or set `listen.tls`",
            ),
            Some(_) => {}
            None => check.error(
                publish.span,
                format!("`deploy.publish` can't be `{}`", publish.value.escape_debug()),
                "write address:port:port, such as \"127.0.0.1:8080:8080\"",
            ),
        }
    }
    let gpu = match file.gpu.as_ref().map(|gpu| &gpu.value) {
        None => Gpu::NvidiaAll,
        Some(GpuSetting::Off) => Gpu::None,
        Some(GpuSetting::On { vendor, .. }) if vendor == "amd" => Gpu::Amd,
        Some(GpuSetting::On { count: Some(Some(count)), .. }) => Gpu::NvidiaCount(*count),
        Some(GpuSetting::On { device_ids, .. }) if !device_ids.is_empty() => {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.:=/".contains(&b);
            for id in device_ids.iter().filter(|id| id.value.is_empty() || !id.value.bytes().all(plain)) {
                check.error(
                    id.span,
                    format!("`deploy.gpu` names the device `{}`", id.value.escape_debug()),
                    "write ids as `nvidia-smi -L` shows them, such as \"0\" or \"GPU-3a2b…\"",
                );
            }
            Gpu::NvidiaIds(device_ids.iter().map(|id| id.value.clone()).collect())
        }
        Some(GpuSetting::On { .. }) => Gpu::NvidiaAll,
    };
    let text = |key: &Option<Spanned<String>>| key.as_ref().map(|key| key.value.clone());
    Deploy {
        proxy,
        proxy_image: text(&file.proxy_image),
        ollama_image: text(&file.ollama_image),
        models_dir: text(&file.models_dir),
        gpu,
        publish: text(&file.publish),
        egress: file.egress.as_ref().is_none_or(|egress| egress.value),
    }
}

/// Whether an image's reference is pinned to a version or a digest; `None`: it is no reference.
fn is_pinned(image: &str) -> Option<bool> {
    let plain =
        |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._/:-".contains(&b));
    let (rest, digest) = match image.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest.strip_prefix("sha256:")?)),
        None => (image, None),
    };
    let last = rest.rsplit('/').next().unwrap_or_default();
    let (name, tag) = last.split_once(':').map_or((last, None), |(name, tag)| (name, Some(tag)));
    let digest_ok = digest.is_none_or(|digest| digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit()));
    if !plain(rest) || name.is_empty() || tag == Some("") || image.len() > 256 || !digest_ok {
        return None;
    }
    Some(digest.is_some() || tag.is_some_and(|tag| tag != "latest"))
}

/// The address on which `[address:]port:port` publishes. `None`: it is none.
fn published(text: &str) -> Option<std::net::IpAddr> {
    let mut parts = text.rsplitn(3, ':');
    for _ in 0..2 {
        parts.next()?.parse::<u16>().ok().filter(|port| *port > 0)?;
    }
    match parts.next() {
        None => Some(std::net::Ipv4Addr::UNSPECIFIED.into()),
        Some(host) => match host.strip_prefix('[') {
            Some(host) => host.strip_suffix(']')?.parse::<std::net::Ipv6Addr>().ok().map(Into::into),
            None => host.parse::<std::net::Ipv4Addr>().ok().map(Into::into),
        },
    }
}
