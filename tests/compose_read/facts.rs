//! What matters of a project, as JSON: from Compose's own output and from the reader's.

use std::path::Path;

use llmguard::dialect::compose::model::{NetworkMode, Project, Protocol, Service, Source};
use serde_json::{Map, Value, json};

/// From `docker compose config --format json`, which writes `$$` for `$` and whole paths.
pub fn of_compose(config: &Value, folder: &Path) -> Value {
    let config = plain(config, folder);
    let mut services = Map::new();
    for (name, service) in config["services"].as_object().into_iter().flatten() {
        services.insert(name.clone(), service_of_compose(service, &config));
    }
    let networks = object(&config["networks"]).map(|(name, network)| {
        let on = |key: &str| network[key].as_bool().unwrap_or(false);
        (name.clone(), json!({"internal": on("internal"), "external": on("external")}))
    });
    json!({"name": config["name"], "services": services, "networks": networks.collect::<Map<_, _>>()})
}

fn object(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn plain(value: &Value, folder: &Path) -> Value {
    match value {
        Value::String(text) => {
            let text = text.replace("$$", "$");
            let folder = folder.display().to_string();
            match text.strip_prefix(&folder) {
                Some(rest) => Value::String(format!(".{rest}")),
                None => Value::String(text),
            }
        }
        Value::Array(items) => items.iter().map(|item| plain(item, folder)).collect(),
        Value::Object(entries) => {
            entries.iter().map(|(key, value)| (key.clone(), plain(value, folder))).collect::<Map<_, _>>().into()
        }
        other => other.clone(),
    }
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

fn service_of_compose(service: &Value, config: &Value) -> Value {
    let environment = object(&service["environment"]).filter(|(_, value)| !value.is_null());
    let ports = list(&service["ports"]).into_iter().map(|port| {
        json!([
            port["host_ip"],
            port["published"].as_str().filter(|text| !text.is_empty()),
            port["target"],
            port["protocol"]
        ])
    });
    let mut mounts: Vec<Value> = list(&service["volumes"])
        .into_iter()
        .map(|volume| {
            let source = match volume["type"].as_str() {
                Some("tmpfs") => json!("memory"),
                // A volume that is a folder of the host.
                Some("volume") if volume["source"].is_string() => {
                    let options = &config["volumes"][volume["source"].as_str().unwrap()]["driver_opts"];
                    let device = options["device"].as_str().filter(|_| options["o"] == "bind");
                    device.map_or(volume["source"].clone(), |device| json!(device))
                }
                _ => volume["source"].clone(),
            };
            json!([source, volume["target"], volume["read_only"].as_bool().unwrap_or(false)])
        })
        .collect();
    for (key, folder) in [("configs", "/"), ("secrets", "/run/secrets/")] {
        for file in list(&service[key]) {
            let name = file["source"].as_str().unwrap();
            let target = match file["target"].as_str() {
                Some(target) if target.starts_with('/') => target.to_owned(),
                Some(target) => format!("{folder}{target}"),
                None => format!("{folder}{name}"),
            };
            let declared = &config[key][name];
            let source = declared["file"].as_str().or(declared["content"].as_str()).unwrap_or("unknown");
            mounts.push(json!([source, target, true]));
        }
    }
    for tmpfs in list(&service["tmpfs"]) {
        mounts.push(json!(["memory", tmpfs.as_str().unwrap().split(':').next(), false]));
    }
    let networks: Vec<_> = object(&service["networks"]).map(|(name, _)| name).collect();
    json!({
        "image": service["image"],
        "command": service["command"],
        "entrypoint": service["entrypoint"],
        "environment": environment.map(|(name, value)| (name.clone(), value.clone())).collect::<Map<_, _>>(),
        "labels": object(&service["labels"]).map(|(name, value)| (name.clone(), value.clone())).collect::<Map<_, _>>(),
        "deploy_labels": object(&service["deploy"]["labels"])
            .map(|(name, value)| (name.clone(), value.clone())).collect::<Map<_, _>>(),
        "ports": sorted(ports.collect()),
        "expose": sorted(list(&service["expose"])),
        "network_mode": service["network_mode"],
        "networks": networks,
        "mounts": sorted(mounts),
        "privileged": service["privileged"].as_bool().unwrap_or(false),
        "profiles": sorted(list(&service["profiles"])),
        "healthcheck": service["healthcheck"]["test"],
        "container_name": service["container_name"],
    })
}

fn sorted(mut list: Vec<Value>) -> Vec<Value> {
    list.sort_by_key(Value::to_string);
    list.dedup();
    list
}

/// The same with the keys of every object in the order of the alphabet.
pub fn in_order(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(in_order).collect(),
        Value::Object(entries) => {
            let mut entries: Vec<_> = entries.iter().map(|(key, value)| (key.clone(), in_order(value))).collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            entries.into_iter().collect::<Map<_, _>>().into()
        }
        other => other.clone(),
    }
}

/// From the reader's project.
pub fn of_project(project: &Project, folder: &Path) -> Value {
    let services = project.services.iter().map(|service| (service.name.clone(), service_of_project(service, folder)));
    let used = |name: &str| {
        project.services.iter().any(|service| match &service.network {
            NetworkMode::Networks(all) => all.iter().any(|attached| attached.network == name),
            _ => false,
        })
    };
    let declared = project.networks.iter().filter(|network| used(&network.name));
    let mut networks: Map<_, _> = declared
        .map(|network| (network.name.clone(), json!({"internal": network.internal, "external": network.external})))
        .collect();
    if used("default") {
        networks.entry("default").or_insert(json!({"internal": false, "external": false}));
    }
    json!({"name": project.name, "services": services.collect::<Map<_, _>>(), "networks": networks})
}

fn service_of_project(service: &Service, folder: &Path) -> Value {
    let texts = |texts: &Option<Vec<llmguard::dialect::compose::model::Text>>| match texts {
        Some(words) => words.iter().map(|word| word.text.clone()).collect::<Vec<_>>().into(),
        None => Value::Null,
    };
    let environment = service.environment.iter();
    let environment =
        environment.map(|variable| (variable.name.clone(), json!(variable.value.as_ref().unwrap().reveal())));
    let labels = |labels: &[llmguard::dialect::compose::model::Label]| {
        labels.iter().map(|label| (label.name.clone(), json!(label.value.text))).collect::<Map<_, _>>()
    };
    let ports = service.ports.iter().map(|port| {
        let published = port.published.map(|(first, last)| match first == last {
            true => first.to_string(),
            false => format!("{first}-{last}"),
        });
        let protocol = match port.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        };
        json!([port.address.map(|address| address.to_string()), published, port.target, protocol])
    });
    let mounts = service.mounts.iter().map(|mount| {
        let source = match &mount.source {
            Source::Host(path) => match path.strip_prefix(folder) {
                Ok(rest) if rest.as_os_str().is_empty() => json!("."),
                Ok(rest) => json!(format!("./{}", rest.display())),
                Err(_) => json!(path),
            },
            Source::Volume(name) if name.is_empty() => Value::Null,
            Source::Volume(name) => json!(name),
            Source::Content(text) => json!(text.text),
            Source::Memory => json!("memory"),
            Source::Unknown(_) => json!("unknown"),
        };
        json!([source, mount.target.text, mount.read_only])
    });
    let (mode, networks) = match &service.network {
        NetworkMode::Networks(all) => {
            let mut names: Vec<_> = all.iter().map(|attached| attached.network.clone()).collect();
            names.sort();
            (Value::Null, names)
        }
        NetworkMode::Host(_) => (json!("host"), Vec::new()),
        NetworkMode::Service(name, _) => (json!(format!("service:{name}")), Vec::new()),
        NetworkMode::Container(name, _) => (json!(format!("container:{name}")), Vec::new()),
        NetworkMode::None(_) => (json!("none"), Vec::new()),
        NetworkMode::Bridge(_) => (json!("bridge"), Vec::new()),
        NetworkMode::Other(text) => (json!(text.text), Vec::new()),
    };
    let list =
        |texts: &[llmguard::dialect::compose::model::Text]| sorted(texts.iter().map(|text| json!(text.text)).collect());
    let test = service.healthcheck.as_ref().filter(|check| !check.test.is_empty());
    json!({
        "image": service.image.as_ref().map(|image| &image.text),
        "command": texts(&service.command),
        "entrypoint": texts(&service.entrypoint),
        "environment": environment.collect::<Map<_, _>>(),
        "labels": labels(&service.labels),
        "deploy_labels": labels(&service.deploy_labels),
        "ports": sorted(ports.collect()),
        "expose": list(&service.expose),
        "network_mode": mode,
        "networks": networks,
        "mounts": sorted(mounts.collect()),
        "privileged": service.privileged.is_some(),
        "profiles": list(&service.profiles),
        "healthcheck": test.map(|check| check.test.iter().map(|word| &word.text).collect::<Vec<_>>()),
        "container_name": service.container_name.as_ref().map(|name| &name.text),
    })
}

/// The parts in which two differ.
pub fn difference(real: &Value, ours: &Value) -> String {
    let mut out = String::new();
    let mut stack = vec![(String::new(), real, ours)];
    while let Some((path, real, ours)) = stack.pop() {
        match (real, ours) {
            (Value::Object(a), Value::Object(b)) => {
                for key in a.keys().chain(b.keys().filter(|key| !a.contains_key(*key))) {
                    let (a, b) = (a.get(key).unwrap_or(&Value::Null), b.get(key).unwrap_or(&Value::Null));
                    stack.push((format!("{path}.{key}"), a, b));
                }
            }
            _ if real != ours => out.push_str(&format!("{path}:\n  Compose {real}\n  ours    {ours}\n")),
            _ => {}
        }
    }
    out
}
