//! Telling a consumer's state in `o.dat` from what damage made of it.
//!
//! The reference's format has no hash: a flipped bit is another state that looks as good. What this
//! server writes has a proof behind it (`proof.rs`); a state without one is the reference's, and is
//! believed as there. What is sealed proves itself.
//! Laws: bytes that were changed after this server wrote them are never a state.

use super::ConsumerState;
use crate::hash::HashKey;
use crate::proof::{Behind, LEN, look, proof};

/// What bytes turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Judged {
    /// A state that this server wrote, as it wrote it.
    Proven(ConsumerState),
    /// A state without proof, as the reference writes it.
    Unproven(ConsumerState),
    /// Not what anybody wrote, and why.
    Damaged(&'static str),
}

/// Tells what the bytes of an `o.dat` are.
pub(crate) fn judge(bytes: &[u8], key: &HashKey) -> Judged {
    match look(bytes, key) {
        Behind::Proof(state) => {
            return match ConsumerState::decode_front(state) {
                Some((state, 0)) => Judged::Proven(state),
                _ => Judged::Damaged("it does not decode"),
            };
        }
        Behind::Contradiction => {
            return Judged::Damaged("its bytes are not those that were written");
        }
        Behind::Nothing => {}
    }
    let Some((state, rest)) = ConsumerState::decode_front(bytes) else {
        return Judged::Damaged("it does not decode");
    };
    if rest == 0 {
        return Judged::Unproven(state);
    }
    // The proof itself may be what was hit.
    let (front, end) = bytes.split_at(bytes.len() - rest);
    let whole = proof(front, key);
    if whole.starts_with(end) || (rest == LEN && whole.get(4..) == end.get(4..)) {
        Judged::Proven(state)
    } else {
        Judged::Damaged("it goes on behind its end")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consumer::{AckPolicy, SequencePair};
    use crate::proof::prove;
    use stdx::time::Timestamp;

    fn key() -> HashKey {
        HashKey::new("S/C")
    }

    fn state() -> ConsumerState {
        let mut s = ConsumerState::default();
        for i in 1..=4 {
            let at = SequencePair { consumer: i, stream: i * 10 };
            s.deliver(AckPolicy::Explicit, None, at, 1, Timestamp(5_000_000_000)).unwrap();
        }
        let again = SequencePair { consumer: 5, stream: 30 };
        s.deliver(AckPolicy::Explicit, None, again, 2, Timestamp(5_000_000_000)).unwrap();
        s
    }

    #[test]
    fn a_state_is_itself_or_damaged_whatever_is_flipped() {
        let mut bytes = state().encode(Timestamp(9_000_000_000));
        assert_eq!(judge(&bytes, &key()), Judged::Unproven(state()), "as the reference writes it");
        prove(&mut bytes, &key());
        assert_eq!(judge(&bytes, &key()), Judged::Proven(state()));
        assert_eq!(ConsumerState::decode(&bytes), Some(state()), "as the reference reads it");
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut bad = bytes.clone();
                bad[at] ^= 1 << bit;
                match judge(&bad, &key()) {
                    Judged::Damaged(_) => {}
                    Judged::Proven(got) => assert_eq!(got, state(), "byte {at} bit {bit}"),
                    Judged::Unproven(got) => panic!("byte {at} bit {bit}: {got:?}"),
                }
            }
        }
    }

    #[test]
    fn a_state_that_was_cut_short_is_itself_or_damaged() {
        let mut bytes = state().encode(Timestamp(9_000_000_000));
        prove(&mut bytes, &key());
        let mut damaged = 0;
        for len in 0..bytes.len() {
            match judge(&bytes[..len], &key()) {
                Judged::Damaged(_) => damaged += 1,
                Judged::Proven(got) | Judged::Unproven(got) => assert_eq!(got, state(), "{len}"),
            }
        }
        assert_eq!(damaged, bytes.len() - LEN, "only what lacks part of the state");
    }
}
