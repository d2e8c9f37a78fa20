//! Which images run: pinned defaults, the user's own, and Caddy's that must be built.
//!
//! In: the plan. Out: the image of each service. Invariant: every default names one version; the policy's reader sees to the user's own.

use crate::policy::plan::{Gpu, Plan, Proxy};
use crate::render::Output;

/// Ollama's newest stable release when this was written.
const OLLAMA: &str = "ollama/ollama:0.32.15";
/// The same, built for AMD's ROCm.
const OLLAMA_ROCM: &str = "ollama/ollama:0.32.15-rocm";
/// The release that the Caddyfiles are proven on.
const CADDY: &str = "caddy:2.11.7-alpine";
/// nginx's stable release; it has the njs module, which `alpine-slim` lacks.
const NGINX: &str = "nginx:1.30.5-alpine";
/// The release that the files are proven on.
const TRAEFIK: &str = "traefik:v3.7.15";
/// The release of Caddy's rate_limit module that the Caddyfiles are proven on.
pub const RATE_LIMIT_MODULE: &str = "github.com/mholt/caddy-ratelimit@v0.1.0";

/// Where a service's program comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Image {
    /// An image as it is.
    Pulled(String),
    /// Caddy, built with the rate_limit module.
    Built {
        /// The image that has the compiler.
        builder: String,
        /// The image that the built program goes into.
        base: String,
    },
}

/// The proxy's image. An own image that isn't Caddy's official one is taken as it is, with a note if it must hold the module.
pub fn proxy(plan: &Plan, out: &mut Output) -> Image {
    let default = match plan.deploy.proxy {
        Proxy::Caddy => CADDY,
        Proxy::Nginx => NGINX,
        Proxy::Traefik => TRAEFIK,
    };
    let reference = plan.deploy.proxy_image.as_deref().unwrap_or(default);
    if plan.deploy.proxy == Proxy::Caddy && limits_rates(plan) {
        if let Some(builder) = builder(reference) {
            return Image::Built { builder, base: reference.to_owned() };
        }
        out.notes.push(format!("`{reference}` must hold Caddy's rate_limit module; without it Caddy refuses to start"));
    }
    Image::Pulled(reference.to_owned())
}

/// Ollama's image.
pub fn ollama(plan: &Plan) -> &str {
    let default = match plan.deploy.gpu {
        Gpu::Amd => OLLAMA_ROCM,
        Gpu::None | Gpu::NvidiaAll | Gpu::NvidiaCount(_) | Gpu::NvidiaIds(_) => OLLAMA,
    };
    plan.deploy.ollama_image.as_deref().unwrap_or(default)
}

fn limits_rates(plan: &Plan) -> bool {
    plan.limits.rate.is_some() || plan.clients.iter().any(|client| client.rate.is_some())
}

/// The image that builds the version of one of Caddy's official images.
fn builder(reference: &str) -> Option<String> {
    let tag = reference.strip_prefix("caddy:")?;
    let version = tag.split(['-', '@']).next().filter(|version| version.starts_with(|c: char| c.is_ascii_digit()))?;
    Some(format!("caddy:{version}-builder-alpine"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_official_images_of_caddy_have_a_builder() {
        assert_eq!(builder(CADDY).as_deref(), Some("caddy:2.11.7-builder-alpine"));
        assert_eq!(builder("caddy:2.10").as_deref(), Some("caddy:2.10-builder-alpine"));
        assert_eq!(builder("team/caddy:2.11.7"), None);
        assert_eq!(builder("caddy:alpine"), None);
    }
}
