//! The harness itself: an evaluator that is wrong is found out, and the case is made small.

use std::net::{IpAddr, Ipv4Addr};

use llmguard::gateway::{Chain, Gateway, Listener, Origin, Terminal, Wire};
use serde_json::json;

use crate::common;
use crate::harness::{Case, File, Generator, Part, agrees, run};
use crate::random::Random;
use crate::real::{Given, Kind};

/// Says that everything is refused with a status.
struct Fake {
    says: u16,
}

impl Generator for Fake {
    fn case(&self, random: &mut Random) -> Case {
        let mut parts = vec![
            Part::line("server_tokens off;"),
            Part::block("location /a {", vec![Part::line("proxy_pass http://@UPSTREAM@;")], "}"),
            Part::block("location / {", vec![Part::line("return 403;")], "}"),
        ];
        random.shuffle(&mut parts);
        parts.insert(0, Part::line("listen @LISTEN@;").fixed());
        let words = random.some(&["keepalive_timeout 5s;", "root empty;"], 50);
        parts.extend(words.into_iter().filter(|_| random.chance(50)).map(Part::line));
        let target = random.pick(&["/", "/b", "/%61"]);
        Case {
            main: "nginx.conf",
            files: vec![File::new("nginx.conf", vec![Part::block("server {", parts, "}")])],
            requests: ["1.0", "1.1"].map(|http| json!({"method": "GET", "target": target, "http": http})).to_vec(),
            ..Case::default()
        }
    }

    fn read(&self, given: &Given) -> Gateway {
        assert!(given.version >= (1, 22, 0), "{given:?}");
        let text = std::fs::read_to_string(&given.main).unwrap();
        let port = text.split("127.0.0.1:").nth(1).and_then(|rest| rest.split(';').next()?.parse().ok()).unwrap();
        let chain = Chain { clauses: Vec::new(), otherwise: Terminal::Respond(self.says), origin: Origin::default() };
        let mut gateway = Gateway::default();
        let chain = gateway.add(chain);
        gateway.listeners.push(Listener {
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            both: false,
            port,
            tls: false,
            wire: Wire::strict(8192),
            handshake: None,
            chain,
            origin: Origin::default(),
        });
        gateway
    }
}

#[test]
fn a_wrong_evaluator_is_found_out() {
    let Some(program) = common::server("differential self_test", Kind::NginxOld.variable()) else { return };
    let summary = run(Kind::NginxOld, &program, &Fake { says: 403 }, 40, 0);
    assert!(summary.pairs >= 40 && summary.refused == 0, "{summary:?}");
    // `/%61` is `/a`, which is forwarded.
    assert!(summary.disagreements.len() * 2 < summary.pairs && !summary.disagreements.is_empty(), "{summary:?}");
    assert!(summary.disagreements.iter().all(|one| one.told.contains("/%61")), "{summary:?}");
    let all = std::panic::catch_unwind(|| agrees(Kind::NginxOld, &program, &Fake { says: 404 }, 2)).unwrap_err();
    let all = all.downcast_ref::<String>().unwrap();
    assert!(all.contains("location /") && !all.contains("server_tokens"), "it isn't made small:\n{all}");
}
