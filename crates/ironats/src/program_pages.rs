//! Gives back the pages of the program that only the start went through.
//!
//! The kernel maps a program 64 KiB at a time around each instruction that is run for the first
//! time, and counts all of it as this process's memory although the page cache holds it anyway.
//! What serving needs comes back by itself, at half a microsecond for each 64 KiB.

#![expect(unsafe_code, reason = "madvise on mappings this process did not make")]

/// Takes the program's code, and that of its libraries, out of what counts as this process's
/// memory. It stays in the page cache. Does nothing where the system does not say what is mapped.
#[cfg(target_os = "linux")]
pub(crate) fn release() {
    let Ok(maps) = std::fs::read_to_string("/proc/self/smaps") else { return };
    for mapping in code(&maps) {
        let start = std::ptr::without_provenance_mut(mapping.start);
        // SAFETY: the range is a private mapping of a file which can be read and run, but not
        // written, and of which no page is a copy of the process's own (`Anonymous` is 0: nothing was
        // relocated in it, no debugger changed it). Dropping such pages is what the kernel does by itself when
        // memory is short: the next access finds the same bytes in the file, which cannot be
        // written while it runs. A mapping that went since it was listed gives an error.
        let _ =
            unsafe { rustix::mm::madvise(start, mapping.len(), rustix::mm::Advice::LinuxDontNeed) };
    }
}

/// Does nothing on this system.
#[cfg(not(target_os = "linux"))]
pub(crate) fn release() {}

/// The mappings of unchanged code of files in `smaps`.
#[cfg(any(target_os = "linux", test))]
fn code(smaps: &str) -> Vec<std::ops::Range<usize>> {
    let mut found = Vec::new();
    let mut candidate = None;
    for line in smaps.lines() {
        let mut words = line.split_ascii_whitespace();
        let first = words.next().unwrap_or_default();
        match first {
            "Anonymous:" if words.next() != Some("0") => candidate = None,
            // The last line of a mapping.
            "VmFlags:" => found.extend(candidate.take()),
            _ if !first.ends_with(':') => candidate = heading(first, words),
            _ => {}
        }
    }
    found
}

/// The range a mapping's first line names, if it is of a file's code.
#[cfg(any(target_os = "linux", test))]
fn heading<'a>(
    range: &str,
    mut words: impl Iterator<Item = &'a str>,
) -> Option<std::ops::Range<usize>> {
    let is_code = words.next() == Some("r-xp");
    let is_file = words.nth(3).is_some_and(|path| path.starts_with('/'));
    let (start, end) = range.split_once('-')?;
    let address = |text| usize::from_str_radix(text, 16).ok();
    (is_code && is_file).then_some(address(start)?..address(end)?)
}

#[cfg(test)]
mod tests {
    use super::code;

    const SMAPS: &str = "\
1000-2000 r--p 00000000 08:01 7 /bin/server
Anonymous:             0 kB
VmFlags: rd mr mw me
2000-5000 r-xp 00001000 08:01 7 /bin/server
Size:                 12 kB
Anonymous:             0 kB
VmFlags: rd ex mr mw me
6000-7000 r-xp 00001000 08:01 8 /lib/patched code.so
Anonymous:             4 kB
VmFlags: rd ex mr mw me
8000-9000 rw-p 00000000 00:00 0
Anonymous:             4 kB
VmFlags: rd wr mr mw me
a000-b000 r-xp 00000000 00:00 0                          [vdso]
VmFlags: rd ex mr mw me
c000-d000 r-xp 00001000 08:01 9 /lib/c.so
";

    #[test]
    fn only_unchanged_code_of_files_is_taken() {
        // Neither what was patched, nor data, nor what the kernel put there, nor what is cut off.
        assert_eq!(code(SMAPS), [0x2000..0x5000]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_program_goes_on_without_its_pages() {
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap_or_default();
        assert!(!code(&maps).is_empty(), "{maps}");
        super::release();
        let words: Vec<_> = "it still runs".split(' ').map(str::len).collect();
        assert_eq!(words, [2, 5, 4]);
    }
}
