//! A browser's part, byte by byte: TLS that trusts our authority, a chosen address, a cookie, and headers as they are given.
//!
//! Keeps to no rule that an attacker would not keep to.

use std::{net::SocketAddr, pin::Pin};

use openssl::{
    ssl::{SslConnector, SslMethod, SslVerifyMode, SslVersion},
    x509::X509,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};
use tokio_openssl::SslStream;

use super::{Bench, in_time};

/// What came back.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

/// One browser.
#[derive(Clone)]
pub(crate) struct Browser {
    pub(crate) address: SocketAddr,
    pub(crate) from: [u8; 4],
    pub(crate) cookie: Option<String>,
    pub(crate) token: Option<String>,
    connector: SslConnector,
}

impl Browser {
    pub(crate) fn new(bench: &Bench, from: [u8; 4]) -> Self {
        let mut builder = SslConnector::builder(SslMethod::tls_client()).expect("OpenSSL");
        let authority = X509::from_pem(bench.authority.certificate().as_bytes()).expect("a certificate");
        builder.cert_store_mut().add_cert(authority).expect("one more");
        Self { address: bench.address, from, cookie: None, token: None, connector: builder.build() }
    }

    /// Speaks nothing newer than TLS 1.1.
    pub(crate) fn only_tls_1_1(&mut self) {
        let mut builder = SslConnector::builder(SslMethod::tls_client()).expect("OpenSSL");
        builder.set_verify(SslVerifyMode::NONE);
        builder.set_max_proto_version(Some(SslVersion::TLS1_1)).expect("an old version");
        self.connector = builder.build();
    }

    /// A TCP connection from the browser's address.
    pub(crate) async fn connect(&self) -> TcpStream {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(SocketAddr::from((self.from, 0))).expect("loopback is ours");
        socket.connect(self.address).await.expect("the console listens")
    }

    /// The same, with TLS; fails if the certificate is not for `localhost`.
    pub(crate) async fn secure(&self) -> Result<SslStream<TcpStream>, openssl::ssl::Error> {
        let ssl = self.connector.configure().expect("OpenSSL").into_ssl("localhost").expect("a name");
        let mut stream = SslStream::new(ssl, self.connect().await).expect("a stream");
        Pin::new(&mut stream).connect().await?;
        Ok(stream)
    }

    /// Sends `request` as it is and reads until the other end closes.
    pub(crate) async fn raw(&self, request: &[u8]) -> Response {
        let mut stream = in_time(self.secure()).await.expect("TLS");
        // The console may answer and close before it has read everything.
        let _ = stream.write_all(request).await;
        let mut bytes = Vec::new();
        let _ = in_time(stream.read_to_end(&mut bytes)).await;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Response { status, head: head.to_owned(), body: body.to_owned() }
    }

    fn host(&self) -> String {
        format!("localhost:{}", self.address.port())
    }

    /// One request with these headers beside host, cookie and length.
    pub(crate) async fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Response {
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.host());
        if let Some(cookie) = &self.cookie {
            request += &format!("Cookie: {cookie}\r\n");
        }
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        request += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
        self.raw(request.as_bytes()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.request("GET", path, &[("Sec-Fetch-Site", "same-origin")], "").await
    }

    /// As our own page posts.
    pub(crate) async fn post(&self, path: &str, body: &str) -> Response {
        let origin = format!("https://{}", self.host());
        let mut headers =
            vec![("Origin", origin.as_str()), ("Content-Type", "application/json"), ("Sec-Fetch-Site", "same-origin")];
        if let Some(token) = &self.token {
            headers.push(("X-Examgate-Token", token));
        }
        self.request("POST", path, &headers, body).await
    }

    /// Signs in, and keeps cookie and token where that works.
    pub(crate) async fn sign_in(&mut self, code: &str, pin: &str) -> Response {
        let body = serde_json::json!({ "code": code, "pin": pin }).to_string();
        let answer = self.post("/api/sign-in", &body).await;
        if let Some(cookie) = answer.header("set-cookie") {
            self.cookie = cookie.split(';').next().map(str::to_owned);
            let said: serde_json::Value = serde_json::from_str(&answer.body).expect("JSON");
            self.token = said["token"].as_str().map(str::to_owned);
        }
        answer
    }
}
