//! The rows of the table: which work, which sides, which goal.

mod files;
mod forward;
mod pool;

use std::fmt;
use std::io;
use std::num::NonZeroU32;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;

use crate::bench::embedded::{self, Batch, Embedded};
use crate::bench::machine;
use crate::bench::measure::Spent;
use crate::bench::programs::{Programs, finish};
use crate::bench::ratio::{Ratio, median};
use crate::bench::server::Server;
use crate::outcome::Failure;
use crate::shell;

pub(super) use self::files::{far, sftp};
pub(super) use self::forward::{forward, forward_facts};
pub(super) use self::pool::{pool, pool_facts};

/// The head of the table, in Markdown.
pub(super) const HEADING: &str = "\
| work | ours, wall / CPU s | against | wall / CPU s | wall, ours to theirs | CPU, ours to theirs | floor s, ours to it (/ CPU) | goal |
|---|---|---|---|---|---|---|---|
";

/// `ssh` starts a process for each connection; with more at once they fight for the cores.
const SSH_AT_ONCE: usize = 10;
const COMMANDS: u32 = 500;
/// A login for each command takes too long to be measured whole.
const COMMANDS_OF_SSH: u32 = COMMANDS / 10;
const BYTES: u64 = 1 << 30;

/// Many connections from nothing.
pub(super) fn connect<'a>(programs: &'a Programs<'a>) -> Vec<Duel<'a>> {
    let work = "100 connections at once";
    let ours = || Side::program("bench-ours", || programs.ours(&["connect", "100", "100"]));
    let base = Side::program("base", || programs.base(&["connect", "100", "100"]));
    let ssh = Side::new("100 × `ssh HOST true`, 10 at a time", || {
        let mut running: Vec<(Command, Child)> = Vec::new();
        for _ in 0..100 {
            if running.len() == SSH_AT_ONCE {
                let (command, child) = running.remove(0);
                finish_started(&command, child)?;
            }
            let mut command = programs.ssh("true");
            let child = command.spawn().map_err(|error| Failure::new(format!("ssh: {error}")))?;
            running.push((command, child));
        }
        running.into_iter().try_for_each(|(command, child)| finish_started(&command, child))
    });
    vec![Duel::new(work, ours(), base).wall(1.0), Duel::new(work, ours(), ssh)]
}

/// Many commands over one connection, its login included.
pub(super) fn exec<'a>(programs: &'a Programs<'a>) -> Vec<Duel<'a>> {
    let work = "500 commands over one connection, one after another";
    let ours = |at_once| Side::program("bench-ours", move || programs.ours(&["exec", "500", at_once]));
    let reporting = Side::program("bench-ours", || programs.ours(&["exec", "500", "1", "--report"]));
    let base = |at_once| Side::program("base", move || programs.base(&["exec", "500", at_once]));
    let mux = Side::new("500 × `ssh -S`, its master included", || {
        let master = programs.master()?;
        for _ in 0..COMMANDS {
            finish(programs.ssh_through(&master, "true"))?;
        }
        master.end(programs)
    });
    let ssh = Side::new("500 × `ssh`, from 50", || {
        (0..COMMANDS_OF_SSH).try_for_each(|_| finish(programs.ssh("true")))
    });
    let ssh = ssh.scaled(f64::from(COMMANDS) / f64::from(COMMANDS_OF_SSH));
    vec![
        Duel::new(work, ours("1"), base("1")).wall(1.0),
        Duel::new(work, ours("1"), mux),
        Duel::new(work, ours("1"), ssh),
        Duel::new("the same, 8 at a time", ours("8"), base("8")).wall(1.0),
        Duel::new("one after another, each reporting its process group", reporting, base("1")),
    ]
}

/// Much output of one command, by the program that is shipped.
pub(super) fn pipe<'a>(server: &Server, programs: &'a Programs<'a>) -> Result<Vec<Duel<'a>>, Failure> {
    let work = "1 GiB of a command's standard output";
    let line = format!("cat {}", server.file("data", BYTES)?.display());
    for command in [programs.shipped(&line), programs.ssh(&line)] {
        check_count(command)?;
    }
    let counted = shell::capture_ok(programs.base(&["pipe", &line]).stdout(Stdio::piped()))?;
    if counted.trim() != BYTES.to_string() {
        return Err(Failure::new(format!("the base gave {} of {BYTES} bytes", counted.trim())));
    }
    let of = |name, make: fn(&Programs<'a>, &str) -> Command| {
        let line = line.clone();
        Side::program(name, move || make(programs, &line))
    };
    let ours = || of("`rustle-connect exec HOST`", Programs::shipped);
    let ssh = of("`ssh HOST`", Programs::ssh);
    let base = of("base", |programs, line| programs.base(&["pipe", line]));
    let drain =
        || of("bench-base drain", |programs, line| programs.base(&["drain", line, &BYTES.to_string()]));
    Ok(vec![
        Duel::new(work, ours(), ssh).at_best(drain()).wall(0.75).cpu(0.8),
        Duel::new(work, ours(), base).at_best(drain()),
    ])
}

