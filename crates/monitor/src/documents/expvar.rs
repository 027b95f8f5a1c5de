//! `/debug/vars`: the arguments, and memory in the shape of Go's runtime statistics.
//!
//! Laws: every key a decoder of Go's `MemStats` knows is there; what has no meaning here is zero.
//! Reference: expvar.Handler, runtime.MemStats.

use serde::Serialize;

use crate::json;
use crate::source::Source;

/// Samples in the reference's ring of garbage collector pauses.
const PAUSES: usize = 256;
/// Size classes of the reference's allocator.
const SIZE_CLASSES: usize = 61;

/// What the process was started with and uses.
#[derive(Clone, Debug, Default)]
pub struct ExpvarFacts {
    /// The command line, secrets redacted.
    pub command_line: Vec<String>,
    /// Bytes allocated and not freed.
    pub allocated: u64,
    /// Resident bytes.
    pub resident: u64,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct SizeClass {
    size: u32,
    mallocs: u64,
    frees: u64,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct MemStats {
    alloc: u64,
    total_alloc: u64,
    sys: u64,
    lookups: u64,
    mallocs: u64,
    frees: u64,
    heap_alloc: u64,
    heap_sys: u64,
    heap_idle: u64,
    heap_inuse: u64,
    heap_released: u64,
    heap_objects: u64,
    stack_inuse: u64,
    stack_sys: u64,
    #[serde(rename = "MSpanInuse")]
    span_inuse: u64,
    #[serde(rename = "MSpanSys")]
    span_sys: u64,
    #[serde(rename = "MCacheInuse")]
    cache_inuse: u64,
    #[serde(rename = "MCacheSys")]
    cache_sys: u64,
    buck_hash_sys: u64,
    #[serde(rename = "GCSys")]
    gc_sys: u64,
    other_sys: u64,
    #[serde(rename = "NextGC")]
    next_gc: u64,
    #[serde(rename = "LastGC")]
    last_gc: u64,
    pause_total_ns: u64,
    pause_ns: Vec<u64>,
    pause_end: Vec<u64>,
    #[serde(rename = "NumGC")]
    num_gc: u64,
    #[serde(rename = "NumForcedGC")]
    num_forced_gc: u64,
    #[serde(rename = "GCCPUFraction")]
    gc_cpu_fraction: f64,
    #[serde(rename = "EnableGC")]
    enable_gc: bool,
    #[serde(rename = "DebugGC")]
    debug_gc: bool,
    by_size: Vec<SizeClass>,
}

impl MemStats {
    fn of(facts: &ExpvarFacts) -> Self {
        Self {
            alloc: facts.allocated,
            total_alloc: facts.allocated,
            sys: facts.resident,
            heap_alloc: facts.allocated,
            heap_sys: facts.resident,
            heap_inuse: facts.allocated,
            pause_ns: vec![0; PAUSES],
            pause_end: vec![0; PAUSES],
            by_size: vec![SizeClass::default(); SIZE_CLASSES],
            ..Self::default()
        }
    }
}

/// The answer to a `$SYS` request.
#[derive(Debug, Serialize)]
pub(crate) struct Expvarz {
    memstats: MemStats,
    cmdline: Vec<String>,
}

/// Makes the `$SYS` document.
pub(crate) fn expvarz(source: &dyn Source) -> Expvarz {
    let facts = source.expvar();
    Expvarz { memstats: MemStats::of(&facts), cmdline: facts.command_line }
}

/// Makes the HTTP body, one variable to a line.
pub(crate) fn body(source: &dyn Source) -> Vec<u8> {
    let document = expvarz(source);
    let mut out = b"{\n\"cmdline\": ".to_vec();
    out.extend_from_slice(&json::compact(&document.cmdline));
    out.extend_from_slice(b",\n\"memstats\": ");
    out.extend_from_slice(&json::compact(&document.memstats));
    out.extend_from_slice(b"\n}\n");
    out
}
