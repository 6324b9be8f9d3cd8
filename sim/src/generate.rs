//! Scripts out of seeds, swarm style: each seed turns on some faults and leaves the others out.

use sessile_core::{CreateWhen, Granularity, OnConflict, Persist, RotationReason};

use crate::rng::Rng;
use crate::script::{
    Driver, Fate, Fault, FaultKind, NodeRules, Op, Presents, Request, Rules, SKEW, Script,
};

impl Script {
    /// Draws the script of a seed.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        let mut rng = Rng::new(seed).fork(0);
        let mut swarm = Swarm::draw(&mut rng);
        swarm.collects = Rng::new(seed).fork(1).chance(40);
        swarm.takes = Rng::new(seed).fork(3).chance(6);
        if Rng::new(seed).fork(6).chance(10) {
            swarm.rotates = true;
            (swarm.fates, swarm.percent) = (vec![Fate::DropReply], 30);
        }
        let mut nodes: Vec<NodeRules> =
            (0..1 + rng.index(4)).map(|_| draw_node(&mut rng, &swarm)).collect();
        let clients = if swarm.stalls { 1 } else { 1 + rng.index(3) };
        let rules = draw_rules(&mut rng, &swarm);
        let mut deploy = Rng::new(seed).fork(2);
        if deploy.chance(25) {
            for node in &mut nodes {
                let other = draw_other_rules(&mut deploy, &swarm, rules);
                node.rules = Some(other).filter(|_| deploy.chance(60));
            }
        }
        let mut requests = Vec::new();
        for client in 0..clients {
            requests.push(draw_first(&mut rng, client, nodes.len()));
        }
        let spread = rng.pick(if swarm.rotates { &[30, 60] } else { &[10, 60, 200, 600] });
        let most = if swarm.is_long { 60 } else { 14 };
        for number in 0..2 + rng.index(most) {
            let mut rng = rng.fork(number as u64);
            let at = 60 + rng.below(spread);
            let client = rng.index(clients);
            requests.push(draw_request(&mut rng, &swarm, number, at, client, nodes.len()));
        }
        let mut crowd = Rng::new(seed).fork(5);
        if crowd.chance(3) {
            let from = requests.len();
            let at = 60 + crowd.below(spread);
            let within = crowd.pick(&[60, 120, 300]);
            let request = |number| draw_of_crowd(&crowd, from + number, at, within, nodes.len());
            requests.extend((0..CROWD).map(request));
        }
        let mut faults = draw_faults(&mut rng, &swarm, spread, clients, nodes.len());
        let mut newer = Rng::new(seed).fork(4);
        if newer.chance(8) {
            let kind = FaultKind::Newer(newer.index(clients), newer.chance(50));
            faults.push(Fault { at: 40 + newer.below(spread + 60), kind });
        }
        let mut prolonged = Rng::new(seed).fork(7);
        if prolonged.chance(8) {
            let kind = FaultKind::Prolong(prolonged.index(clients), LONG);
            faults.push(Fault { at: 40 + prolonged.below(spread + 60), kind });
        }
        Self { seed, rules, nodes, requests, faults }
    }
}

/// Which faults a seed turns on.
struct Swarm {
    /// The fates a call can meet beside taking its time.
    fates: Vec<Fate>,
    /// The chance of one of them, in a hundred.
    percent: u64,
    skew: bool,
    holds: bool,
    cancels: bool,
    dry: bool,
    faults: Vec<u64>,
    /// Everything is executed long after its node gave up.
    stalls: bool,
    /// There are so many requests that logs outgrow every window.
    is_long: bool,
    /// The longest way to the server.
    slow: u64,
    /// The ops that are drawn more often, if any.
    favourite: u64,
    /// Handlers also work on collections, in closures, and discard.
    collects: bool,
    /// Somebody else has the id of a session that is created.
    takes: bool,
    /// Tokens are replaced all the time, while replies are lost.
    rotates: bool,
}

