//! The traditional scheme of `crypt`: DES, disturbed by the salt, 25 times over.
//!
//! In: a password and the hash whose salt is taken. Out: the hash. Invariant: bit 1 is the first, as in FIPS 46-3, from which the tables
//! are; only the first eight characters of a password count, and their low seven bits.

use super::DIGITS;

const INITIAL: [u8; 64] = [
    58, 50, 42, 34, 26, 18, 10, 2, 60, 52, 44, 36, 28, 20, 12, 4, 62, 54, 46, 38, 30, 22, 14, 6, 64, 56, 48, 40, 32,
    24, 16, 8, 57, 49, 41, 33, 25, 17, 9, 1, 59, 51, 43, 35, 27, 19, 11, 3, 61, 53, 45, 37, 29, 21, 13, 5, 63, 55, 47,
    39, 31, 23, 15, 7,
];
const FINAL: [u8; 64] = [
    40, 8, 48, 16, 56, 24, 64, 32, 39, 7, 47, 15, 55, 23, 63, 31, 38, 6, 46, 14, 54, 22, 62, 30, 37, 5, 45, 13, 53, 21,
    61, 29, 36, 4, 44, 12, 52, 20, 60, 28, 35, 3, 43, 11, 51, 19, 59, 27, 34, 2, 42, 10, 50, 18, 58, 26, 33, 1, 41, 9,
    49, 17, 57, 25,
];
const KEY: [u8; 56] = [
    57, 49, 41, 33, 25, 17, 9, 1, 58, 50, 42, 34, 26, 18, 10, 2, 59, 51, 43, 35, 27, 19, 11, 3, 60, 52, 44, 36, 63, 55,
    47, 39, 31, 23, 15, 7, 62, 54, 46, 38, 30, 22, 14, 6, 61, 53, 45, 37, 29, 21, 13, 5, 28, 20, 12, 4,
];
const ROUND_KEY: [u8; 48] = [
    14, 17, 11, 24, 1, 5, 3, 28, 15, 6, 21, 10, 23, 19, 12, 4, 26, 8, 16, 7, 27, 20, 13, 2, 41, 52, 31, 37, 47, 55, 30,
    40, 51, 45, 33, 48, 44, 49, 39, 56, 34, 53, 46, 42, 50, 36, 29, 32,
];
const EXPAND: [u8; 48] = [
    32, 1, 2, 3, 4, 5, 4, 5, 6, 7, 8, 9, 8, 9, 10, 11, 12, 13, 12, 13, 14, 15, 16, 17, 16, 17, 18, 19, 20, 21, 20, 21,
    22, 23, 24, 25, 24, 25, 26, 27, 28, 29, 28, 29, 30, 31, 32, 1,
];
const PERMUTE: [u8; 32] = [
    16, 7, 20, 21, 29, 12, 28, 17, 1, 15, 23, 26, 5, 18, 31, 10, 2, 8, 24, 14, 32, 27, 3, 9, 19, 13, 30, 6, 22, 11, 4,
    25,
];
const SHIFTS: [u8; 16] = [1, 1, 2, 2, 2, 2, 2, 2, 1, 2, 2, 2, 2, 2, 2, 1];
const BOXES: [[u8; 64]; 8] = [
    [
        14, 4, 13, 1, 2, 15, 11, 8, 3, 10, 6, 12, 5, 9, 0, 7, 0, 15, 7, 4, 14, 2, 13, 1, 10, 6, 12, 11, 9, 5, 3, 8, 4,
        1, 14, 8, 13, 6, 2, 11, 15, 12, 9, 7, 3, 10, 5, 0, 15, 12, 8, 2, 4, 9, 1, 7, 5, 11, 3, 14, 10, 0, 6, 13,
    ],
    [
        15, 1, 8, 14, 6, 11, 3, 4, 9, 7, 2, 13, 12, 0, 5, 10, 3, 13, 4, 7, 15, 2, 8, 14, 12, 0, 1, 10, 6, 9, 11, 5, 0,
        14, 7, 11, 10, 4, 13, 1, 5, 8, 12, 6, 9, 3, 2, 15, 13, 8, 10, 1, 3, 15, 4, 2, 11, 6, 7, 12, 0, 5, 14, 9,
    ],
    [
        10, 0, 9, 14, 6, 3, 15, 5, 1, 13, 12, 7, 11, 4, 2, 8, 13, 7, 0, 9, 3, 4, 6, 10, 2, 8, 5, 14, 12, 11, 15, 1, 13,
        6, 4, 9, 8, 15, 3, 0, 11, 1, 2, 12, 5, 10, 14, 7, 1, 10, 13, 0, 6, 9, 8, 7, 4, 15, 14, 3, 11, 5, 2, 12,
    ],
    [
        7, 13, 14, 3, 0, 6, 9, 10, 1, 2, 8, 5, 11, 12, 4, 15, 13, 8, 11, 5, 6, 15, 0, 3, 4, 7, 2, 12, 1, 10, 14, 9, 10,
        6, 9, 0, 12, 11, 7, 13, 15, 1, 3, 14, 5, 2, 8, 4, 3, 15, 0, 6, 10, 1, 13, 8, 9, 4, 5, 11, 12, 7, 2, 14,
    ],
    [
        2, 12, 4, 1, 7, 10, 11, 6, 8, 5, 3, 15, 13, 0, 14, 9, 14, 11, 2, 12, 4, 7, 13, 1, 5, 0, 15, 10, 3, 9, 8, 6, 4,
        2, 1, 11, 10, 13, 7, 8, 15, 9, 12, 5, 6, 3, 0, 14, 11, 8, 12, 7, 1, 14, 2, 13, 6, 15, 0, 9, 10, 4, 5, 3,
    ],
    [
        12, 1, 10, 15, 9, 2, 6, 8, 0, 13, 3, 4, 14, 7, 5, 11, 10, 15, 4, 2, 7, 12, 9, 5, 6, 1, 13, 14, 0, 11, 3, 8, 9,
        14, 15, 5, 2, 8, 12, 3, 7, 0, 4, 10, 1, 13, 11, 6, 4, 3, 2, 12, 9, 5, 15, 10, 11, 14, 1, 7, 6, 0, 8, 13,
    ],
    [
        4, 11, 2, 14, 15, 0, 8, 13, 3, 12, 9, 7, 5, 10, 6, 1, 13, 0, 11, 7, 4, 9, 1, 10, 14, 3, 5, 12, 2, 15, 8, 6, 1,
        4, 11, 13, 12, 3, 7, 14, 10, 15, 6, 8, 0, 5, 9, 2, 6, 11, 13, 8, 1, 4, 10, 7, 9, 5, 0, 15, 14, 2, 3, 12,
    ],
    [
        13, 2, 8, 4, 6, 15, 11, 1, 10, 9, 3, 14, 5, 0, 12, 7, 1, 15, 13, 8, 10, 3, 7, 4, 12, 5, 6, 11, 0, 14, 9, 2, 7,
        11, 4, 1, 9, 12, 14, 2, 0, 6, 10, 13, 15, 3, 5, 8, 2, 1, 14, 7, 4, 10, 8, 13, 15, 12, 9, 0, 3, 5, 6, 11,
    ],
];

