//! An archive behind a public URL that holds every file of a data set.

use ureq::Proxy;

use super::{Accept, Errand, SourceError, tarball, url};
use crate::data::event::FetchEvent;

/// A .tar.gz on the web. It is unpacked while it arrives, and given up when more comes than it should have.
#[derive(Debug, Clone, Copy)]
pub struct Archive {
    /// Its URL.
    pub url: &'static str,
    /// Directory of the files inside.
    pub folder: &'static str,
    /// Its length.
    pub bytes: u64,
}

impl Archive {
    pub(super) fn obtain(
        &self,
        errand: &Errand<'_>,
        accept: &mut Accept<'_>,
    ) -> Result<(), SourceError> {
        let url = self.url.to_owned();
        (errand.report)(FetchEvent::TryingUrl { url: url.clone() });
        self.unpack(errand, accept).inspect_err(|reason| {
            let reason = reason.to_string();
            (errand.report)(FetchEvent::UrlFailed { url, reason });
        })
    }

    fn unpack(&self, errand: &Errand<'_>, accept: &mut Accept<'_>) -> Result<(), SourceError> {
        let agent = url::agent(Proxy::try_from_env());
        let response = agent.get(self.url).call();
        let mut response = response.map_err(|source| SourceError::Http {
            url: self.url.to_owned(),
            source: Box::new(source),
        })?;
        let stream = std::io::Read::take(response.body_mut().as_reader(), self.bytes);
        tarball::members(stream, self.folder, errand.wanted, accept, &|source| {
            SourceError::Transfer {
                url: self.url.to_owned(),
                source,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;
    use std::thread;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;
    use crate::data::catalog::{self, FileSpec};
    use crate::data::fingerprint::Fingerprint;
    use crate::data::source::Clients;

    const CONTENT: &[u8] = b"ten records";

    /// What comes of an archive with `content` as `folder/data.bin`, of which the first `bytes` are believed.
    fn unpacked(content: &[u8], bytes: Option<u64>) -> Result<Vec<u8>, SourceError> {
        let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, "folder/data.bin", content)
            .unwrap();
        let body = tar.into_inner().unwrap().finish().unwrap();
        let bytes = bytes.unwrap_or(body.len() as u64);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/a.tar.gz", listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(&[head.as_bytes(), &body].concat());
        });
        let file = FileSpec {
            name: "data.bin",
            fingerprint: Fingerprint::of(CONTENT),
        };
        let report = |_| {};
        let errand = Errand {
            spec: catalog::all()[0],
            wanted: &[&file],
            clients: &Clients::new(None, &report),
            report: &report,
        };
        let archive = Archive {
            url: url.leak(),
            folder: "folder",
            bytes,
        };
        let mut found = Vec::new();
        let outcome = archive.obtain(&errand, &mut |_, content| {
            found = content;
            Ok(())
        });
        server.join().unwrap();
        outcome.map(|()| found)
    }

    #[test]
    fn a_file_is_taken_out_of_the_stream() {
        assert_eq!(unpacked(CONTENT, None).unwrap(), CONTENT);
        // One byte more than the file has is read, so that its fingerprint cannot fit.
        let long = [CONTENT, b" and more"].concat();
        assert_eq!(unpacked(&long, None).unwrap().len(), CONTENT.len() + 1);
    }

    #[test]
    fn an_archive_that_is_too_long_is_given_up() {
        let error = unpacked(CONTENT, Some(40)).unwrap_err();
        assert!(matches!(error, SourceError::Transfer { .. }), "{error}");
    }
}