/// The test server against the real one, by a client that is neither's.
pub(super) fn test_server<'a>(
    server: &'a Server,
    programs: &'a Programs<'a>,
) -> Result<Vec<Duel<'a>>, Failure> {
    let file = server.file("data", BYTES)?;
    let ours = Rc::new(Embedded::start(server, programs.folder(), &file)?);
    let file = file.display();
    let transfers = [
        ("`sftp` gets 1 GiB", "get", "get /data /dev/null".to_owned(), format!("get {file} /dev/null")),
        ("`sftp` puts 1 GiB", "put", format!("put {file} /copy"), format!("put {file} {file}.copy")),
    ];
    let duels = transfers.map(|(work, name, from_ours, from_theirs)| {
        let from_ours = Batch::write(server, &format!("{name}_embedded"), &from_ours)?;
        let from_theirs = Batch::write(server, name, &from_theirs)?;
        let ours = Rc::clone(&ours);
        let ours = Side::program("`rustle-connect test-server`", move || ours.sftp(&from_ours));
        let theirs = Side::program("`sshd`", move || embedded::sftp_of(server, &from_theirs));
        Ok(Duel::new(work, ours, theirs).wall(2.0))
    });
    duels.into_iter().collect()
}

/// Whether all of the file arrives; a side that loses some would be measured as a fast one.
fn check_count(mut command: Command) -> Result<(), Failure> {
    let shown = shell::shown(&command);
    let broken = |error: io::Error| Failure::new(format!("`{shown}`: {error}"));
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(broken)?;
    let bytes = child.stdout.take().map_or(Ok(0), |mut stdout| io::copy(&mut stdout, &mut io::sink()));
    let bytes = bytes.map_err(broken)?;
    finish_started(&command, child)?;
    if bytes == BYTES {
        Ok(())
    } else {
        Err(Failure::new(format!("`{shown}` gave {bytes} of {BYTES} bytes")))
    }
}

fn finish_started(command: &Command, mut child: Child) -> Result<(), Failure> {
    let status =
        child.wait().map_err(|error| Failure::new(format!("`{}`: {error}", shell::shown(command))))?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::new(format!("`{}` ended with {status}", shell::shown(command))))
}

/// One of the two in a duel.
struct Side<'a> {
    name: &'static str,
    /// How many times what it does makes the row's work.
    scale: f64,
    run: Box<dyn Fn() -> Result<(), Failure> + 'a>,
}

impl<'a> Side<'a> {
    fn new(name: &'static str, run: impl Fn() -> Result<(), Failure> + 'a) -> Self {
        Self { name, scale: 1.0, run: Box::new(run) }
    }

    /// One process does it all.
    fn program(name: &'static str, command: impl Fn() -> Command + 'a) -> Self {
        Self::new(name, move || finish(command()))
    }

    fn scaled(mut self, scale: f64) -> Self {
        self.scale = scale;
        self
    }

    fn measure(&self, server: &Server) -> Result<Spent, Failure> {
        Ok(Spent::on(&self.run, || server.cpu())?.times(self.scale))
    }
}

/// One piece of work, done by ours and by a peer in turn.
pub(super) struct Duel<'a> {
    work: &'static str,
    ours: Side<'a>,
    peer: Side<'a>,
    /// What no client can beat, measured in each turn as well; else it is the server's CPU time spread over the cores.
    best: Option<Side<'a>>,
    goal: Goal,
    /// Where a pair takes minutes there are no more than this.
    most_pairs: u32,
    /// What a run takes of files in memory, which the machine is to have beforehand.
    memory: u64,
}

impl<'a> Duel<'a> {
    fn new(work: &'static str, ours: Side<'a>, peer: Side<'a>) -> Self {
        Self { work, ours, peer, best: None, goal: Goal::default(), most_pairs: u32::MAX, memory: 0 }
    }

