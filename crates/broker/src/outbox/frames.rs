//! Many deliveries with one prefix, appended to a buffer.
//!
//! Hot path: no call and no allocation per frame but for the copy of its payload.

/// Room that appending needs beyond what it appends.
pub(super) const PADDED: usize = 48;

/// Appends `prefix` and each of `tails` while it is smaller than `large` and there is room for it;
/// returns the first tail that was not appended.
#[inline]
pub(super) fn append<'a>(
    buffer: &mut Vec<u8>,
    prefix: &[u8],
    tails: &mut impl Iterator<Item = &'a [u8]>,
    large: usize,
) -> Option<&'a [u8]> {
    let mut padded = [0; PADDED];
    let Some(head) = padded.get_mut(..prefix.len()) else { return tails.next() };
    head.copy_from_slice(prefix);
    for tail in tails {
        if tail.len() >= large || buffer.capacity() - buffer.len() < PADDED + tail.len() {
            return Some(tail);
        }
        let end = buffer.len() + prefix.len();
        // A copy of a known length needs no call; what is too much of it is taken back.
        buffer.extend_from_slice(&padded);
        buffer.truncate(end);
        buffer.extend_from_slice(tail);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn appended(prefix: &[u8], tails: &[&[u8]], room: usize) -> (Vec<u8>, Option<Vec<u8>>) {
        let mut buffer = Vec::with_capacity(room);
        buffer.extend_from_slice(b"before ");
        let mut tails = tails.iter().copied();
        let left = append(&mut buffer, prefix, &mut tails, 100).map(<[u8]>::to_vec);
        (buffer, left)
    }

    #[test]
    fn frames_stand_one_after_the_other() {
        let (bytes, left) = appended(b"MSG a 1 ", &[b"2\r\nxx\r\n", b"0\r\n\r\n"], 200);
        assert_eq!(bytes, b"before MSG a 1 2\r\nxx\r\nMSG a 1 0\r\n\r\n");
        assert_eq!(left, None);
    }

    #[test]
    fn what_does_not_fit_is_given_back() {
        let tails: &[&[u8]] = &[b"2\r\nxx\r\n", b"0\r\n\r\n"];
        let (bytes, left) = appended(b"MSG a 1 ", tails, 70);
        assert_eq!(bytes, b"before MSG a 1 2\r\nxx\r\n");
        assert_eq!(left.as_deref(), tails.get(1).copied());
        let (bytes, left) = appended(&[b'p'; 60], tails, 500);
        assert_eq!(bytes, b"before ");
        assert_eq!(left.as_deref(), tails.first().copied());
        let (bytes, left) = appended(b"MSG a 1 ", &[&[b'x'; 100]], 500);
        assert_eq!(bytes, b"before ");
        assert_eq!(left, Some(vec![b'x'; 100]));
    }
}
