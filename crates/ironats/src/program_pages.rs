//! Gives back the pages of the program that only the start went through.
//!
//! The kernel maps a program 64 KiB at a time around each instruction that is run for the first
//! time, and counts all of it as this process's memory although the page cache holds it anyway.
//! What serving needs comes back by itself, at half a microsecond for each 64 KiB.

#![expect(unsafe_code, reason = "madvise on mappings this process did not make")]

use std::ops::Range;

/// Takes the code and the constants of the program, and of the libraries it was started with, out
/// of what counts as this process's memory. They stay in the page cache. Does nothing where the
/// system does not say what is mapped.
#[cfg(target_os = "linux")]
pub(crate) fn release() {
    let Ok(maps) = std::fs::read_to_string("/proc/self/smaps") else { return };
    for range in unchanged(&mappings(&maps)) {
        let start = std::ptr::without_provenance_mut(range.start);
        // SAFETY: the range is a private mapping of a file, which cannot be written, and of which
        // no page is a copy of the process's own (`Anonymous` is 0: nothing was relocated in it,
        // no debugger changed it). Dropping such pages is what the kernel does by itself when
        // memory is short: the next access finds the bytes of the file again. It is still there although it was listed before: it is code, or
        // lies against the code of the same file, and this process unloads none.
        let _ =
            unsafe { rustix::mm::madvise(start, range.len(), rustix::mm::Advice::LinuxDontNeed) };
    }
}

/// Does nothing on this system.
#[cfg(not(target_os = "linux"))]
pub(crate) fn release() {}

/// A mapping as the system lists it.
#[cfg(any(target_os = "linux", test))]
struct Mapping<'a> {
    range: Range<usize>,
    rights: &'a str,
    path: &'a str,
    /// Every page is as in the file.
    unchanged: bool,
}

#[cfg(any(target_os = "linux", test))]
impl<'a> Mapping<'a> {
    fn from_heading(line: &'a str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        let address = |text| usize::from_str_radix(text, 16).ok();
        let (range, rights) = (address(start)?..address(end)?, words.next()?);
        let path = words.nth(3).unwrap_or_default();
        Some(Self { range, rights, path, unchanged: false })
    }

    fn is_code(&self) -> bool {
        self.rights == "r-xp" && self.path.starts_with('/')
    }

    /// Whether this is the constants that belong to the code which follows.
    fn are_constants_of(&self, code: &Mapping<'_>) -> bool {
        self.rights == "r--p" && self.path == code.path && self.range.end == code.range.start
    }
}

#[cfg(any(target_os = "linux", test))]
fn mappings(smaps: &str) -> Vec<Mapping<'_>> {
    let mut found: Vec<Mapping<'_>> = Vec::new();
    for line in smaps.lines() {
        if let Some(mapping) = Mapping::from_heading(line) {
            found.push(mapping);
        } else if let Some(size) = line.strip_prefix("Anonymous:")
            && let Some(last) = found.last_mut()
        {
            last.unchanged = size.trim() == "0 kB";
        }
    }
    found
}

/// The ranges of code, and of the constants before it, that are as in their file.
#[cfg(any(target_os = "linux", test))]
fn unchanged(mappings: &[Mapping<'_>]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for (at, code) in mappings.iter().enumerate().filter(|(_, mapping)| mapping.is_code()) {
        let before = at.checked_sub(1).and_then(|at| mappings.get(at));
        let constants = before.filter(|before| before.are_constants_of(code));
        let both = constants.into_iter().chain([code]);
        found.extend(both.filter(|mapping| mapping.unchanged).map(|mapping| mapping.range.clone()));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{mappings, unchanged};

    const SMAPS: &str = "\
1000-2000 r--p 00000000 08:01 7 /bin/server
Size:                  4 kB
Anonymous:             0 kB
VmFlags: rd mr mw me
2000-5000 r-xp 00001000 08:01 7 /bin/server
Size:                 12 kB
Anonymous:             0 kB
5000-6000 r--p 00004000 08:01 7 /bin/server
Anonymous:             0 kB
6000-7000 r-xp 00001000 08:01 8 /lib/patched code.so
Anonymous:             4 kB
8000-9000 rw-p 00000000 00:00 0
Anonymous:             4 kB
a000-b000 r-xp 00000000 00:00 0                          [vdso]
Anonymous:             0 kB
c000-d000 r--p 00000000 08:01 9 /lib/c.so
Anonymous:             4 kB
d000-e000 r-xp 00001000 08:01 9 /lib/c.so
Anonymous:             0 kB
e000-f000 r-xp 00001000 08:01 9 /lib/cut.so
";

    #[test]
    fn only_what_is_as_in_its_file_is_taken() {
        // Not what may be unmapped again, was relocated or patched, is data, the kernel's, or cut
        // off.
        let taken = [0x1000..0x2000, 0x2000..0x5000, 0xd000..0xe000];
        assert_eq!(unchanged(&mappings(SMAPS)), taken);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_program_goes_on_without_its_pages() {
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap_or_default();
        assert!(!unchanged(&mappings(&maps)).is_empty(), "{maps}");
        super::release();
        let words: Vec<_> = "it still runs".split(' ').map(str::len).collect();
        assert_eq!(words, [2, 5, 4]);
    }
}
