//! What is answered to each request: the page, its files, the signed document, or one sentence that says why not.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use conclave_federation::mux;
use http_body_util::Full;
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    body::Incoming,
    header::{self, HeaderName, HeaderValue},
    http::uri::Authority,
};

use super::{
    counts::{Counts, Kind},
    document::Document,
    site::{Page, Site, Variant},
    sockets::{Handshake, Sockets},
};

/// Where the signed document is (RFC 8615).
const WELL_KNOWN: &str = "/.well-known/conclave";

/// Nothing from anywhere else, nothing inline; WebAssembly is the page's own core.
pub(crate) const POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; worker-src 'self'; media-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'";

/// On every answer.
const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(self), microphone=(self), display-capture=(self), autoplay=(self)"),
    // Asked again each time, answered by 304 mostly: a page and a relay of different versions must not meet.
    (header::CACHE_CONTROL, "no-cache"),
];

/// Where a connection comes from, and whether it is served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Seat {
    /// Without TLS.
    pub(crate) plain: bool,
    /// Both ends are this machine.
    pub(crate) local: bool,
    /// All places are taken: it is told so and no more.
    pub(crate) busy: bool,
    /// The other end; never logged.
    pub(crate) remote: SocketAddr,
}

/// Everything that is served.
#[derive(Debug)]
pub(crate) struct Pages {
    pub(crate) site: Site,
    pub(crate) document: Mutex<Document>,
    pub(crate) sockets: Sockets,
    pub(crate) counts: Arc<Counts>,
}

type Answer = Response<Full<Bytes>>;

impl Pages {
    /// Answers one request; what comes after a WebSocket's handshake is spawned.
    pub(crate) fn answer(&self, request: &mut Request<Incoming>, seat: Seat, open: &Arc<super::Open>, unix_ms: u64) -> Answer {
        let kind = kind(request.uri().path());
        let mut answer = match refused(request, seat) {
            Some(refused) => refused,
            None => self.serve(kind, request, seat, open, unix_ms),
        };
        let headers = answer.headers_mut();
        for (name, value) in HEADERS {
            headers.insert(name, HeaderValue::from_static(value));
        }
        self.counts.on_request(kind, answer.status().as_u16());
        answer
    }

    fn serve(&self, kind: Kind, request: &mut Request<Incoming>, seat: Seat, open: &Arc<super::Open>, unix_ms: u64) -> Answer {
        let reads = request.method() == Method::GET || request.method() == Method::HEAD;
        let file = self.site.find(request.uri().path());
        match kind {
            Kind::WebSocket if request.method() == Method::GET => self.socket(request, seat, open),
            Kind::WebSocket => only("GET"),
            Kind::WellKnown | Kind::Page if !reads => only("GET, HEAD"),
            Kind::WellKnown => self.well_known(unix_ms),
            Kind::Page | Kind::File | Kind::Other => match file {
                Some(_) if !reads => only("GET, HEAD"),
                Some(page) => self::page(page, request.headers()),
                None if kind == Kind::Page && self.site.is_empty() => say(
                    StatusCode::NOT_FOUND,
                    "this relay serves no page: its operator can set web.root to the folder that `cargo xtask web` builds, and \
                     every other relay's page can join the same call",
                ),
                None => say(StatusCode::NOT_FOUND, "there is nothing here: check the address"),
            },
        }
    }

    fn well_known(&self, unix_ms: u64) -> Answer {
        // The lock guards a value that is whole whatever panicked meanwhile.
        let json = self.document.lock().unwrap_or_else(PoisonError::into_inner).json(unix_ms);
        let mut answer = Response::new(Full::new(json));
        let headers = answer.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        // It is public, and pages of other relays and sites may read it.
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        answer
    }

    fn socket(&self, request: &mut Request<Incoming>, seat: Seat, open: &Arc<super::Open>) -> Answer {
        let handshake = match Handshake::read(request.headers()) {
            Ok(handshake) => handshake,
            Err(wrong) => {
                let mut answer = say(wrong.status(), wrong.words());
                if wrong.status() == StatusCode::UPGRADE_REQUIRED {
                    let headers = answer.headers_mut();
                    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
                    headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
                }
                return answer;
            }
        };
        match self.sockets.begin(request, seat.remote, Arc::clone(open)) {
            Ok(()) => {
                let mut answer = Response::new(Full::default());
                *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
                let headers = answer.headers_mut();
                headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
                headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
                headers.insert(header::SEC_WEBSOCKET_ACCEPT, handshake.accept);
                headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(mux::SUBPROTOCOL));
                answer
            }
            Err(words) => busy(words),
        }
    }
}

