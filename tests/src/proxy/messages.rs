//! Where HTTP/1.1 messages end in a stream of bytes: what a proxy must know to lose a reply after its request.

/// The messages of one way of a connection.
#[derive(Debug, Default)]
pub(super) struct Messages {
    head: Vec<u8>,
    body: Option<Body>,
}

#[derive(Debug)]
enum Body {
    /// So many bytes are left.
    Length(u64),
    /// Chunks; the last bytes of them.
    Chunked([u8; 7]),
}

/// What a byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// It is in a body.
    pub(super) is_body: bool,
    /// It is the last one of its message.
    pub(super) is_last: bool,
}

impl Messages {
    /// Takes the next byte.
    pub(super) fn step(&mut self, byte: u8) -> Place {
        let is_body = self.body.is_some();
        let is_last = match &mut self.body {
            None => {
                self.head.push(byte);
                self.head.ends_with(b"\r\n\r\n") && self.start_body()
            }
            Some(Body::Length(left)) => {
                *left -= 1;
                *left == 0
            }
            Some(Body::Chunked(last)) => {
                last.rotate_left(1);
                last[6] = byte;
                last == b"\r\n0\r\n\r\n"
            }
        };
        if is_last {
            *self = Self::default();
        }
        Place { is_body, is_last }
    }

    /// Reads from the head what follows it. Returns whether nothing does.
    fn start_body(&mut self) -> bool {
        let head = String::from_utf8_lossy(&self.head).to_ascii_lowercase();
        let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name).map(str::trim));
        let length = header("content-length:").and_then(|length| length.parse().ok());
        self.body = match length {
            Some(0) => None,
            Some(length) => Some(Body::Length(length)),
            None if header("transfer-encoding:") == Some("chunked") => Some(Body::Chunked(*b"     \r\n")),
            None => None,
        };
        self.body.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the bodies' bytes and where the messages end.
    fn read(bytes: &[u8]) -> (Vec<u8>, Vec<usize>) {
        let mut messages = Messages::default();
        let (mut body, mut ends) = (Vec::new(), Vec::new());
        for (at, byte) in bytes.iter().enumerate() {
            let place = messages.step(*byte);
            body.extend(place.is_body.then_some(*byte));
            ends.extend(place.is_last.then_some(at + 1));
        }
        (body, ends)
    }

    #[test]
    fn messages_end_by_length_by_chunks_or_with_their_head() {
        let parts = [
            "POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        ];
        let (body, ends) = read(parts.concat().as_bytes());
        assert_eq!(body, b"body3\r\nabc\r\n0\r\n\r\n0\r\n\r\n");
        let mut end = 0;
        assert_eq!(
            ends,
            parts.map(|part| {
                end += part.len();
                end
            })
        );
    }
}
