use super::*;
use crate::http::line::Line;

fn request(line: serde_json::Value) -> Request {
    Line::read(line).unwrap().request("gateway").unwrap()
}

fn get(path: &str) -> Request {
    request(serde_json::json!({"method": "GET", "target": path}))
}

/// A gateway of these chains; the first is where requests start.
fn gateway(chains: Vec<(Vec<Clause>, Terminal)>) -> Gateway {
    let chains = chains.into_iter().map(|(clauses, otherwise)| Chain { clauses, otherwise, origin: Origin::default() });
    let listener = Listener {
        address: [127, 0, 0, 1].into(),
        both: false,
        port: 80,
        tls: false,
        wire: Wire::strict(16384),
        handshake: None,
        chain: ChainId(0),
        origin: Origin::default(),
    };
    Gateway { files: Vec::new(), listeners: vec![listener], chains: chains.collect(), ..Gateway::default() }
}

fn when(predicate: Predicate, then: Terminal) -> Clause {
    Clause::new(predicate, then, Origin::default())
}

fn path_is(path: &str) -> Predicate {
    Predicate::Value(Value::Path, Test::Equals(path.into()))
}

fn opaque() -> Predicate {
    Predicate::Opaque("depends on a script".into())
}

fn forward() -> Terminal {
    let host = Value::literal("localhost");
    Terminal::Forward(Arc::new(Forward { upstream: Value::literal("u:1"), target: Value::Target, host }))
}

fn verdict(gateway: &Gateway, request: &Request) -> Verdict {
    evaluate(gateway, request).verdict
}

#[test]
fn what_cannot_be_known_matters_only_where_the_answer_differs() {
    let same = gateway(vec![(vec![when(opaque(), Terminal::Respond(403))], Terminal::Respond(403))]);
    assert_eq!(verdict(&same, &get("/")), Verdict::Refused(403));
    let differs = gateway(vec![(vec![when(opaque(), forward())], Terminal::Respond(403))]);
    let unknown = |reached| Verdict::Unknown { reason: "depends on a script".to_owned(), reached };
    assert_eq!(verdict(&differs, &get("/")), unknown(false));
    // Both ways reach the upstream, each another one.
    let other = Terminal::Forward(Arc::new(Forward {
        upstream: Value::literal("u:2"),
        target: Value::Target,
        host: Value::literal("localhost"),
    }));
    let reaches = gateway(vec![(vec![when(opaque(), forward())], other)]);
    assert_eq!(verdict(&reaches, &get("/")), unknown(true));
    // A question that another condition settles is none.
    let settled = Predicate::All(vec![opaque(), path_is("/a")]);
    let settled = gateway(vec![(vec![when(settled, forward())], Terminal::Respond(403))]);
    assert_eq!(verdict(&settled, &get("/b")), Verdict::Refused(403));
    assert_eq!(verdict(&settled, &get("/a")), unknown(false));
}

#[test]
fn every_combination_of_answers_is_tried() {
    // Only yes, no, yes forwards.
    let clauses = vec![
        when(opaque().negated(), Terminal::Respond(403)),
        when(opaque(), Terminal::Respond(403)),
        when(opaque(), forward()),
    ];
    let one_in_eight = gateway(vec![(clauses, Terminal::Respond(403))]);
    assert!(matches!(verdict(&one_in_eight, &get("/")), Verdict::Unknown { .. }));
    let many = gateway(vec![((0..40).map(|_| when(opaque(), Terminal::Next)).collect(), Terminal::Respond(403))]);
    assert!(matches!(verdict(&many, &get("/")), Verdict::Unknown { .. }), "too many questions are no answer");
}

#[test]
fn a_called_chain_comes_back_and_a_restart_is_counted() {
    let call = Clause { steps: vec![Step::Call(ChainId(1))], ..when(Predicate::Always, Terminal::Respond(204)) };
    let called = vec![when(path_is("/a"), Terminal::Respond(200))];
    let both = gateway(vec![(vec![call], Terminal::Respond(500)), (called, Terminal::Return)]);
    assert_eq!(verdict(&both, &get("/a")), Verdict::Answered(200));
    assert_eq!(verdict(&both, &get("/b")), Verdict::Answered(204));
    let round = gateway(vec![(Vec::new(), Terminal::Restart(ChainId(0)))]);
    assert_eq!(verdict(&round, &get("/")), Verdict::Refused(500));
    let endless = gateway(vec![(Vec::new(), Terminal::Then(ChainId(0)))]);
    assert!(matches!(verdict(&endless, &get("/")), Verdict::Unknown { .. }));
}

#[test]
fn an_error_goes_to_its_handler_once() {
    let case = |status: Option<Value>| ErrorCase {
        statuses: Statuses(vec![(400, 499)]),
        chain: ChainId(1),
        restart: false,
        steps: Vec::new(),
        status,
        origin: Origin::default(),
    };
    let with = |status, handler: Terminal| {
        let errors = Errors { cases: vec![case(status)], recursive: false };
        let clause = Clause {
            steps: vec![Step::OnError(Some(Arc::new(errors)))],
            ..when(Predicate::Always, Terminal::Error(403))
        };
        verdict(&gateway(vec![(vec![clause], Terminal::Respond(500)), (Vec::new(), handler)]), &get("/"))
    };
    assert_eq!(with(None, Terminal::Respond(200)), Verdict::Answered(200));
    assert_eq!(with(Some(Value::ErrorStatus), Terminal::Respond(200)), Verdict::Refused(403));
    assert_eq!(with(Some(Value::literal("201")), Terminal::Respond(404)), Verdict::Answered(201));
    // An error in a handler that nobody handles has its own status.
    assert_eq!(with(Some(Value::literal("201")), Terminal::Error(404)), Verdict::Refused(404));
    assert!(matches!(with(None, forward()), Verdict::Proxied { .. }));
}

#[test]
fn values_follow_the_request() {
    let shown = |value: Value, request: &Request| {
        let target =
            Terminal::Forward(Arc::new(Forward { upstream: Value::literal("u:1"), target: value, host: Value::Host }));
        match verdict(&gateway(vec![(Vec::new(), target)]), request) {
            Verdict::Proxied { target, .. } => String::from_utf8(target).unwrap(),
            other => panic!("{other:?}"),
        }
    };
    let line = serde_json::json!({"method": "GET", "target": "/a?x=1&Y=2",
        "headers": [["Host", "H:1"], ["x-a", "1"], ["X-A", "2"], ["cookie", "c=3; d=4"]]});
    let request = request(line);
    for (value, expected) in [
        (Value::Target, "/a?x=1&Y=2"),
        (Value::Path, "/a"),
        (Value::Query, "x=1&Y=2"),
        (Value::Host, "h"),
        (Value::Authority, "H:1"),
        (Value::Argument("y".to_owned()), "2"),
        (Value::Cookie("d".to_owned()), "4"),
        (Value::Header("X-a".to_owned(), value::Join::First), "1"),
        (Value::Header("X-a".to_owned(), value::Join::With(", ")), "1, 2"),
        (Value::Apply(Function::StripPrefix(b"/".to_vec()), Box::new(Value::Path)), "a"),
        (Value::First(vec![Value::Header("no".to_owned(), value::Join::First), Value::Method]), "GET"),
    ] {
        assert_eq!(shown(value.clone(), &request), expected, "{value:?}");
    }
}
