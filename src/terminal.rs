//! Text and progress of commands at a terminal.

use std::{
    fmt::{self, Display, Write},
    io::{self, IsTerminal},
};

use indicatif::{ProgressBar, ProgressStyle};

/// Creates a progress bar on a terminal; elsewhere it is hidden.
pub(crate) fn bar(steps: u64) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} {per_sec} {eta}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(steps).with_style(style)
}

/// Text that cannot control a terminal. `U+FFFD` replaces control characters, except line feed and tab, and characters
/// that change the text direction.
///
/// Messages contain parts from files, servers and other clients.
#[derive(Debug)]
pub struct Printable<T>(pub T);

impl<T: Display> Display for Printable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Replacing(f, commands_a_terminal), "{}", self.0)
    }
}

/// [`Printable`] text on one line: line feed and tab are replaced too.
#[derive(Debug)]
pub(crate) struct PrintableLine<T>(pub(crate) T);

impl<T: Display> Display for PrintableLine<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_replaced = |c: char| c.is_control() || commands_a_terminal(c);
        write!(Replacing(f, is_replaced), "{}", self.0)
    }
}

struct Replacing<'a, 'b>(&'a mut fmt::Formatter<'b>, fn(char) -> bool);

impl Write for Replacing<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for (index, part) in text.split(self.1).enumerate() {
            if index > 0 {
                self.0.write_char(char::REPLACEMENT_CHARACTER)?;
            }
            self.0.write_str(part)?;
        }
        Ok(())
    }
}

fn commands_a_terminal(c: char) -> bool {
    let is_control = c.is_control() && !matches!(c, '\n' | '\t');
    // The embeddings, overrides and isolates of the Bidirectional Algorithm (UAX #9, section 2).
    is_control || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_one() {
        let text = "name\nrejected: faked\tx\u{1b}[2J";
        let shown = PrintableLine(text).to_string();
        assert_eq!(shown, "name\u{fffd}rejected: faked\u{fffd}x\u{fffd}[2J");
    }

    #[test]
    fn commands_become_replacement_characters() {
        let text = "é\t\u{1b}[2J\u{9b}31m\r\u{7}\u{202e}b\n";
        assert_eq!(
            Printable(format_args!("{text}{}", 1)).to_string(),
            "é\t\u{fffd}[2J\u{fffd}31m\u{fffd}\u{fffd}\u{fffd}b\n1"
        );
    }
}
