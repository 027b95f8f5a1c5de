//! A stable mutation driver over every decoder: vectors, mutated a fixed number of times.

use crate::fuzz::TARGETS;
use crate::random::Random;

fn corpus() -> Vec<Vec<u8>> {
    let text = include_str!("../../testdata/vectors.txt");
    let hex = text.lines().filter(|l| !l.starts_with('#')).filter_map(|l| l.split(' ').nth(2));
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    let mut corpus: Vec<Vec<u8>> =
        hex.map(|h| h.as_bytes().chunks(2).map(byte).collect()).collect();
    corpus.extend([vec![], b"snap.2.463".to_vec(), b"nrgtav01".to_vec(), vec![0xff; 80]]);
    corpus
}

fn mutate(input: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..1 + random.next() % 4 {
        let at = (random.next() as usize) % (input.len() + 1);
        match random.next() % 5 {
            0 => input.truncate(at),
            1 => input.insert(at, random.next() as u8),
            2 if at < input.len() => input[at] ^= 1 << (random.next() % 8),
            3 if at < input.len() => input[at] = [0, 1, 0x7f, 0x80, 0xff][at % 5],
            4 => input.extend_from_slice(&random.next().to_le_bytes()),
            _ => {}
        }
    }
}

#[test]
fn no_decoder_panics_or_forgets() {
    let rounds: u64 = std::env::var("FUZZ_ROUNDS").ok().and_then(|r| r.parse().ok()).unwrap_or(400);
    let mut random = Random::new(6);
    for seed in corpus() {
        for (_, target) in TARGETS {
            target(&seed);
        }
        for _ in 0..rounds {
            let mut input = seed.clone();
            mutate(&mut input, &mut random);
            for (_, target) in TARGETS {
                target(&input);
            }
        }
    }
}
