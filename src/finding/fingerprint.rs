//! Names of findings that stay the same when lines move.
//!
//! In: findings in order. Out: a name for each. Invariant: made of the rule, the file, the text of the line and how many alike stand before it;
//! no two findings of a run have the same.

use std::collections::BTreeMap;

use super::Finding;

/// The names of some findings, in their order: 32 hexadecimal digits each.
pub fn fingerprints(findings: &[Finding]) -> Vec<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let names = findings.iter().map(|finding| {
        let name = format!("{}\0{}\0{}", finding.rule, finding.place.file.name, finding.context());
        let count = seen.entry(name.clone()).or_default();
        *count += 1;
        format!("{:032x}", hash(format!("{name}\0{count}").as_bytes()))
    });
    names.collect()
}

/// FNV-1a of 128 bits (RFC 9923): short, and the same in every version.
fn hash(bytes: &[u8]) -> u128 {
    const START: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    bytes.iter().fold(START, |hash, byte| (hash ^ u128::from(*byte)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_published_one() {
        assert_eq!(format!("{:032x}", hash(b"")), "6c62272e07bb014262b821756295c58d");
        assert_eq!(format!("{:032x}", hash(b"a")), "d228cb696f1a8caf78912b704e4a8964");
        assert_eq!(format!("{:032x}", hash(b"foobar")), "343e1662793c64bf6f0d3597ba446f18");
    }
}
