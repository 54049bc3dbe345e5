use super::*;
use proptest::prelude::*;
use serde_json::json;

/// A node in trouble: what a screen has to show at a glance.
fn trouble() -> Value {
    let rates =
        json!({"received": 1_250_000.0, "answered": 31.4, "dropped": 0.0, "signed": 20_000.0});
    let worker = |place: usize| json!({"worker": place, "cpu": place, "rate": place, "received": place * 1000});
    json!({
        "program": "maser", "version": "0.1.0", "uptime": 300_000.0, "time": 1_795_438_964.9,
        "ready": {"ready": false, "why": "not synchronised: 2 falseticker"},
        "clock": {"synchronised": false, "why": "2 falseticker"},
        "sources": [
            {"name": "192.0.2.1", "host": "a.rather.long.name.of.a.server.example", "sign": "?", "state": "missing_samples",
             "activity": "offline", "reach": 0, "age": null, "offset": null, "root_distance": null},
            {"name": "192.0.2.2", "host": null, "sign": "x", "state": "falseticker", "activity": "online",
             "reach": 255, "age": 17.9, "offset": -0.25, "root_distance": 0.001},
        ],
        "requests": {
            "total": {"received": 1_234_567, "answered": 12, "signed": 4, "dropped": 3},
            "rates": {"1s": rates, "10s": rates, "60s": null},
            "outcomes": [
                {"outcome": "denied", "is_drop": true, "total": 1, "rate": 0.0},
                {"outcome": "answered", "is_drop": false, "total": 12, "rate": 1.0},
                {"outcome": "rate_limited", "is_drop": true, "total": 2, "rate": 9.96},
                {"outcome": "bad_mac", "is_drop": true, "total": 0, "rate": 0.0},
            ],
        },
        "workers": (0..64).map(worker).collect::<Vec<_>>(),
        "residence": {"count": 73, "mean": 1.5e-5, "p50": 12e-6, "p90": 4e-5, "p99": 1e-3, "p999": 0.012},
        "timestamp_error": {"count": 0, "mean": null, "p50": null, "p90": null, "p99": null, "p999": null},
        "warnings": [{"what": "not synchronised: 2 falseticker"}, {"what": "3 requests\u{1b}[2J were lost"}],
    })
}

#[test]
fn trouble_is_seen_first() {
    let text = screen(&trouble(), false);
    assert_eq!(text, include_str!("trouble.txt"));
    assert!(
        text.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );
    assert!(text.lines().count() <= 50);
}

#[test]
fn colours_change_nothing_else() {
    let coloured = screen(&trouble(), true);
    let plain = coloured.replace("\x1b[1;7;31m", "").replace("\x1b[0m", "");
    assert_eq!(plain, screen(&trouble(), false));
}

#[test]
fn a_status_without_anything_is_still_a_screen() {
    assert!(screen(&json!({}), false).contains("NOT READY"));
}

#[test]
fn counts_and_rates() {
    assert_eq!(
        [0, 999, 1000, 1_234_567].map(grouped),
        ["0", "999", "1,000", "1,234,567"]
    );
    let rates = [0.0, 9.94, 9.96, 9999.4, 9999.6, 1e6].map(|value| rate(&json!(value)));
    assert_eq!(rates, ["0.0", "9.9", "10", "9999", "10.0k", "1.00M"]);
    assert_eq!(duration(300_000.0), "3d 11:20:00");
}

proptest! {
    #[test]
    fn grouping_only_adds_commas(count: u64) {
        prop_assert_eq!(grouped(count).replace(',', "").parse(), Ok(count));
    }

    #[test]
    fn no_text_of_a_node_reaches_the_terminal_as_an_order(text in "\\PC*|[\\x00-\\x1f]*") {
        prop_assert!(!words(&json!(text)).contains(char::is_control));
    }
}
