//! The lexer: a pull machine with an explicit stack of states, one item per call.
//!
//! Not here: maps (`lexer_map`), numbers (`lexer_number`), strings and includes (`lexer_text`).
//! Laws: never recurses; each step consumes input, pops a state or ends; a NUL byte reads as the end
//!       of the text; line and column are counted exactly as the reference counts them, because
//!       they are printed.
//! Reference: conf/lex.go lexTop, lexBlock*, lexKey*, lexValue, lexArray*, lexComment.

use super::item::{Item, Kind};

/// What the end of the text (and a NUL byte) reads as.
pub(super) const END: char = '\0';

/// What the lexer is in the middle of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Top,
    TopValueEnd,
    BlockStart,
    BlockValueEnd,
    BlockEnd,
    KeyStart,
    /// A key between the given quotes, at top level.
    QuotedKey(char),
    Key,
    KeyEnd,
    Value,
    ArrayValue,
    ArrayValueEnd,
    MapKeyStart,
    /// A key between the given quotes, in a map.
    MapQuotedKey(char),
    MapKey,
    MapKeyEnd,
    MapValue,
    MapValueEnd,
    /// A raw string between single quotes.
    SingleQuoted,
    DoubleQuoted,
    Bare,
    Block,
    Escape,
    EscapeHex,
    IncludeStart,
    IncludeValue,
    IncludeQuoted(char),
    IncludeBare,
    NumberStart,
    Number,
    NumberSuffix,
    NegativeStart,
    Negative,
    DateAfterYear,
    FloatStart,
    Float,
    Address,
    Comment,
    /// Nothing more to come.
    Done,
}