impl Swarm {
    fn draw(rng: &mut Rng) -> Self {
        let all = [
            Fate::Drop,
            Fate::DropReply,
            Fate::Late(1 + rng.below(300)),
            Fate::Twice(1 + rng.below(30)),
            Fate::Cut,
            Fate::Refuse,
            Fate::Split(1 + rng.below(10)),
        ];
        let mut fates: Vec<Fate> = all.into_iter().filter(|_| rng.chance(40)).collect();
        let stalls = rng.chance(15);
        if stalls {
            fates = vec![Fate::Late(1 + rng.below(60)), Fate::Late(60 + rng.below(300))];
        }
        let percent = match rng.pick(&[0, 3, 10, 30]) {
            _ if fates.is_empty() => 0,
            _ if stalls => 30,
            percent => percent,
        };
        let harms = rng.chance(40);
        Self {
            fates,
            percent,
            skew: rng.chance(30),
            holds: rng.chance(80),
            cancels: rng.chance(25),
            dry: rng.chance(5),
            faults: (0..8).filter(|_| harms && rng.chance(25)).collect(),
            slow: rng.pick(&[1, 5, 20]),
            stalls,
            is_long: rng.chance(3),
            favourite: rng.below(6),
            collects: false,
            takes: false,
            rotates: false,
        }
    }

    fn fate(&self, rng: &mut Rng) -> Fate {
        let fine = Fate::Fine { there: rng.below(self.slow), back: rng.below(self.slow) };
        if rng.chance(self.percent) { rng.pick(&self.fates) } else { fine }
    }
}

fn draw_node(rng: &mut Rng, swarm: &Swarm) -> NodeRules {
    let skew = |rng: &mut Rng, most: u64| {
        let skew = i64::try_from(rng.below(2 * most + 1)).unwrap_or(0);
        skew - i64::try_from(most).unwrap_or(0)
    };
    let raw_skew = skew(rng, 3_600_000);
    let measured = skew(rng, SKEW);
    NodeRules {
        skew: if swarm.skew { measured } else { 0 },
        raw_skew,
        holds: swarm.holds,
        rules: None,
    }
}

fn draw_rules(rng: &mut Rng, swarm: &Swarm) -> Rules {
    let idle = rng.pick(&[120, 1_000, 60_000]);
    let persist = [Persist::AT_END, Persist::ON_CHANGE, Persist::ALWAYS];
    let persist = rng.pick(&persist) | rng.pick(&persist);
    Rules {
        granularity: rng.pick(&[
            Granularity::Attributes,
            Granularity::Attributes,
            Granularity::Whole,
        ]),
        on_conflict: rng.pick(&[OnConflict::Merge, OnConflict::Merge, OnConflict::Reject]),
        persist,
        create: rng.pick(&[CreateWhen::Written, CreateWhen::Written, CreateWhen::Opened]),
        idle,
        absolute: rng.pick(&[None, Some(idle), Some(idle * 3)]),
        touch: rng.pick(&[0, idle / 20, idle / 2]),
        grace: rng.pick(if swarm.rotates { &[100, 1_000] } else { &[0, 20, 1_000] }),
        compact_every: if swarm.stalls { 2 } else { rng.pick(&[2, 3, 5, 64]) },
        loses_upkeep: rng.chance(30),
    }
}

/// Draws the rules of a node that goes by others than the rest: some are the same.
fn draw_other_rules(rng: &mut Rng, swarm: &Swarm, rules: Rules) -> Rules {
    let other = draw_rules(rng, swarm);
    let mut mixed = Rules { loses_upkeep: rules.loses_upkeep, ..other };
    if rng.chance(50) {
        (mixed.granularity, mixed.on_conflict) = (rules.granularity, rules.on_conflict);
    }
    if rng.chance(50) {
        (mixed.persist, mixed.create) = (rules.persist, rules.create);
    }
    // A timeout lies within the other one, and a touch interval within both.
    if rng.chance(30) {
        (mixed.idle, mixed.absolute, mixed.touch) = (rules.idle, rules.absolute, rules.touch);
    }
    if rng.chance(50) {
        (mixed.grace, mixed.compact_every) = (rules.grace, rules.compact_every);
    }
    mixed
}

