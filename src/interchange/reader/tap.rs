//! Feeds the JSON parser byte by byte.
//!
//! Invariant: comments and trailing commas become blanks, so that positions stay. At most [`ELEMENT_BYTES`] and one
//! more byte of a value are captured.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    io::{self, Read},
};

use crate::interchange::{
    Rejection,
    object::{self, Object},
};

/// The most bytes of an object.
pub(crate) const ELEMENT_BYTES: usize = 1024 * 1024;

/// Passes bytes to `serde_json`, and captures the text of two values: the top-level one and its current element.
///
/// `serde_json` does not buffer its input. After it looks at a value's first byte, that byte is the last one read;
/// after an object, its closing brace is.
pub(super) struct Tap<R> {
    input: RefCell<Plain<R>>,
    /// Bytes to read again, before the input.
    pending: RefCell<VecDeque<u8>>,
    last: Cell<u8>,
    /// The line of the last byte, from 1.
    line: Cell<u64>,
    /// Whether the next non-blank byte is the first one of its line.
    fresh: Cell<bool>,
    /// Whether the last non-blank byte was the first one of its line.
    begins_line: Cell<bool>,
    /// The first bytes of the last byte's line.
    line_head: RefCell<Vec<u8>>,
    top: RefCell<Captured>,
    element: RefCell<Captured>,
}

/// The most bytes of a line's head. At a line's end, the parser reads fewer of the next line before it stops.
const LINE_HEAD: usize = 16;

/// The text of a value, and its first line.
#[derive(Default)]
struct Captured {
    text: Vec<u8>,
    line: u64,
    begins_line: bool,
}

impl Captured {
    fn push(&mut self, byte: u8) {
        if self.text.len() <= ELEMENT_BYTES {
            self.text.push(byte);
        }
    }

    fn object(&self) -> Result<Object, Rejection> {
        let rejected = |reason: &str| Rejection {
            field: String::new(),
            reason: reason.to_owned(),
        };
        if self.text.len() > ELEMENT_BYTES {
            return Err(rejected("must be at most 1 MiB"));
        }
        object::parse(str::from_utf8(&self.text).map_err(|_| rejected("must be UTF-8"))?)
    }
}

/// One of the two captured values.
#[derive(Clone, Copy)]
pub(super) enum Part {
    Top,
    Element,
}

