//! Every corpus, and a fixed number of mutations of it, as part of `cargo test`.

use fuzz::{driver, targets};

#[test]
fn corpora_and_their_mutations_break_nothing() {
    for target in targets::ALL {
        let dir = driver::corpus_dir(target);
        assert!(dir.is_dir(), "{}: no corpus at {}", target.name, dir.display());
        let result = driver::session(target, 20_261_121, |runs| runs >= 1_000, |_| {});
        if let Err(broken) = result {
            let input = String::from_utf8_lossy(&broken.input).into_owned();
            panic!("{} {} on {input:?}", target.name, broken.how);
        }
    }
}