fn kind(path: &str) -> Kind {
    match path {
        WELL_KNOWN => Kind::WellKnown,
        mux::PATH => Kind::WebSocket,
        _ if Site::is_index(path) => Kind::Page,
        _ if path.rsplit('/').next().is_some_and(|name| name.contains('.')) => Kind::File,
        _ => Kind::Other,
    }
}

/// Who is not served whatever they ask for.
fn refused<B>(request: &Request<B>, seat: Seat) -> Option<Answer> {
    if seat.busy {
        return Some(busy("this relay has all the connections that it can serve: try again in a moment"));
    }
    if !seat.plain {
        return None;
    }
    if !seat.local {
        return Some(say(
            StatusCode::BAD_REQUEST,
            "what crosses a network is encrypted here: use https:// in front of the address",
        ));
    }
    // A page of somebody else whose name was made to point here would pass as this machine's own.
    (!is_local_name(request)).then(|| {
        let words = "without encryption only this machine's own names are served: use http://127.0.0.1, or https:// and the name";
        say(StatusCode::FORBIDDEN, words)
    })
}

fn is_local_name<B>(request: &Request<B>) -> bool {
    let mut named = request.headers().get_all(header::HOST).iter();
    let host = match (named.next(), named.next()) {
        (Some(host), None) => host.to_str().ok().and_then(|host| host.parse::<Authority>().ok()),
        _ => None,
    };
    host.as_ref().is_some_and(is_local) && request.uri().authority().is_none_or(is_local)
}

fn is_local(authority: &Authority) -> bool {
    let host = authority.host();
    if authority.as_str().contains('@') {
        return false;
    }
    let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    match address.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        // RFC 6761 keeps the name and all below it for this machine.
        Err(_) => host.rsplit('.').next().is_some_and(|last| last.eq_ignore_ascii_case("localhost")),
    }
}

fn page(page: &Page, asked: &HeaderMap) -> Answer {
    let brotli = page.brotli.as_ref().filter(|_| accepts_brotli(asked));
    let Variant { body, etag } = brotli.unwrap_or(&page.plain);
    let known = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|tags| tags.to_str().ok());
    let is_known = known.flat_map(|tags| tags.split(',')).any(|tag| tag.trim().trim_start_matches("W/") == etag);
    let mut answer = Response::new(Full::new(if is_known { Bytes::new() } else { body.clone() }));
    if is_known {
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(page.kind));
    // Made of hexadecimal digits.
    if let Ok(etag) = HeaderValue::from_str(etag) {
        headers.insert(header::ETAG, etag);
    }
    if page.brotli.is_some() {
        headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    }
    if brotli.is_some() {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("br"));
    }
    answer
}

fn accepts_brotli(asked: &HeaderMap) -> bool {
    let codings = asked.get_all(header::ACCEPT_ENCODING).iter().filter_map(|codings| codings.to_str().ok());
    codings.flat_map(|codings| codings.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let is_brotli = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("br"));
        let is_refused = parts.any(|part| part.strip_prefix("q=").is_some_and(|weight| weight.parse() == Ok(0.0_f32)));
        is_brotli && !is_refused
    })
}

fn only(methods: &'static str) -> Answer {
    let mut answer = say(StatusCode::METHOD_NOT_ALLOWED, "this can only be read: use GET");
    answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static(methods));
    answer
}

fn busy(words: &'static str) -> Answer {
    let mut answer = say(StatusCode::SERVICE_UNAVAILABLE, words);
    let headers = answer.headers_mut();
    headers.insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    answer
}

