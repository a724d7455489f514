/** @typedef {{answerMs?: number, slowMs?: number, slow?: () => void}} Patience
 * When an answer is given up, and when it is late; then `slow` is called. */
/**
 * `fetch` whose answer is there in time, body and all. Throws a Refusal: `waiting` where it did not come, `offline`
 * where none can come.
 * @param {string} url @param {RequestInit} [options] @param {Patience} [patience]
 */
export function request(url: string, options?: RequestInit, { answerMs, slowMs, slow }?: Patience): Promise<Response>;
/**
 * Posts JSON; what came of it, with the content as an object.
 * @param {string} url @param {object} body @param {Patience} [patience]
 * @returns {Promise<{ok: boolean, status: number, retryMs: number, content: Message}>}
 */
export function post(url: string, body: object, patience?: Patience): Promise<{
    ok: boolean;
    status: number;
    retryMs: number;
    content: Message;
}>;
/**
 * Milliseconds to wait before the next connection, or null for never; the table of close codes.
 * @param {{code: number, reason?: string, attempt: number, spreadMs: number, random?: () => number}} loss
 * @returns {number | null}
 */
export function waitAfter({ code, reason, attempt, spreadMs, random }: {
    code: number;
    reason?: string;
    attempt: number;
    spreadMs: number;
    random?: () => number;
}): number | null;
/**
 * Vibrates where that can be; false where not, or before the first touch of the page.
 * @param {number | number[]} pattern in ms: on, off, on, ...
 */
export function vibrate(pattern: number | number[]): boolean;
/** @typedef {"idle" | "armed" | "soon" | "cue" | "open" | "closing" | "sealed" | "beacon" | "drawn" | "naming" |
 *   "published" | "void" | "spoiled"} Moment */
/**
 * By the clock, not by the last message: idle, armed, soon, cue (the last 10 s before the window), open, closing,
 * sealed, beacon (from 15 s before the beacon's round until it is there), drawn, naming, published, void, spoiled.
 * @param {Message | null} segment @param {number} now
 * @param {Message[]} [results] of the same state: a feed behind the studio shows them later
 * @returns {Moment}
 */
export function momentOf(segment: Message | null, now: number, results?: Message[]): Moment;
/**
 * What the screens show: the moment of the segment, or idle where the crew has cleared them. A window that is scheduled
 * and a name that is new come before that.
 * @param {Message} state @param {number} now @returns {Moment}
 */
export function shownMoment({ segment, results, cue }: Message, now: number): Moment;
/**
 * The winners whom the host has named and the screens of this feed may show, each with its prize; `awaited` is the
 * number of the one that is about to be.
 * @param {Message | null} segment @param {number} now
 * @returns {{of: number, winners: Message[], awaited: number | null}}
 */
export function namedOf(segment: Message | null, now: number): {
    of: number;
    winners: Message[];
    awaited: number | null;
};
/**
 * The results of one segment that may be shown now; a winner names its prize by its number, which stands here in its
 * place.
 * @param {Message[]} results @param {number} segmentId @param {number} [now]
 */
export function resultsOf(results: Message[], segmentId: number, now?: number): Message[];
/** @param {Message} result @returns {Message} */
export function withPrizes(result: Message): Message;
/** How many winners of these results are not listed in them. @param {Message[]} results @returns {number} */
export function unlisted(results: Message[]): number;
/** The viewer's name on screen, as engagement/core/names.py makes it. @param {string} pseudonym */
export function stageName(pseudonym: string): string;
/**
 * Server time: a number that the server has told, and the time that has elapsed since. Nobody who sets the clock of the
 * device changes anything; see `sync` in docs/protocol.md.
 */
