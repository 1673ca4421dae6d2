//! Questions to the person at the terminal.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::process::Command;

use anyhow::Result;

/// Reads a line, without the spaces around it; `None` at the end of the input.
pub(crate) fn line(label: &str) -> Result<Option<String>> {
    write!(io::stdout(), "{label}> ")?;
    io::stdout().flush()?;
    let mut line = String::new();
    if io::stdin().lock().read_line(&mut line)? == 0 {
        say!("");
        return Ok(None);
    }
    Ok(Some(line.trim().to_owned()))
}

/// Reads a password. The terminal does not show it, where the system has a way to ask for that.
pub(crate) fn secret(label: &str) -> Result<Option<String>> {
    if !io::stdin().is_terminal() {
        return optional(label);
    }
    echo(false);
    let typed = optional(label);
    echo(true);
    writeln!(io::stdout())?;
    typed
}

/// A terminal that cannot be told shows what is typed, which is better than not asking.
fn echo(shown: bool) {
    let _ = Command::new("stty").arg(if shown { "echo" } else { "-echo" }).status();
}

/// Reads a line; an empty one and the end of the input are `None`.
pub(crate) fn optional(label: &str) -> Result<Option<String>> {
    Ok(line(label)?.filter(|line| !line.is_empty()))
}

/// Lets the person choose one of some codes, by its number or by the code. `None` when nothing is chosen.
pub(crate) fn choose(label: &str, codes: &[&'static str]) -> Result<Option<&'static str>> {
    loop {
        say!("{label}: {}", numbered(codes));
        let Some(answer) = optional("  ")? else { return Ok(None) };
        match find(codes, &answer) {
            Some(code) => return Ok(Some(code)),
            None => say!("  ? {}", numbered(codes)),
        }
    }
}

/// Returns the codes with their numbers: `1 YES  2 NO`.
pub(crate) fn numbered(codes: &[impl AsRef<str>]) -> String {
    let one = |(at, code): (usize, &_)| format!("{} {}", at + 1, AsRef::<str>::as_ref(code));
    codes.iter().enumerate().map(one).collect::<Vec<_>>().join("  ")
}

/// Finds a code by its number, counted from 1, or by itself in any case.
pub(crate) fn find<'c, C: AsRef<str>>(codes: &'c [C], answer: &str) -> Option<&'c C> {
    let by_number = answer.parse::<usize>().ok().and_then(|number| codes.get(number.checked_sub(1)?));
    by_number.or_else(|| codes.iter().find(|code| code.as_ref().eq_ignore_ascii_case(answer)))
}
