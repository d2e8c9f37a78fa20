//! What the official images of nginx have in them before anything is mounted.
//!
//! In: a container. Out: the same with the image's own files where nothing is mounted over them. Invariant: as the image `nginx:1.29`
//! (its `nginx.conf` and `conf.d/default.conf`), without what answers no request differently.

use super::container::Container;

/// Where the main file lies: the image's own, and OpenResty's.
pub const MAIN: &[&str] = &["/etc/nginx/nginx.conf", "/usr/local/openresty/nginx/conf/nginx.conf"];

const NGINX: &str = "user nginx;
worker_processes auto;
events { worker_connections 1024; }
http {
    default_type application/octet-stream;
    sendfile on;
    keepalive_timeout 65;
    include /etc/nginx/conf.d/*.conf;
}
";

const DEFAULT: &str = "server {
    listen 80;
    server_name localhost;
    location / {
        root /usr/share/nginx/html;
        index index.html index.htm;
    }
    error_page 500 502 503 504 /50x.html;
    location = /50x.html {
        root /usr/share/nginx/html;
    }
}
";

/// The pages that the image serves from where [`DEFAULT`] looks; their text matters to no decision.
const PAGES: [&str; 2] = ["/usr/share/nginx/html/index.html", "/usr/share/nginx/html/50x.html"];

/// Adds what the image has. Errors: what the system says.
pub fn nginx(container: &mut Container<'_>) -> std::io::Result<()> {
    let mounted_pages = container.has("/usr/share/nginx/html");
    let mut add = |path: &str, text: &str| match container.has(path) {
        true => Ok(()),
        false => container.write(path, text, format!("{path} (of the image)"), path.into()),
    };
    add(MAIN[0], NGINX)?;
    if !mounted_pages {
        PAGES.iter().try_for_each(|page| add(page, "<!DOCTYPE html>\n"))?;
    }
    let folder = "/etc/nginx/conf.d";
    // A folder that is mounted hides the image's own.
    if !container.at(folder).is_symlink() {
        let path = format!("{folder}/default.conf");
        if !container.has(&path) {
            container.write(&path, DEFAULT, format!("{path} (of the image)"), path.clone().into())?;
        }
    }
    Ok(())
}