/// What the scheme makes of a password with the salt of this hash; nothing if that is none of its hashes.
pub(super) fn crypt(password: &[u8], hash: &str) -> Option<String> {
    let digits: Vec<usize> =
        hash.bytes().map(|byte| DIGITS.iter().position(|&digit| digit == byte)).collect::<Option<_>>()?;
    let &[first, second, _, _, _, _, _, _, _, _, _, _, _] = digits.as_slice() else { return None };
    let mut expand = EXPAND;
    for bit in (0..12).filter(|bit| (first | second << 6) >> bit & 1 == 1) {
        expand.swap(bit, bit + 24);
    }
    let keys = round_keys(password);
    let mut block = [false; 64];
    for _ in 0..25 {
        block = encrypt(&block, &keys, &expand);
    }
    let mut text = hash[..2].to_owned();
    for six in 0..11 {
        let digit = (0..6).fold(0, |digit, bit| digit << 1 | usize::from(block.get(six * 6 + bit) == Some(&true)));
        text.push(char::from(DIGITS[digit]));
    }
    Some(text)
}

/// The bits that these places hold.
fn pick<const N: usize>(bits: &[bool], places: &[u8; N]) -> [bool; N] {
    places.map(|place| bits[usize::from(place) - 1])
}

fn round_keys(password: &[u8]) -> [[bool; 48]; 16] {
    let mut key = [false; 64];
    for (at, byte) in password.iter().take(8).enumerate() {
        for bit in 0..7 {
            key[at * 8 + bit] = byte >> (6 - bit) & 1 == 1;
        }
    }
    let mut halves: [bool; 56] = pick(&key, &KEY);
    SHIFTS.map(|shift| {
        halves[..28].rotate_left(usize::from(shift));
        halves[28..].rotate_left(usize::from(shift));
        pick(&halves, &ROUND_KEY)
    })
}

fn encrypt(block: &[bool; 64], keys: &[[bool; 48]; 16], expand: &[u8; 48]) -> [bool; 64] {
    let start: [bool; 64] = pick(block, &INITIAL);
    let (mut left, mut right) = (start[..32].to_vec(), start[32..].to_vec());
    for key in keys {
        let wide: [bool; 48] = pick(&right, expand);
        let mut mixed = Vec::with_capacity(32);
        for (six, table) in BOXES.iter().enumerate() {
            let bit = |at: usize| usize::from(wide[six * 6 + at] ^ key[six * 6 + at]);
            let row = bit(0) << 1 | bit(5);
            let column = (1..5).fold(0, |column, at| column << 1 | bit(at));
            let four = table[row << 4 | column];
            mixed.extend((0..4).map(|at| four >> (3 - at) & 1 == 1));
        }
        let mixed: [bool; 32] = pick(&mixed, &PERMUTE);
        let next = left.iter().zip(mixed).map(|(left, mixed)| left ^ mixed).collect();
        left = std::mem::replace(&mut right, next);
    }
    pick(&[right, left].concat(), &FINAL)
}