    /// Each run writes so many bytes to files in memory.
    fn memory(mut self, bytes: u64) -> Self {
        self.memory = bytes;
        self
    }

    /// A pair takes so long that few have to do.
    fn pairs_at_most(mut self, most: u32) -> Self {
        self.most_pairs = most;
        self
    }

    /// The goal for the wall time in seconds, whatever the peer takes.
    fn seconds(mut self, most: f64) -> Self {
        self.goal.seconds = Some(most);
        self
    }

    /// No client can be faster than this one, which does less than the work.
    fn at_best(mut self, best: Side<'a>) -> Self {
        self.best = Some(best);
        self
    }

    /// The goal for the wall time.
    fn wall(mut self, most: f64) -> Self {
        self.goal.wall = Some(most);
        self
    }

    /// The goal for the CPU time.
    fn cpu(mut self, most: f64) -> Self {
        self.goal.cpu = Some(most);
        self
    }

    pub(super) fn title(&self) -> String {
        format!("-- {}: {} against {}", self.work, self.ours.name, self.peer.name)
    }

    /// One run of each that nobody measures.
    fn warm_up(&self) -> Result<(), Failure> {
        (self.ours.run)()?;
        (self.peer.run)()?;
        self.best.as_ref().map_or(Ok(()), |best| (best.run)())
    }

    /// Runs the pairs, after one of each that nobody measures.
    pub(super) fn fight(&self, server: &Server, cores: usize, pairs: NonZeroU32) -> Result<Line, Failure> {
        self.warm_up()?;
        let mut rounds = Vec::new();
        for _ in 0..pairs.get().min(self.most_pairs) {
            let measured = |side: &Side<'_>| {
                machine::have_memory(self.memory);
                side.measure(server)
            };
            let (ours, peer) = (measured(&self.ours)?, measured(&self.peer)?);
            let best = self.best.as_ref().map(measured).transpose()?;
            let floor = best.map_or(ours.server / cores.max(1) as f64, |best| best.wall);
            rounds.push(Round { ours, peer, floor, least: best.map(|best| best.cpu) });
        }
        Line::of(self, &rounds)
            .ok_or_else(|| Failure::new(format!("{}: took no measurable time", self.title())))
    }
}

/// What each side took, in turn.
#[derive(Clone, Copy)]
struct Round {
    ours: Spent,
    peer: Spent,
    /// Nobody gets below it, in seconds.
    floor: f64,
    /// The CPU time of the one that cannot be beaten, where it was measured.
    least: Option<f64>,
}

/// The most that the ratios may be.
#[derive(Default, Clone, Copy)]
struct Goal {
    wall: Option<f64>,
    cpu: Option<f64>,
    seconds: Option<f64>,
}

/// A row of the table.
pub(super) struct Line {
    work: &'static str,
    names: [&'static str; 2],
    spent: [Spent; 2],
    wall: Ratio,
    cpu: Ratio,
    floor: f64,
    /// Ours over the floor, wall and CPU, where there is one.
    above: [Option<Ratio>; 2],
    goal: Goal,
}

/// So near the floor a goal is met whatever the peer took.
const NEAR: f64 = 1.1;

impl Line {
    /// None where there were no rounds.
    fn of(duel: &Duel<'_>, rounds: &[Round]) -> Option<Self> {
        let middle = |side: fn(&Round) -> Spent| Spent {
            wall: median(rounds.iter().map(|round| side(round).wall)),
            cpu: median(rounds.iter().map(|round| side(round).cpu)),
            server: median(rounds.iter().map(|round| side(round).server)),
        };
        Some(Self {
            work: duel.work,
            names: [duel.ours.name, duel.peer.name],
            spent: [middle(|round| round.ours), middle(|round| round.peer)],
            wall: Ratio::of(rounds.iter().map(|round| (round.ours.wall, round.peer.wall)))?,
            cpu: Ratio::of(rounds.iter().map(|round| (round.ours.cpu, round.peer.cpu)))?,
            floor: median(rounds.iter().map(|round| round.floor)),
            above: [
                Ratio::of(rounds.iter().map(|round| (round.ours.wall, round.floor))),
                Ratio::of(rounds.iter().filter_map(|round| Some((round.ours.cpu, round.least?)))),
            ],
            goal: duel.goal,
        })
    }

