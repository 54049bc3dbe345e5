//! Sets of cores, as Linux writes them.

/// Reads a list, `0-3,8`; `None` where it is not one. The empty text is the empty list.
pub(super) fn parse_list(text: &str) -> Option<Vec<usize>> {
    let mut cores = Vec::new();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        if first > last || last > CORES_MAX {
            return None;
        }
        cores.extend(first..=last);
    }
    Some(cores)
}

/// Writes a list: `0-3,8`. The cores are in order.
pub(super) fn list(cores: &[usize]) -> String {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for core in cores {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == *core => *last = *core,
            _ => ranges.push((*core, *core)),
        }
    }
    let parts = ranges.iter().map(|(first, last)| {
        if first == last {
            first.to_string()
        } else {
            format!("{first}-{last}")
        }
    });
    parts.collect::<Vec<_>>().join(",")
}

/// Reads a mask, hexadecimal with the highest 32 cores first: `00000001,0000000f`.
pub(super) fn parse_mask(text: &str) -> Option<Vec<usize>> {
    let mut cores = Vec::new();
    for (word, digits) in text.split(',').rev().enumerate() {
        let bits = u32::from_str_radix(digits, 16).ok()?;
        let set = (0..32).filter(|bit| bits >> bit & 1 == 1);
        cores.extend(set.map(|bit| word * 32 + bit));
    }
    Some(cores)
}

/// Writes a mask as the kernel takes it.
pub(super) fn mask(cores: &[usize]) -> String {
    let highest = cores.iter().max().map_or(0, |core| core / 32);
    let mut words = vec![0u32; highest + 1];
    for core in cores {
        words[core / 32] |= 1 << (core % 32);
    }
    let mut text = String::new();
    for (at, word) in words.iter().rev().enumerate() {
        text += &if at == 0 {
            format!("{word:x}")
        } else {
            format!(",{word:08x}")
        };
    }
    text
}

/// Linux has no more than 8192 cores.
const CORES_MAX: usize = 8191;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lists_and_masks_are_those_of_linux() {
        assert_eq!(parse_list("0-2,5"), Some(vec![0, 1, 2, 5]));
        assert_eq!(parse_list(""), Some(vec![]));
        for wrong in ["a", "3-1", "0-99999999999", "1,-", "1-"] {
            assert_eq!(parse_list(wrong), None, "{wrong}");
        }
        assert_eq!(parse_mask("00000001,00000003"), Some(vec![0, 1, 32]));
        assert_eq!(mask(&[0, 1]), "3");
        assert_eq!(mask(&[0, 32]), "1,00000001");
        assert_eq!(mask(&[]), "0");
        assert_eq!(parse_mask("x"), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(cores in proptest::collection::btree_set(0usize..300, 0..40)) {
            let cores: Vec<_> = cores.into_iter().collect();
            prop_assert_eq!(parse_list(&list(&cores)), Some(cores.clone()));
            prop_assert_eq!(parse_mask(&mask(&cores)), Some(cores));
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in "\\PC*|[0-9a-f,-]{0,40}") {
            let _ = parse_list(&text);
            let _ = parse_mask(&text);
        }
    }
}
