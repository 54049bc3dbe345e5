//! How many lines one place in the program may write: whatever goes on, the log stays readable and the disk free.

use std::collections::BTreeMap;

/// A place in the program: file and line.
pub(super) type Site = (&'static str, u32);

/// Lines of each place, in windows of time.
#[derive(Debug, Default)]
pub(super) struct Limit {
    windows: BTreeMap<Site, Window>,
}

#[derive(Debug, Default)]
struct Window {
    began_ns: u64,
    lines: u32,
    left_out: LeftOut,
}

/// Lines of one place that were not written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LeftOut {
    pub(super) count: u64,
    /// The last of them.
    pub(super) last: String,
}

impl Limit {
    /// Whether a line of a place may be written at a moment of a clock that never steps.
    pub(super) fn admits(&mut self, site: Site, text: &str, now_ns: u64) -> bool {
        let window = self.windows.entry(site).or_insert_with(|| Window {
            began_ns: now_ns,
            ..Window::default()
        });
        if window.is_over(now_ns) && window.left_out.count == 0 {
            (window.began_ns, window.lines) = (now_ns, 0);
        }
        if window.lines < LINES {
            window.lines += 1;
            return true;
        }
        window.left_out.count += 1;
        text.clone_into(&mut window.left_out.last);
        false
    }

    /// What was left out in windows that are over; each is told once.
    pub(super) fn over(&mut self, now_ns: u64) -> Vec<LeftOut> {
        let over = |window: &&mut Window| window.is_over(now_ns) && window.left_out.count > 0;
        let told = self.windows.values_mut().filter(over).map(|window| {
            (window.began_ns, window.lines) = (now_ns, 1);
            std::mem::take(&mut window.left_out)
        });
        told.collect()
    }
}

impl Window {
    const fn is_over(&self, now_ns: u64) -> bool {
        now_ns.saturating_sub(self.began_ns) >= WINDOW_NS
    }
}

/// Lines in a window, at most.
const LINES: u32 = 10;
const WINDOW_NS: u64 = 60_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Site = ("here.rs", 1);
    const THERE: Site = ("here.rs", 2);
    const SECOND_NS: u64 = 1_000_000_000;

    #[test]
    fn ten_lines_a_minute_and_what_is_left_out_is_told() {
        let mut limit = Limit::default();
        let written = |limit: &mut Limit, seconds: u64| {
            let text = format!("at {seconds}");
            limit.admits(HERE, &text, seconds * SECOND_NS)
        };
        let first = (0..50).filter(|second| written(&mut limit, *second));
        assert_eq!(first.count(), 10);
        assert!(limit.admits(THERE, "another", 49 * SECOND_NS));
        assert_eq!(limit.over(59 * SECOND_NS), []);
        let left_out = LeftOut {
            count: 40,
            last: "at 49".to_owned(),
        };
        assert_eq!(limit.over(60 * SECOND_NS), [left_out]);
        assert_eq!(limit.over(300 * SECOND_NS), []);
        let later = (300..400).filter(|second| written(&mut limit, *second));
        assert_eq!(
            later.count(),
            10,
            "a flood that goes on waits for its telling"
        );
        assert_eq!(limit.over(400 * SECOND_NS)[0].count, 90);
    }

    #[test]
    fn who_writes_seldom_is_never_left_out() {
        let mut limit = Limit::default();
        let all = (0..1000).filter(|n| limit.admits(HERE, "now and then", n * 7 * SECOND_NS));
        assert_eq!(all.count(), 1000);
    }
}