/// The request that makes a session, undisturbed.
fn draw_first(rng: &mut Rng, client: usize, nodes: usize) -> Request {
    let ops = vec![Op::Set(0, 1 + client as u64), Op::Add(0, 1)];
    Request {
        at: rng.below(20),
        node: rng.index(nodes),
        client,
        presents: Presents::Nothing,
        driver: rng.pick(&[Driver::Steps, Driver::Sessions]),
        ops,
        retries: 0,
        cancelled_at: None,
        dry_at: None,
        fates: Vec::new(),
    }
}

fn draw_request(
    rng: &mut Rng,
    swarm: &Swarm,
    number: usize,
    at: u64,
    client: usize,
    nodes: usize,
) -> Request {
    let presents = match rng.below(if swarm.rotates { 10 } else { 20 }) {
        0 => Presents::Nothing,
        1 => Presents::Forged,
        2 => Presents::Garbage,
        3 | 4 => Presents::Older(1 + rng.index(3)),
        _ => Presents::Newest,
    };
    let driver = match rng.below(8) {
        0 => Driver::Compactor,
        1 => Driver::Sessions,
        2 => Driver::Update,
        _ => Driver::Steps,
    };
    let mut unique = (number as u64 + 1) * 1_000;
    let ops = (0..rng.index(6)).map(|_| draw_op(rng, swarm, &mut unique, 0)).collect();
    let mut apart = rng.fork(APART);
    let taken = swarm.takes.then(|| apart.index(4));
    let fate = |call, fate| if taken == Some(call) { Fate::Taken } else { fate };
    Request {
        at,
        node: rng.index(nodes),
        client,
        presents,
        driver,
        ops,
        retries: rng.pick(&[0, 1, 3]),
        cancelled_at: (swarm.cancels && rng.chance(30)).then(|| 1 + rng.small(6)),
        dry_at: (swarm.dry && rng.chance(30)).then(|| rng.small(5)),
        fates: (0..CALLS).map(|call| fate(call, swarm.fate(rng))).collect(),
    }
}

/// Draws one of many requests of one client at nearly the same time, which outgrow what a log
/// remembers while a few of their calls are lost or late.
fn draw_of_crowd(rng: &Rng, number: usize, at: u64, within: u64, nodes: usize) -> Request {
    let mut rng = rng.fork(number as u64);
    let unique = (number as u64 + 1) * 1_000;
    let op = match rng.below(8) {
        0..=2 => Op::Add(rng.index(2), 1 + i64::from(rng.small(5))),
        3 | 4 => Op::Set(rng.index(2), unique),
        5 => Op::Push(unique),
        6 => Op::Update(unique),
        _ => Op::Edit(unique),
    };
    let wait = rng.pick(&[1, 10, 70]);
    let ops = if rng.chance(20) { vec![Op::Wait(wait), op] } else { vec![op] };
    let (there, back) = (rng.below(3), rng.below(3));
    let fine = Fate::Fine { there, back };
    let lost = [Fate::DropReply, Fate::Late(1 + rng.below(30)), Fate::Late(30 + rng.below(270))];
    let write = if rng.chance(20) { rng.pick(&lost) } else { fine };
    Request {
        at: at + rng.below(within),
        node: rng.index(nodes),
        client: 0,
        presents: Presents::Newest,
        driver: rng.pick(&[Driver::Steps, Driver::Sessions]),
        ops,
        retries: rng.pick(&[0, 1, 3]),
        cancelled_at: None,
        dry_at: None,
        fates: vec![fine, write, fine, fine],
    }
}

