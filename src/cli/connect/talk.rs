//! With a terminal to type on: lines that are edited go to the peer, answers are shown as they
//! come, whatever is half typed. One task does all of it, so nothing is shown out of order.

mod entry;
mod outgoing;

use std::future::pending;
use std::io::{self, ErrorKind};
use std::ops::ControlFlow;
use std::time::Duration;

use tokio::io::{AsyncReadExt, Stdin, stdin};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep, sleep_until};

use super::answer::Answer;
use super::history::History;
use super::screen::Screen;
use super::typed::bytes_of;
use super::{Manner, is_gone, is_refusal, reason, refusal};
use crate::cli::Exit;
use crate::net::link::Link;
use crate::transcript::Eol;
use entry::{Entered, Entry};
use outgoing::Outgoing;

/// What is read at a time; a datagram is never longer.
const PIECE: usize = 256 * 1024;

/// How long the first bytes of a character wait for the others.
const HELD: Duration = Duration::from_millis(50);

/// What to tell of a line that a stream cannot carry.
const NO_BYTES: &str = "nothing was sent: with --eol none an empty line has no bytes";

/// One session.
struct Talk<'a> {
    link: &'a Link,
    manner: &'a Manner,
    screen: Screen,
    answer: Answer,
    entry: Entry,
    history: History,
    outgoing: Outgoing,
    /// The user has ended the input.
    ended: bool,
    /// A send has found the connection reset, which only one call is told.
    reset: bool,
    /// When it is over if nothing comes.
    silence: Option<Instant>,
}

/// What can happen.
enum Event {
    Typed(io::Result<usize>),
    Received(io::Result<usize>),
    Sent(io::Result<usize>),
    /// What an answer holds back waited long enough.
    Settled,
    Silence,
    Resized,
    Ordered,
}

/// A step goes on, or ends the session; an error is one of the terminal.
type Next = io::Result<ControlFlow<Exit>>;

const ON: Next = Ok(ControlFlow::Continue(()));

/// What comes from outside the connection.
struct Outside {
    stdin: Stdin,
    /// Nothing more is typed.
    is_over: bool,
    resize: Signal,
    orders: [Signal; 3],
}

impl Outside {
    fn new() -> io::Result<Self> {
        let orders = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let [interrupt, terminate, hangup] = orders.map(signal);
        Ok(Self {
            stdin: stdin(),
            is_over: false,
            resize: signal(SignalKind::window_change())?,
            orders: [interrupt?, terminate?, hangup?],
        })
    }

    async fn next(&mut self, typed: &mut [u8]) -> Event {
        let [interrupt, terminate, hangup] = &mut self.orders;
        tokio::select! {
            read = self.stdin.read(typed), if !self.is_over => Event::Typed(read),
            _ = self.resize.recv() => Event::Resized,
            _ = interrupt.recv() => Event::Ordered,
            _ = terminate.recv() => Event::Ordered,
            _ = hangup.recv() => Event::Ordered,
        }
    }
}

/// Talks until the user or the peer ends it.
///
/// # Errors
/// The terminal could not be used.
pub(super) async fn talk(link: &Link, manner: &Manner) -> anyhow::Result<Exit> {
    let mut outside = Outside::new()?;
    let screen = Screen::new(is_dumb());
    let mut talk = Talk {
        link,
        manner,
        entry: Entry::new(screen.can_draw())?,
        screen,
        answer: manner.answer(true),
        history: History::in_file(manner.history.clone()),
        outgoing: Outgoing::default(),
        ended: false,
        reset: false,
        silence: None,
    };
    let ended = talk.run(&mut outside).await;
    let left = talk.screen.leave();
    let Talk { entry, history, .. } = talk;
    // The terminal is as it was before anything else is told.
    drop(entry);
    if let Err(error) = history.save() {
        super::tell(&format!("the history could not be written: {}", reason(&error)));
    }
    match ended.and_then(|exit| left.map(|()| exit)) {
        Ok(exit) => Ok(exit),
        // Nobody looks any more.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Exit::Stopped),
        Err(error) => Err(error.into()),
    }
}