impl<R: Read> Tap<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input: RefCell::new(Plain::new(input)),
            pending: RefCell::default(),
            last: Cell::new(0),
            line: Cell::new(1),
            fresh: Cell::new(true),
            begins_line: Cell::new(false),
            line_head: RefCell::default(),
            top: RefCell::default(),
            element: RefCell::default(),
        }
    }

    /// Returns the last byte read.
    pub(super) fn last(&self) -> u8 {
        self.last.get()
    }

    pub(super) fn line(&self) -> u64 {
        self.line.get()
    }

    /// Starts capturing a value at the last byte read.
    pub(super) fn restart(&self, part: Part) {
        let mut captured = self.captured(part).borrow_mut();
        captured.text.clear();
        captured.text.push(self.last.get());
        captured.line = self.line.get();
        captured.begins_line = self.begins_line.get();
    }

    /// Returns the captured value and its first line.
    pub(super) fn take(&self, part: Part) -> (u64, Result<Object, Rejection>) {
        let captured = self.captured(part).borrow();
        (captured.line, captured.object())
    }

    fn captured(&self, part: Part) -> &RefCell<Captured> {
        match part {
            Part::Top => &self.top,
            Part::Element => &self.element,
        }
    }

    /// Returns the start of the input from the top-level value on, for a message.
    pub(super) fn head(&self) -> io::Result<Vec<u8>> {
        const HEAD: usize = 200;
        let mut head = self.top.borrow().text.clone();
        let (line, fresh) = (self.line.get(), self.fresh.get());
        let mut more = Vec::new();
        while head.len() + more.len() < HEAD {
            match self.next()? {
                Some(byte) => more.push(byte),
                None => break,
            }
        }
        self.unread(&more, line, fresh);
        head.extend(more);
        Ok(head)
    }

    /// Skips the line of an invalid top-level value, if the input has one value a line. Returns whether it does.
    ///
    /// With `after_object`, the value may follow an object on its line, if each earlier value did.
    ///
    /// The input counts as such if the next line begins an object. It also does if each earlier value had one line
    /// (`lines`) and this one looks complete.
    pub(super) fn skip_line(&self, lines: bool, after_object: bool) -> io::Result<bool> {
        let (mut line, number) = {
            let top = self.top.borrow();
            if !(top.begins_line || lines && after_object) || top.text.first() == Some(&b'[') {
                return Ok(false);
            }
            (top.text.clone(), top.line)
        };
        if let Some(end) = line.iter().position(|byte| *byte == b'\n') {
            let rest = line.split_off(end + 1);
            self.unread(&rest, number + 1, true);
        } else if self.line.get() > number {
            // The line exceeds its stored head.
            let head = self.line_head.borrow().clone();
            if self.line.get() > number + 1 || head.len() >= LINE_HEAD {
                return Ok(false);
            }
            self.unread(&head, number + 1, true);
        } else {
            loop {
                match self.next()? {
                    Some(b'\n') | None => break,
                    Some(byte) if line.len() <= ELEMENT_BYTES => line.push(byte),
                    Some(_) => {}
                }
            }
        }
        let mut blanks = Vec::new();
        let line_of_rest = self.line.get();
        let next = loop {
            match self.next()? {
                Some(byte) if byte.is_ascii_whitespace() => blanks.push(byte),
                next => break next,
            }
        };
        blanks.extend(next);
        self.unread(&blanks, line_of_rest, true);
        let begins_object = blanks == b"{" || blanks.ends_with(b"\n{");
        let ends_open = matches!(line.trim_ascii().last(), Some(b'{' | b'[' | b',' | b':'));
        Ok(begins_object || lines && (!ends_open || next.is_none()))
    }

    /// Queues bytes to be read again. They begin on `line`; with `fresh`, only blanks precede them there.
    fn unread(&self, bytes: &[u8], line: u64, fresh: bool) {
        let mut pending = self.pending.borrow_mut();
        for byte in bytes.iter().rev() {
            pending.push_front(*byte);
        }
        self.line.set(line);
        self.fresh.set(fresh);
    }

    fn next(&self) -> io::Result<Option<u8>> {
        let pending = self.pending.borrow_mut().pop_front();
        let byte = match pending {
            Some(byte) => byte,
            None => match self.input.borrow_mut().next()? {
                Some(byte) => byte,
                None => return Ok(None),
            },
        };
        self.last.set(byte);
        if byte == b'\n' {
            self.line.set(self.line.get() + 1);
            self.fresh.set(true);
            self.line_head.borrow_mut().clear();
            return Ok(Some(byte));
        }
        let mut head = self.line_head.borrow_mut();
        if head.len() < LINE_HEAD {
            head.push(byte);
        }
        if !byte.is_ascii_whitespace() {
            self.begins_line.set(self.fresh.replace(false));
        }
        Ok(Some(byte))
    }
}

impl<R: Read> Read for &Tap<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(first) = buffer.first_mut() else {
            return Ok(0);
        };
        let Some(byte) = self.next()? else {
            return Ok(0);
        };
        *first = byte;
        self.top.borrow_mut().push(byte);
        self.element.borrow_mut().push(byte);
        Ok(1)
    }
}

/// Converts JSON with comments to plain JSON: `//` and `/* */` comments, and commas before `]` and `}`, become blanks.
struct Plain<R> {
    input: R,
    state: State,
    /// The number of open brackets.
    depth: usize,
    /// Whether a comma is held until the next significant byte.
    comma: bool,
    /// The last byte outside texts and comments.
    before: u8,
    /// The line, from 1, and the first line of the comment.
    line: u64,
    comment_line: u64,
    /// Bytes to pass on first.
    next: VecDeque<u8>,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Outside,
    Text,
    Escaped,
    LineComment,
    BlockComment,
    /// After a `*` in a block comment.
    BlockEnd,
}