fn draw_op(rng: &mut Rng, swarm: &Swarm, unique: &mut u64, depth: u32) -> Op {
    *unique += 2 + rng.below(2);
    let number = *unique;
    let mut turn = rng.fork(APART + 1);
    if swarm.rotates && turn.chance(15) {
        return Op::Rotate(turn.pick(&[RotationReason::Renewal, RotationReason::PrivilegeChange]));
    }
    let mut apart = rng.fork(APART);
    if swarm.collects && apart.chance(50) {
        return draw_collecting(&mut apart, number, depth);
    }
    if rng.chance(30) {
        match swarm.favourite {
            0 => return Op::Add(rng.index(2), 1 + i64::from(rng.small(5))),
            1 => return Op::Rotate(RotationReason::PrivilegeChange),
            2 => return Op::Set(rng.index(2), number),
            3 if depth == 0 => return draw_save(rng, swarm, unique),
            _ => {}
        }
    }
    match rng.below(40) {
        0..=3 => Op::Get(rng.index(2)),
        4 => Op::Count(rng.index(2)),
        5 => Op::Names,
        6..=12 => Op::Set(rng.index(2), number),
        13 => Op::SetSame(rng.index(2)),
        14 | 15 => Op::Remove(rng.index(2)),
        16..=20 => Op::Add(rng.index(2), i64::from(rng.small(9)) - 3),
        21 => Op::RemoveCounter(rng.index(2)),
        22..=27 => Op::Edit(number),
        28 => Op::Borrow(number),
        29 => Op::Text(rng.pick(&[3, 700, 1_500]), number),
        30 if rng.chance(50) => Op::Everything,
        30 => Op::Clear,
        31 => Op::Rotate(RotationReason::Renewal),
        32 => Op::Rotate(RotationReason::PrivilegeChange),
        33 => Op::Login(rng.below(3)),
        34 => Op::Logout,
        35 => Op::Invalidate,
        36 => Op::SetIdle(rng.pick(&[80, 500, 5_000])),
        37 if depth == 0 => Op::Wait(rng.pick(&[1, 10, 70])),
        _ if depth == 0 => draw_save(rng, swarm, unique),
        _ => Op::Get(0),
    }
}

/// Draws an op on a collection or the sum, or a discard.
fn draw_collecting(rng: &mut Rng, number: u64, depth: u32) -> Op {
    match rng.below(20) {
        0..=4 => Op::Push(number),
        5 => Op::Items,
        6 => Op::Empty,
        7..=10 => Op::Insert(rng.index(2), number),
        11 => Op::Entry(rng.index(2)),
        12 => Op::Entries,
        13 => Op::Delete(rng.index(2)),
        14..=17 => Op::Update(number),
        18 if depth == 0 => Op::Discard,
        _ => Op::Push(number),
    }
}

fn draw_save(rng: &mut Rng, swarm: &Swarm, unique: &mut u64) -> Op {
    Op::Save((0..rng.index(3)).map(|_| draw_op(rng, swarm, unique, 1)).collect())
}

fn draw_faults(
    rng: &mut Rng,
    swarm: &Swarm,
    spread: u64,
    clients: usize,
    nodes: usize,
) -> Vec<Fault> {
    let mut faults = Vec::new();
    for kind in &swarm.faults {
        for _ in 0..1 + rng.index(2) {
            let at = 40 + rng.below(spread + 60);
            let kind = match kind {
                0 => FaultKind::Crash(rng.index(nodes)),
                1 => FaultKind::Failover(1 + rng.index(4)),
                2 => FaultKind::Restart,
                3 => FaultKind::Restore,
                4 => FaultKind::Evict(rng.index(clients)),
                5 => FaultKind::Corrupt(rng.index(clients), rng.draw(), rng.draw()),
                6 => FaultKind::Pass(rng.pick(&[30, 200, 2_000])),
                _ => FaultKind::Dump,
            };
            faults.push(Fault { at, kind });
        }
    }
    faults
}

/// Names the generator of ops that were not drawn always.
const APART: u64 = 1_414_213;
/// Longer than any session lives unused, in milliseconds.
const LONG: u64 = 3_600_000;
/// How many come at once, if a crowd comes.
const CROWD: usize = 60;
/// How many calls of a request have a fate of their own.
const CALLS: usize = 12;
