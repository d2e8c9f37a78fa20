//! Stopping lets streams end.

use std::time::{Duration, Instant};

use llmguard::policy::plan::Proxy;
use llmguard::prove::wire::End;
use rustix::process::{Pid, Signal, kill_process};

use crate::rig::{Rig, Words as _, chat};

pub fn cases(rig: Rig<'_>) {
    let signal = if rig.proxy() == Proxy::Nginx { Signal::QUIT } else { Signal::TERM };
    let pid = Pid::from_raw(i32::try_from(rig.engine.pid()).unwrap()).unwrap();
    std::thread::scope(|threads| {
        let stream = threads.spawn(|| rig.ask(&chat().script("stream:8:500")));
        std::thread::sleep(Duration::from_millis(900));
        kill_process(pid, signal).unwrap();
        let got = stream.join().unwrap();
        rig.check(
            "a stream while stopping",
            got.end == End::Complete && got.chunks.len() == 8,
            (&got.end, &got.chunks),
        );
    });
    let ended = Instant::now();
    let Rig { engine, .. } = rig;
    let status = engine.stop();
    assert!(status.is_some_and(|status| status.success()), "it ended with {status:?} after {:?}", ended.elapsed());
}
