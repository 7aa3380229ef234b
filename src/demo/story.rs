//! What the demo prints: colours and one moving line on a terminal, plain lines elsewhere.

use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::answers::{Alert, Budget, CategorySum, TrendMonth};
use super::household::{Booking, CURRENCY};

/// Cells of a bar; a budget that is used up fills it.
const BAR_CELLS: usize = 20;
/// Categories that are told.
const TOP_CATEGORIES: usize = 5;

/// How a piece of text looks where there are colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    Heading,
    Quiet,
    Good,
    Warning,
    Excess,
}

impl Look {
    const fn code(self) -> &'static str {
        match self {
            Self::Heading => "1;36",
            Self::Quiet => "2",
            Self::Good => "32",
            Self::Warning => "33",
            Self::Excess => "1;31",
        }
    }
}

/// Tells the story.
pub(super) struct Teller {
    page: Mutex<Page>,
    terminal: bool,
    colour: bool,
}

struct Page {
    out: Box<dyn Write + Send>,
    /// The moving line stands at the cursor.
    moving: bool,
}

impl Teller {
    /// Tells it on standard output; in colours if that is a terminal and `NO_COLOR` is not set.
    pub(super) fn on_stdout() -> Self {
        let terminal = io::stdout().is_terminal();
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self::new(Box::new(io::stdout()), terminal, terminal && !no_color)
    }

    /// Tells it to a writer.
    pub(super) fn new(out: Box<dyn Write + Send>, terminal: bool, colour: bool) -> Self {
        Self {
            page: Mutex::new(Page { out, moving: false }),
            terminal,
            colour,
        }
    }

    /// The head of a chapter.
    pub(super) fn chapter(&self, title: &str) -> io::Result<()> {
        self.line("")?;
        self.line(&self.painted(Look::Heading, title))
    }

    /// A line of the story.
    pub(super) fn say(&self, text: &str) -> io::Result<()> {
        self.line(&format!("  {text}"))
    }

    /// An aside.
    pub(super) fn note(&self, text: &str) -> io::Result<()> {
        self.say(&self.painted(Look::Quiet, &format!("({text})")))
    }

    /// Lines to be copied, under what they do.
    pub(super) fn paragraph(&self, title: &str, lines: &[&str]) -> io::Result<()> {
        self.line("")?;
        self.say(&self.painted(Look::Quiet, title))?;
        lines.iter().try_for_each(|line| self.line(line))
    }

    /// How far the year is booked: one moving line on a terminal, a line for each month elsewhere.
    pub(super) fn progress(&self, month: &str, done: usize, all: usize) -> io::Result<()> {
        if !self.terminal {
            return Ok(());
        }
        let bar = bar(done, all);
        let mut page = self.page();
        page.moving = true;
        write!(
            page.out,
            "\r\x1b[2K  {month}  {bar}  {done} of {all} bookings"
        )?;
        page.out.flush()
    }

    /// A month is booked.
    pub(super) fn month_done(&self, month: &str, bookings: usize) -> io::Result<()> {
        if self.terminal {
            Ok(())
        } else {
            self.say(&format!("{month}  {bookings} bookings"))
        }
    }

    /// A booking that is made today.
    pub(super) fn booking(&self, booking: &Booking) -> io::Result<()> {
        let amount = decimal(booking.cents);
        self.say(&format!(
            "{amount:>9} {CURRENCY}  {}, {}",
            booking.description, booking.payee
        ))
    }

    /// An alert, and how long after its booking it came.
    pub(super) fn alert(&self, alert: &Alert, latency: Duration) -> io::Result<()> {
        let look = if alert.is_excess() {
            Look::Excess
        } else {
            Look::Warning
        };
        let title = self.painted(look, &format!("ALERT  {}", alert.title));
        let after = format!("{} ms after the booking", latency.as_millis());
        self.line(&format!(
            "             {title}  {}",
            self.painted(Look::Quiet, &after)
        ))?;
        self.line(&format!("                    {}", alert.message))
    }

    /// The months of the year.
    pub(super) fn trend(&self, months: &[TrendMonth]) -> io::Result<()> {
        let head = format!(
            "{:<8}{:>12}{:>12}{:>12}",
            "month", "income", "spending", "net"
        );
        self.say(&self.painted(Look::Quiet, &head))?;
        for TrendMonth {
            month,
            income,
            spending,
            net,
        } in months
        {
            let look = if net.starts_with('-') {
                Look::Excess
            } else {
                Look::Good
            };
            let net = self.painted(look, &format!("{net:>12}"));
            self.say(&format!("{month:<8}{income:>12}{spending:>12}{net}"))?;
        }
        Ok(())
    }

    /// The categories of which most was spent; they come in this order.
    pub(super) fn top_categories(&self, sums: &[CategorySum]) -> io::Result<()> {
        let expenses = sums.iter().filter(|sum| sum.kind == "expense");
        for CategorySum { name, amount, .. } in expenses.take(TOP_CATEGORIES) {
            let name = name.as_deref().unwrap_or("without a category");
            self.say(&format!("{name:<20}{amount:>12}"))?;
        }
        Ok(())
    }

    /// The budgets with bars.
    pub(super) fn budgets(&self, budgets: &[Budget]) -> io::Result<()> {
        for budget in budgets {
            let percent = budget.current.percent;
            let look = match percent {
                100.. => Look::Excess,
                80.. => Look::Warning,
                _ => Look::Good,
            };
            let bar = self.painted(look, &bar(usize::try_from(percent).unwrap_or(0), 100));
            let (spent, limit) = (&budget.current.spent, &budget.amount);
            self.say(&format!(
                "{:<20}{bar} {percent:>4} %  {spent} of {limit}",
                budget.name
            ))?;
        }
        Ok(())
    }

    fn line(&self, text: &str) -> io::Result<()> {
        let mut page = self.page();
        if std::mem::take(&mut page.moving) {
            write!(page.out, "\r\x1b[2K")?;
        }
        writeln!(page.out, "{text}")?;
        page.out.flush()
    }

    fn page(&self) -> MutexGuard<'_, Page> {
        self.page.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn painted(&self, look: Look, text: &str) -> String {
        if self.colour {
            format!("\x1b[{}m{text}\x1b[0m", look.code())
        } else {
            text.to_owned()
        }
    }
}

/// Cents as a decimal number.
pub(super) fn decimal(cents: u64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

/// A text as one word of a POSIX shell.
pub(super) fn shell_word(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn bar(part: usize, whole: usize) -> String {
    let filled = (part * BAR_CELLS / whole.max(1)).min(BAR_CELLS);
    format!("[{}{}]", "#".repeat(filled), ".".repeat(BAR_CELLS - filled))
}

#[cfg(test)]
mod tests;
