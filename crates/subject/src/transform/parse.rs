//! One destination token: plain text, `$1`, or a call such as `{{partition(3,1,2)}}`.
//!
//! Not here: whether the wildcard indexes exist in the source (`super`).
//! Laws: a token that is neither a placeholder nor enclosed in `{{` and `}}` is text.
//! Reference: subject_transform.go indexPlaceHolders, getMappingFunctionArgs.

use super::TransformError;
use crate::validate::is_space;

/// What one destination token asks for. Wildcard indexes are as written, from one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Literal,
    Wildcard(i64),
    Partition { buckets: i32, of: Vec<i64> },
    Random(i32),
    SplitFromLeft(i64, i32),
    SplitFromRight(i64, i32),
    SliceFromLeft(i64, i32),
    SliceFromRight(i64, i32),
    Left(i64, i32),
    Right(i64, i32),
    Split(i64, String),
}

impl Function {
    /// The wildcard indexes it refers to.
    pub(super) fn indexes(&self) -> &[i64] {
        use std::slice::from_ref;
        match self {
            Self::Literal | Self::Random(_) => &[],
            Self::Partition { of, .. } => of,
            Self::Wildcard(i)
            | Self::SplitFromLeft(i, _)
            | Self::SplitFromRight(i, _)
            | Self::SliceFromLeft(i, _)
            | Self::SliceFromRight(i, _)
            | Self::Left(i, _)
            | Self::Right(i, _)
            | Self::Split(i, _) => from_ref(i),
        }
    }
}

/// A function name as a list of words: the first letter of each may have either case.
type Name = &'static [&'static str];
/// Makes the function that a name stands for, from a wildcard index and a size.
type MakeSized = fn(i64, i32) -> Function;

const WILDCARD: Name = &["wildcard"];
const PARTITION: Name = &["partition"];
const SPLIT_FROM_LEFT: Name = &["split", "from", "left"];
const SPLIT_FROM_RIGHT: Name = &["split", "from", "right"];
const SLICE_FROM_LEFT: Name = &["slice", "from", "left"];
const SLICE_FROM_RIGHT: Name = &["slice", "from", "right"];
const LEFT: Name = &["left"];
const RIGHT: Name = &["right"];
const SPLIT: Name = &["split"];
const RANDOM: Name = &["random"];

/// Reads one destination token.
pub(super) fn parse_token(token: &str) -> Result<Function, TransformError> {
    if token.len() > 1
        && let Some(number) = token.strip_prefix('$')
    {
        // Compat: other features rely on tokens that begin with `$`, so they are text unless a
        // number follows.
        return Ok(number.parse().map_or(Function::Literal, Function::Wildcard));
    }
    if is_call(token) { parse_call(token) } else { Ok(Function::Literal) }
}

/// Whether the token is enclosed in `{{` and `}}`.
pub(super) fn is_call(token: &str) -> bool {
    token.len() > 4 && token.starts_with("{{") && token.ends_with("}}")
}

/// Whether the call is one that account mappings and stream transforms know.
pub(super) fn is_mapping_function(token: &str) -> bool {
    [
        PARTITION,
        WILDCARD,
        SPLIT_FROM_LEFT,
        SPLIT_FROM_RIGHT,
        SLICE_FROM_LEFT,
        SLICE_FROM_RIGHT,
        SPLIT,
        RANDOM,
    ]
    .iter()
    .any(|name| arguments(token, name).is_some())
}

