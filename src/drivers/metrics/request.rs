//! One request's head, and what is answered to it: bytes to bytes, so that it is tested without a network.

/// Longest head that is read, in bytes. Prometheus sends some 300.
pub const MAX_HEAD: usize = 8 << 10;
/// Most header lines.
const MAX_HEADERS: usize = 64;
const PATH: &str = "/metrics";

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    pub content: Content,
    /// Whether it is for the page.
    pub is_good: Result<(), Refusal>,
}

/// Whether the answer's content is wanted: to HEAD it is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    Wanted,
    Unwanted,
}

/// Why there is no page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Not HTTP/1.
    Malformed,
    NotFound,
    MethodNotAllowed,
    TooLarge,
    /// The doors have more important things to do, or the daemon stops.
    Unavailable,
}

/// Reads a head; `None`: it goes on.
pub fn read(bytes: &[u8]) -> Option<Request> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    let refused = |why| Some(Request { content: Content::Wanted, is_good: Err(why) });
    match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(_)) => Some(judge(parsed.method, parsed.path)),
        Ok(httparse::Status::Partial) if bytes.len() < MAX_HEAD => None,
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => refused(Refusal::TooLarge),
        Err(_) => refused(Refusal::Malformed),
    }
}

fn judge(method: Option<&str>, target: Option<&str>) -> Request {
    let path = target.and_then(|target| target.split('?').next());
    let content = if method == Some("HEAD") { Content::Unwanted } else { Content::Wanted };
    let is_good = match (path, method) {
        (Some(PATH), Some("GET" | "HEAD")) => Ok(()),
        (Some(PATH), _) => Err(Refusal::MethodNotAllowed),
        _ => Err(Refusal::NotFound),
    };
    Request { content, is_good }
}

/// The answer: the page, or why there is none.
pub fn answer(content: Content, page: Result<&str, Refusal>) -> Vec<u8> {
    const SENTENCE: &str = "Content-Type: text/plain; charset=utf-8";
    let (status, header, text) = match page {
        Ok(page) => ("200 OK", "Content-Type: text/plain; version=0.0.4; charset=utf-8", page),
        Err(Refusal::Malformed) => ("400 Bad Request", SENTENCE, "this speaks HTTP/1.1\n"),
        Err(Refusal::NotFound) => ("404 Not Found", SENTENCE, "the metrics are at /metrics\n"),
        Err(Refusal::MethodNotAllowed) => (
            "405 Method Not Allowed",
            "Content-Type: text/plain; charset=utf-8\r\nAllow: GET, HEAD",
            "the metrics can only be read\n",
        ),
        Err(Refusal::TooLarge) => {
            ("431 Request Header Fields Too Large", SENTENCE, "a request's head has at most 8 KiB\n")
        }
        Err(Refusal::Unavailable) => {
            ("503 Service Unavailable", SENTENCE, "the door loop did not answer in time\n")
        }
    };
    let length = text.len();
    let head =
        format!("HTTP/1.1 {status}\r\n{header}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    let text = if content == Content::Unwanted { "" } else { text };
    [head.as_bytes(), text.as_bytes()].concat()
}
