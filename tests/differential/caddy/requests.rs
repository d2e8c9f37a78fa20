//! Requests aimed at the boundaries of a random config of Caddy.

use serde_json::{Value, json};

use super::{Grammar, HOSTS, KEYS, METHODS, NAMES, PATHS};

impl Grammar<'_> {
    /// Requests for these hosts.
    pub(super) fn requests(&mut self, hosts: &[String]) -> Vec<Value> {
        let mut requests = Vec::new();
        for _ in 0..40 {
            let base =
                if self.random.chance(85) { self.random.pick(&self.paths) } else { self.random.pick(PATHS).to_owned() };
            let mut target = self.mutated(&base);
            if self.random.chance(30) {
                let query = match self.random.below(3) {
                    0 if !self.queries.is_empty() => self.random.pick(&self.queries).replace(' ', "+"),
                    1 => self
                        .random
                        .pick(&[
                            "", "a=1", "a=1&a=2", "a=%31", "b=x%20y", "a;b", "c", "c=&a=3", "%zz", "x=a?b", "a=1&&b",
                            "b=x+y",
                        ])
                        .to_owned(),
                    _ => "a=1".to_owned(),
                };
                target = format!("{target}?{query}");
            }
            let http = self.random.pick(&["1.1", "1.1", "1.1", "2", "1.0"]);
            let mut headers: Vec<(String, String)> = Vec::new();
            let host = match self.random.below(10) {
                0..=5 => self.random.pick(hosts),
                6 => self
                    .random
                    .pick(&["A.TEST", "x.c.test", "a.b.c.test", "c.test", ".c.test", "unknown.test", "a.test."])
                    .to_owned(),
                _ => self.random.pick(HOSTS).replace('*', "y"),
            };
            let host = if self.random.chance(30) { format!("{host}:8080") } else { host };
            headers.push(("Host".to_owned(), host));
            for _ in 0..self.random.below(4) {
                let (name, value) = if !self.headers.is_empty() && self.random.chance(70) {
                    self.random.pick(&self.headers)
                } else {
                    (self.random.pick(NAMES).to_owned(), self.random.pick(KEYS).to_owned())
                };
                let value = match self.random.below(6) {
                    0 => value.replace('*', ""),
                    1 => format!("{value}x"),
                    2 => value.to_uppercase(),
                    3 if http == "2" => format!("{value} "),
                    _ => value,
                };
                if name != "Host" && value.is_ascii() {
                    headers.push((name, value));
                }
            }
            if self.users && self.random.chance(40) {
                let login = self.random.pick(&[
                    "Basic YWxpY2U6cHc=",
                    "basic YWxpY2U6cHc=",
                    "Basic  YWxpY2U6cHc=",
                    "Basic YWxpY2U6cHg=",
                    "Basic YWxpY2U6cHc",
                    "Basic x",
                ]);
                headers.push(("Authorization".to_owned(), login.to_owned()));
            }
            if self.random.chance(15) {
                let name = self.random.pick(&["X-Forwarded-For", "X-Forwarded-For", "X-Real-IP"]);
                let list = self.random.pick(&[
                    "10.1.2.3",
                    "9.9.9.9, 10.1.2.3",
                    "10.9.9.9,9.9.9.9",
                    "x, 10.1.1.1:80",
                    "[::1]:80",
                    "9.9.9.9",
                    "",
                    " 10.1.1.1 , 127.0.0.1",
                ]);
                headers.push((name.to_owned(), list.to_owned()));
            }
            if self.random.chance(10) {
                headers.push(("Cookie".to_owned(), self.random.pick(&["c=secret", "d=1; c=x", "C=2"]).to_owned()));
            }
            let method = if self.random.chance(90) {
                self.random.pick(METHODS)
            } else {
                self.random.pick(&["get", "PROPFIND", "ABCDEFGHIJABCDEFGHIJABCDEFGHIJABC"])
            };
            let mut request = json!({"method": method, "target": target, "http": http, "headers": headers});
            if matches!(method, "POST" | "PUT") && self.random.chance(60) {
                request["body"] = json!("x".repeat(self.random.pick(&[1, 10, 11, 1000, 1001])));
            }
            requests.push(request);
        }
        requests
    }

    fn mutated(&mut self, path: &str) -> String {
        let path: String = path
            .bytes()
            .map(
                |byte| if byte == b' ' || byte >= 0x80 { format!("%{byte:02X}") } else { char::from(byte).to_string() },
            )
            .collect();
        let at = self.random.below(path.len()) + 1;
        let (start, end) = path.split_at(at.min(path.len()));
        match self.random.below(22) {
            0 => format!("{path}/"),
            1 => path.to_uppercase(),
            2 => format!("/{path}"),
            3 => format!("/x/..{path}"),
            4 => format!("{path}/."),
            5 => format!("{path}/../y"),
            6 => path.trim_end_matches('/').to_owned() + "/x",
            7 => format!("{path}x"),
            8 => path.replacen('a', "%61", 1),
            9 => format!("{}%2f{}", path.trim_end_matches('/'), "x"),
            10 => format!("{start}/{end}"),
            11 => format!("{path};x"),
            12 => format!("{path}%00"),
            13 => format!("{path}\\x"),
            14 => format!("{path}.php"),
            15 => format!("http://a.test{path}"),
            16 => format!("{path}%ff"),
            17 => format!("{path}//x//"),
            _ => path,
        }
    }
}
