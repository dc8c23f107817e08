//! Plays a dialogue: does what its clients and upstreams do, in order, and compares what they
//! receive. Where they are, and what connects them to a server, is a [`Stage`]'s business.
//!
//! The handler is loaded, and replaced, while the play goes on. While a step waits, everything that
//! arrives for anyone is taken in, so that nobody holds anybody up. What no step has taken at the end
//! is a failure.

mod cuts;
mod failure;
mod loading;
mod party;
mod stage;
mod waiting;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::io;
use std::task::Poll;
use std::time::Duration;

pub use cuts::Cuts;
pub use failure::Failure;
pub use stage::{Stage, Task, Wire};

use crate::net::Transport;
use crate::transcript::{
    Action, Deed, Dialogue, Expectation, Name, Payload, Sight, Step, Template, Variables, Verdict,
    Wanted,
};
use loading::Loading;
use party::{End, Party};

/// How long a step waits for what it expects, if nothing is said.
pub const TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes that somebody may have received and no step has taken.
const MOST_RECEIVED: usize = 16 << 20;

/// What everybody has heard in a play, byte by byte; of datagrams, with their boundaries.
pub type Heard = BTreeMap<Option<Name>, Vec<u8>>;

/// One playing of a dialogue.
pub struct Play<'d, S: Stage> {
    dialogue: &'d Dialogue,
    stage: &'d S,
    /// The end of a line that is sent.
    eol: Vec<u8>,
    /// The end of a line that is expected.
    heard_eol: Vec<u8>,
    timeout: Duration,
    cuts: Cuts,
    loading: Loading,
    parties: BTreeMap<Option<Name>, Party<S::Wire>>,
    variables: Variables,
    /// Steps whose bytes were sent with those of an earlier one.
    sent: BTreeSet<usize>,
    /// The index of the step that is played, for whoever ends the play before its end.
    at: &'d Cell<usize>,
}

impl<'d, S: Stage> Play<'d, S> {
    /// A play that is about to begin; `eol` is the end of a line, `at` is told the index of each
    /// step as it begins.
    #[must_use]
    pub fn new(
        dialogue: &'d Dialogue,
        stage: &'d S,
        eol: Vec<u8>,
        cuts: Cuts,
        at: &'d Cell<usize>,
    ) -> Self {
        Self {
            dialogue,
            at,
            stage,
            heard_eol: eol.clone(),
            eol,
            timeout: dialogue.directives.timeout.unwrap_or(TIMEOUT),
            cuts,
            loading: Loading::Done,
            parties: BTreeMap::new(),
            variables: Variables::default(),
            sent: BTreeSet::new(),
        }
    }

    /// Lines that are expected end so, and not as those that are sent.
    #[must_use]
    pub fn hearing_lines_end(self, heard_eol: Vec<u8>) -> Self {
        Self { heard_eol, ..self }
    }

    /// Plays it to its end, or to the first failure; also tells what everybody has heard.
    pub async fn run(mut self) -> (Result<(), Failure>, Heard) {
        let outcome = self.play().await;
        let heard = self.parties.into_iter().map(|(name, party)| (name, party.into_heard()));
        (outcome, heard.collect())
    }

    async fn play(&mut self) -> Result<(), Failure> {
        let dialogue = self.dialogue;
        for placed in &dialogue.steps {
            if let Some(why) = self.stage.refuses(&placed.step) {
                return Err(Failure::of_step(dialogue, placed, why));
            }
        }
        self.begin_loading(None, self.stage.load());
        for (index, placed) in dialogue.steps.iter().enumerate() {
            if self.waits_for_loading(index) {
                self.loaded().await?;
            }
            self.at.set(index);
            let step = self.step(index, &placed.step).await;
            if step.is_ok() {
                self.settle().await;
            }
            // It may be why the step has waited in vain.
            self.load_failure()?;
            step.map_err(|problem| Failure::of_step(dialogue, placed, problem))?;
        }
        self.loaded().await?;
        self.end().await.map_err(|problem| Failure::of_end(dialogue, problem))
    }

    async fn step(&mut self, index: usize, step: &Step) -> Result<(), String> {
        let who = step.who.as_ref();
        match &step.action {
            Action::Send(_) if self.sent.contains(&index) => Ok(()),
            Action::Send(payload) => {
                let bytes = self.bytes_of(payload);
                let pieces = self.pieces(index, bytes);
                self.hold_back_before_end(index).await?;
                self.send(who, pieces).await
            }
            Action::Expect(wanted) => self.expect(who, wanted).await,
            Action::Pass(time) => {
                self.wait(*time, |_, _| Poll::<()>::Pending).await;
                Ok(())
            }
            Action::Do(Deed::Reload(file)) => {
                self.begin_loading(Some(index), self.stage.reload(file));
                Ok(())
            }
            Action::Do(deed) => self.perform(who, deed).await,
            Action::See(sight) => self.see(who, sight).await,
        }
    }