fn say(status: StatusCode, words: &'static str) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(format!("{words}\n"))));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seat(plain: bool, local: bool) -> Seat {
        Seat { plain, local, busy: false, remote: SocketAddr::from(([192, 0, 2, 7], 1)) }
    }

    fn asking(uri: &str, hosts: &[&str]) -> Request<()> {
        let mut request = Request::builder().uri(uri);
        for host in hosts {
            request = request.header(header::HOST, *host);
        }
        request.body(()).unwrap()
    }

    fn status(request: &Request<()>, seat: Seat) -> Option<StatusCode> {
        refused(request, seat).map(|answer| answer.status())
    }

    #[test]
    fn without_encryption_only_this_machine_is_served() {
        let request = asking("/", &["127.0.0.1:4433"]);
        assert_eq!(status(&request, seat(true, false)), Some(StatusCode::BAD_REQUEST));
        assert_eq!(status(&request, seat(true, true)), None);
        assert_eq!(status(&asking("/", &["relay.example.org"]), seat(false, false)), None, "with encryption everybody is");
    }

    #[test]
    fn without_encryption_only_this_machines_names_are_served() {
        for right in
            ["127.0.0.1", "127.9.9.9:80", "localhost", "LOCALHOST:4433", "alder.localhost:1", "[::1]:4433", "[::ffff:127.0.0.1]"]
        {
            assert_eq!(status(&asking("/", &[right]), seat(true, true)), None, "{right}");
        }
        for wrong in [
            "relay.example.org",
            "127.0.0.1.example.org",
            "localhost.example.org",
            "notlocalhost",
            "192.0.2.7:80",
            "[2001:db8::1]:80",
            "user@localhost",
            "0.0.0.0",
            "",
        ] {
            assert_eq!(status(&asking("/", &[wrong]), seat(true, true)), Some(StatusCode::FORBIDDEN), "{wrong}");
        }
        assert_eq!(status(&asking("/", &[]), seat(true, true)), Some(StatusCode::FORBIDDEN), "no name at all");
        assert_eq!(
            status(&asking("/", &["localhost", "example.org"]), seat(true, true)),
            Some(StatusCode::FORBIDDEN),
            "two names"
        );
        let absolute = asking("http://example.org/", &["localhost"]);
        assert_eq!(status(&absolute, seat(true, true)), Some(StatusCode::FORBIDDEN), "a name in the address");
    }

    #[test]
    fn whoever_has_no_place_is_told_so_first() {
        let seat = Seat { busy: true, ..seat(true, false) };
        assert_eq!(status(&asking("/", &[]), seat), Some(StatusCode::SERVICE_UNAVAILABLE));
    }

    #[test]
    fn brotli_is_sent_to_those_who_say_that_they_read_it() {
        let asked = |codings: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, codings.parse().unwrap());
            accepts_brotli(&headers)
        };
        for right in ["br", "gzip, deflate, br, zstd", "BR", "br;q=0.5", "gzip;q=1.0, br;q=1"] {
            assert!(asked(right), "{right}");
        }
        for wrong in ["", "gzip", "brotli", "br;q=0", "br; q=0.0", "*"] {
            assert!(!asked(wrong), "{wrong}");
        }
    }

    #[test]
    fn what_is_known_is_not_sent_again() {
        let variant = |body: &'static [u8], etag: &str| Variant { body: Bytes::from_static(body), etag: etag.to_owned() };
        let file = Page { kind: "text/css", plain: variant(b"plain", "\"a\""), brotli: Some(variant(b"small", "\"b\"")) };
        let asked = |tags: &str, coding: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, tags.parse().unwrap());
            headers.insert(header::ACCEPT_ENCODING, coding.parse().unwrap());
            page(&file, &headers).status().as_u16()
        };
        assert_eq!(asked("\"a\"", "gzip"), 304);
        assert_eq!(asked("\"x\", W/\"a\"", "gzip"), 304);
        assert_eq!(asked("\"a\"", "br"), 200, "the other coding is another thing");
        assert_eq!(asked("\"b\"", "br"), 304);
        assert_eq!(asked("a", "gzip"), 200);
    }

    #[test]
    fn requests_are_told_apart_by_their_paths() {
        for (path, expected) in [
            ("/", Kind::Page),
            ("/r", Kind::Page),
            ("/index.html", Kind::Page),
            ("/page/main.js", Kind::File),
            ("/.well-known/conclave", Kind::WellKnown),
            ("/conclave/1", Kind::WebSocket),
            ("/conclave", Kind::Other),
        ] {
            assert_eq!(kind(path), expected, "{path}");
        }
    }
}
