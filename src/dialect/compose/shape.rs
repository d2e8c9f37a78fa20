//! Which keys Compose knows, and what kinds of values they take.
//!
//! In: the project's map. Out: an error for each key or value that Compose's schema refuses. Invariant: the keys are all that the compose
//! specification's schema of compose-go 2.9.1 has; kinds are checked where this reader looks (measured with Compose 2.40.3).

use super::super::document::{NodeId, Ref};
use super::super::scalar::Scalar;
use super::load::Loader;

/// The keys of a service.
const SERVICE: &str = "annotations attach blkio_config build cap_add cap_drop cgroup cgroup_parent command configs container_name cpu_count \
    cpu_percent cpu_period cpu_quota cpu_rt_period cpu_rt_runtime cpu_shares cpus cpuset credential_spec depends_on deploy develop \
    device_cgroup_rules devices dns dns_opt dns_search domainname entrypoint env_file environment expose extends external_links \
    extra_hosts gpus group_add healthcheck hostname image init ipc isolation label_file labels links logging mac_address mem_limit \
    mem_reservation mem_swappiness memswap_limit models network_mode networks oom_kill_disable oom_score_adj pid pids_limit platform \
    ports post_start pre_stop privileged profiles provider pull_policy pull_refresh_after read_only restart runtime scale secrets \
    security_opt shm_size stdin_open stop_grace_period stop_signal storage_opt sysctls tmpfs tty ulimits use_api_socket user \
    userns_mode uts volumes volumes_from working_dir";

/// The keys of a compose file.
const TOP: &str = "configs include models name networks secrets services version volumes";

/// What a key of a service takes, and the items or entries of that: `T`ext, `N`umber, `B`ool, `L`ist, `M`ap, `0` for nothing; absent:
/// anything.
const KINDS: &[(&str, &str, &str)] = &[
    ("build", "TM", ""),
    ("command", "TL0", "T"),
    ("configs", "L", "TM"),
    ("container_name", "T", ""),
    ("depends_on", "LM", ""),
    ("deploy", "M0", ""),
    ("entrypoint", "TL0", "T"),
    ("env_file", "TL", "TM"),
    ("environment", "LM", "TNB0"),
    ("expose", "L", "TN"),
    ("extends", "TM", ""),
    ("healthcheck", "M", ""),
    ("image", "T", ""),
    ("label_file", "TL", "T"),
    ("labels", "LM", "TNB0"),
    ("network_mode", "T", ""),
    ("networks", "LM", "TM0"),
    ("ports", "L", "TNM"),
    ("privileged", "TB", ""),
    ("profiles", "L", "T"),
    ("secrets", "L", "TM"),
    ("tmpfs", "TL", "T"),
    ("volumes", "L", "TM"),
];

/// What people call the kinds.
const WORDS: &[(char, &str)] =
    &[('T', "a text"), ('N', "a number"), ('B', "`true` or `false`"), ('L', "a list"), ('M', "a map")];

/// Maps of the top whose entries are maps or nothing.
const RESOURCES: &[&str] = &["configs", "networks", "secrets", "volumes"];

impl Loader<'_> {
    /// Checks the top of a project.
    pub(super) fn check_top(&mut self, top: NodeId) {
        self.known(top, TOP);
        if self.entries(top).is_empty() && !self.sink.has_errors() {
            self.error_at(None, "the project is empty: it has no service".to_owned());
        }
        for key in RESOURCES {
            if let Some(all) = self.get(top, key) {
                self.takes(all, key, "M", "M0");
            }
        }
    }

    /// Checks a service.
    pub(super) fn check_service(&mut self, service: NodeId) {
        self.known(service, SERVICE);
        for (key, own, items) in KINDS {
            if let Some(value) = self.get(service, key) {
                self.takes(value, key, own, items);
            }
        }
    }

    /// Tells of keys that Compose doesn't know.
    fn known(&mut self, map: NodeId, known: &str) {
        for entry in self.entries(map) {
            if !entry.key.starts_with("x-") && !known.split_ascii_whitespace().any(|key| key == &*entry.key) {
                self.error(entry.key_place, &format!("Compose knows no key `{}` here", entry.key));
            }
        }
    }

    fn takes(&mut self, value: NodeId, key: &str, own: &str, items: &str) {
        if !own.contains(kind(self.at(value))) {
            self.error(self.place(value), &format!("`{key}` takes {}", words(own)));
        } else if !items.is_empty() {
            let node = self.at(value);
            let inside = node.items().chain(node.entries().map(|(_, value)| value));
            let wrong: Vec<NodeId> = inside.filter(|item| !items.contains(kind(*item))).map(|item| item.id).collect();
            for item in wrong {
                self.error(self.place(item), &format!("an entry of `{key}` is {}", words(items)));
            }
        }
    }
}

fn kind(node: Ref<'_>) -> char {
    match node.scalar() {
        Some(Scalar::Null) => '0',
        Some(Scalar::Bool(_)) => 'B',
        Some(Scalar::Int(_) | Scalar::Float(_)) => 'N',
        Some(Scalar::Text(_)) => 'T',
        None if node.is_list() => 'L',
        None => 'M',
    }
}

fn words(kinds: &str) -> String {
    let words: Vec<_> = WORDS.iter().filter(|(kind, _)| kinds.contains(*kind)).map(|(_, word)| *word).collect();
    words.join(" or ")
}
