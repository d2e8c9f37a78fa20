//! Where nginx listens, as whom, with which certificate, and to which servers it forwards.

use minijinja::{Value, context};

use super::Output;
use crate::policy::plan::{Balance, Plan, Tls};
use crate::render::escape;

/// The values for the listener and the upstream.
pub fn listener(plan: &Plan, out: &mut Output) -> Result<Value, String> {
    let listen = &plan.listen;
    let tls = match &listen.tls {
        Tls::Off => None,
        Tls::Files { certificate, private_key } => {
            Some((certificate.display().to_string(), private_key.display().to_string()))
        }
        Tls::Internal => Some(("tls/leaf.pem".to_owned(), "tls/leaf.key".to_owned())),
        Tls::Auto { .. } => {
            let name = listen.server_names.first().map_or("NAME", String::as_str);
            out.refuse(
                "listen.tls",
                plan.places.at("listen.tls"),
                "nginx has no ACME client",
                format!(
                    "`certbot certonly --standalone -d {name} --deploy-hook \"nginx -p DIR/nginx -c nginx.conf -s reload\"`, then `tls = \"files\"` with \
                     certificate = \"/etc/letsencrypt/live/{name}/fullchain.pem\" and private_key = \"/etc/letsencrypt/live/{name}/privkey.pem\""
                ),
            );
            None
        }
    };
    // `listen … http2` is what 1.22 and 1.31 both take (1.31 warns); `http2 on` is unknown before 1.25.1.
    let options = escape::Token::made(if tls.is_some() { " ssl http2".to_owned() } else { String::new() });
    let trusted: Vec<String> = listen.trusted_proxies.iter().map(ToString::to_string).collect();
    let servers: Vec<String> = plan.upstream.servers.iter().map(ToString::to_string).collect();
    Ok(context! {
        listen => std::net::SocketAddr::new(listen.address, listen.port).to_string(),
        listen_options => Value::from(options),
        names => listen.server_names.clone(),
        tls => tls.map(|(certificate, private_key)| context! { certificate => certificate, private_key => private_key }),
        sni => listen.names_decide_handshakes(),
        trusted => trusted,
        many => servers.len() > 1,
        servers => servers,
        least => plan.upstream.balance == Balance::LeastConnections,
        host => plan.upstream.host.clone(),
    })
}