export class Clock {
    constructor({ elapsed, date }?: {
        elapsed?: (() => number) | undefined;
        date?: (() => number) | undefined;
    });
    elapsed: () => number;
    date: () => number;
    offset: number;
    apart: number;
    /** @type {{trip: number, offset: number}[]} */
    samples: {
        trip: number;
        offset: number;
    }[];
    /** Server time now. */
    now(): number;
    /** A first guess, off by the time that the message was under way; not in place of what is known better.
     * @param {number} serverNow */
    begin(serverNow: number): void;
    /** What a `sync` carries: whole milliseconds of elapsed time. */
    stamp(): number;
    /**
     * Takes a `synced`. Of the newest samples the one with the shortest way counts.
     * @param {Message} message @param {number} [t3] when it came
     */
    learn({ t0, t1, t2 }: Message, t3?: number): void;
    /** Whether the elapsed time may have stood still since the last look, as in some phones that sleep. */
    hasSlept(): boolean;
}
/** Why something was not done. `retryMs` null: asking again does not help; 0: the usual pause. */
export class Refusal extends Error {
    /** @param {Status} status @param {string} code @param {string} message @param {number | null} retryMs */
    constructor(status: Status, code: string, message: string, retryMs: number | null);
    status: Status;
    code: string;
    retryMs: number | null;
}
/**
 * One lasting conversation with a show: reconnects, keeps the clock, sees gaps. `hello` returns the fields of the hello
 * (a promise); `on` has a function per message type, and `status(status, detail)`.
 */
export class Connection {
    /**
     * @param {{slug: string, base?: string, hello: (slow: () => void) => Promise<object>,
     *   on: Record<string, (...told: any[]) => void>, onBadPass?: () => void, clock?: Clock}} options
     */
    constructor({ slug, base, hello, on, onBadPass, clock }: {
        slug: string;
        base?: string;
        hello: (slow: () => void) => Promise<object>;
        on: Record<string, (...told: any[]) => void>;
        onBadPass?: () => void;
        clock?: Clock;
    });
    url: string;
    hello: (slow: () => void) => Promise<object>;
    on: Record<string, (...told: any[]) => void>;
    onBadPass: () => void;
    clock: Clock;
    /** @type {Pace} */
    pace: Pace;
    /** @type {{epoch: number | null, seq: number}} */
    position: {
        epoch: number | null;
        seq: number;
    };
    /** @type {Message} The newest one, with the cues and names that have come since. */
    state: Message;
    attempt: number;
    welcomed: boolean;
    stopped: boolean;
    /** @type {Detail | null} */
    lastError: Detail | null;
    /** @type {WebSocket | null} */
    socket: WebSocket | null;
    heardAt: number;
    syncedAt: number;
    /** @type {Record<string, ReturnType<typeof setTimeout> | undefined>} */
    timers: Record<string, ReturnType<typeof setTimeout> | undefined>;
    awake: () => true | void;
    start(): void;
    /** Hangs up, for good. */
    stop(): void;
    connect(): Promise<void>;
    /** @param {object} hello */
    openSocket(hello: object): void;
    /** Sends one message where that is possible now; before the welcome nothing but hello.
     * @param {string} type @param {object} [fields] */
    send(type: string, fields?: object): boolean;
    /** @param {Status} status @param {Detail} [detail] */
    tell(status: Status, detail?: Detail): void;
    /** @param {Refusal} refusal */
    refused({ status, code, message, retryMs }: Refusal): void;
    /** @param {number} code @param {string} [reason] @param {Status} [status] */
    lost(code: number, reason?: string, status?: Status): void;
    /** @param {Status} status @param {number} waitMs @param {Detail} detail */
    again(status: Status, waitMs: number, detail: Detail): void;
    /** Silence is no proof of death while Redis is away: a sync is answered by the gateway alone. */
    watch(): void;
    /** After a sleep the socket may be dead without anybody having told us: an answer must come within 5 s. */
    probe(): void;
    drop(): void;
    sync(): void;
    /** @param {Message} message */
    receive(message: Message): void;
    resync(): void;
}
/**
 * What a phone keeps of one show, the same for all tabs of it. What lies there may be of an older page or of a show of
 * the same name: what does not fit is passed over. "Forget me" in one tab holds in all: it leaves a mark, and a tab
 * that was there before the mark writes nothing any more.
 */
