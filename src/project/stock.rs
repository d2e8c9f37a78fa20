//! What the official images of nginx have in them before anything is mounted.
//!
//! In: a container. Out: the same with the image's own files where nothing is mounted over them. Invariant: as the image `nginx:1.29`
//! (its `nginx.conf`, `conf.d/default.conf` and the script that fills templates), without what answers no request differently.

use super::container::Container;
use crate::dialect::Variables;

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

/// Adds what the image has, and fills its templates. Errors: what the system says.
pub fn nginx(container: &mut Container<'_>, variables: &Variables) -> std::io::Result<()> {
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
    let templates = "/etc/nginx/templates";
    let Ok(entries) = std::fs::read_dir(container.at(templates)) else { return Ok(()) };
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let (Some(output), Ok(file)) = (name.strip_suffix(".template"), container.read(&format!("{templates}/{name}")))
        else {
            continue;
        };
        let host = container.host_name(&format!("{templates}/{name}"));
        let text = fill(&file.text, variables);
        container.write(&format!("{folder}/{output}"), &text, host.0, host.1)?;
    }
    Ok(())
}

/// `$NAME` and `${NAME}` of variables that are set; all else stays.
fn fill(text: &str, variables: &Variables) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let behind = &rest[at + 1..];
        let open = behind.strip_prefix('{');
        let word = open.unwrap_or(behind);
        let end = word.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(word.len());
        let closed = open.is_none() || word[end..].starts_with('}');
        let length = 1 + end + if open.is_some() { 2 } else { 0 };
        match variables.values.get(&word[..end]).filter(|_| closed) {
            Some(value) => {
                out.push_str(value);
                rest = &rest[at + length..];
            }
            None => {
                out.push('$');
                rest = behind;
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_take_the_variables_that_are_set() {
        let values = [("HOST", "a.example"), ("P", "8080")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let variables = Variables { values: values.into(), complete: true };
        let text = "listen ${P}; server_name $HOST; set $x $host; y ${Q} ${P $";
        assert_eq!(fill(text, &variables), "listen 8080; server_name a.example; set $x $host; y ${Q} ${P $");
    }
}
