//! The values of the template: what the compose file says of the two services.
//!
//! In: the plan, as written and as the container sees it. Out: template values. Invariant: lists keep the policy's order or are sorted.

use minijinja::{Value, context};

use super::health::{self, Health};
use super::images::Image;
use super::inside::{HOST, Inside, Mount};
use super::nginx;
use super::proxy::Kind;
use super::publish::Published;
use crate::policy::plan::{Gpu, Plan, Proxy, Tls};
use crate::render::RenderedFile;
use crate::render::escape;

/// Ports below this one are privileged.
const UNPRIVILEGED: u16 = 1024;
/// Where a CA asks for ACME's TLS challenge, which both Caddy and Traefik answer on their own port.
const HTTPS: u16 = 443;
/// The longest that a stop waits for answers to end, in seconds. Not `timeouts.read`: a stream that keeps sending may be longer.
const LONGEST_STOP: u64 = 120;

/// The proxy's service.
///
/// Errors: a name that Compose can't hold.
pub fn proxy(
    kind: &Kind,
    image: &Image,
    plan: &Plan,
    inside: &Inside,
    published: &Published,
    files: &[RenderedFile],
) -> Result<Value, String> {
    let reference = match image {
        Image::Built { base: reference, .. } | Image::Pulled(reference) => reference,
    };
    let health = health::of(&inside.plan, reference);
    let state = kind.state.filter(|_| acme(plan));
    Ok(context! {
        name => Value::from(escape::compose_name(kind.name)?),
        image => matches!(image, Image::Pulled(_)).then_some(reference),
        command => kind.command.to_vec(),
        home => kind.home,
        stop_signal => kind.stop_signal,
        stop_time => format!("{LONGEST_STOP}s"),
        variables => variables(inside)?,
        template_filter => (plan.deploy.proxy == Proxy::Nginx).then(|| format!("^{}", nginx::PREFIX)),
        secrets => inside.secrets.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>(),
        ports => ports(plan, published),
        mounts => inside.mounts.iter().map(mount).collect::<Vec<_>>(),
        state => state,
        writes => kind.writes.iter().chain(kind.state.iter().filter(|_| state.is_none())).copied().collect::<Vec<_>>(),
        hosts => hosts(plan, &health),
        health => health.test,
        capabilities => capabilities(kind, inside, published),
        fingerprint => fingerprint(files),
    })
}

fn acme(plan: &Plan) -> bool {
    matches!(plan.listen.tls, Tls::Auto { .. })
}

/// The proxy's variables: name and how Compose finds the value.
///
/// Errors: a name that Compose can't hold.
fn variables(inside: &Inside) -> Result<Vec<Value>, String> {
    let entry = |name: &String| Ok(context! { name, value => Value::from(escape::compose_variable(name)?) });
    inside.variables.keys().map(entry).collect()
}

/// The lines of `.env.example`.
pub fn examples(inside: &Inside) -> Vec<Value> {
    let entry = |(name, about): (&String, &String)| context! { name, about => Value::from(escape::comment(about)) };
    inside.variables.iter().map(entry).collect()
}

/// Compose's secrets: name and file.
///
/// Errors: a name that Compose can't hold.
pub fn secrets(inside: &Inside) -> Result<Vec<Value>, String> {
    let entry = |(name, path): &(String, std::path::PathBuf)| {
        Ok(context! { name => Value::from(escape::compose_name(name)?), file => path.display().to_string() })
    };
    inside.secrets.iter().map(entry).collect()
}

/// A bind mount.
fn mount(mount: &Mount) -> Value {
    context! { source => &mount.source, target => &mount.target, read_only => mount.read_only }
}

/// The published ports: the policy's, and with ACME the one that a challenge comes to.
fn ports(plan: &Plan, published: &Published) -> Vec<String> {
    let challenge = acme(plan) && published.outside != HTTPS;
    let challenge = challenge.then(|| Published { outside: HTTPS, ..published.clone() }.to_string());
    std::iter::once(published.to_string()).chain(challenge).collect()
}

/// Lines of the container's hosts file.
fn hosts(plan: &Plan, health: &Health) -> Vec<String> {
    let own = health.own_name.iter().map(|name| format!("{name}:127.0.0.1"));
    let host = plan.upstream.servers_given && plan.upstream.servers.iter().any(|server| server.host == HOST);
    own.chain(host.then(|| format!("{HOST}:host-gateway"))).collect()
}

/// The capabilities that the proxy keeps, each with its reason.
fn capabilities(kind: &Kind, inside: &Inside, published: &Published) -> Vec<Value> {
    let mut kept = kind.capabilities.to_vec();
    if published.inside < UNPRIVILEGED && !kept.iter().any(|(name, _)| *name == "NET_BIND_SERVICE") {
        kept.push(("NET_BIND_SERVICE", "it listens on a port below 1024"));
    }
    if inside.foreign_files {
        kept.push(("DAC_OVERRIDE", "files of the host that it is given belong to another user"));
    }
    kept.sort_unstable();
    kept.iter().map(|&(name, why)| context! { name, why => Value::from(escape::comment(why)) }).collect()
}

/// A number that changes with the proxy's files, so that Compose makes the container anew (FNV-1a, 64 bits).
fn fingerprint(files: &[RenderedFile]) -> String {
    let bytes = files.iter().flat_map(|file| file.path.bytes().chain([0]).chain(file.content.bytes()).chain([0]));
    let hash = bytes
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    format!("{hash:016x}")
}

/// Ollama's service.
pub fn upstream(plan: &Plan, image: &str) -> Value {
    let (count, ids, amd) = match &plan.deploy.gpu {
        Gpu::None => (None, None, false),
        Gpu::NvidiaAll => (Some(Value::from("all")), None, false),
        Gpu::NvidiaCount(count) => (Some(Value::from(*count)), None, false),
        Gpu::NvidiaIds(ids) => (None, Some(ids.clone()), false),
        Gpu::Amd => (None, None, true),
    };
    context! {
        image,
        models_dir => &plan.deploy.models_dir,
        egress => plan.deploy.egress,
        nvidia => count.is_some() || ids.is_some(),
        count,
        ids,
        amd,
    }
}