    /// Where the client ends its side behind the step at `index`, has what that sends wait for it.
    async fn hold_back_before_end(&mut self, index: usize) -> Result<(), String> {
        let Some([sending, ending]) = self.dialogue.steps.get(index..index + 2) else {
            return Ok(());
        };
        let who = sending.step.who.as_ref();
        if ending.step.who.as_ref() == who && ending.step.action == Action::Do(Deed::Eof) {
            self.party(who).await?;
            if let Some(party) = self.parties.get_mut(&who.cloned()) {
                party.hold_back();
            }
        }
        Ok(())
    }

    /// The bytes of a step that sends.
    fn bytes_of(&self, payload: &Payload) -> Vec<u8> {
        let fill = |template: &Template| template.fill(&self.variables).into_owned();
        match payload {
            Payload::Text(text) => fill(&text.with_end(&self.eol)),
            Payload::Bytes(bytes) => fill(bytes),
            Payload::Hex(bytes) => bytes.clone(),
        }
    }

    /// How the bytes of the step at `index` are cut, perhaps with those of steps behind it.
    fn pieces(&mut self, index: usize, mut bytes: Vec<u8>) -> Vec<Vec<u8>> {
        let steps = &self.dialogue.steps;
        let who = &steps[index].step.who;
        if self.is_datagram(who.as_ref()) {
            return vec![bytes];
        }
        if self.cuts.joins() {
            for ahead in cuts::sent_ahead(steps, index) {
                if let Action::Send(payload) = &steps[ahead].step.action {
                    bytes.extend(self.bytes_of(payload));
                    self.sent.insert(ahead);
                }
            }
        }
        self.cuts.cut(bytes)
    }

    fn is_datagram(&self, who: Option<&Name>) -> bool {
        let directives = &self.dialogue.directives;
        let upstream = who.and_then(|name| directives.upstreams.get(name));
        upstream.map_or(directives.transport(), Transport::of).is_datagram()
    }

    fn is_upstream(&self, who: Option<&Name>) -> bool {
        who.is_some_and(|name| self.dialogue.directives.upstreams.contains_key(name))
    }

    /// Has someone there who is to do something. Connects whoever is mentioned for the first time;
    /// an upstream whose connection is over goes on with the next that the handler has made, if it
    /// has.
    async fn party(&mut self, who: Option<&Name>) -> Result<(), String> {
        self.party_unless(Party::is_over, who).await
    }

    /// As [`Self::party`], for who is to hear something: a connection that brings nothing more will
    /// not do, though it could still be answered.
    async fn listener(&mut self, who: Option<&Name>) -> Result<(), String> {
        self.party_unless(Party::is_heard_out, who).await
    }

    async fn party_unless(
        &mut self,
        is_done: impl FnOnce(&Party<S::Wire>) -> bool,
        who: Option<&Name>,
    ) -> Result<(), String> {
        let is_upstream = self.is_upstream(who);
        let Some(party) = self.parties.get_mut(&who.cloned()) else {
            return self.connect(who).await;
        };
        if is_upstream && is_done(party) {
            let mut opening = self.stage.open(who);
            let next = poll_fn(|context| Poll::Ready(opening.as_mut().poll(context))).await;
            if let Poll::Ready(wire) = next {
                party.connect(wire?);
            }
        }
        Ok(())
    }

    async fn connect(&mut self, who: Option<&Name>) -> Result<(), String> {
        let mut opening = self.stage.open(who);
        let limit = self.timeout;
        let opened = self.await_in_time(|_, context| opening.as_mut().poll(context)).await;
        let wire = match opened {
            Some(opened) => opened?,
            None => return Err(format!("there was no connection within {}", shown(limit))),
        };
        let is_datagram = self.is_datagram(who);
        let party = self.parties.entry(who.cloned()).or_insert_with(|| Party::new(is_datagram));
        party.check_empty()?;
        party.connect(wire);
        Ok(())
    }

    async fn send(&mut self, who: Option<&Name>, pieces: Vec<Vec<u8>>) -> Result<(), String> {
        self.party(who).await?;
        let (key, limit) = (who.cloned(), self.timeout);
        for (index, piece) in pieces.into_iter().enumerate() {
            let mut sent = 0;
            let sending = self.await_in_time(|play, context| {
                let Some(party) = play.parties.get_mut(&key) else { return Poll::Pending };
                party.poll_send(context, &piece, &mut sent)
            });
            match sending.await {
                Some(Ok(())) => {}
                // The other side has closed on what was sent so far. What is left would be lost
                // on its way: whoever sends all at once does not hear of it.
                Some(Err(_)) if index > 0 => break,
                Some(Err(error)) if error.kind() == io::ErrorKind::NotConnected => {
                    return Err(format!("its connection is closed; {}", self.how_to_go_on(who)));
                }
                Some(Err(error)) => return Err(format!("it could not be sent: {error}")),
                None => return Err(format!("it was not taken within {}", shown(limit))),
            }
        }
        Ok(())
    }