    fn goal_text(&self) -> String {
        let [wall, cpu] = self.above;
        let parts = [("wall", self.goal.wall, self.wall, wall), ("CPU", self.goal.cpu, self.cpu, cpu)];
        let parts = parts.into_iter().filter_map(|(name, most, ratio, above)| {
            let most = most?;
            let verdict = match ratio.is_within(most) {
                true => "met",
                false if above.is_some_and(|above| above.is_within(NEAR)) => "met by the floor",
                false => "missed",
            };
            Some(format!("{name} ≤ {most:.2}: {verdict}"))
        });
        let seconds = self.goal.seconds.map(|most| {
            let verdict = if self.spent[0].wall <= most { "met" } else { "missed" };
            format!("wall ≤ {most:.1} s: {verdict}")
        });
        let text = parts.chain(seconds).collect::<Vec<_>>().join("; ");
        if text.is_empty() { "–".into() } else { text }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [ours, peer] = self.spent.map(|spent| format!("{:.2} / {:.2}", spent.wall, spent.cpu));
        let floor = match self.above {
            [Some(wall), Some(cpu)] => format!("{:.2}, {:.2} / {:.2}", self.floor, wall.median, cpu.median),
            [Some(wall), None] => format!("{:.2}, {:.2}", self.floor, wall.median),
            [None, _] => "–".to_owned(),
        };
        write!(
            f,
            "| {} | {}: {ours} | {} | {peer} | {} | {} | {floor} | {} |",
            self.work,
            self.names[0],
            self.names[1],
            self.wall,
            self.cpu,
            self.goal_text()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn idle(name: &'static str) -> Side<'static> {
        Side::new(name, || Ok(()))
    }

    fn round(wall: f64, cpu: f64) -> Round {
        let peer = Spent { wall: 2.0, cpu: 1.0, server: 1.7 };
        Round { ours: Spent { wall, cpu, server: 1.6 }, peer, floor: 0.8, least: None }
    }

    #[test]
    fn a_line_shows_medians_ratios_and_whether_the_goal_is_met() {
        let duel = Duel::new("work", idle("ours"), idle("peer")).wall(0.75).cpu(0.8);
        let line = Line::of(&duel, &[round(1.0, 0.9), round(1.5, 0.8), round(1.2, 0.85)]).unwrap();
        assert_eq!(
            line.to_string(),
            "| work | ours: 1.20 / 0.85 | peer | 2.00 / 1.00 | 0.60 (0.50–0.75) | 0.85 (0.80–0.90) | 0.80, 1.50 \
             | wall ≤ 0.75: met; CPU ≤ 0.80: missed |"
        );
    }

    #[test]
    fn near_the_floor_a_goal_is_met() {
        let duel = Duel::new("work", idle("ours"), idle("peer")).wall(0.4).cpu(0.4);
        let goal = |wall| Line::of(&duel, &[round(wall, 0.9)]).unwrap().goal_text();
        assert_eq!(goal(0.88), "wall ≤ 0.40: met by the floor; CPU ≤ 0.40: missed");
        assert_eq!(goal(0.89), "wall ≤ 0.40: missed; CPU ≤ 0.40: missed");
        let goal = |cpu| {
            let line = Line::of(&duel, &[Round { least: Some(0.8), ..round(1.0, cpu) }]).unwrap();
            assert!(line.to_string().contains("| 0.80, 1.25 / "), "{line}");
            line.goal_text()
        };
        assert_eq!(goal(0.88), "wall ≤ 0.40: missed; CPU ≤ 0.40: met by the floor");
        assert_eq!(goal(0.89), "wall ≤ 0.40: missed; CPU ≤ 0.40: missed");
    }

    #[test]
    fn a_goal_in_seconds_is_ours_alone() {
        let goal = |most| {
            let duel = Duel::new("work", idle("ours"), idle("peer")).seconds(most);
            Line::of(&duel, &[round(1.5, 0.9)]).unwrap().goal_text()
        };
        assert_eq!([goal(1.5), goal(1.4)], ["wall ≤ 1.5 s: met", "wall ≤ 1.4 s: missed"]);
    }

    #[test]
    fn without_a_goal_none_is_met_or_missed() {
        let duel = Duel::new("work", idle("ours"), idle("peer"));
        assert!(Line::of(&duel, &[round(1.0, 1.0)]).unwrap().to_string().ends_with("| – |"));
        assert!(Line::of(&duel, &[]).is_none());
    }

    #[test]
    fn a_side_that_fails_ends_the_duel() {
        let broken = Side::new("peer", || Err(Failure::new("no")));
        assert!(Duel::new("work", idle("ours"), broken).warm_up().is_err());
    }
}