export class Keep {
    /** @param {string} slug @param {Store} [storage] */
    constructor(slug: string, storage?: Store);
    prefix: string;
    storage: Store;
    mark: string | null;
    forgotten: boolean;
    /** @type {Map<string, string>} What this tab has written, to take it back. */
    written: Map<string, string>;
    /** @type {() => void} */
    onForgotten: () => void;
    /** @type {(name: string) => void} Another tab has written this. */
    onChange: (name: string) => void;
    /** @type {Identity[]} Renewed passes are of the same viewer; who had to become another one may still claim. */
    identities: Identity[];
    /** @param {string} name @returns {any} null for what is not there, and for what is no JSON */
    read(name: string): any;
    /** @param {string} name @returns {any[]} */
    readList(name: string): any[];
    /** @param {string} name @param {any} value */
    write(name: string, value: any): void;
    /** What another tab has written, or thrown away; null for all of it. @param {string | null} key */
    hear(key: string | null): void;
    isForgotten(): boolean;
    /** Told in another tab: what this one has written since, before it heard of it, goes as well. */
    endHere(): void;
    /** Everything of this show; what this page would write before it is gone is not kept either. */
    forget(): void;
    /** The claim page and the page of the draw find them there. @param {Identity} identity */
    remember({ viewer, salt, pass }: Identity): void;
    /** Whether this phone has been this viewer. @param {string} pseudonym */
    has(pseudonym: string): boolean;
    /**
     * The seals as this phone was first shown them, in the order of drawing, under epoch and segment: the page of the
     * draw compares. No later one takes their place, but a new epoch numbers its segments anew. With them the ledger that
     * has them, as it was signed before the draw: nobody can put another history in its place any more.
     * @param {number} epoch @param {Message} segment
     */
    keepSeals(epoch: number, { id, seal, seals, checkpoint }: Message): void;
    /** @param {string} name @param {string} key @param {any} value */
    keepFirst(name: string, key: string, value: any): void;
}
/**
 * Whose turn it is to count: of several tabs of a show one counts and reports, all show. It is the one that was looked
 * at or touched last; where that one is gone, the next that has something to count.
 */
export class Turn {
    /** @param {Keep} keep @param {() => number} [now] the same clock for all tabs */
    constructor(keep: Keep, now?: () => number);
    keep: Keep;
    now: () => number;
    name: string;
    isMine(): boolean;
    /** Whether another tab counts now. */
    isElsewhere(): boolean;
    take(): void;
    /** Somebody looks at this tab now. */
    claim(): void;
}
/** What this phone has won: as told in `won`, or as the results say of any viewer that it has been. */
export class Wins {
    /** @param {Keep} keep */
    constructor(keep: Keep);
    keep: Keep;
    /** @type {number | null} */
    epoch: number | null;
    /** @type {Message[]} */
    list: Message[];
    /** Draws are numbered anew in a new database: a win of another epoch is of another draw. @param {number} epoch */
    enter(epoch: number): void;
    /** @param {Message} told */
    take({ draw, prize, claim_url, claim_by, shown_at, status }: Message): void;
    /** @param {number} draw */
    has(draw: number): boolean;
    /** `won` comes to the viewer that this phone is now; what one has won that it was before stands in the results.
     * @param {Message[]} results */
    compare(results: Message[]): void;
    /** Those that can still be claimed, or are; none before the wall has named it. @param {number} now */
    shown(now: number): Message[];
    save(): void;
}
/** @typedef {{working?: (seconds: number) => void, askForCode?: (refusal: string) => Promise<string>,
 *   slow?: () => void}} Told What the viewer sees while a pass is earned. */
/**
 * How a phone gets its pass: the one it has, a renewed one, a free one, or one that it earns. `solver` is the address
 * of ALTCHA's worker; without one, this phone does no work.
 */