    /// What helps who has no connection any more.
    fn how_to_go_on(&self, who: Option<&Name>) -> &'static str {
        if self.is_upstream(who) {
            "the handler has made no other"
        } else {
            "!> connect makes a new one"
        }
    }

    async fn expect(&mut self, who: Option<&Name>, wanted: &Wanted) -> Result<(), String> {
        if matches!(wanted, Wanted::Line(_)) && self.heard_eol.is_empty() && !self.is_datagram(who)
        {
            let problem = "the handler's framing has no end of line; write <<~, or say @eol";
            return Err(problem.to_owned());
        }
        self.listener(who).await?;
        let expectation = Expectation::new(wanted, &self.heard_eol);
        let mut variables = std::mem::take(&mut self.variables);
        let (key, limit) = (who.cloned(), self.timeout);
        let mut check = expectation.begin(&variables);
        let verdict = self
            .await_in_time(|play, _| match play.parties.get_mut(&key) {
                Some(party) => party.compare(&expectation, &mut check, &mut variables),
                None => Poll::Pending,
            })
            .await;
        self.variables = variables;
        let party = self.parties.get(&key);
        match verdict {
            Some(Ok(())) => Ok(()),
            Some(Err(difference)) => Err(difference),
            None => {
                let received = party.map_or(&[][..], Party::untaken);
                Err(format!(
                    "{}\nnothing more came within {}",
                    check.missing(received),
                    shown(limit)
                ))
            }
        }
    }

    async fn perform(&mut self, who: Option<&Name>, deed: &Deed) -> Result<(), String> {
        match deed {
            Deed::Connect => {
                if let Some(party) = self.parties.get_mut(&who.cloned()) {
                    party.close();
                }
                return self.connect(who).await;
            }
            Deed::Reload(_) => return Ok(()),
            Deed::Eof | Deed::Close | Deed::Reset => {}
        }
        self.party(who).await?;
        let Some(party) = self.parties.get_mut(&who.cloned()) else { return Ok(()) };
        match deed {
            Deed::Eof => return party.end().map_err(|error| format!("it could not end: {error}")),
            Deed::Close => party.close(),
            _ => party.reset(),
        }
        Ok(())
    }

    async fn see(&mut self, who: Option<&Name>, sight: &Sight) -> Result<(), String> {
        let (key, limit) = (who.cloned(), self.timeout);
        match sight {
            // The end of a connection is that of the one it has.
            Sight::Eof | Sight::Reset if self.parties.contains_key(&key) => {}
            Sight::Eof | Sight::Reset | Sight::Silence(_) => self.listener(who).await?,
            Sight::Log(_) | Sight::Reject(_) | Sight::Fault(_) => {
                let seen =
                    self.await_in_time(|play, context| play.stage.poll_sight(sight, context));
                return match seen.await {
                    Some(()) => Ok(()),
                    None => Err(format!("it was not seen within {}", shown(limit))),
                };
            }
        }
        if let Sight::Silence(time) = sight {
            let heard = self.wait(*time, |play, _| match play.parties.get(&key) {
                Some(party) => party.noise(),
                None => Poll::Pending,
            });
            return heard.await.map_or(Ok(()), Err);
        }
        let wanted = if *sight == Sight::Reset { End::Reset } else { End::Eof };
        let ended = self.await_in_time(|play, _| match play.parties.get(&key) {
            Some(party) => party.seen_end(wanted),
            None => Poll::Pending,
        });
        match ended.await {
            Some(outcome) => outcome,
            None => Err(format!("it did not end within {}", shown(limit))),
        }
    }

    /// Fails for what no step has named.
    async fn end(&mut self) -> Result<(), String> {
        let limit = self.stage.last_wait();
        self.wait(limit, |_, _| Poll::<()>::Pending).await;
        self.settle().await;
        for (name, party) in &self.parties {
            let name = name.as_ref().map(|name| format!("{name} ")).unwrap_or_default();
            party.check_empty().map_err(|problem| format!("{name}{problem}"))?;
        }
        let unclaimed = self.stage.unclaimed();
        if unclaimed.is_empty() { Ok(()) } else { Err(unclaimed.join("\n")) }
    }
}

/// A time as a step has it.
fn shown(time: Duration) -> String {
    humantime::format_duration(time).to_string()
}

/// What a comparison came to: right, or how it differs.
fn verdict(verdict: Verdict) -> Option<Result<usize, String>> {
    match verdict {
        Verdict::Matched(taken) => Some(Ok(taken)),
        Verdict::More => None,
        Verdict::Differs(difference) => Some(Err(difference.to_string())),
    }
}
