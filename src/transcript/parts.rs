//! A dialogue as one of its sides plays it over a network: that of the clients, or that of the
//! server, to whom what is sent is what is to be received.

use super::client::Unplayable;
use super::step::{Action, Deed, Payload, Sight, Step, Wanted};
use super::template::Template;
use super::{Dialogue, Placed};
use crate::net::Transport;

impl Dialogue {
    /// The part of the clients, who connect by `transport`.
    ///
    /// # Errors
    /// For the first step that cannot be played over a network, and where clients connect in
    /// another way.
    pub fn part_of_clients(&self, transport: Transport) -> Result<Self, Unplayable> {
        self.part(transport, |step| Ok(step.action.clone()))
    }

    /// The part of the server, which listens on `transport`: a step that sends is one that
    /// expects, and the other way round.
    ///
    /// # Errors
    /// As [`Dialogue::part_of_clients`], and for what cannot be sent: patterns, and `??`.
    pub fn part_of_server(&self, transport: Transport) -> Result<Self, Unplayable> {
        self.part(transport, |step| mirrored(&step.action).map_err(str::to_owned))
    }

    fn part(
        &self,
        transport: Transport,
        action: impl Fn(&Step) -> Result<Action, String>,
    ) -> Result<Self, Unplayable> {
        self.suits(transport)?;
        let file = || self.file.clone();
        let steps = self.steps.iter().map(|Placed { line, step }| {
            let played = self.refuse(step).and_then(|()| action(step));
            let step_of = |action| Step { who: step.who.clone(), action };
            played.map(|action| Placed { line: *line, step: step_of(action) }).map_err(|why| {
                Unplayable::Step { file: file(), line: *line, step: step.to_string(), why }
            })
        });
        let steps = steps.collect::<Result<Vec<_>, _>>()?;
        let mut directives = self.directives.clone();
        directives.transport = Some(transport);
        let part = Self { file: file(), directives, steps };
        Ok(if transport.is_datagram() { part } else { part.joined() })
    }

    /// Refuses what only a handler that is tested can play.
    fn refuse(&self, step: &Step) -> Result<(), String> {
        if let Some(name) = step.who.as_ref()
            && self.directives.upstreams.contains_key(name)
        {
            return Err(format!("{name} is an upstream, and there is no handler"));
        }
        match &step.action {
            Action::Do(Deed::Reload(_)) => Err("there is no handler to reload".to_owned()),
            Action::See(Sight::Log(_) | Sight::Reject(_) | Sight::Fault(_)) => {
                Err("what a handler logs, rejects or fails at is not seen over a network"
                    .to_owned())
            }
            _ => Ok(()),
        }
    }

    /// What one sends in a row as one step, so that it leaves in one piece.
    fn joined(self) -> Self {
        let eol = self.directives.eol();
        let is_one = |one: &Placed, next: &Placed| {
            let both = (&one.step.action, &next.step.action);
            one.step.who == next.step.who && matches!(both, (Action::Send(_), Action::Send(_)))
        };
        let steps = self.steps.chunk_by(is_one).map(|row| match row {
            [first, _, ..] => {
                let payloads = row.iter().filter_map(|placed| match &placed.step.action {
                    Action::Send(payload) => Some(template(payload, &eol)),
                    _ => None,
                });
                let parts = payloads.flat_map(|template| template.parts().to_vec());
                let action = Action::Send(Payload::Bytes(Template::new(parts)));
                Placed { line: first.line, step: Step { who: first.step.who.clone(), action } }
            }
            _ => row[0].clone(),
        });
        Self { steps: steps.collect(), ..self }
    }
}

fn template(payload: &Payload, eol: &[u8]) -> Template {
    match payload {
        Payload::Text(text) => text.with_end(eol),
        Payload::Bytes(bytes) => bytes.clone(),
        Payload::Hex(bytes) => Template::literal(bytes.clone()),
    }
}

/// What the server does where a client does this, or sees it.
fn mirrored(action: &Action) -> Result<Action, &'static str> {
    Ok(match action {
        Action::Send(Payload::Text(text)) => Action::Expect(Wanted::Text(text.clone())),
        Action::Send(Payload::Bytes(bytes)) => Action::Expect(Wanted::Bytes(bytes.clone())),
        Action::Send(Payload::Hex(bytes)) => {
            Action::Expect(Wanted::Hex(bytes.iter().copied().map(Some).collect()))
        }
        Action::Expect(Wanted::Text(text)) => Action::Send(Payload::Text(text.clone())),
        Action::Expect(Wanted::Bytes(bytes)) => Action::Send(Payload::Bytes(bytes.clone())),
        Action::Expect(Wanted::Hex(bytes)) => {
            let bytes = bytes.iter().copied().collect::<Option<_>>();
            Action::Send(Payload::Hex(bytes.ok_or("?? is any byte, which cannot be sent")?))
        }
        Action::Expect(Wanted::Line(_) | Wanted::Pattern(_)) => {
            return Err("a pattern cannot be sent");
        }
        Action::Pass(time) | Action::See(Sight::Silence(time)) => Action::Pass(*time),
        Action::Do(Deed::Connect) => Action::Do(Deed::Connect),
        Action::Do(Deed::Eof | Deed::Close) => Action::See(Sight::Eof),
        Action::Do(Deed::Reset) => Action::See(Sight::Reset),
        Action::See(Sight::Eof) => Action::Do(Deed::Eof),
        Action::See(Sight::Reset) => Action::Do(Deed::Reset),
        Action::Do(Deed::Reload(_))
        | Action::See(Sight::Log(_) | Sight::Reject(_) | Sight::Fault(_)) => {
            return Err("there is no handler");
        }
    })
}
