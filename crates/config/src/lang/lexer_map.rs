//! Lexing of maps.
//!
//! Reference: conf/lex.go lexMap*.

use super::item::Kind;
use super::lexer::{END, Lexer, State, escape, is_separator};

impl Lexer<'_> {
    pub(super) fn step_map(&mut self, state: State) -> State {
        match state {
            State::MapKeyStart => self.map_key_start(),
            State::MapQuotedKey(quote) => self.map_quoted_key(quote),
            State::MapKey => self.map_key(),
            State::MapKeyEnd => self.map_key_end(),
            State::MapValue => self.map_value(),
            _ => self.map_value_end(),
        }
    }

    fn map_key_start(&mut self) -> State {
        match self.peek() {
            c if is_separator(c) => return self.fail(format!("Unexpected key separator '{c}'.")),
            ']' => return self.fail("Unexpected array end ']' processing map."),
            c if c.is_whitespace() => {
                self.next();
                return self.skip(State::MapKeyStart);
            }
            '}' => {
                self.next();
                return self.map_end();
            }
            '#' => {
                self.next();
                return self.comment_then(State::MapKeyStart);
            }
            '/' => {
                self.next();
                if self.second_slash() {
                    return self.comment_then(State::MapKeyStart);
                }
            }
            quote @ ('\'' | '"') => {
                self.next();
                return self.skip(State::MapQuotedKey(quote));
            }
            END => return self.fail("Unexpected EOF processing map."),
            _ => {}
        }
        self.ignore();
        self.next();
        State::MapKey
    }

    fn map_quoted_key(&mut self, quote: char) -> State {
        loop {
            match self.peek() {
                END if quote == '"' => {
                    return self.fail("Unexpected EOF processing double quoted map key.");
                }
                END => return self.fail("Unexpected EOF processing quoted map key."),
                c if c == quote => {
                    self.emit(Kind::Key);
                    self.next();
                    return self.skip(State::MapKeyEnd);
                }
                _ => {
                    self.next();
                }
            }
        }
    }

    fn map_key(&mut self) -> State {
        loop {
            match self.peek() {
                END => return self.fail("Unexpected EOF processing map key."),
                c if c.is_whitespace() => {
                    return self.key_or_include(State::MapKeyEnd, Some(State::MapValueEnd));
                }
                c if is_separator(c) => return self.emit_then(Kind::Key, State::MapKeyEnd),
                _ => {
                    self.next();
                }
            }
        }
    }

    fn map_key_end(&mut self) -> State {
        match self.next() {
            c if c.is_whitespace() => self.skip(State::MapKeyEnd),
            c if is_separator(c) => self.skip(State::MapValue),
            _ => {
                self.back();
                State::MapValue
            }
        }
    }

    fn map_value(&mut self) -> State {
        match self.next() {
            c if c.is_whitespace() => self.skip(State::MapValue),
            ',' => self.fail("Unexpected map value terminator \",\"."),
            '}' => self.map_end(),
            _ => {
                self.back();
                self.push(State::MapValueEnd);
                State::Value
            }
        }
    }

    fn map_value_end(&mut self) -> State {
        match self.next() {
            ' ' | '\t' => self.skip(State::MapValueEnd),
            '#' => self.comment_then(State::MapValueEnd),
            '/' => {
                if self.second_slash() {
                    self.comment_then(State::MapValueEnd)
                } else {
                    self.skip(State::MapKeyStart)
                }
            }
            ';' | ',' | '\n' | '\r' => self.skip(State::MapKeyStart),
            '}' => self.map_end(),
            c => self.fail(format!(
                "Expected a map value terminator \",\" or a map terminator \"}}\", \
                 but got '{}' instead.",
                escape(c)
            )),
        }
    }

    fn map_end(&mut self) -> State {
        self.ignore();
        self.emit(Kind::MapEnd);
        self.pop()
    }
}
