//! The page at `/`, and what a browser may do with it: run the one script and the one style that are in it, and ask us.

use sha2::{Digest, Sha256};

/// The page and its policy, made once.
#[derive(Clone, Debug)]
pub(super) struct Page {
    /// `Content-Security-Policy`
    pub(super) policy: String,
}

impl Page {
    /// HTML.
    pub(super) const TEXT: &'static str = include_str!("page.html");

    /// With the policy for its script and its style, which are named by their hashes (CSP level 2, §4.2.6).
    pub(super) fn new() -> Self {
        let [script, style] = ["script", "style"].map(|tag| {
            let content = inside(Self::TEXT, tag).unwrap_or_default();
            base64(&Sha256::digest(content.as_bytes()))
        });
        Self {
            policy: format!(
                "default-src 'none'; script-src 'sha256-{script}'; style-src 'sha256-{style}'; connect-src 'self'; \
                 img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
            ),
        }
    }
}

/// What stands between the tags.
fn inside<'a>(page: &'a str, tag: &str) -> Option<&'a str> {
    let (_, rest) = page.split_once(&format!("<{tag}>"))?;
    rest.split_once(&format!("</{tag}>"))
        .map(|(content, _)| content)
}

/// RFC 4648 §4.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let word = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            let digit = DIGITS[(word >> (18 - 6 * at) & 63) as usize];
            text.push(if at <= chunk.len() { digit.into() } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn the_page_needs_nothing_that_the_policy_forbids() {
        let page = Page::TEXT;
        for tag in ["script", "style"] {
            assert!(inside(page, tag).is_some_and(|content| content.len() > 100));
            assert_eq!(page.matches(&format!("<{tag}")).count(), 1, "{tag}");
        }
        for forbidden in [
            " style=",
            " onclick=",
            " onload=",
            "src=",
            "http://",
            "https://",
            "@import",
        ] {
            assert!(!page.contains(forbidden), "{forbidden}");
        }
        assert!(Page::new().policy.contains("script-src 'sha256-"));
    }
}
