//! The parser: items in, a map of positioned values out. Variables and includes are resolved here.
//!
//! Laws: contexts and keys are explicit stacks (no recursion but for includes and environment
//!       variables, both bounded); what a variable shares is shared, not copied.
//! Reference: conf/parse.go parse, processItem, lookupVariable, setValue.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::error::SyntaxError;
use super::item::{Item, Kind};
use super::lexer::Lexer;
use super::number;
use super::position::Position;
use super::source::Source;
use super::value::{Map, Token, Value, text};

/// How deep maps and arrays may nest.
pub const MAX_DEPTH: usize = 256;
/// How deep files may include files.
pub const MAX_INCLUDE_DEPTH: usize = 32;
/// How many values a configuration may have once its variables are expanded.
pub const MAX_NODES: usize = 4_000_000;

/// Unquoted values with this prefix behind the dollar are bcrypt hashes, not variables (CONF-009).
const BCRYPT_PREFIX: &str = "2a$";
/// The key an environment variable's text is parsed under.
const ENV_KEY: &str = "pk";

/// Parses the configuration file at `path`.
pub fn parse_file(path: &str, source: &dyn Source) -> Result<Map, SyntaxError> {
    let data = source.read(path)?;
    Parser::new(path, source, 0, &mut BTreeSet::new()).run(&data)
}

/// Parses configuration text. `file` names it in positions, and its directory is where includes
/// start from.
pub fn parse(data: &[u8], file: &str, source: &dyn Source) -> Result<Map, SyntaxError> {
    Parser::new(file, source, 0, &mut BTreeSet::new()).run(data)
}

enum Context {
    Map(Map),
    Array(Vec<Token>),
}

struct Key {
    name: String,
    line: usize,
    column: i64,
}

struct Parser<'a> {
    file: Arc<str>,
    source: &'a dyn Source,
    contexts: Vec<Context>,
    keys: Vec<Key>,
    include_depth: usize,
    /// Environment variables being resolved, to find cycles.
    resolving: &'a mut BTreeSet<String>,
}

impl<'a> Parser<'a> {
    fn new(
        file: &str,
        source: &'a dyn Source,
        include_depth: usize,
        resolving: &'a mut BTreeSet<String>,
    ) -> Self {
        Self {
            file: file.into(),
            source,
            contexts: vec![Context::Map(Map::default())],
            keys: Vec::new(),
            include_depth,
            resolving,
        }
    }

    fn run(mut self, data: &[u8]) -> Result<Map, SyntaxError> {
        let mut lexer = Lexer::new(data);
        let mut dangling = false;
        loop {
            let item = lexer.next_item();
            if item.kind == Kind::End {
                if dangling {
                    return Err(SyntaxError::DanglingKey {
                        file: self.file.to_string(),
                        line: item.line,
                        column: item.column,
                    });
                }
                break;
            }
            // A lone closing bracket as last "key" is what remains of a file wrapped in brackets.
            dangling = item.kind == Kind::Key && item.text != b"}";
            self.take(&item)?;
        }
        match self.contexts.into_iter().next() {
            Some(Context::Map(map)) => Ok(map),
            _ => Ok(Map::default()),
        }
    }

    fn take(&mut self, item: &Item) -> Result<(), SyntaxError> {
        let value = match item.kind {
            Kind::End => return Ok(()),
            Kind::Error => {
                return Err(SyntaxError::Lex {
                    line: item.line,
                    reason: text(&item.text).into_owned(),
                });
            }
            Kind::Key => {
                let name = text(&item.text).into_owned();
                self.keys.push(Key { name, line: item.line, column: item.column });
                return Ok(());
            }
            Kind::MapStart => return self.open(Context::Map(Map::default()), item.line),
            Kind::ArrayStart => return self.open(Context::Array(Vec::new()), item.line),
            Kind::MapEnd | Kind::ArrayEnd => match self.close() {
                Some(value) => value,
                None => return Ok(()),
            },
            Kind::String => Value::string(&item.text),
            Kind::Integer => match number::integer(&text(&item.text))? {
                Some(n) => Value::Integer(n),
                None => return Ok(()),
            },
            Kind::Float => Value::Float(number::float(&text(&item.text))?),
            Kind::Bool => {
                let word = item.text.to_ascii_lowercase();
                Value::Bool(matches!(word.as_slice(), b"true" | b"yes" | b"on"))
            }
            Kind::DateTime => {
                let date = text(&item.text);
                if !number::date_exists(&date) {
                    return Err(SyntaxError::DateTime(date.into_owned()));
                }
                Value::DateTime(Arc::from(&*date))
            }
            Kind::Variable => self.variable(item)?,
            Kind::Include => return self.include(item),
        };
        let position = Position::new(self.file.clone(), item.line, item.column);
        self.set(Token::new(value, position))
    }