/// The terminal can do nothing but print.
fn is_dumb() -> bool {
    std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb")
}

impl Talk<'_> {
    async fn run(&mut self, outside: &mut Outside) -> io::Result<Exit> {
        let mut typed = vec![0; 4096];
        let mut received = vec![0; PIECE];
        self.tell(&self.greeting())?;
        loop {
            let event = self.next(outside, &mut typed, &mut received).await;
            let next = match event {
                Event::Typed(read) => self.on_typed(read.ok(), outside, &typed),
                Event::Received(read) => self.on_received(read, &received),
                Event::Sent(sent) => self.on_sent(sent),
                Event::Settled => self.show_rest().map(ControlFlow::Continue),
                Event::Resized => {
                    self.screen.resize();
                    self.draw()
                }
                Event::Silence | Event::Ordered => Ok(ControlFlow::Break(Exit::Stopped)),
            }?;
            if let ControlFlow::Break(exit) = next {
                self.show_rest()?;
                return Ok(exit);
            }
        }
    }

    async fn next(&self, outside: &mut Outside, typed: &mut [u8], received: &mut [u8]) -> Event {
        let silence = async {
            match self.silence {
                Some(end) => sleep_until(end).await,
                None => pending().await,
            }
        };
        tokio::select! {
            event = outside.next(typed) => event,
            read = self.link.receive(received) => Event::Received(read),
            sent = self.outgoing.send(self.link) => Event::Sent(sent),
            () = sleep(HELD), if self.answer.holds() => Event::Settled,
            () = silence => Event::Silence,
        }
    }

    fn greeting(&self) -> String {
        let done = if self.link.is_datagram() { "sending to" } else { "connected to" };
        let from = match self.link.local.port() {
            Some(_) => format!(" from {}", self.link.local),
            None => String::new(),
        };
        let quit = &self.manner.quit;
        let how = if quit.is_empty() { "Ctrl-C quits" } else { &format!("{quit} quits") };
        format!("{done} {}{from}; {how}", self.link.peer)
    }

    fn on_typed(&mut self, read: Option<usize>, outside: &mut Outside, typed: &[u8]) -> Next {
        let count = match read {
            Some(count) if count > 0 => count,
            // The terminal is gone, or in plain mode Ctrl-D was typed.
            _ => {
                outside.is_over = true;
                return if self.entry.is_raw() {
                    Ok(ControlFlow::Break(Exit::Stopped))
                } else {
                    self.end_input()
                };
            }
        };
        for byte in &typed[..count] {
            let Some(entered) = self.entry.push(*byte, &mut self.history) else { continue };
            if let end @ ControlFlow::Break(_) = self.on_entered(entered)? {
                return Ok(end);
            }
        }
        self.draw()
    }

    fn on_entered(&mut self, entered: Entered) -> Next {
        match entered {
            Entered::Line(line) => {
                self.screen.enter(&line, "")?;
                self.on_line(&line)
            }
            Entered::Left(line) => {
                self.screen.enter(&line, "^C")?;
                ON
            }
            Entered::Interrupt => {
                self.screen.enter("", "^C")?;
                Ok(ControlFlow::Break(Exit::Stopped))
            }
            Entered::End if self.ended => Ok(ControlFlow::Break(Exit::Stopped)),
            Entered::End => self.end_input(),
            Entered::Clear => {
                self.screen.clear(self.entry.line())?;
                ON
            }
            Entered::Suspend => {
                self.screen.leave()?;
                self.entry.suspend()?;
                self.screen.resize();
                ON
            }
        }
    }

    fn on_line(&mut self, line: &str) -> Next {
        if !line.is_empty() && line == self.manner.quit {
            return Ok(ControlFlow::Break(Exit::Stopped));
        }
        self.history.add(line);
        let eol = self.manner.eol.unwrap_or(Eol::Lf);
        match bytes_of(line, eol, self.manner.transport) {
            Ok(bytes) if bytes.is_empty() && !self.link.is_datagram() => {
                self.tell(NO_BYTES)?;
            }
            Ok(bytes) => {
                if let Err(waiting) = self.outgoing.push(bytes) {
                    self.tell(&format!(
                        "not sent: the peer does not read, {waiting} bytes wait already"
                    ))?;
                }
            }
            Err(mistake) => self.tell(&format!("not sent: {mistake}"))?,
        }
        ON
    }

    /// Nothing more is typed: a stream is half-closed once all is sent.
    fn end_input(&mut self) -> Next {
        self.ended = true;
        self.entry.close();
        if self.link.is_datagram() {
            self.tell("end of input; waiting for late answers, Ctrl-C quits")?;
        } else {
            self.tell("end of input; waiting for the peer to end too, Ctrl-C quits")?;
        }
        self.end_link()
    }

    fn end_link(&mut self) -> Next {
        if self.ended && self.outgoing.is_empty() {
            // A peer that is gone is told by what is received.
            let _ = self.link.end();
            self.wait_for_answers();
        }
        ON
    }

    fn wait_for_answers(&mut self) {
        let patience = self.manner.patience(self.link);
        // Both are below ten years.
        self.silence = patience.map(|patience| Instant::now() + patience);
    }

    fn on_received(&mut self, read: io::Result<usize>, received: &[u8]) -> Next {
        let count = match read {
            Ok(0) if !self.link.is_datagram() => {
                self.show_rest()?;
                let (how, exit) = if self.reset {
                    ("connection reset by peer", Exit::Failed)
                } else {
                    ("the peer closed the connection", Exit::Stopped)
                };
                return self.peer_ended(how, exit);
            }
            Ok(count) => count,
            Err(error) if self.link.is_datagram() && is_refusal(&error) => {
                self.tell(&refusal(self.link))?;
                return ON;
            }
            Err(error) => {
                self.show_rest()?;
                return self.peer_ended(&reason(&error), Exit::Failed);
            }
        };
        if self.silence.is_some() {
            self.wait_for_answers();
        }
        self.show(&received[..count])
    }

    fn show(&mut self, received: &[u8]) -> Next {
        let mut shown = self.answer.take(received);
        if self.link.is_datagram() && self.answer.is_safe() {
            // The next one is no part of this one.
            shown.extend(self.answer.rest());
            if received.is_empty() {
                self.tell("an empty datagram")?;
            } else if !shown.ends_with(b"\n") {
                shown.push(b'\n');
            }
        }
        self.screen.answer(&shown, self.entry.line())?;
        ON
    }

    fn show_rest(&mut self) -> io::Result<()> {
        let rest = self.answer.rest();
        if rest.is_empty() { Ok(()) } else { self.screen.answer(&rest, self.entry.line()) }
    }

    fn peer_ended(&mut self, how: &str, exit: Exit) -> Next {
        self.entry.close();
        match self.outgoing.waiting() {
            0 => self.tell(how)?,
            unsent => self.tell(&format!("{how}; {unsent} bytes were not sent"))?,
        }
        Ok(ControlFlow::Break(exit))
    }

    fn on_sent(&mut self, sent: io::Result<usize>) -> Next {
        match sent {
            Ok(count) => self.outgoing.sent(count, self.link.is_datagram()),
            // That was about the datagram before; this one is tried again.
            Err(error) if self.link.is_datagram() && is_refusal(&error) => {
                self.tell(&refusal(self.link))?;
            }
            Err(error) if self.link.is_datagram() => {
                let length = self.outgoing.drop_first();
                self.tell(&format!("not sent: {} ({length} bytes)", reason(&error)))?;
            }
            // What is received tells how it ended; a half-closed peer may still say something.
            Err(error) => {
                self.reset = error.kind() == ErrorKind::ConnectionReset;
                self.outgoing.clear();
                let why = if is_gone(&error) { "the peer takes no more" } else { &reason(&error) };
                self.tell(&format!("not sent: {why}"))?;
            }
        }
        self.end_link()
    }

    fn tell(&mut self, text: &str) -> io::Result<()> {
        self.screen.tell(text, self.entry.line())
    }

    fn draw(&mut self) -> Next {
        self.screen.draw(self.entry.line())?;
        ON
    }
}
