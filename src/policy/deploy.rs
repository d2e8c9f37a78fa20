//! The `[log]` and `[deploy]` tables: where things lie and run.
//!
//! In: the tables. Out: [`Log`] and [`Deploy`]. Invariant: every path, image and port can be written into every target as it stands.

use super::file::{DeployFile, LogFile};
use super::plan::{Deploy, Gpu, Log, LogPath, Proxy};
use super::validate::Check;
use super::value::{GpuSetting, Spanned};

/// Whether a path can be written into every target: printable, without what a config language reads.
fn is_plain_path(path: &str) -> bool {
    !path.is_empty() && path.len() <= 1024 && path.chars().all(|c| !c.is_control() && !"\"'`\\$;{}#*?<>|".contains(c))
}

pub(super) fn log(file: &LogFile, check: &mut Check<'_>) -> Log {
    let json = check.word("log.format", file.format.as_ref(), &[("json", true), ("off", false)], true);
    let path = match &file.path {
        None => LogPath::Default,
        Some(path) if path.value == "stdout" => LogPath::Stdout,
        Some(path) => {
            let climbs = path.value.split('/').any(|part| part == "..");
            if !is_plain_path(&path.value) || path.value.ends_with('/') || climbs || path.value.contains(' ') {
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

pub(super) fn deploy(file: &DeployFile, check: &mut Check<'_>) -> Deploy {
    let proxies = [("caddy", Proxy::Caddy), ("nginx", Proxy::Nginx), ("traefik", Proxy::Traefik)];
    let proxy = check.word("deploy.proxy", file.proxy.as_ref(), &proxies, Proxy::Caddy);
    for (key, image) in [("proxy_image", &file.proxy_image), ("ollama_image", &file.ollama_image)] {
        let Some(image) = image else { continue };
        let plain = image.value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._/:@-".contains(&byte));
        let name = image.value.rsplit('/').next().unwrap_or_default();
        let pinned = image.value.contains("@sha256:")
            || name.split_once(':').is_some_and(|(_, tag)| !tag.is_empty() && tag != "latest");
        if !plain || !pinned || image.value.len() > 256 {
            check.error(
                image.span,
                format!("`deploy.{key}` is not pinned: `{}`", image.value.escape_debug()),
                "name a version, such as \"caddy:2.11.7\"; `latest` changes under your feet",
            );
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
        let mut parts = publish.value.rsplitn(3, ':');
        let mut port = || parts.next().is_some_and(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
        let ports = port() && port();
        let host = parts.next();
        let host_ok = host
            .is_none_or(|host| host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>().is_ok());
        if !ports || !host_ok {
            check.error(
                publish.span,
                format!("`deploy.publish` can't be `{}`", publish.value.escape_debug()),
                "write address:port:port, such as \"127.0.0.1:8080:8080\"",
            );
        }
    }
    let gpu = match file.gpu.as_ref().map(|gpu| &gpu.value) {
        None => Gpu::NvidiaAll,
        Some(GpuSetting::Off) => Gpu::None,
        Some(GpuSetting::On { vendor, .. }) if vendor == "amd" => Gpu::Amd,
        Some(GpuSetting::On { count: Some(Some(count)), .. }) => Gpu::NvidiaCount(*count),
        Some(GpuSetting::On { device_ids, .. }) if !device_ids.is_empty() => {
            if device_ids
                .iter()
                .any(|id| id.is_empty() || !id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:=/".contains(&b)))
            {
                check.error(
                    file.places.at("gpu"),
                    "`deploy.gpu` has a device id that is none",
                    "write ids as `nvidia-smi -L` shows them, such as \"0\" or \"GPU-3a2b…\"",
                );
            }
            Gpu::NvidiaIds(device_ids.clone())
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
