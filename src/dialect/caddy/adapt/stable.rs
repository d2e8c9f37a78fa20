//! Go's stable sort, for comparisons that aren't an order: what Caddy makes of those depends on how it sorts.
//!
//! In: a slice and "comes before". Out: the slice in the order that Go's `sort.SliceStable` gives. Invariant: any comparison will do.

/// The length of the runs that are sorted one by one before they are merged (Go 1.26, sort/zsortfunc.go).
const RUN: usize = 20;

/// Sorts.
pub fn stable<T>(data: &mut [T], less: impl Fn(&T, &T) -> bool) {
    let mut run = RUN;
    for chunk in data.chunks_mut(run) {
        for at in 1..chunk.len() {
            let mut down = at;
            while down > 0 && less(&chunk[down], &chunk[down - 1]) {
                chunk.swap(down, down - 1);
                down -= 1;
            }
        }
    }
    while run < data.len() {
        for pair in data.chunks_mut(2 * run) {
            if pair.len() > run {
                merge(pair, run, &less);
            }
        }
        run *= 2;
    }
}

/// Merges two sorted parts in place. It calls itself on halves, so it is as deep as the logarithm of the length.
fn merge<T>(data: &mut [T], middle: usize, less: &impl Fn(&T, &T) -> bool) {
    let length = data.len();
    if middle == 0 || middle == length {
        return;
    }
    if middle == 1 {
        let (mut low, mut high) = (1, length);
        while low < high {
            let at = low + (high - low) / 2;
            if less(&data[at], &data[0]) { low = at + 1 } else { high = at }
        }
        data[..low].rotate_left(1);
        return;
    }
    if length - middle == 1 {
        let (mut low, mut high) = (0, middle);
        while low < high {
            let at = low + (high - low) / 2;
            if less(&data[middle], &data[at]) { high = at } else { low = at + 1 }
        }
        data[low..].rotate_right(1);
        return;
    }
    let half = length / 2;
    let sum = half + middle;
    let (mut low, mut high) = if middle > half { (sum - length, half) } else { (0, middle) };
    let last = sum - 1;
    while low < high {
        let at = low + (high - low) / 2;
        if less(&data[last - at], &data[at]) { high = at } else { low = at + 1 }
    }
    let end = sum - low;
    if low < middle && middle < end {
        data[low..end].rotate_left(middle - low);
    }
    let (left, right) = data.split_at_mut(half);
    if low > 0 && low < half {
        merge(left, low, less);
    }
    if end > half && end < length {
        merge(right, end - half, less);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_kept_stable() {
        let mut data: Vec<(u32, u32)> = (0..1000).map(|at| (at * 7919 % 13, at)).collect();
        let mut expected = data.clone();
        expected.sort();
        stable(&mut data, |one, two| one.0 < two.0);
        assert_eq!(data, expected);
    }
}
