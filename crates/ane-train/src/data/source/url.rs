//! Files below a public URL.

use std::io::Read;
use std::time::Duration;

use ureq::{Agent, Proxy};

use super::{Accept, Errand, SourceError};
use crate::data::catalog::FileSpec;
use crate::data::event::FetchEvent;
use crate::data::gzip;

/// Longest time to resolve a name, and again to connect: whoever has no way out should reach the
/// next source quickly.
const CONNECT: Duration = Duration::from_secs(3);
/// Longest silence of a server.
const SILENCE: Duration = Duration::from_secs(20);
/// Longest time for one file, however slowly it trickles.
const WHOLE_FILE: Duration = Duration::from_mins(10);
/// Bytes by which a compressed file may exceed its raw content; gzip adds far less.
const GZIP_OVERHEAD: u64 = 1 << 16;

/// A directory on the web that has every file of a data set.
#[derive(Debug, Clone, Copy)]
pub struct Mirror {
    /// The URL before the file's name, with its final slash.
    pub base: &'static str,
    /// What follows the file's name, such as `.gz`.
    pub suffix: &'static str,
}

impl Mirror {
    pub(super) fn obtain(
        &self,
        errand: &Errand<'_>,
        accept: &mut Accept<'_>,
    ) -> Result<(), SourceError> {
        let agent = agent(Proxy::try_from_env());
        for file in errand.wanted {
            let url = format!("{}{}{}", self.base, file.name, self.suffix);
            (errand.report)(FetchEvent::TryingUrl { url: url.clone() });
            get(&agent, &url, file)
                .and_then(|content| accept(file, content))
                .inspect_err(|reason| {
                    (errand.report)(FetchEvent::UrlFailed {
                        url,
                        reason: reason.to_string(),
                    })
                })?;
        }
        Ok(())
    }
}

/// A client with limits on every wait.
pub(super) fn agent(proxy: Option<Proxy>) -> Agent {
    Agent::config_builder()
        .proxy(proxy)
        .timeout_resolve(Some(CONNECT))
        .timeout_connect(Some(CONNECT))
        .timeout_recv_response(Some(SILENCE))
        .timeout_per_read(Some(SILENCE))
        .timeout_global(Some(WHOLE_FILE))
        .build()
        .into()
}

/// The raw content behind `url`, not yet verified, and never much longer than it should be.
fn get(agent: &Agent, url: &str, file: &FileSpec) -> Result<Vec<u8>, SourceError> {
    let mut response = agent.get(url).call().map_err(|source| SourceError::Http {
        url: url.to_owned(),
        source: Box::new(source),
    })?;
    let mut content = Vec::new();
    response
        .body_mut()
        .as_reader()
        .take(file.fingerprint.bytes + GZIP_OVERHEAD)
        .read_to_end(&mut content)
        .map_err(|source| SourceError::Transfer {
            url: url.to_owned(),
            source,
        })?;
    gzip::raw(content, file.fingerprint.bytes).map_err(|source| SourceError::Gzip {
        file: file.name,
        source,
    })
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;
    use std::thread;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;
    use crate::data::fingerprint::Fingerprint;

    /// Gets a file of six bytes from a server on this machine that answers once with `response`.
    fn get_from(response: Vec<u8>) -> Result<Vec<u8>, SourceError> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/labels.gz", listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
            stream.write_all(&response).unwrap();
        });
        let file = FileSpec {
            name: "labels",
            fingerprint: Fingerprint::of(b"digits"),
        };
        let content = get(&agent(None), &url, &file);
        server.join().unwrap();
        content
    }

    fn ok(body: &[u8]) -> Vec<u8> {
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        [head.as_bytes(), body].concat()
    }

    fn compressed(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn reads_raw_and_compressed_bodies() {
        assert_eq!(get_from(ok(b"digits")).unwrap(), b"digits");
        assert_eq!(get_from(ok(&compressed(b"digits"))).unwrap(), b"digits");
    }

    #[test]
    fn refuses_a_body_that_expands_beyond_the_published_length() {
        let error = get_from(ok(&compressed(&[0; 1 << 20]))).unwrap_err();
        assert!(matches!(error, SourceError::Gzip { .. }), "{error}");
    }

    #[test]
    fn reports_a_status_and_a_transfer_that_breaks_off() {
        let missing = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec();
        let error = get_from(missing).unwrap_err().to_string();
        assert!(error.ends_with("404"), "{error}");
        let mut short = ok(b"digits");
        short.truncate(short.len() - 2);
        assert!(matches!(get_from(short), Err(SourceError::Transfer { .. })));
    }
}