export class Pass {
    /** @param {{slug: string, keep: Keep, base?: string, solver?: string, patience?: Patience}} options */
    constructor({ slug, keep, base, solver, patience }: {
        slug: string;
        keep: Keep;
        base?: string;
        solver?: string;
        patience?: Patience;
    });
    address: string;
    keep: Keep;
    solver: string;
    patience: Patience;
    /** A valid pass; tabs that open at once get the same. @param {Told} [told] @returns {Promise<string>} */
    get(told?: Told): Promise<string>;
    /** One tab asks, the others take what it gets; but nobody waits long for a viewer who does not type the code there.
     * @param {LockManager} locks @param {() => Promise<string>} work @returns {Promise<string>} */
    inTurn(locks: LockManager, work: () => Promise<string>): Promise<string>;
    kept(): any;
    /** @param {Told} told @returns {Promise<string>} */
    fetch(told: Told): Promise<string>;
    /** The server does not take it. */
    drop(): void;
    /** For the viewer that this phone was last: prizes and shakes of tonight are theirs. @param {Told} told */
    renew(told: Told): Promise<Message | null>;
    /** @param {Told} told @returns {Promise<Message>} */
    earn(told: Told): Promise<Message>;
    /** What to ask with next, as the refusal says.
     * @param {Message} refusal @param {Told} told @returns {Promise<object>} */
    earning(refusal: Message, told: Told): Promise<object>;
    /** @param {object} body @param {Told} told @returns {Promise<{fresh: Message | null, refusal: Message}>} */
    ask(body: object, { slow }: Told): Promise<{
        fresh: Message | null;
        refusal: Message;
    }>;
    canWork(): boolean;
    /** By ALTCHA's own worker, which needs no https; on half of the cores, so that a phone stays cool.
     * @param {Message} challenge @param {(seconds: number) => void} [working] @returns {Promise<object>} */
    solve(challenge: Message, working?: (seconds: number) => void): Promise<object>;
}
/**
 * What this phone has counted, and what the server has acknowledged of it: the latter alone is *counted*. Both are
 * kept, so that they survive a reload and are the same in all tabs.
 */
export class Counter {
    /** @param {Keep} keep */
    constructor(keep: Keep);
    keep: Keep;
    viewer: string;
    /** @type {number | null} */
    epoch: number | null;
    /** @type {number | null} */
    segment: number | null;
    own: number;
    acknowledged: number;
    /** @type {{segment: number, total: number} | null} The last total of the segment before, not acknowledged yet. */
    leftover: {
        segment: number;
        total: number;
    } | null;
    /** @param {any} one */
    isThis(one: any): boolean;
    /** Continues from the larger of what this phone and what the server has.
     * @param {string} viewer @param {number} epoch @param {number | null} segment @param {number} total */
    resume(viewer: string, epoch: number, segment: number | null, total: number): void;
    /** A page that was loaded anew in the grace of the segment before. @param {any} kept */
    takeLeftover(kept: any): void;
    /** @param {number} epoch @param {number} segment */
    begin(epoch: number, segment: number): void;
    /** The next segment may be announced while the grace of this one still runs. */
    leave(): void;
    add(): void;
    /** @param {Message} ack */
    acknowledge({ segment, total }: Message): void;
    save(): void;
    /** Another tab has counted, or was told. */
    follow(): void;
}
/** When to report: at the pace while the window is open, soon after it, and until the total is acknowledged. */
export class Reporter {
    /** @param {Connection} connection @param {Counter} count */
    constructor(connection: Connection, count: Counter);
    connection: Connection;
    count: Counter;
    at: number;
    turnAt: number;
    moment: string;
    waiting: boolean;
    done: boolean;
    final: number;
    shortAcks: number;
    /** What was not answered on the last connection is said again. */
    begin(): void;
    /** Spreads the phones: everybody's window begins and ends in the same instant.
     * @param {string} moment @param {number} now */
    enter(moment: string, now: number): void;
    /** Sends what is due. @param {string} moment @param {number} now */
    tick(moment: string, now: number): void;
    /** A new pace holds for the wait that has begun, too. */
    followPace(): void;
    /** The report that this moment asks for, or null. @param {string} moment */
    due(moment: string): {
        segment: number;
        total: number;
    } | null;
    /** @param {string} moment */
    pause(moment: string): number;
    /** @param {Message} ack */
    acknowledged({ segment, total }: Message): void;
    /** @param {Message} error */
    refused({ code }: Message): void;
}
/**
 * Finds the strokes of a shake, however the phone is held. Gravity is taken out by a slow low-pass; what is left is
 * projected on the direction in which the phone has moved most in the last moments; a stroke is a peak on one side, and
 * the next one is on the other side, or after a rest. Pure: it reads no sensor and no clock.
 */
