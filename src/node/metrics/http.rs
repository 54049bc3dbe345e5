//! As much of HTTP/1.0 and 1.1 (RFC 9112) as a scraper, a browser and a health check need: a request's head is read,
//! a reply is written, and the connection ends. No body, no header of the request means anything to us. Pure.

use std::fmt::Write as _;

/// Bytes of a request's head at most.
pub const REQUEST_LEN_MAX: usize = 8192;

/// What has come so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading<'a> {
    /// The head is not whole yet.
    Partial,
    /// It is whole.
    Whole(Request<'a>),
    /// It is none that we answer otherwise than with this.
    Refused(Status),
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// `HEAD`: the reply has no body.
    pub is_head: bool,
    /// From its `/`, without what follows a `?`.
    pub path: &'a str,
}

/// Reads what has come on a connection since it began.
pub fn read(bytes: &[u8]) -> Reading<'_> {
    if bytes.first().is_some_and(|byte| !byte.is_ascii_uppercase()) {
        return Reading::Refused(Status::BadRequest); // TLS, or worse.
    }
    let Some(head) = head_of(bytes) else {
        return if bytes.len() < REQUEST_LEN_MAX {
            Reading::Partial
        } else {
            Reading::Refused(Status::TooLarge)
        };
    };
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or(head);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    request(line).map_or_else(Reading::Refused, Reading::Whole)
}

/// All before the first empty line, if that has come.
fn head_of(bytes: &[u8]) -> Option<&[u8]> {
    let bytes = &bytes[..bytes.len().min(REQUEST_LEN_MAX)];
    let mut start = 0;
    while let Some(len) = bytes[start..].iter().position(|byte| *byte == b'\n') {
        let line = &bytes[start..start + len];
        if start > 0 && matches!(line, b"" | b"\r") {
            return Some(&bytes[..start]);
        }
        start += len + 1;
    }
    None
}

fn request(line: &[u8]) -> Result<Request<'_>, Status> {
    let line = core::str::from_utf8(line).map_err(|_| Status::BadRequest)?;
    let mut words = line.split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Status::BadRequest);
    };
    if !version.starts_with("HTTP/1.") || version.len() != 8 {
        return Err(Status::BadRequest);
    }
    let path = target.split('?').next().unwrap_or(target);
    if !path.starts_with('/') || !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Status::BadRequest);
    }
    let is_head = match method {
        "GET" => false,
        "HEAD" => true,
        _ => return Err(Status::BadMethod),
    };
    Ok(Request { is_head, path })
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// 200
    Good,
    /// 400
    BadRequest,
    /// 404
    NotFound,
    /// 405
    BadMethod,
    /// 431
    TooLarge,
    /// 503
    Unavailable,
}

impl Status {
    /// Every one of them.
    pub const ALL: [Self; 6] = [
        Self::Good,
        Self::BadRequest,
        Self::NotFound,
        Self::BadMethod,
        Self::TooLarge,
        Self::Unavailable,
    ];

    /// The number.
    pub const fn code(self) -> u16 {
        match self {
            Self::Good => 200,
            Self::BadRequest => 400,
            Self::NotFound => 404,
            Self::BadMethod => 405,
            Self::TooLarge => 431,
            Self::Unavailable => 503,
        }
    }

    /// The words after the number.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Good => "OK",
            Self::BadRequest => "Bad Request",
            Self::NotFound => "Not Found",
            Self::BadMethod => "Method Not Allowed",
            Self::TooLarge => "Request Header Fields Too Large",
            Self::Unavailable => "Service Unavailable",
        }
    }
}

/// A reply before it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// What became of the request.
    pub status: Status,
    /// `Content-Type`
    pub content_type: &'static str,
    /// `Content-Security-Policy`, where there is anything that a browser runs.
    pub policy: Option<String>,
    /// What follows the head.
    pub body: String,
}

impl Response {
    /// A line of text.
    pub fn line(status: Status, line: impl Into<String>) -> Self {
        let mut body = line.into();
        body.push('\n');
        Self {
            status,
            content_type: TEXT,
            policy: None,
            body,
        }
    }

    /// The bytes of it; of a reply to `HEAD` all but the body.
    pub fn emit(&self, is_head: bool) -> Vec<u8> {
        let (code, reason) = (self.status.code(), self.status.reason());
        let policy = self.policy.as_deref().unwrap_or("default-src 'none'");
        let mut text = format!(
            "HTTP/1.0 {code} {reason}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\
             Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n\
             Content-Security-Policy: {policy}\r\n",
            self.content_type,
            self.body.len(),
        );
        let more = match self.status {
            Status::BadMethod => "Allow: GET, HEAD\r\n\r\n",
            Status::Unavailable => "Retry-After: 1\r\n\r\n",
            _ => "\r\n",
        };
        // Writing to a string cannot fail.
        let _ = text.write_str(more);
        if !is_head {
            text.push_str(&self.body);
        }
        text.into_bytes()
    }
}

/// Plain text.
pub const TEXT: &str = "text/plain; charset=utf-8";

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(bytes: &[u8]) -> u16 {
        match read(bytes) {
            Reading::Refused(status) => status.code(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_curl_and_browsers_send_is_read() {
        let text = b"GET /metrics?x=1 HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n";
        let whole = Request {
            is_head: false,
            path: "/metrics",
        };
        assert_eq!(read(text), Reading::Whole(whole));
        assert_eq!(read(&text[..text.len() - 2]), Reading::Partial);
        assert_eq!(read(b""), Reading::Partial);
        let head = Request {
            is_head: true,
            path: "/",
        };
        assert_eq!(read(b"HEAD / HTTP/1.0\n\n"), Reading::Whole(head));
    }

    #[test]
    fn all_else_is_refused() {
        assert_eq!(refused(b"\x16\x03\x01"), 400);
        assert_eq!(refused(b"GET /\r\n\r\n"), 400);
        assert_eq!(refused(b"GET http://a/ HTTP/1.1\r\n\r\n"), 400);
        assert_eq!(refused(b"GET /\xff HTTP/1.1\r\n\r\n"), 400);
        assert_eq!(refused(b"GET / HTTP/2.0\r\n\r\n"), 400);
        assert_eq!(refused(b"GET / x HTTP/1.1\r\n\r\n"), 400);
        assert_eq!(refused(b"POST / HTTP/1.1\r\n\r\n"), 405);
        assert_eq!(refused(&[b'A'; REQUEST_LEN_MAX]), 431);
        assert_eq!(read(&[b'A'; REQUEST_LEN_MAX - 1]), Reading::Partial);
    }

    #[test]
    fn a_reply_says_its_length_and_is_never_cached() {
        let response = Response::line(Status::BadMethod, "no");
        let text = String::from_utf8(response.emit(false)).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert_eq!(body, "no\n");
        for line in [
            "HTTP/1.0 405 Method Not Allowed",
            "Content-Length: 3",
            "Allow: GET, HEAD",
            "Cache-Control: no-store",
            "X-Content-Type-Options: nosniff",
            "Content-Security-Policy: default-src 'none'",
        ] {
            assert!(head.lines().any(|found| found == line), "{line}: {head}");
        }
        let head_only = response.emit(true);
        assert_eq!(head_only, text.as_bytes()[..text.len() - 3]);
    }
}