fn parse_call(token: &str) -> Result<Function, TransformError> {
    let call = Call { token };
    if let Some(args) = arguments(token, WILDCARD) {
        return match args[..] {
            [] | [""] => Err(TransformError::NotEnoughArguments(token.to_owned())),
            [index] => Ok(Function::Wildcard(call.index(index)?)),
            _ => Err(TransformError::TooManyArguments(token.to_owned())),
        };
    }
    if let Some(args) = arguments(token, PARTITION) {
        let Some((buckets, of)) = args.split_first() else {
            return Err(TransformError::NotEnoughArguments(token.to_owned()));
        };
        let buckets = call.wrapped(buckets)?;
        let of = of.iter().map(|arg| call.index(arg)).collect::<Result<_, _>>()?;
        return Ok(Function::Partition { buckets, of });
    }
    // The order matters only to tokens that hold several calls.
    let sized: [(Name, MakeSized); 6] = [
        (SPLIT_FROM_LEFT, Function::SplitFromLeft),
        (SPLIT_FROM_RIGHT, Function::SplitFromRight),
        (SLICE_FROM_LEFT, Function::SliceFromLeft),
        (SLICE_FROM_RIGHT, Function::SliceFromRight),
        (RIGHT, Function::Right),
        (LEFT, Function::Left),
    ];
    for (name, function) in sized {
        if let Some(args) = arguments(token, name) {
            let (index, size) = call.pair(&args)?;
            let size = size.trim_matches(' ').parse().map_err(|_| call.invalid())?;
            return Ok(function(call.index(index)?, size));
        }
    }
    if let Some(args) = arguments(token, SPLIT) {
        let (index, delimiter) = call.pair(&args)?;
        let index = call.index(index)?;
        if delimiter.contains([' ', '.']) {
            return Err(call.invalid());
        }
        return Ok(Function::Split(index, delimiter.to_owned()));
    }
    if let Some(args) = arguments(token, RANDOM) {
        return match args[..] {
            [ceiling] => Ok(Function::Random(call.wrapped(ceiling)?)),
            // Compat(SUBJ-013): too many arguments are reported as not enough.
            _ => Err(TransformError::NotEnoughArguments(token.to_owned())),
        };
    }
    Err(TransformError::UnknownFunction(token.to_owned()))
}

/// Reads the arguments of one call and names the call in errors.
struct Call<'a> {
    token: &'a str,
}

impl Call<'_> {
    fn invalid(&self) -> TransformError {
        TransformError::InvalidArgument(self.token.to_owned())
    }

    fn index(&self, text: &str) -> Result<i64, TransformError> {
        text.trim_matches(' ').parse().map_err(|_| self.invalid())
    }

    /// A 32-bit number; one that is too small wraps around, one that is too large is refused.
    fn wrapped(&self, text: &str) -> Result<i32, TransformError> {
        let number = self.index(text)?;
        if number > i64::from(i32::MAX) {
            return Err(self.invalid());
        }
        Ok(number as i32)
    }

    fn pair<'b>(&self, args: &[&'b str]) -> Result<(&'b str, &'b str), TransformError> {
        match *args {
            [first, second] => Ok((first, second)),
            [] | [_] => Err(TransformError::NotEnoughArguments(self.token.to_owned())),
            _ => Err(TransformError::TooManyArguments(self.token.to_owned())),
        }
    }
}

/// The arguments of the first call of `name` in `token`, cut at commas (white space after a comma
/// goes with it); `None` if there is no such call. No arguments are one empty argument.
fn arguments(token: &str, name: Name) -> Option<Vec<&str>> {
    let inside = (0..token.len()).find_map(|at| {
        let rest = skip_space(token.get(at..)?.strip_prefix("{{")?);
        let rest = skip_space(strip_name(rest, name)?).strip_prefix('(')?;
        // The longest run up to `)`, white space and `}}`, as a greedy expression finds it.
        let line = rest.split('\n').next().unwrap_or(rest);
        line.rmatch_indices(')')
            .find(|(end, _)| rest.get(end + 1..).is_some_and(|r| skip_space(r).starts_with("}}")))
            .and_then(|(end, _)| rest.get(..end))
    })?;
    let mut args = inside.split(',');
    let first = args.next().unwrap_or_default();
    Some(std::iter::once(first).chain(args.map(skip_space)).collect())
}

fn skip_space(text: &str) -> &str {
    text.trim_start_matches(|c: char| u8::try_from(c).is_ok_and(is_space))
}

fn strip_name(text: &str, name: Name) -> Option<&str> {
    name.iter().try_fold(text, |rest, word| {
        let (have, tail) = rest.split_at_checked(word.len())?;
        let (have_first, have_rest) = have.split_at_checked(1)?;
        let (want_first, want_rest) = word.split_at_checked(1)?;
        (have_first.eq_ignore_ascii_case(want_first) && have_rest == want_rest).then_some(tail)
    })
}