export class ShakeDetector {
    t: number;
    /** @type {number[]} */
    strokes: number[];
    seen: {
        count: number;
        gravity: number[];
        spread: number[];
        axis: number[];
        side: number;
        push: number;
        height: number;
        counted: boolean;
    };
    /** Whether this sample completes a stroke. @param {Sample} sample */
    add(sample: Sample): boolean;
    /** @param {Sample} sample @param {number} ms @returns {number[]} */
    withoutGravity({ x, y, z, gravity }: Sample, ms: number): number[];
    /** The part of a movement along the direction of the last ones. @param {number[]} moved @param {number} ms */
    project([x, y, z]: number[], ms: number): number;
    /** @param {number} strength @param {number} s */
    follow(strength: number, s: number): boolean;
}
/**
 * Makes samples of `devicemotion` events. Some phones give no acceleration without gravity: null, or zeros for ever;
 * then the one with gravity is taken.
 */
export class SampleReader {
    lives: boolean;
    zeros: number;
    /**
     * @param {{acceleration?: Vector, accelerationIncludingGravity?: Vector}} event @param {number} t
     * @returns {Sample | null} null where the device measures nothing
     */
    read({ acceleration, accelerationIncludingGravity }: {
        acceleration?: Vector;
        accelerationIncludingGravity?: Vector;
    }, t: number): Sample | null;
    /** Whether all that has come is nothing: a sensor that is switched off, or none. */
    isDead(): boolean;
}
/** @typedef {"ask" | "on" | "insecure" | "missing" | "denied" | "silent"} Reason
 * `ask`: the sensor opens after a press of a button, which calls `ask()`. `on`: it speaks. All others say why a viewer
 * has to tap: no https, no sensor, not allowed, nothing measured. */
/** The motion sensor of this phone: its permission, its strokes, and why there are none. */
export class Motion {
    /** @param {{onShake: () => void, onReason: (reason: Reason) => void}} options */
    constructor({ onShake, onReason }: {
        onShake: () => void;
        onReason: (reason: Reason) => void;
    });
    onShake: () => void;
    onReason: (reason: Reason) => void;
    reader: SampleReader;
    detector: ShakeDetector;
    heard: boolean;
    /** @param {any} event */
    take: (event: any) => void;
    start(): void;
    stop(): void;
    /** To be called by a press of a button. */
    ask(): Promise<void>;
    expect(): void;
    /** @param {DeviceMotionEvent} event */
    hear(event: DeviceMotionEvent): void;
}
/** Keeps the screen on while the page is looked at: at once where the browser allows it, else from the first touch. */
export class WakeLock {
    /** @type {WakeLockSentinel | null} */
    held: WakeLockSentinel | null;
    asking: boolean;
    start(): Promise<void>;
    hold(): Promise<void>;
}
/**
 * A phone that takes part: it gets a pass, connects, counts, reports, keeps, and comes back. `on` has a function for
 * each message type (docs/protocol.md), after the phone has taken it in, and `status(status, detail)`, `tick(moment,
 * now)` ten times a second, and `counted()` when a number has changed.
 */
