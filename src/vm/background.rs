//! Runs timers and tasks of a worker as they come due; what is due is `tasks`'s business.

use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::task::{spawn_local, yield_now};

use super::subject::{Subject, What};
use super::tasks::Task;
use super::{Call, Vm};
use crate::handler::{Event, Handler, Outcome, Step, follow};
use crate::service::Service;

/// Timers and tasks that took longer than this together let others go first.
const LONGEST_TURN: Duration = Duration::from_millis(1);

/// Runs the timers and tasks of the worker's VM, for as long as the worker lives.
pub async fn run_tasks(service: Rc<Service<Vm>>) {
    let mut begin = Instant::now();
    loop {
        let machine = service.handler.machine();
        tokio::select! {
            biased;
            task = machine.host.tasks.next() => {
                service.departures.see_off();
                start(&service, &task);
            }
            () = machine.retirement() => continue,
        }
        if begin.elapsed() > LONGEST_TURN {
            yield_now().await;
            begin = Instant::now();
        }
    }
}

/// Runs a task to its end, or to its first wait.
fn start(service: &Rc<Service<Vm>>, task: &Rc<Task>) {
    let vm = &service.handler;
    vm.calls.set(vm.calls.get() + 1);
    let generation = &task.generation;
    let machine = &generation.machine;
    let ran = machine.call(&generation.origin, task.conn.as_ref(), &task.function, &[]);
    let subject = Subject {
        what: What::Task(task.trigger),
        generation,
        conn: task.conn.as_ref(),
        framing: None,
        message: None,
    };
    let step = vm.settle_first(subject, ran);
    let pause = vm.overrun.take();
    let tasks = &machine.host.tasks;
    match step {
        Step::Done(Outcome::Done { .. } | Outcome::Rejected) => tasks.ended(task, pause),
        // It has cancelled itself, and waits no more.
        Step::Wait(..) if !tasks.contains(task) => {}
        step => {
            let going_on = go_on(Rc::clone(service), Rc::clone(task), step, pause);
            task.goes_on(spawn_local(going_on).abort_handle());
        }
    }
}

/// Goes on with a task that waits or failed.
async fn go_on(service: Rc<Service<Vm>>, task: Rc<Task>, step: Step<Call>, pause: Duration) {
    let vm = &service.handler;
    let outcome = follow(vm, step).await;
    let pause = pause.max(vm.overrun.take());
    if let Outcome::Failed(text) = &outcome {
        match &task.conn {
            // A failure in here was logged, and that is the end of it.
            Some(conn) => drop(follow(vm, vm.start(conn, Event::Error(text))).await),
            None => vm.tell_error(&task.generation, text).await,
        }
    }
    task.generation.machine.host.tasks.ended(&task, pause);
}