impl<R: Read> Plain<R> {
    fn new(input: R) -> Self {
        Self {
            input,
            state: State::Outside,
            depth: 0,
            comma: false,
            before: b' ',
            line: 1,
            comment_line: 1,
            next: VecDeque::new(),
        }
    }

    fn next(&mut self) -> io::Result<Option<u8>> {
        loop {
            if let Some(byte) = self.next.pop_front() {
                return Ok(Some(byte));
            }
            let Some(byte) = self.raw()? else {
                if matches!(self.state, State::BlockComment | State::BlockEnd) {
                    let line = self.comment_line;
                    let message = format!("the comment that begins on line {line} does not end");
                    return Err(io::Error::new(io::ErrorKind::InvalidData, message));
                }
                return Ok(std::mem::take(&mut self.comma).then_some(b','));
            };
            self.step(byte)?;
        }
    }

    /// Takes a byte, and queues the result in `next`.
    fn step(&mut self, byte: u8) -> io::Result<()> {
        let blank = if byte == b'\n' { b'\n' } else { b' ' };
        match (self.state, byte) {
            // A JSON text never spans lines, so an unclosed one is broken, but the next line is not.
            (State::Text | State::Escaped | State::LineComment, b'\n') => {
                self.state = State::Outside;
                self.next.push_back(b'\n');
            }
            (State::Text, b'\\') => self.pass(State::Escaped, byte),
            (State::Text, b'"') => self.pass(State::Outside, byte),
            (State::Text | State::Escaped, _) => self.pass(State::Text, byte),
            (State::LineComment, _) => self.pass(State::LineComment, blank),
            (State::BlockEnd, b'/') => self.pass(State::Outside, b' '),
            (State::BlockComment | State::BlockEnd, b'*') => self.pass(State::BlockEnd, b' '),
            (State::BlockComment | State::BlockEnd, _) => self.pass(State::BlockComment, blank),
            (State::Outside, b'/') if self.may_comment() => match self.raw()? {
                Some(b'/') => self.comment(State::LineComment),
                Some(b'*') => self.comment(State::BlockComment),
                other => {
                    self.weigh(b'/');
                    if let Some(other) = other {
                        self.step(other)?;
                    }
                }
            },
            (State::Outside, b',') if self.depth > 0 && !self.comma => {
                self.comma = true;
                self.before = byte;
            }
            (State::Outside, byte) if byte.is_ascii_whitespace() => {
                self.before = byte;
                self.next.push_back(byte);
            }
            (State::Outside, byte) => self.weigh(byte),
        }
        Ok(())
    }

    fn pass(&mut self, state: State, byte: u8) {
        self.state = state;
        self.next.push_back(byte);
    }

    /// Returns whether a comment may begin here. In an invalid line, `/*` within words begins none, so it does not hide
    /// later lines.
    fn may_comment(&self) -> bool {
        self.before.is_ascii_whitespace() || b"{}[],:\"".contains(&self.before)
    }

    fn comment(&mut self, state: State) {
        self.state = state;
        self.before = b' ';
        self.comment_line = self.line;
        self.next.extend([b' ', b' ']);
    }

    /// Passes on a byte outside texts, after a held comma.
    fn weigh(&mut self, byte: u8) {
        self.before = byte;
        let closes = matches!(byte, b']' | b'}');
        if std::mem::take(&mut self.comma) {
            self.next.push_back(if closes { b' ' } else { b',' });
        }
        match byte {
            b'"' => self.state = State::Text,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        self.next.push_back(byte);
    }

    fn raw(&mut self) -> io::Result<Option<u8>> {
        let mut byte = [0];
        loop {
            return match self.input.read(&mut byte) {
                Ok(0) => Ok(None),
                Ok(_) => {
                    self.line += u64::from(byte[0] == b'\n');
                    Ok(Some(byte[0]))
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
        }
    }
}
