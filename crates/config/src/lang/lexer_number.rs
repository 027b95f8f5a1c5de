//! Lexing of what starts with a digit or a minus: integers with units, floats, dates, addresses,
//! and strings that only looked like a number.
//!
//! Reference: conf/lex.go lexNumber*, lexConvenientNumber, lexDateAfterYear, lexFloat*, lexIPAddr.

use super::item::Kind;
use super::lexer::{END, Lexer, State, escape, is_blank, is_newline};

/// The rest of a date after its year: `0` is any digit, the others are themselves.
const DATE_TAIL: &str = "00-00T00:00:00Z";

impl Lexer<'_> {
    pub(super) fn step_number(&mut self, state: State) -> State {
        match state {
            State::NumberStart => self.number_start(State::Number),
            State::NegativeStart => self.number_start(State::Negative),
            State::Number => self.number(),
            State::NumberSuffix => self.number_suffix(),
            State::Negative => self.negative(),
            State::DateAfterYear => self.date_after_year(),
            State::FloatStart => self.float_start(),
            State::Float => self.float(),
            _ => self.address(),
        }
    }

    fn number_start(&mut self, then: State) -> State {
        match self.next() {
            c if c.is_ascii_digit() => then,
            '.' => self.fail("Floats must start with a digit, not '.'."),
            c => self.fail(format!("Expected a digit but got '{}'.", escape(c))),
        }
    }

    fn number(&mut self) -> State {
        match self.next() {
            // A year and its dash.
            '-' if self.pos - self.start == 5 => State::DateAfterYear,
            '-' => self.fail("All ISO8601 dates must be in full Zulu form."),
            c if c.is_ascii_digit() => State::Number,
            '.' => State::FloatStart,
            c if is_suffix(c) => State::NumberSuffix,
            c if ends_number(c) => {
                self.back();
                self.emit(Kind::Integer);
                self.pop()
            }
            _ => self.as_string(),
        }
    }

    fn number_suffix(&mut self) -> State {
        let c = self.next();
        if matches!(c, 'b' | 'B' | 'i' | 'I') {
            return State::NumberSuffix;
        }
        self.back();
        if ends_number(c) || c.is_ascii_digit() {
            self.emit(Kind::Integer);
            return self.pop();
        }
        self.as_string()
    }

    fn as_string(&mut self) -> State {
        self.string_state = State::Bare;
        State::Bare
    }

    fn negative(&mut self) -> State {
        match self.next() {
            c if c.is_ascii_digit() => State::Negative,
            '.' => State::FloatStart,
            c if is_suffix(c) => State::NumberSuffix,
            _ => {
                self.back();
                self.emit(Kind::Integer);
                self.pop()
            }
        }
    }

    fn date_after_year(&mut self) -> State {
        for wanted in DATE_TAIL.chars() {
            let c = self.next();
            if wanted == '0' {
                if !c.is_ascii_digit() {
                    return self.fail(format!(
                        "Expected digit in ISO8601 datetime, but found '{}' instead.",
                        escape(c)
                    ));
                }
            } else if c != wanted {
                return self.fail(format!(
                    "Expected '{wanted}' in ISO8601 datetime, but found '{}' instead.",
                    escape(c)
                ));
            }
        }
        self.emit(Kind::DateTime);
        self.pop()
    }

    fn float_start(&mut self) -> State {
        match self.next() {
            c if c.is_ascii_digit() => State::Float,
            c => self.fail(format!(
                "Floats must have a digit after the '.', but got '{}' instead.",
                escape(c)
            )),
        }
    }

    fn float(&mut self) -> State {
        match self.next() {
            c if c.is_ascii_digit() => State::Float,
            // A second dot: an address after all.
            '.' => State::Address,
            _ => {
                self.back();
                self.emit(Kind::Float);
                self.pop()
            }
        }
    }

    fn address(&mut self) -> State {
        match self.next() {
            c if c.is_ascii_digit() || matches!(c, '.' | ':' | '-') => State::Address,
            _ => {
                self.back();
                self.emit(Kind::String);
                self.pop()
            }
        }
    }
}

fn is_suffix(c: char) -> bool {
    matches!(c.to_ascii_lowercase(), 'k' | 'm' | 'g' | 't' | 'p' | 'e')
}

/// Compat(CONF-005): `]` is not among these, so `[1]` does not end where it seems to.
fn ends_number(c: char) -> bool {
    is_newline(c) || is_blank(c) || matches!(c, END | '}' | ';' | ',')
}