pub(super) struct Lexer<'a> {
    pub(super) input: &'a [u8],
    pub(super) start: usize,
    pub(super) pos: usize,
    width: usize,
    pub(super) line: usize,
    state: State,
    stack: Vec<State>,
    /// Text of a string before its last escape; `None` while it has no escape.
    pub(super) parts: Option<Vec<u8>>,
    /// Where to go on after an escape.
    pub(super) string_state: State,
    /// Start of the current line.
    line_start: usize,
    /// Start of the line on which the current item began.
    item_line_start: usize,
    ready: Option<Item>,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(input: &'a [u8]) -> Self {
        Self {
            input,
            start: 0,
            pos: 0,
            width: 0,
            line: 1,
            state: State::Top,
            stack: Vec::new(),
            parts: None,
            string_state: State::Bare,
            line_start: 0,
            item_line_start: 0,
            ready: None,
        }
    }

    /// The next item; after `End` or `Error`, `End` again.
    pub(super) fn next_item(&mut self) -> Item {
        loop {
            if let Some(item) = self.ready.take() {
                return item;
            }
            if self.state == State::Done {
                return self.item(Kind::End, Vec::new());
            }
            let state = self.state;
            self.state = self.step(state);
        }
    }

    fn step(&mut self, state: State) -> State {
        match state {
            State::Top | State::TopValueEnd => self.step_top(state),
            State::BlockStart | State::BlockValueEnd | State::BlockEnd => self.step_block(state),
            State::KeyStart | State::QuotedKey(_) | State::Key | State::KeyEnd => {
                self.step_key(state)
            }
            State::Value => self.value(),
            State::ArrayValue => self.array_value(),
            State::ArrayValueEnd => self.array_value_end(),
            State::MapKeyStart
            | State::MapQuotedKey(_)
            | State::MapKey
            | State::MapKeyEnd
            | State::MapValue
            | State::MapValueEnd => self.step_map(state),
            State::SingleQuoted
            | State::DoubleQuoted
            | State::Bare
            | State::Block
            | State::Escape
            | State::EscapeHex => self.step_text(state),
            State::IncludeStart
            | State::IncludeValue
            | State::IncludeQuoted(_)
            | State::IncludeBare => self.step_include(state),
            State::NumberStart
            | State::Number
            | State::NumberSuffix
            | State::NegativeStart
            | State::Negative
            | State::DateAfterYear
            | State::FloatStart
            | State::Float
            | State::Address => self.step_number(state),
            State::Comment => self.comment(),
            State::Done => State::Done,
        }
    }

    // === moving ===

    pub(super) fn next(&mut self) -> char {
        let Some(&byte) = self.input.get(self.pos) else {
            self.width = 0;
            return END;
        };
        if byte == b'\n' {
            self.line += 1;
            self.line_start = self.pos;
        }
        let (c, width) = decode(self.input, self.pos);
        self.width = width;
        self.pos += width;
        c
    }

    /// Steps back over what the last `next` returned.
    pub(super) fn back(&mut self) {
        self.pos -= self.width.min(self.pos);
        if self.input.get(self.pos) == Some(&b'\n') {
            self.line -= 1;
        }
    }

    pub(super) fn peek(&mut self) -> char {
        let c = self.next();
        self.back();
        c
    }

    /// Drops what was read since the last item.
    pub(super) fn ignore(&mut self) {
        self.start = self.pos;
        self.item_line_start = self.line_start;
    }

    /// Drops what was read and goes on with `state`.
    pub(super) fn skip(&mut self, state: State) -> State {
        self.ignore();
        state
    }

    pub(super) fn push(&mut self, state: State) {
        self.stack.push(state);
    }

    pub(super) fn pop(&mut self) -> State {
        match self.stack.pop() {
            Some(state) => state,
            None => self.fail("BUG in lexer: no states to pop."),
        }
    }

    /// What was read since the last item.
    pub(super) fn pending(&self) -> &'a [u8] {
        self.input.get(self.start..self.pos).unwrap_or_default()
    }

    // === items ===

    fn item(&self, kind: Kind, text: Vec<u8>) -> Item {
        let column = self.pos as i64 - self.item_line_start as i64 - text.len() as i64;
        Item { kind, text, line: self.line, column }
    }

    pub(super) fn emit(&mut self, kind: Kind) {
        let text = match self.parts.take() {
            Some(mut parts) => {
                parts.extend_from_slice(self.pending());
                parts
            }
            None => self.pending().to_vec(),
        };
        self.ready = Some(self.item(kind, text));
        self.ignore();
    }

    pub(super) fn emit_then(&mut self, kind: Kind, state: State) -> State {
        self.emit(kind);
        state
    }

    /// Ends the item one character back, drops that character (a closing quote) and pops.
    pub(super) fn close(&mut self, kind: Kind) -> State {
        self.back();
        self.emit(kind);
        self.next();
        self.ignore();
        self.pop()
    }

    pub(super) fn fail(&mut self, reason: impl Into<String>) -> State {
        self.ready = Some(self.item(Kind::Error, reason.into().into_bytes()));
        State::Done
    }

    /// The end of the text where it may be the end of the configuration.
    pub(super) fn end(&mut self) -> State {
        if self.pos > self.start {
            return self.fail("Unexpected EOF.");
        }
        self.emit_then(Kind::End, State::Done)
    }

    /// After a first `/`: whether a second one makes it a comment (consumed), else one step back.
    pub(super) fn second_slash(&mut self) -> bool {
        if self.next() == '/' {
            return true;
        }
        self.back();
        false
    }

    pub(super) fn comment_then(&mut self, state: State) -> State {
        self.push(state);
        self.skip(State::Comment)
    }

    fn comment(&mut self) -> State {
        loop {
            let c = self.peek();
            if is_newline(c) || c == END {
                self.ignore();
                return self.pop();
            }
            self.next();
        }
    }

    // === top level ===

    fn step_top(&mut self, state: State) -> State {
        let c = self.next();
        if state == State::TopValueEnd {
            return self.top_value_end(c);
        }
        match c {
            c if c.is_whitespace() => return self.skip(State::Top),
            '{' => {
                self.push(State::Top);
                return self.skip(State::BlockStart);
            }
            '#' => return self.comment_then(State::Top),
            '/' => {
                return if self.second_slash() {
                    self.comment_then(State::Top)
                } else {
                    self.end()
                };
            }
            END => return self.end(),
            _ => {}
        }
        self.back();
        self.push(State::TopValueEnd);
        State::KeyStart
    }

    fn top_value_end(&mut self, c: char) -> State {
        match c {
            '#' => self.comment_then(State::Top),
            '/' => {
                if self.second_slash() {
                    self.comment_then(State::Top)
                } else {
                    State::TopValueEnd
                }
            }
            ' ' | '\t' => State::TopValueEnd,
            '\n' | '\r' | END | ';' | ',' | '}' => self.skip(State::Top),
            c => self.fail(format!(
                "Expected a top-level value to end with a new line, comment or EOF, \
                 but got '{}' instead.",
                escape(c)
            )),
        }
    }

    fn step_block(&mut self, state: State) -> State {
        let c = self.next();
        match state {
            State::BlockStart => self.block_start(c),
            State::BlockValueEnd => self.block_value_end(c),
            _ => self.block_end(c),
        }
    }

    fn block_start(&mut self, c: char) -> State {
        match c {
            c if c.is_whitespace() => return self.skip(State::BlockStart),
            '{' => {
                self.push(State::BlockEnd);
                return self.skip(State::BlockStart);
            }
            '}' => {
                self.ignore();
                return self.pop();
            }
            '#' => return self.comment_then(State::BlockStart),
            '/' => {
                return if self.second_slash() {
                    self.comment_then(State::BlockStart)
                } else {
                    self.end()
                };
            }
            END => return self.end(),
            _ => {}
        }
        self.back();
        self.push(State::BlockValueEnd);
        State::KeyStart
    }

    fn block_value_end(&mut self, c: char) -> State {
        match c {
            '#' => self.comment_then(State::BlockValueEnd),
            '/' => {
                if self.second_slash() {
                    self.comment_then(State::BlockValueEnd)
                } else {
                    State::BlockValueEnd
                }
            }
            ' ' | '\t' => State::BlockValueEnd,
            '\n' | '\r' | ';' | ',' => self.skip(State::BlockStart),
            '}' => {
                self.back();
                State::BlockEnd
            }
            c => self.fail(format!(
                "Expected a block-level value to end with a new line, comment or EOF, \
                 but got '{}' instead.",
                escape(c)
            )),
        }
    }

    fn block_end(&mut self, c: char) -> State {
        match c {
            '#' => self.comment_then(State::BlockStart),
            '/' => {
                if self.second_slash() {
                    self.comment_then(State::BlockStart)
                } else {
                    State::BlockEnd
                }
            }
            '\n' | '\r' | ' ' | '\t' => State::BlockEnd,
            ';' | ',' => self.skip(State::BlockStart),
            '}' => {
                self.ignore();
                self.pop()
            }
            c => self.fail(format!(
                "Expected a block-level to end with a '}}', but got '{}' instead.",
                escape(c)
            )),
        }
    }

    // === keys ===

    fn step_key(&mut self, state: State) -> State {
        match state {
            State::KeyStart => self.key_start(),
            State::QuotedKey(quote) => self.quoted_key(quote),
            State::Key => self.key(),
            _ => self.key_end(),
        }
    }

    fn key_start(&mut self) -> State {
        match self.peek() {
            c if is_separator(c) => self.fail(format!("Unexpected key separator '{c}'")),
            c if c.is_whitespace() => {
                self.next();
                self.skip(State::KeyStart)
            }
            quote @ ('"' | '\'') => {
                self.next();
                self.skip(State::QuotedKey(quote))
            }
            _ => {
                self.ignore();
                self.next();
                State::Key
            }
        }
    }

    fn quoted_key(&mut self, quote: char) -> State {
        loop {
            match self.peek() {
                c if c == quote => {
                    self.emit(Kind::Key);
                    self.next();
                    return self.skip(State::KeyEnd);
                }
                END => return self.end(),
                _ => {
                    self.next();
                }
            }
        }
    }

    fn key(&mut self) -> State {
        loop {
            match self.peek() {
                c if c.is_whitespace() => return self.key_or_include(State::KeyEnd, None),
                c if is_separator(c) || c == END => {
                    return self.emit_then(Kind::Key, State::KeyEnd);
                }
                _ => {
                    self.next();
                }
            }
        }
    }

    /// A bare key followed by space: the word `include` starts an include, anything else is a key.
    pub(super) fn key_or_include(&mut self, key_end: State, after: Option<State>) -> State {
        if self.pending().eq_ignore_ascii_case(b"include") {
            self.ignore();
            if let Some(after) = after {
                self.push(after);
            }
            return State::IncludeStart;
        }
        self.emit_then(Kind::Key, key_end)
    }

    fn key_end(&mut self) -> State {
        match self.next() {
            c if c.is_whitespace() => self.skip(State::KeyEnd),
            c if is_separator(c) => self.skip(State::Value),
            END => self.emit_then(Kind::End, State::Done),
            _ => {
                self.back();
                State::Value
            }
        }
    }

    // === values ===

    fn value(&mut self) -> State {
        match self.next() {
            ' ' | '\t' => self.skip(State::Value),
            '[' => {
                self.ignore();
                self.emit_then(Kind::ArrayStart, State::ArrayValue)
            }
            '{' => {
                self.ignore();
                self.emit_then(Kind::MapStart, State::MapKeyStart)
            }
            '\'' => self.skip(State::SingleQuoted),
            '"' => {
                self.string_state = State::DoubleQuoted;
                self.skip(State::DoubleQuoted)
            }
            '-' => State::NegativeStart,
            '(' => self.skip(State::Block),
            c if c.is_ascii_digit() => {
                self.back();
                State::NumberStart
            }
            '.' => self.fail("Floats must start with a digit"),
            '\n' | '\r' => self.fail("Expected value but found new line"),
            _ => {
                self.back();
                self.string_state = State::Bare;
                State::Bare
            }
        }
    }

    fn array_value(&mut self) -> State {
        match self.next() {
            c if c.is_whitespace() => return self.skip(State::ArrayValue),
            '#' => return self.comment_then(State::ArrayValue),
            '/' => {
                if self.second_slash() {
                    return self.comment_then(State::ArrayValue);
                }
                return self.fail("Unexpected array value terminator ','.");
            }
            ',' => return self.fail("Unexpected array value terminator ','."),
            ']' => return self.array_end(),
            _ => {}
        }
        self.back();
        self.push(State::ArrayValueEnd);
        State::Value
    }

    fn array_value_end(&mut self) -> State {
        match self.next() {
            ' ' | '\t' => self.skip(State::ArrayValueEnd),
            '#' => self.comment_then(State::ArrayValueEnd),
            '/' => {
                if self.second_slash() {
                    self.comment_then(State::ArrayValueEnd)
                } else {
                    self.skip(State::ArrayValue)
                }
            }
            ',' | '\n' | '\r' => self.skip(State::ArrayValue),
            ']' => self.array_end(),
            c => self.fail(format!(
                "Expected an array value terminator \",\" or an array terminator \"]\", \
                 but got '{}' instead.",
                escape(c)
            )),
        }
    }

    fn array_end(&mut self) -> State {
        self.ignore();
        self.emit(Kind::ArrayEnd);
        self.pop()
    }
}

pub(super) fn is_separator(c: char) -> bool {
    c == '=' || c == ':'
}

pub(super) fn is_newline(c: char) -> bool {
    c == '\n' || c == '\r'
}

pub(super) fn is_blank(c: char) -> bool {
    c == ' ' || c == '\t'
}

/// A character as an error shows it.
pub(super) fn escape(c: char) -> String {
    if c == '\n' { "\\n".into() } else { c.to_string() }
}

/// The character at `pos` and its width; a byte that is not UTF-8 reads as U+FFFD of width one.
fn decode(input: &[u8], pos: usize) -> (char, usize) {
    let window = input.get(pos..(pos + 4).min(input.len())).unwrap_or_default();
    for width in 1..=window.len() {
        if let Some(Ok(text)) = window.get(..width).map(std::str::from_utf8)
            && let Some(c) = text.chars().next()
        {
            return (c, width);
        }
    }
    (char::REPLACEMENT_CHARACTER, 1)
}