export class Phone {
    /**
     * @param {{slug: string, base?: string, feed?: string, getPass?: () => Promise<string>, solver?: string, told?: Told,
     *   storage?: Store, patience?: Patience, on?: Record<string, (...told: any[]) => void>}} options
     * `getPass` is for pages whose own backend gives passes; without it the phone asks as a guest.
     */
    constructor({ slug, base, feed, getPass, solver, told, storage, patience, on }: {
        slug: string;
        base?: string;
        feed?: string;
        getPass?: () => Promise<string>;
        solver?: string;
        told?: Told;
        storage?: Store;
        patience?: Patience;
        on?: Record<string, (...told: any[]) => void>;
    });
    on: Record<string, (...told: any[]) => void>;
    keep: Keep;
    pass: Pass;
    count: Counter;
    wins: Wins;
    turn: Turn;
    viewer: string;
    passNow: string;
    connection: Connection;
    reporter: Reporter;
    claim: () => true | void;
    get clock(): Clock;
    /** The newest state, with the cues and names that have come since. */
    get state(): Message;
    start(): void;
    ticking: number | undefined;
    stop(): void;
    /** This phone was told in another tab to forget its viewer. */
    end(): void;
    /** Forgets everything of this show, in all tabs; the page should be loaded anew. */
    forget(): void;
    /** Of the segment; what the screens show may be another one, see `shownMoment`. */
    moment(): Moment;
    /** A stroke, or a tap; whether it counts: while the window is open, and in one tab only. */
    shake(): boolean;
    tick(): void;
    hasNews(): boolean;
    follow(): void;
    /** @param {Message} message */
    takeState(message: Message): void;
    /** @param {Message} message */
    welcome(message: Message): void;
    /** Takes each message in, then tells the page. @returns {Record<string, (...told: any[]) => void>} */
    listeners(): Record<string, (...told: any[]) => void>;
}
/**
 * When an answer is given up, and when it is late; then `slow` is called.
 */
export type Patience = {
    answerMs?: number;
    slowMs?: number;
    slow?: () => void;
};
/**
 * localStorage, or what stands in for it.
 */
export type Store = {
    getItem: (key: string) => string | null;
    setItem: (key: string, value: string) => void;
    removeItem: (key: string) => void;
    names?: () => string[];
};
/**
 * At `t` ms, in m/s²; `gravity`: whether gravity is in it.
 */
export type Sample = {
    t: number;
    x: number;
    y: number;
    z: number;
    gravity?: boolean;
};
export type Moment = "idle" | "armed" | "soon" | "cue" | "open" | "closing" | "sealed" | "beacon" | "drawn" | "naming" | "published" | "void" | "spoiled";
/**
 * One frame of docs/protocol.md, or a part of it.
 */
export type Message = Record<string, any>;
/**
 * Of a sensor, m/s².
 */
export type Vector = {
    x: number | null;
    y: number | null;
    z: number | null;
} | null | undefined;
/**
 * `waiting`: asked, and no answer came yet. `offline`: no way to the server. `overloaded`: it has said so, or that this
 * network has to wait. `refused`: for good. All but the last try again by themselves.
 */
export type Status = "connecting" | "connected" | "waiting" | "offline" | "overloaded" | "refused";
/**
 * Of a status: when the next try is, and why.
 */
export type Detail = {
    waitMs?: number;
    code?: string;
    message?: string;
};
export type Pace = {
    report_every_ms: number;
    jitter_ms: number;
    spread_ms: number;
};
/**
 * Somebody whom this phone has been in the show.
 */
export type Identity = {
    viewer: string;
    salt: string;
    pass: string;
};
/**
 * What the viewer sees while a pass is earned.
 */
export type Told = {
    working?: (seconds: number) => void;
    askForCode?: (refusal: string) => Promise<string>;
    slow?: () => void;
};
/**
 * `ask`: the sensor opens after a press of a button, which calls `ask()`. `on`: it speaks. All others say why a viewer
 * has to tap: no https, no sensor, not allowed, nothing measured.
 */
export type Reason = "ask" | "on" | "insecure" | "missing" | "denied" | "silent";
