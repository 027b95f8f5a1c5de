//! Lexing of strings (quoted, bare, block), escapes and includes.
//!
//! Reference: conf/lex.go lexString*, lexQuotedString, lexDubQuotedString, lexBlock, lexInclude*.

use super::item::Kind;
use super::lexer::{END, Lexer, State, escape, is_blank, is_newline};
use super::value::text;

impl Lexer<'_> {
    pub(super) fn step_text(&mut self, state: State) -> State {
        match state {
            State::SingleQuoted => self.single_quoted(),
            State::DoubleQuoted => self.double_quoted(),
            State::Bare => self.bare(),
            State::Block => self.block(),
            State::Escape => self.escape(),
            _ => self.escape_hex(),
        }
    }

    fn single_quoted(&mut self) -> State {
        loop {
            match self.next() {
                '\'' => return self.close(Kind::String),
                END => return self.end(),
                _ => {}
            }
        }
    }

    fn double_quoted(&mut self) -> State {
        loop {
            match self.next() {
                '\\' => return self.begin_escape(),
                '"' => return self.close(Kind::String),
                END => return self.end(),
                _ => {}
            }
        }
    }

    fn bare(&mut self) -> State {
        loop {
            match self.next() {
                '\\' => return self.begin_escape(),
                '\'' => return self.close(Kind::String),
                c if is_newline(c) || is_blank(c) || matches!(c, END | ';' | ',' | ']' | '}') => {
                    self.back();
                    return self.bare_end();
                }
                _ => {}
            }
        }
    }

    fn bare_end(&mut self) -> State {
        let word = self.pending();
        let kind = if self.parts.is_some() {
            Kind::String
        } else if is_bool(word) {
            Kind::Bool
        } else if self.input.get(self.start) == Some(&b'$') {
            // The dollar is not part of the name. It may be the terminator of an empty word too.
            self.start = (self.start + 1).min(self.pos);
            Kind::Variable
        } else {
            Kind::String
        };
        self.emit(kind);
        self.pop()
    }

    /// A block ends at a `)` alone on its line.
    fn block(&mut self) -> State {
        loop {
            match self.next() {
                ')' if self.block_closes() => {
                    // Compat(CONF-003): at the very end of the text the bracket is kept.
                    if self.pos < self.input.len() {
                        self.back();
                    }
                    self.emit(Kind::String);
                    self.next();
                    self.ignore();
                    return self.pop();
                }
                END => return self.fail("Unexpected EOF processing block."),
                _ => {}
            }
        }
    }

    /// Just behind a `)`: whether it stands between a newline and a newline or the end.
    fn block_closes(&self) -> bool {
        let before = self.pos.checked_sub(2).and_then(|at| self.input.get(at));
        let after = self.input.get(self.pos);
        before == Some(&b'\n') && matches!(after, None | Some(b'\n' | 0))
    }

    // === escapes ===

    fn begin_escape(&mut self) -> State {
        let read = self.pending();
        let kept = read.get(..read.len().saturating_sub(1)).unwrap_or_default();
        self.parts.get_or_insert_default().extend_from_slice(kept);
        self.start = self.pos;
        State::Escape
    }

    fn escape(&mut self) -> State {
        let byte = match self.next() {
            'x' => return State::EscapeHex,
            't' => b'\t',
            'n' => b'\n',
            'r' => b'\r',
            '"' => b'"',
            '\\' => b'\\',
            c => {
                return self.fail(format!(
                    "Invalid escape character '{}'. Only the following escape characters are \
                     allowed: \\xXX, \\t, \\n, \\r, \\\", \\\\.",
                    escape(c)
                ));
            }
        };
        self.add_escaped(byte)
    }

    fn escape_hex(&mut self) -> State {
        for _ in 0..2 {
            if is_newline(self.next()) {
                return self
                    .fail("Expected two hexadecimal digits after '\\x', but hit end of line");
            }
        }
        let digits = self.input.get(self.pos.saturating_sub(2)..self.pos).unwrap_or_default();
        let value = std::str::from_utf8(digits)
            .ok()
            .filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|d| u8::from_str_radix(d, 16).ok());
        match value {
            Some(byte) => self.add_escaped(byte),
            None => self.fail(format!(
                "Expected two hexadecimal digits after '\\x', but got '{}'",
                text(digits)
            )),
        }
    }

    fn add_escaped(&mut self, byte: u8) -> State {
        self.parts.get_or_insert_default().push(byte);
        self.start = self.pos;
        self.string_state
    }

    // === includes ===

    pub(super) fn step_include(&mut self, state: State) -> State {
        match state {
            State::IncludeStart => {
                if is_blank(self.next()) {
                    return self.skip(State::IncludeStart);
                }
                self.back();
                State::IncludeValue
            }
            State::IncludeValue => self.include_value(),
            State::IncludeQuoted(quote) => self.include_quoted(quote),
            _ => self.include_bare(),
        }
    }

    fn include_value(&mut self) -> State {
        let found = match self.next() {
            quote @ ('\'' | '"') => return self.skip(State::IncludeQuoted(quote)),
            '[' => "start of an array",
            '{' => "start of a map",
            '(' => "start of a block",
            '-' => "start of a number",
            c if c.is_ascii_digit() => "start of a number",
            '\\' => "escape sequence",
            '\n' | '\r' => "new line",
            _ => {
                self.back();
                return State::IncludeBare;
            }
        };
        self.fail(format!("Expected include value but found {found}"))
    }

    fn include_quoted(&mut self, quote: char) -> State {
        loop {
            match self.next() {
                c if c == quote => return self.close(Kind::Include),
                END if quote == '"' => {
                    return self.fail("Unexpected EOF in double quoted include");
                }
                END => return self.fail("Unexpected EOF in quoted include"),
                _ => {}
            }
        }
    }

    fn include_bare(&mut self) -> State {
        loop {
            match self.next() {
                '\'' => return self.close(Kind::Include),
                c if is_newline(c) || is_blank(c) || matches!(c, END | ';' | '}') => {
                    self.back();
                    self.emit(Kind::Include);
                    return self.pop();
                }
                _ => {}
            }
        }
    }
}

fn is_bool(word: &[u8]) -> bool {
    ["true", "false", "on", "off", "yes", "no"]
        .iter()
        .any(|b| word.eq_ignore_ascii_case(b.as_bytes()))
}