    // === contexts ===

    fn open(&mut self, context: Context, line: usize) -> Result<(), SyntaxError> {
        if self.contexts.len() > MAX_DEPTH {
            let what = "maps and arrays";
            return Err(SyntaxError::TooDeep { line, what, limit: MAX_DEPTH });
        }
        self.contexts.push(context);
        Ok(())
    }

    fn close(&mut self) -> Option<Value> {
        if self.contexts.len() < 2 {
            return None;
        }
        self.contexts.pop().map(|context| match context {
            Context::Map(map) => Value::Map(Arc::new(map)),
            Context::Array(items) => Value::Array(items.into()),
        })
    }

    /// Puts a value where the text stands: behind the array's last, or under the pending key.
    fn set(&mut self, mut token: Token) -> Result<(), SyntaxError> {
        if token.nodes() > MAX_NODES {
            return Err(SyntaxError::TooLarge { line: token.position.line, limit: MAX_NODES });
        }
        match self.contexts.last_mut() {
            Some(Context::Array(items)) => items.push(token),
            Some(Context::Map(map)) => {
                if let Some(key) = self.keys.pop() {
                    // A message is more useful when it points at the key.
                    token.position.line = key.line;
                    token.position.column = key.column;
                    map.insert(key.name, token);
                }
            }
            None => {}
        }
        Ok(())
    }

    // === variables ===

    fn variable(&mut self, item: &Item) -> Result<Value, SyntaxError> {
        let name = text(&item.text).into_owned();
        if name.starts_with(BCRYPT_PREFIX) {
            return Ok(Value::string(format!("${name}")));
        }
        for context in self.contexts.iter_mut().rev() {
            if let Context::Map(map) = context
                && let Some(token) = map.get_mut(&name)
            {
                token.used = true;
                return Ok(token.value.clone());
            }
        }
        match self.environment(&name) {
            Ok(Some(value)) => Ok(value),
            Ok(None) => Err(SyntaxError::VariableMissing { name, line: item.line }),
            Err(cause) => {
                let cause = Box::new(cause);
                Err(SyntaxError::VariableInvalid { name, line: item.line, cause })
            }
        }
    }

    /// The environment variable `name`, its text read as a configuration value.
    fn environment(&mut self, name: &str) -> Result<Option<Value>, SyntaxError> {
        if self.resolving.contains(name) {
            return Err(SyntaxError::VariableCycle(name.into()));
        }
        let Some(value) = self.source.env(name) else {
            return Ok(None);
        };
        if self.resolving.len() >= MAX_INCLUDE_DEPTH {
            let what = "environment variables";
            return Err(SyntaxError::TooDeep { line: 1, what, limit: MAX_INCLUDE_DEPTH });
        }
        self.resolving.insert(name.into());
        let parser = Parser::new("", self.source, self.include_depth, self.resolving);
        let parsed = parser.run(format!("{ENV_KEY}={value}").as_bytes());
        self.resolving.remove(name);
        Ok(parsed?.get(ENV_KEY).map(|token| token.value.clone()))
    }

    // === includes ===

    fn include(&mut self, item: &Item) -> Result<(), SyntaxError> {
        let name = text(&item.text).into_owned();
        if self.include_depth >= MAX_INCLUDE_DEPTH {
            let what = "includes";
            return Err(SyntaxError::TooDeep { line: item.line, what, limit: MAX_INCLUDE_DEPTH });
        }
        let path = join(&self.file, &name);
        let fail = |cause: SyntaxError| SyntaxError::Include {
            name: name.clone(),
            cause: Box::new(cause),
        };
        let data = self.source.read(&path).map_err(|e| fail(e.into()))?;
        let mut fresh = BTreeSet::new();
        let parser = Parser::new(&path, self.source, self.include_depth + 1, &mut fresh);
        let included = parser.run(&data).map_err(fail)?;
        for (key, token) in included.written() {
            if let Some(Context::Map(map)) = self.contexts.last_mut() {
                map.insert(key.into(), token.clone());
            }
        }
        Ok(())
    }
}

/// The included path, relative to the including file's directory, cleaned as the reference does.
/// Compat(CONF-010): an absolute path is relative too.
fn join(including: &str, name: &str) -> String {
    let directory = including.rfind('/').map_or("", |at| including.get(..=at).unwrap_or_default());
    let joined = format!("{directory}/{name}");
    let absolute = directory.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in joined.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if absolute => {}
            part => parts.push(part),
        }
    }
    let path = parts.join("/");
    match (absolute, path.is_empty()) {
        (true, _) => format!("/{path}"),
        (false, true) => ".".into(),
        (false, false) => path,
    }
}
